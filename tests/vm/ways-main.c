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

pid_t way_process;
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
	/* a request without copying may have told of its buffer as well */
	if (__atomic_load_n(tail, __ATOMIC_ACQUIRE) == 0)
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

static long ring_sendmsg(int fd, int flags, const struct sockaddr *addr, socklen_t len,
			 unsigned int setup_flags, __u8 sqe_flags)
{
	struct iovec iov = {.iov_base = (char *)"x", .iov_len = 1};
	struct msghdr msg = {
		.msg_name = (void *)addr, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1};
	const struct io_uring_sqe sqe = {
		.opcode = IORING_OP_SENDMSG,
		.flags = sqe_flags,
		.fd = fd,
		.addr = (uintptr_t)&msg,
		.len = 1,
		.msg_flags = (__u32)flags | MSG_NOSIGNAL,
	};

	return as_call(ring_run(&sqe, setup_flags));
}

long uring_do_sendmsg(int fd, int flags, const struct sockaddr *addr, socklen_t len)
{
	return ring_sendmsg(fd, flags, addr, len, 0, 0);
}

long uring_do_sendmsg_async(int fd, int flags, const struct sockaddr *addr, socklen_t len)
{
	return ring_sendmsg(fd, flags, addr, len, 0, IOSQE_ASYNC);
}

long uring_do_sendmsg_sqpoll(int fd, int flags, const struct sockaddr *addr, socklen_t len)
{
	return ring_sendmsg(fd, flags, addr, len, IORING_SETUP_SQPOLL, 0);
}

/* With the address in the request itself, from 6.0 on. */
static long ring_send(__u8 opcode, int fd, int flags, const struct sockaddr *addr, socklen_t len)
{
	const struct io_uring_sqe sqe = {
		.opcode = opcode,
		.fd = fd,
		.addr = (uintptr_t) "x",
		.len = 1,
		.addr2 = (uintptr_t)addr,
		.addr_len = (__u16)len,
		.msg_flags = (__u32)flags | MSG_NOSIGNAL,
	};
	long result = ring_run(&sqe, 0);

	/* older kernels do not know the request, or take no notice of the address */
	if (result == -EINVAL || result == -EDESTADDRREQ) {
		errno = (int)-result;
		way_untried("send with an address");
	}
	return as_call(result);
}

long uring_do_send(int fd, int flags, const struct sockaddr *addr, socklen_t len)
{
	return ring_send(IORING_OP_SEND, fd, flags, addr, len);
}

long uring_do_send_zc(int fd, int flags, const struct sockaddr *addr, socklen_t len)
{
	return ring_send(IORING_OP_SEND_ZC, fd, flags, addr, len);
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

long int80_do_sendmsg(int fd, int flags, const struct sockaddr *addr, socklen_t len)
{
	char *low = low_memory();
	uint32_t *iov = (uint32_t *)(low + 1040), *msg = iov + 2;
	const uint32_t header[7] = {(uint32_t)(uintptr_t)low, len, (uint32_t)(uintptr_t)iov, 1};

	memcpy(low, addr, len);
	low[1024] = 'x';
	iov[0] = (uint32_t)(uintptr_t)(low + 1024);
	iov[1] = 1;
	memcpy(msg, header, sizeof(header));
	return socketcall(16, (uint32_t[]){(uint32_t)fd, (uint32_t)(uintptr_t)msg, (uint32_t)flags},
			  3);
}

static int try_way(const struct way *way)
{
	int status = 0;
	pid_t pid;

	name = way->name;
	pid = fork();
	if (pid == 0) {
		way_process = getpid();
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

/* Lists it, tries it, or does neither, as the arguments say. */
static int consider(const struct way *way, int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--list") == 0)
		puts(way->name);
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], way->name) == 0)
			return try_way(way);
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
	for (const struct way *w = ways; w->name; w++)
		if (consider(w, argc, argv) < 0)
			return 1;
	for (const struct way *w = more_ways; w->name; w++)
		if (consider(w, argc, argv) < 0)
			return 1;
	return 0;
}
