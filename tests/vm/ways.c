/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ways to a peer that an enforcer on connect(2) alone may overlook. Each has a process of its own
 * and a receiver that tells whether a byte arrived.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ways.h"

/* Where everything goes: nobody's address, which the test puts on lo. */
#define PEER4	"203.0.113.5"
#define PEER6	"2001:db8::5"
#define SECONDS 60

struct sockaddr_in peer4(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	inet_pton(AF_INET, PEER4, &in.sin_addr);
	return in;
}

struct sockaddr_in6 peer6(bool mapped)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};

	inet_pton(AF_INET6, mapped ? "::ffff:" PEER4 : PEER6, &in6.sin6_addr);
	return in6;
}

int get_socket(int family, int type, int protocol)
{
	int fd = socket(family, type | SOCK_CLOEXEC, protocol);

	if (fd < 0)
		way_untried("socket");
	return fd;
}

void receive(int fd, int type)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte[64];
	int s = fd;

	/* a way that ends early must not leave the port to its receiver */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != way_process)
		_exit(1);
	if (poll(&p, 1, SECONDS * 1000) != 1)
		_exit(1);
	if (type == SOCK_STREAM) {
		s = accept(fd, NULL, NULL);
		p.fd = s;
		if (s < 0 || poll(&p, 1, SECONDS * 1000) != 1)
			_exit(1);
	}
	_exit(recv(s, byte, sizeof(byte), 0) <= 0);
}

struct receiver receiver_new(int family, int type, int protocol)
{
	struct sockaddr_in in = peer4();
	struct sockaddr_in6 in6 = peer6(false);
	int one = 1, fd = get_socket(family, type, protocol);
	struct receiver r = {.socket = fd};
	int err;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	err = family == AF_INET ? bind(fd, (struct sockaddr *)&in, sizeof(in))
				: bind(fd, (struct sockaddr *)&in6, sizeof(in6));
	if (err < 0)
		way_untried("bind");
	if (type == SOCK_STREAM) {
		/* a queue for fast open; without the option the rest works all the same */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &one, sizeof(one));
		if (listen(fd, 8) < 0)
			way_untried("listen");
	}
	r.pid = fork();
	if (r.pid == 0)
		receive(fd, type);
	close(fd);
	return r;
}

void receiver_check(const struct receiver *r)
{
	int status = -1;

	if (waitpid(r->pid, &status, 0) < 0 || status != 0)
		way_lost();
}

void check_call(const struct receiver *r, long result, const char *step)
{
	int error = errno;

	if (result >= 0)
		return;
	if (r) {
		kill(r->pid, SIGKILL);
		waitpid(r->pid, NULL, 0);
	}
	errno = error;
	way_refused(step);
}

void send_on(const struct receiver *r, int fd)
{
	check_call(r, send(fd, "x", 1, MSG_NOSIGNAL), "send");
	receiver_check(r);
}

long plain_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return connect(fd, addr, len);
}

void by_connect(int family, int type, int protocol, int receiver_protocol, socklen_t len,
		connect_fn fn)
{
	struct receiver r = receiver_new(family, type, receiver_protocol);
	int fd = get_socket(family, type, protocol);
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		char bytes[128];
	} addr = {};

	if (family == AF_INET)
		addr.in = peer4();
	else
		addr.in6 = peer6(false);
	check_call(&r, fn(fd, &addr.sa, len), "connect");
	send_on(&r, fd);
}

static void tcp4(void)
{
	by_connect(AF_INET, SOCK_STREAM, 0, 0, sizeof(struct sockaddr_in), plain_connect);
}

static void tcp6(void)
{
	by_connect(AF_INET6, SOCK_STREAM, 0, 0, sizeof(struct sockaddr_in6), plain_connect);
}

/* RFC 2133's form, which has no scope. */
static void tcp6_short(void)
{
	by_connect(AF_INET6, SOCK_STREAM, 0, 0, 24, plain_connect);
}

static void tcp4_long(void)
{
	by_connect(AF_INET, SOCK_STREAM, 0, 0, 128, plain_connect);
}

static void tcp6_long(void)
{
	by_connect(AF_INET6, SOCK_STREAM, 0, 0, 128, plain_connect);
}

static void mptcp(void)
{
	by_connect(AF_INET, SOCK_STREAM, IPPROTO_MPTCP, 0, sizeof(struct sockaddr_in),
		   plain_connect);
}

static void sctp(void)
{
	by_connect(AF_INET, SOCK_STREAM, IPPROTO_SCTP, IPPROTO_SCTP, sizeof(struct sockaddr_in),
		   plain_connect);
}

static void dccp(void)
{
	struct sockaddr_in in = peer4();
	int fd = get_socket(AF_INET, SOCK_DCCP, IPPROTO_DCCP);

	/* nobody listens: that is told by an errno of its own */
	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0 && errno == ECONNREFUSED)
		return;
	check_call(NULL, -1, "connect");
}

static void udp4(void)
{
	by_connect(AF_INET, SOCK_DGRAM, 0, 0, sizeof(struct sockaddr_in), plain_connect);
}

/* An AF_INET address on an AF_INET6 socket. */
static void udp6_inet(void)
{
	struct receiver r = receiver_new(AF_INET, SOCK_DGRAM, 0);
	int fd = get_socket(AF_INET6, SOCK_DGRAM, 0);
	struct sockaddr_in in = peer4();

	check_call(&r, connect(fd, (struct sockaddr *)&in, sizeof(in)), "connect");
	send_on(&r, fd);
}

static void reconnect(void)
{
	struct receiver r = receiver_new(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int fd = get_socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in in = peer4();

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0 ||
	    connect(fd, &none, sizeof(none)) < 0)
		way_untried("connect to nobody");
	in = peer4();
	check_call(&r, connect(fd, (struct sockaddr *)&in, sizeof(in)), "connect");
	send_on(&r, fd);
}

long plain_sendto(int fd, int flags, const struct sockaddr *addr, socklen_t len)
{
	return sendto(fd, "x", 1, flags | MSG_NOSIGNAL, addr, len);
}

long plain_sendmsg(int fd, int flags, const struct sockaddr *addr, socklen_t len)
{
	struct iovec iov = {.iov_base = (char *)"x", .iov_len = 1};
	struct msghdr msg = {
		.msg_name = (void *)addr, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1};

	return sendmsg(fd, &msg, flags | MSG_NOSIGNAL);
}

static long plain_sendmmsg(int fd, int flags, const struct sockaddr *addr, socklen_t len)
{
	struct iovec iov = {.iov_base = (char *)"x", .iov_len = 1};
	struct mmsghdr msg = {.msg_hdr = {.msg_name = (void *)addr,
					  .msg_namelen = len,
					  .msg_iov = &iov,
					  .msg_iovlen = 1}};

	return sendmmsg(fd, &msg, 1, flags | MSG_NOSIGNAL);
}

void by_send(int type, int protocol, int flags, send_fn fn)
{
	struct receiver r = receiver_new(AF_INET, type, protocol);
	int fd = get_socket(AF_INET, type, protocol);
	struct sockaddr_in in = peer4();

	check_call(&r, fn(fd, flags, (struct sockaddr *)&in, sizeof(in)), "send");
	receiver_check(&r);
}

static void udp_sendto(void)
{
	by_send(SOCK_DGRAM, 0, 0, plain_sendto);
}

static void udp_sendmsg(void)
{
	by_send(SOCK_DGRAM, 0, 0, plain_sendmsg);
}

static void udp_sendmmsg(void)
{
	by_send(SOCK_DGRAM, 0, 0, plain_sendmmsg);
}

static void udplite(void)
{
	by_send(SOCK_DGRAM, IPPROTO_UDPLITE, 0, plain_sendto);
}

static void tfo_sendto(void)
{
	by_send(SOCK_STREAM, 0, MSG_FASTOPEN, plain_sendto);
}

static void tfo_sendmsg(void)
{
	by_send(SOCK_STREAM, 0, MSG_FASTOPEN, plain_sendmsg);
}

/* One to many: the first message makes the association. */
static void sctp_sendmsg(void)
{
	struct receiver r = receiver_new(AF_INET, SOCK_STREAM, IPPROTO_SCTP);
	int fd = get_socket(AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP);
	struct sockaddr_in in = peer4();

	check_call(&r, plain_sendmsg(fd, 0, (struct sockaddr *)&in, sizeof(in)), "send");
	receiver_check(&r);
}

/* The SYN leaves at the first write only. */
static void tfo_option(void)
{
	struct receiver r = receiver_new(AF_INET, SOCK_STREAM, 0);
	int one = 1, fd = get_socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in in = peer4();

	if (setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)) < 0)
		way_untried("TCP_FASTOPEN_CONNECT");
	check_call(&r, connect(fd, (struct sockaddr *)&in, sizeof(in)), "connect");
	send_on(&r, fd);
}

static void udp_mapped(void)
{
	struct receiver r = receiver_new(AF_INET, SOCK_DGRAM, 0);
	int fd = get_socket(AF_INET6, SOCK_DGRAM, 0);
	struct sockaddr_in6 in6 = peer6(true);

	check_call(&r, plain_sendto(fd, 0, (struct sockaddr *)&in6, sizeof(in6)), "send");
	receiver_check(&r);
}

/* A datagram of one's own making; the port of the address means nothing here. */
static void raw(void)
{
	struct receiver r = receiver_new(AF_INET, SOCK_DGRAM, 0);
	int fd = get_socket(AF_INET, SOCK_RAW, IPPROTO_UDP);
	struct sockaddr_in in = peer4();
	struct {
		struct udphdr h;
		char byte;
	} packet = {.h = {.uh_sport = htons(5555), .uh_dport = htons(PORT), .uh_ulen = htons(9)},
		    .byte = 'x'};

	in.sin_port = 0;
	check_call(&r, sendto(fd, &packet, 9, 0, (struct sockaddr *)&in, sizeof(in)), "send");
	receiver_check(&r);
}

/* What comes back is the byte that went out. */
static void ping(void)
{
	char request[9] = {8}, reply[64];
	int fd = get_socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct sockaddr_in in = peer4();

	check_call(NULL,
		   sendto(fd, request, sizeof(request), 0, (struct sockaddr *)&in, sizeof(in)),
		   "send");
	if (poll(&p, 1, SECONDS * 1000) != 1 || recv(fd, reply, sizeof(reply), 0) < 0)
		way_lost();
}

static void uring_connect(void)
{
	by_connect(AF_INET, SOCK_STREAM, 0, 0, sizeof(struct sockaddr_in), uring_do_connect);
}

static void uring_async(void)
{
	by_connect(AF_INET, SOCK_STREAM, 0, 0, sizeof(struct sockaddr_in), uring_do_connect_async);
}

static void uring_sqpoll(void)
{
	by_connect(AF_INET, SOCK_STREAM, 0, 0, sizeof(struct sockaddr_in), uring_do_connect_sqpoll);
}

static void uring_sendmsg(void)
{
	by_send(SOCK_DGRAM, 0, 0, uring_do_sendmsg);
}

static void uring_tfo(void)
{
	by_send(SOCK_STREAM, 0, MSG_FASTOPEN, uring_do_sendmsg);
}

static void int80_connect(void)
{
	by_connect(AF_INET, SOCK_STREAM, 0, 0, sizeof(struct sockaddr_in), int80_do_connect);
}

static void int80_sendto(void)
{
	by_send(SOCK_DGRAM, 0, 0, int80_do_sendto);
}

/* A socket of another network namespace, where the peer is as well. */
static void foreign_namespace(void)
{
	struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	struct ifreq address = {.ifr_name = "lo:1"};
	struct sockaddr_in in = peer4();
	struct receiver r;
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), fd;

	if (home < 0 || unshare(CLONE_NEWNET) < 0)
		way_untried("unshare");
	fd = get_socket(AF_INET, SOCK_STREAM, 0);
	memcpy(&address.ifr_addr, &in, sizeof(in));
	if (ioctl(fd, SIOCSIFFLAGS, &up) < 0 || ioctl(fd, SIOCSIFADDR, &address) < 0)
		way_untried("lo");
	r = receiver_new(AF_INET, SOCK_STREAM, 0);
	if (setns(home, CLONE_NEWNET) < 0)
		way_untried("setns");
	check_call(&r, connect(fd, (struct sockaddr *)&in, sizeof(in)), "connect");
	send_on(&r, fd);
}

/* listen(2) as the function given does it; then somebody comes and brings a byte. */
typedef long (*listen_fn)(int fd, int backlog);

static long plain_listen(int fd, int backlog)
{
	return listen(fd, backlog);
}

static void by_listen(int protocol, bool bound, listen_fn fn)
{
	struct sockaddr_in in = peer4();
	socklen_t len = sizeof(in);
	int one = 1, fd = get_socket(AF_INET, SOCK_STREAM, protocol);
	struct receiver r = {};

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bound && bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0)
		way_untried("bind");
	check_call(NULL, fn(fd, 8), "listen");
	r.pid = fork();
	if (r.pid == 0)
		receive(fd, SOCK_STREAM);
	if (getsockname(fd, (struct sockaddr *)&in, &len) < 0)
		way_untried("getsockname");
	close(fd);
	fd = get_socket(AF_INET, SOCK_STREAM, protocol);
	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0 ||
	    send(fd, "x", 1, MSG_NOSIGNAL) != 1)
		way_lost();
	receiver_check(&r);
}

static void listen_plain(void)
{
	by_listen(0, true, plain_listen);
}

static void listen_unbound(void)
{
	by_listen(0, false, plain_listen);
}

static void listen_mptcp(void)
{
	by_listen(IPPROTO_MPTCP, true, plain_listen);
}

static void listen_sctp(void)
{
	by_listen(IPPROTO_SCTP, true, plain_listen);
}

static void listen_uring(void)
{
	by_listen(0, true, uring_do_listen);
}

static void listen_int80(void)
{
	by_listen(0, true, int80_do_listen);
}

static void *thread_main(void *arg)
{
	(*(void (**)(void))arg)();
	way_done();
	return NULL;
}

static void in_thread(void)
{
	static void (*way)(void) = tcp4;
	pthread_t t;

	if (pthread_create(&t, NULL, thread_main, &way) != 0)
		way_untried("pthread_create");
	pthread_join(t, NULL);
}

/* The first thread ends; the process, and the way, go on. */
static void dead_leader(void)
{
	static void (*way)(void) = tcp4;
	pthread_t t;

	if (pthread_create(&t, NULL, thread_main, &way) != 0)
		way_untried("pthread_create");
	pthread_exit(NULL);
}

static void in_vfork(void)
{
	struct receiver r = receiver_new(AF_INET, SOCK_STREAM, 0);
	int fd = get_socket(AF_INET, SOCK_STREAM, 0);
	volatile int error = 0;
	struct sockaddr_in in = peer4();
	pid_t pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */

	if (pid == 0) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Vfork): the very thing that is tried */
		if (connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0)
			error = errno;
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	errno = error;
	if (error)
		check_call(&r, -1, "connect");
	send_on(&r, fd);
}

/* A child with memory and descriptors of ours, but another process. */
static int shared_child(void *arg)
{
	struct sockaddr_in in = peer4();

	*(volatile int *)arg =
		connect(((int *)arg)[1], (struct sockaddr *)&in, sizeof(in)) < 0 ? errno : 0;
	return 0;
}

static void in_clone(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	struct receiver r = receiver_new(AF_INET, SOCK_STREAM, 0);
	int state[2] = {0, get_socket(AF_INET, SOCK_STREAM, 0)};
	pid_t pid =
		clone(shared_child, stack + sizeof(stack), CLONE_VM | CLONE_FILES | SIGCHLD, state);

	if (pid < 0)
		way_untried("clone");
	waitpid(pid, NULL, 0);
	errno = state[0];
	if (state[0])
		check_call(&r, -1, "connect");
	send_on(&r, state[1]);
}

/* The exe link is another's now. */
static void set_exe_file(void)
{
	int fd = open("/bin/true", O_RDONLY | O_CLOEXEC);
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long begin, end;
	char path[512];

	/* the link can only be changed once nothing of the old file is mapped: done by a copy in
	   anonymous memory over each mapping */
	while (maps && fscanf(maps, "%lx-%lx %*s %*s %*s %*s%511[^\n]", &begin, &end, path) >= 2) {
		void *copy;

		if (!strstr(path, way_self()))
			continue;
		copy = mmap(NULL, end - begin, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
		if (copy == MAP_FAILED)
			way_untried("mmap");
		memcpy(copy, (void *)begin, end - begin);
		if (mprotect(copy, end - begin, PROT_READ | PROT_WRITE | PROT_EXEC) < 0 ||
		    mremap(copy, end - begin, end - begin, MREMAP_MAYMOVE | MREMAP_FIXED,
			   (void *)begin) == MAP_FAILED)
			way_untried("mremap");
	}
	if (maps)
		fclose(maps);
	if (prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, fd, 0, 0) < 0)
		way_untried("PR_SET_MM_EXE_FILE");
	tcp4();
}

const struct way ways[] = {
	{"tcp4", tcp4},
	{"tcp6", tcp6},
	{"tcp6-short-address", tcp6_short},
	{"tcp4-long-address", tcp4_long},
	{"tcp6-long-address", tcp6_long},
	{"udp4", udp4},
	{"udp6-inet-address", udp6_inet},
	{"reconnect", reconnect},
	{"tfo-sendto", tfo_sendto},
	{"tfo-sendmsg", tfo_sendmsg},
	{"tfo-option", tfo_option},
	{"udp-sendto", udp_sendto},
	{"udp-sendmsg", udp_sendmsg},
	{"udp-sendmmsg", udp_sendmmsg},
	{"udp-mapped", udp_mapped},
	{"udplite", udplite},
	{"mptcp", mptcp},
	{"sctp", sctp},
	{"sctp-sendmsg", sctp_sendmsg},
	{"dccp", dccp},
	{"raw", raw},
	{"ping", ping},
	{"uring-connect", uring_connect},
	{"uring-async", uring_async},
	{"uring-sqpoll", uring_sqpoll},
	{"uring-sendmsg", uring_sendmsg},
	{"uring-tfo", uring_tfo},
	{"int80-connect", int80_connect},
	{"int80-sendto", int80_sendto},
	{"foreign-namespace", foreign_namespace},
	{"thread", in_thread},
	{"dead-leader", dead_leader},
	{"vfork", in_vfork},
	{"clone", in_clone},
	{"set-exe-file", set_exe_file},
	{"listen", listen_plain},
	{"listen-unbound", listen_unbound},
	{"listen-mptcp", listen_mptcp},
	{"listen-sctp", listen_sctp},
	{"listen-uring", listen_uring},
	{"listen-int80", listen_int80},
	{},
};
