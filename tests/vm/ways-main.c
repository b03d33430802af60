/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tries the named ways one after the other and prints what came of each. */
#include <errno.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ways.h"

static const char *name, *self;
static int report_fd = STDOUT_FILENO;

const char *way_self(void)
{
	return self;
}

void way_done(void)
{
	dprintf(report_fd, "%s through\n", name);
	_exit(0);
}

void way_refused(const char *step)
{
	dprintf(report_fd, "%s %s %s\n", name, strerrorname_np(errno) ?: "?", step);
	_exit(1);
}

void way_untried(const char *step)
{
	dprintf(report_fd, "%s untried %s %s\n", name, step, strerrorname_np(errno) ?: "?");
	_exit(2);
}

void way_lost(void)
{
	dprintf(report_fd, "%s lost\n", name);
	_exit(3);
}

struct ring {
	int fd;
	char *sq, *cq;
	struct io_uring_sqe *sqes;
	struct io_uring_params p;
};

static void ring_open(struct ring *r, unsigned int flags)
{
	size_t sq_size, cq_size;

	r->p = (struct io_uring_params){.flags = flags, .sq_thread_idle = 1000};
	r->fd = (int)syscall(SYS_io_uring_setup, 1, &r->p);
	if (r->fd < 0)
		way_untried("io_uring_setup");
	sq_size = r->p.sq_off.array + r->p.sq_entries * sizeof(__u32);
	cq_size = r->p.cq_off.cqes + r->p.cq_entries * sizeof(struct io_uring_cqe);
	r->sq = mmap(NULL, sq_size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQ_RING);
	r->cq = mmap(NULL, cq_size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_CQ_RING);
	r->sqes = mmap(NULL, sizeof(*r->sqes), PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
		       IORING_OFF_SQES);
	if (r->sq == MAP_FAILED || r->cq == MAP_FAILED || r->sqes == MAP_FAILED)
		way_untried("mmap");
}

/* Puts sqe into a ring of its own and waits for what comes of it. */
static long ring_run(const struct io_uring_sqe *sqe, unsigned int flags)
{
	struct ring r;
	__u32 *tail;

	ring_open(&r, flags);
	*r.sqes = *sqe;
	((__u32 *)(r.sq + r.p.sq_off.array))[0] = 0;
	__atomic_store_n((__u32 *)(r.sq + r.p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, r.fd, flags ? 0 : 1, 1,
		    IORING_ENTER_GETEVENTS | (flags ? IORING_ENTER_SQ_WAKEUP : 0), NULL, 0) < 0)
		way_untried("io_uring_enter");
	tail = (__u32 *)(r.cq + r.p.cq_off.tail);
	if (__atomic_load_n(tail, __ATOMIC_ACQUIRE) != 1)
		way_untried("io_uring_enter");
	return ((struct io_uring_cqe *)(r.cq + r.p.cq_off.cqes))->res;
}

/* A result as that of a system call. */
static long as_call(long result)
{
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}

static long ring_connect(int fd, const struct sockaddr *addr, socklen_t len, unsigned int flags,
			 __u8 sqe_flags)
{
	const struct io_uring_sqe sqe = {
		.opcode = IORING_OP_CONNECT,
		.flags = sqe_flags,
		.fd = fd,
		.addr = (uintptr_t)addr,
		.off = len,
	};

	return as_call(ring_run(&sqe, flags));
}

long uring_do_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return ring_connect(fd, addr, len, 0, 0);
}

long uring_do_connect_async(int fd, const struct sockaddr *addr, socklen_t len)
{
	return ring_connect(fd, addr, len, 0, IOSQE_ASYNC);
}

long uring_do_connect_sqpoll(int fd, const struct sockaddr *addr, socklen_t len)
{
	return ring_connect(fd, addr, len, IORING_SETUP_SQPOLL, 0);
}

/* From 6.11 on; headers may be older. */
#define OP_LISTEN 57

long uring_do_listen(int fd, int backlog)
{
	const struct io_uring_sqe sqe = {.opcode = OP_LISTEN, .fd = fd, .len = (__u32)backlog};
	long result = ring_run(&sqe, 0);

	if (result == -EINVAL) {
		errno = EINVAL;
		way_untried("IORING_OP_LISTEN");
	}
	return as_call(result);
}

long uring_do_sendmsg(int fd, int flags, const struct sockaddr *addr, socklen_t len)
{
	struct iovec iov = {.iov_base = (char *)"x", .iov_len = 1};
	struct msghdr msg = {
		.msg_name = (void *)addr, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1};
	const struct io_uring_sqe sqe = {
		.opcode = IORING_OP_SENDMSG,
		.fd = fd,
		.addr = (uintptr_t)&msg,
		.len = 1,
		.msg_flags = (__u32)flags | MSG_NOSIGNAL,
	};

	return as_call(ring_run(&sqe, 0));
}

/* Memory that a 32-bit pointer reaches. */
static char *low_memory(void)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
		       -1, 0);

	if (p == MAP_FAILED)
		way_untried("mmap");
	return p;
}

/* socketcall(2), as a 32-bit program would call it. */
static long socketcall(long number, const uint32_t *args, size_t n)
{
	uint32_t *low = (uint32_t *)(low_memory() + 2048);
	long result = 102;

	memcpy(low, args, n * sizeof(*args));
#ifdef __x86_64__
	__asm__ volatile("int $0x80"
			 : "+a"(result)
			 : "b"(number), "c"(low)
			 : "memory", "r8", "r9", "r10", "r11");
#else
	errno = ENOSYS;
	way_untried("int $0x80");
#endif
	if (result == -ENOSYS) {
		errno = ENOSYS;
		way_untried("int $0x80");
	}
	return as_call((int)result);
}

long int80_do_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	char *low = low_memory();

	memcpy(low, addr, len);
	return socketcall(3, (uint32_t[]){(uint32_t)fd, (uint32_t)(uintptr_t)low, len}, 3);
}

long int80_do_listen(int fd, int backlog)
{
	return socketcall(4, (uint32_t[]){(uint32_t)fd, (uint32_t)backlog}, 2);
}

long int80_do_sendto(int fd, int flags, const struct sockaddr *addr, socklen_t len)
{
	char *low = low_memory();

	memcpy(low, addr, len);
	low[1024] = 'x';
	return socketcall(11,
			  (uint32_t[]){(uint32_t)fd, (uint32_t)(uintptr_t)(low + 1024), 1,
				       (uint32_t)flags, (uint32_t)(uintptr_t)low, len},
			  6);
}

static int try_way(const struct way *way)
{
	int status = 0;
	pid_t pid;

	name = way->name;
	pid = fork();
	if (pid == 0) {
		way->go();
		way_done();
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	if (WIFSIGNALED(status))
		dprintf(report_fd, "%s %s %d\n", name,
			WTERMSIG(status) == SIGKILL ? "killed" : "untried signal",
			WTERMSIG(status));
	return 0;
}

int main(int argc, char **argv)
{
	static char path[512];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n < 0)
		return 1;
	path[n] = '\0';
	self = path;
	for (const struct way *w = ways; w->name; w++) {
		int wanted = 0;

		if (argc == 2 && strcmp(argv[1], "--list") == 0)
			puts(w->name);

		for (int i = 1; i < argc; i++)
			wanted = wanted || strcmp(argv[i], w->name) == 0;
		if (wanted && try_way(w) < 0)
			return 1;
	}
	return 0;
}
