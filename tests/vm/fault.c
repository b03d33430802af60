/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded into the daemon: the N-th of the calls below fails, or is the last. Everything that a
 * reload or a start changes outside of its own memory goes by one of them: bpf(2), and the names in
 * the BPF file system. What to do stands in the file that REVSHELL_FAULT names.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* 32-bit words, as faults.py writes and reads them. */
struct fault {
	uint32_t nth;	/* of the calls from now on, from 1; 0: none, and they are not counted */
	uint32_t error; /* errno; 0: the process ends there */
	uint32_t count; /* calls so far */
	uint32_t only;	/* of one kind, as what tells them; UINT32_MAX: of any */
	uint32_t what;	/* the one it hit: a bpf(2) command, or FAULT_NAMES and more; UINT32_MAX:
			   none */
};

#define FAULT_NAMES 1000
#define MAP_LOOKUP  1
#define PROG_LOAD   5

static struct fault *fault;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("REVSHELL_FAULT");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p;

	if (fd < 0)
		return;
	p = mmap(NULL, sizeof(*fault), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p != MAP_FAILED)
		fault = p;
}

static int hits(uint32_t what)
{
	bool again;

	if (!fault || !fault->nth || (fault->only != UINT32_MAX && fault->only != what))
		return 0;
	/* an end at a call that only reads is one at the next that writes */
	if (!fault->error && what == MAP_LOOKUP)
		return 0;
	/* libbpf loads once more what was refused, for the sake of the log */
	again = what == PROG_LOAD && fault->what == PROG_LOAD;
	if (__atomic_add_fetch(&fault->count, 1, __ATOMIC_SEQ_CST) != fault->nth && !again)
		return 0;
	fault->what = what;
	if (!fault->error)
		_exit(42);
	errno = (int)fault->error;
	return 1;
}

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

long syscall(long number, ...)
{
	static __typeof__(&syscall) real;
	long a[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_bpf && hits((uint32_t)a[0]))
		return -1;
	if (!real)
		real = REAL(syscall);
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int rename(const char *from, const char *to)
{
	return hits(FAULT_NAMES) ? -1 : REAL(rename)(from, to);
}

int unlink(const char *path)
{
	/* many are tried that are not there */
	if (access(path, F_OK) == 0 && hits(FAULT_NAMES + 1))
		return -1;
	return REAL(unlink)(path);
}

int unlinkat(int dir, const char *path, int flags)
{
	return hits(FAULT_NAMES + 2) ? -1 : REAL(unlinkat)(dir, path, flags);
}

int mkdir(const char *path, mode_t mode)
{
	return hits(FAULT_NAMES + 3) ? -1 : REAL(mkdir)(path, mode);
}

int rmdir(const char *path)
{
	return hits(FAULT_NAMES + 4) ? -1 : REAL(rmdir)(path);
}
