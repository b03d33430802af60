// SPDX-License-Identifier: LGPL-2.1-or-later
/* Tries one network operation and tells by its exit status whether the kernel allowed it. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* The exit statuses. Death by a signal is for the caller to see. */
enum outcome {
	ALLOWED = 0,
	DENIED = 1,    /* EPERM or EACCES */
	UNTRIED = 2,   /* what comes before the operation failed already */
	OTHERWISE = 3, /* another errno, or not the same outcome each time */
	N_OUTCOMES,
};

static const char *const outcome_names[N_OUTCOMES] = {"allowed", "denied", "untried", "otherwise"};

struct protocol {
	const char *name;
	int family, type, number;
	bool mapped; /* an IPv4 address in IPv6's clothes */
};

static const struct protocol protocols[] = {
	{"tcp4", AF_INET, SOCK_STREAM, 0, false},
	{"tcp6", AF_INET6, SOCK_STREAM, 0, false},
	{"mapped", AF_INET6, SOCK_STREAM, 0, true},
	{"udp4", AF_INET, SOCK_DGRAM, 0, false},
	{"udp6", AF_INET6, SOCK_DGRAM, 0, false},
	{"udpmapped", AF_INET6, SOCK_DGRAM, 0, true},
	{"udplite4", AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, false},
	{"udplite6", AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE, false},
	{"mptcp4", AF_INET, SOCK_STREAM, IPPROTO_MPTCP, false},
	{"mptcp6", AF_INET6, SOCK_STREAM, IPPROTO_MPTCP, false},
	{"sctp4", AF_INET, SOCK_STREAM, IPPROTO_SCTP, false},
	{"sctp6", AF_INET6, SOCK_STREAM, IPPROTO_SCTP, false},
	{"raw4", AF_INET, SOCK_RAW, IPPROTO_UDP, false},
	{"raw6", AF_INET6, SOCK_RAW, IPPROTO_UDP, false},
	{"unix", AF_UNIX, SOCK_STREAM, 0, false},
};

struct attempt;

/* Returns the outcome; *ret_step says what decided it, and errno why. */
typedef enum outcome (*action_fn)(const struct attempt *a, const char **ret_step);

struct attempt {
	const struct protocol *protocol;
	action_fn action;
	struct sockaddr_storage addr;
	socklen_t addr_len;
	const char *text;  /* sent after a connection, or as the datagram */
	const char *shell; /* run on the connected socket */
	unsigned int hold; /* seconds to keep the socket afterwards */
	bool nonblock;
	bool stdio; /* put the socket on descriptors 0 to 2 before the operation */
};

static unsigned int n_repeat = 1, n_threads = 1, pause_us;
static atomic_uint counts[N_OUTCOMES];
static int report_fd = STDOUT_FILENO;
static bool quiet;

static void report(enum outcome outcome, const char *step, int error)
{
	if (quiet)
		return;
	if (outcome == ALLOWED)
		dprintf(report_fd, "allowed\n");
	else
		dprintf(report_fd, "%s %s %s\n", outcome_names[outcome], step,
			strerrorname_np(error) ?: "?");
}

static enum outcome judge(int r)
{
	if (r >= 0)
		return ALLOWED;
	return errno == EPERM || errno == EACCES ? DENIED : OTHERWISE;
}

/* Returns a descriptor or -1. A refusal of the socket itself is the caller's to judge. */
static int open_socket(const struct attempt *a)
{
	int fd, i;

	fd = socket(a->protocol->family,
		    a->protocol->type | SOCK_CLOEXEC | (a->nonblock ? SOCK_NONBLOCK : 0),
		    a->protocol->number);
	if (fd >= 0 && a->stdio)
		for (i = 0; i < 3; i++)
			if (dup2(fd, i) < 0)
				return -1;
	return fd;
}

/* A socket that cannot be made for want of kernel support is no verdict; a refused one is. */
static enum outcome judge_socket(const char **ret_step)
{
	*ret_step = "socket";
	return errno == EPERM || errno == EACCES ? DENIED : UNTRIED;
}

static int finish_connect(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int error = 0;
	socklen_t len = sizeof(error);

	if (poll(&p, 1, 10000) <= 0) {
		errno = ETIMEDOUT;
		return -1;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -1;
	errno = error;
	return error ? -1 : 0;
}

static enum outcome after_connect(const struct attempt *a, int fd, const char **ret_step)
{
	enum outcome outcome = ALLOWED;
	int i;

	if (a->text) {
		*ret_step = "send";
		outcome = judge(send(fd, a->text, strlen(a->text), MSG_NOSIGNAL));
	}
	if (a->hold)
		sleep(a->hold);
	if (outcome == ALLOWED && a->shell) {
		for (i = 0; i < 3; i++)
			if (dup2(fd, i) < 0)
				return UNTRIED;
		execl("/bin/sh", "sh", "-c", a->shell, (char *)NULL);
		*ret_step = "exec";
		outcome = judge(-1);
	}
	return outcome;
}

static enum outcome do_connect(const struct attempt *a, const char **ret_step)
{
	enum outcome outcome;
	int fd, r, error;

	fd = open_socket(a);
	if (fd < 0)
		return judge_socket(ret_step);
	*ret_step = "connect";
	r = connect(fd, (const struct sockaddr *)&a->addr, a->addr_len);
	if (r < 0 && errno == EINPROGRESS)
		r = finish_connect(fd);
	outcome = judge(r);
	if (outcome == ALLOWED)
		outcome = after_connect(a, fd, ret_step);
	error = errno;
	close(fd);
	errno = error;
	return outcome;
}

/* TCP Fast Open connects inside sendto(): the kernel asks its connect hook nothing. */
static enum outcome do_tfo(const struct attempt *a, const char **ret_step)
{
	const char *text = a->text ?: "probe\n";
	enum outcome outcome;
	int fd, error;

	fd = open_socket(a);
	if (fd < 0)
		return judge_socket(ret_step);
	*ret_step = "sendto";
	outcome = judge(sendto(fd, text, strlen(text), MSG_FASTOPEN | MSG_NOSIGNAL,
			       (const struct sockaddr *)&a->addr, a->addr_len));
	error = errno;
	if (a->hold)
		sleep(a->hold);
	close(fd);
	errno = error;
	return outcome;
}

static enum outcome do_sendto(const struct attempt *a, const char **ret_step)
{
	const char *text = a->text ?: "probe\n";
	enum outcome outcome;
	int fd, error;

	fd = open_socket(a);
	if (fd < 0)
		return judge_socket(ret_step);
	*ret_step = "sendto";
	outcome = judge(sendto(fd, text, strlen(text), MSG_NOSIGNAL,
			       (const struct sockaddr *)&a->addr, a->addr_len));
	error = errno;
	close(fd);
	errno = error;
	return outcome;
}

/* The same address through the call for many messages. */
static enum outcome do_sendmmsg(const struct attempt *a, const char **ret_step)
{
	const char *text = a->text ?: "probe\n";
	struct iovec iov = {.iov_base = (char *)text, .iov_len = strlen(text)};
	struct sockaddr_storage addr = a->addr;
	struct mmsghdr messages[] = {
		{.msg_hdr = {.msg_name = &addr,
			     .msg_namelen = a->addr_len,
			     .msg_iov = &iov,
			     .msg_iovlen = 1}},
	};
	enum outcome outcome;
	int fd, error;

	fd = open_socket(a);
	if (fd < 0)
		return judge_socket(ret_step);
	*ret_step = "sendmmsg";
	outcome = judge(sendmmsg(fd, messages, 1, MSG_NOSIGNAL));
	error = errno;
	close(fd);
	errno = error;
	return outcome;
}

/* Dissolves a datagram socket's association, which is a connect() to no address at all. */
static enum outcome do_unspec(const struct attempt *a, const char **ret_step)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	enum outcome outcome;
	int fd, error;

	fd = open_socket(a);
	if (fd < 0)
		return judge_socket(ret_step);
	*ret_step = "connect";
	outcome = judge(connect(fd, &none, sizeof(none)));
	error = errno;
	close(fd);
	errno = error;
	return outcome;
}

static enum outcome bind_and(const struct attempt *a, bool do_listen, const char **ret_step)
{
	enum outcome outcome;
	int fd, one = 1, error;

	fd = open_socket(a);
	if (fd < 0)
		return judge_socket(ret_step);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	*ret_step = "bind";
	outcome = judge(bind(fd, (const struct sockaddr *)&a->addr, a->addr_len));
	if (outcome == OTHERWISE && do_listen)
		outcome = UNTRIED;
	if (outcome == ALLOWED && do_listen) {
		*ret_step = "listen";
		outcome = judge(listen(fd, 8));
	}
	error = errno;
	if (a->hold)
		sleep(a->hold);
	close(fd);
	errno = error;
	return outcome;
}

static enum outcome do_bind(const struct attempt *a, const char **ret_step)
{
	return bind_and(a, false, ret_step);
}

static enum outcome do_listen(const struct attempt *a, const char **ret_step)
{
	return bind_and(a, true, ret_step);
}

/* Without a bind() the kernel picks the port when it starts to listen. */
static enum outcome do_listen_nobind(const struct attempt *a, const char **ret_step)
{
	enum outcome outcome;
	int fd, error;

	fd = open_socket(a);
	if (fd < 0)
		return judge_socket(ret_step);
	*ret_step = "listen";
	outcome = judge(listen(fd, 8));
	error = errno;
	if (a->hold)
		sleep(a->hold);
	close(fd);
	errno = error;
	return outcome;
}

static enum outcome do_create(const struct attempt *a, const char **ret_step)
{
	int fd;

	fd = open_socket(a);
	if (fd < 0)
		return judge_socket(ret_step);
	close(fd);
	return ALLOWED;
}

/* One connect through io_uring. Returns 0 or -1 with errno, *ret_setup true if it got that far. */
static int uring_connect(int fd, const struct attempt *a, bool *ret_setup)
{
	struct io_uring_params p = {};
	char *sq = MAP_FAILED, *cq = MAP_FAILED;
	struct io_uring_sqe *sqes = MAP_FAILED;
	struct io_uring_cqe *cqe;
	size_t sq_size, cq_size;
	int ring, r = -1, error;

	ring = (int)syscall(SYS_io_uring_setup, 1, &p);
	if (ring < 0)
		return -1;
	sq_size = p.sq_off.array + p.sq_entries * sizeof(__u32);
	cq_size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	sq = mmap(NULL, sq_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	cq = mmap(NULL, cq_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	sqes = mmap(NULL, p.sq_entries * sizeof(*sqes), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		    IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || sqes == MAP_FAILED)
		goto out;
	*ret_setup = true;

	memset(sqes, 0, sizeof(*sqes));
	sqes->opcode = IORING_OP_CONNECT;
	sqes->fd = fd;
	sqes->addr = (__u64)(uintptr_t)&a->addr;
	sqes->off = a->addr_len;
	((__u32 *)(sq + p.sq_off.array))[0] = 0;
	__atomic_store_n((__u32 *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		goto out;
	cqe = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	if (__atomic_load_n((__u32 *)(cq + p.cq_off.tail), __ATOMIC_ACQUIRE) != 1) {
		errno = ETIMEDOUT;
		goto out;
	}
	errno = cqe->res < 0 ? -cqe->res : 0;
	r = cqe->res < 0 ? -1 : 0;
out:
	error = errno;
	if (sqes != MAP_FAILED)
		munmap(sqes, p.sq_entries * sizeof(*sqes));
	if (cq != MAP_FAILED)
		munmap(cq, cq_size);
	if (sq != MAP_FAILED)
		munmap(sq, sq_size);
	close(ring);
	errno = error;
	return r;
}

static enum outcome do_uring(const struct attempt *a, const char **ret_step)
{
	enum outcome outcome;
	bool setup = false;
	int fd, error;

	fd = open_socket(a);
	if (fd < 0)
		return judge_socket(ret_step);
	*ret_step = "io_uring";
	outcome = judge(uring_connect(fd, a, &setup));
	if (outcome != ALLOWED && !setup)
		outcome = UNTRIED;
	if (outcome == ALLOWED)
		outcome = after_connect(a, fd, ret_step);
	error = errno;
	close(fd);
	errno = error;
	return outcome;
}

static const struct {
	const char *name;
	action_fn fn;
	bool wants_addr;
} actions[] = {
	{"connect", do_connect, true},	 {"uring", do_uring, true},
	{"tfo", do_tfo, true},		 {"sendto", do_sendto, true},
	{"sendmmsg", do_sendmmsg, true}, {"bind", do_bind, true},
	{"listen", do_listen, true},	 {"listen-nobind", do_listen_nobind, false},
	{"unspec", do_unspec, false},	 {"create", do_create, false},
};

static int parse_addr(struct attempt *a, const char *host, const char *port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&a->addr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a->addr;
	struct sockaddr_un *un = (struct sockaddr_un *)&a->addr;
	char mapped[INET6_ADDRSTRLEN + 8], *end;
	unsigned long n = 0;

	a->addr.ss_family = (sa_family_t)a->protocol->family;
	if (a->protocol->family == AF_UNIX) {
		if (port || strlen(host) >= sizeof(un->sun_path))
			return -1;
		strcpy(un->sun_path, host);
		a->addr_len = (socklen_t)(sizeof(sa_family_t) + strlen(host) + 1);
		return 0;
	}
	if (!port)
		return -1;
	n = strtoul(port, &end, 10);
	if (*end || n > 65535)
		return -1;
	if (a->protocol->family == AF_INET) {
		in->sin_port = htons((uint16_t)n);
		a->addr_len = sizeof(*in);
		return inet_pton(AF_INET, host, &in->sin_addr) == 1 ? 0 : -1;
	}
	if (a->protocol->mapped) {
		snprintf(mapped, sizeof(mapped), "::ffff:%s", host);
		host = mapped;
	}
	in6->sin6_port = htons((uint16_t)n);
	a->addr_len = sizeof(*in6);
	return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1 ? 0 : -1;
}

static void *run_attempts(void *arg)
{
	const struct attempt *a = arg;
	const char *step = "";
	enum outcome outcome;
	unsigned int i;

	for (i = 0; i < n_repeat; i++) {
		errno = 0;
		outcome = a->action(a, &step);
		report(outcome, step, errno);
		atomic_fetch_add(&counts[outcome], 1);
		if (pause_us > 0)
			usleep(pause_us);
	}
	return NULL;
}

static int run_all(struct attempt *a)
{
	unsigned int i, total = n_repeat * n_threads;
	pthread_t threads[64];

	if (n_threads > 1) {
		for (i = 0; i < n_threads; i++)
			if (pthread_create(&threads[i], NULL, run_attempts, a))
				return UNTRIED;
		for (i = 0; i < n_threads; i++)
			pthread_join(threads[i], NULL);
	} else {
		run_attempts(a);
	}
	if (total > 1)
		dprintf(report_fd, "total allowed=%u denied=%u untried=%u otherwise=%u\n",
			counts[ALLOWED], counts[DENIED], counts[UNTRIED], counts[OTHERWISE]);
	for (i = 0; i < N_OUTCOMES; i++)
		if (counts[i] == total)
			return (int)i;
	return counts[UNTRIED] ? UNTRIED : OTHERWISE;
}

static int ready(void)
{
	dprintf(STDOUT_FILENO, "ready\n");
	return 0;
}

/*
 * serve PROTOCOL ADDR PORT FILE: appends all that arrives to FILE; prints "ready" once it may
 * arrive. Whoever connects is sent the text, if there is one.
 */
static int serve(const struct attempt *a, const char *path)
{
	int fd, peer, file, one = 1;
	char buffer[4096];
	ssize_t n;

	file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	fd = open_socket(a);
	if (file < 0 || fd < 0)
		return UNTRIED;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* Lets a TCP Fast Open with data in its SYN succeed. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&a->addr, a->addr_len) < 0) {
		perror("bind");
		return UNTRIED;
	}
	if (a->protocol->type == SOCK_DGRAM) {
		ready();
		while ((n = recv(fd, buffer, sizeof(buffer), 0)) >= 0)
			if (write(file, buffer, (size_t)n) < 0)
				return UNTRIED;
		return UNTRIED;
	}
	if (listen(fd, 128) < 0) {
		perror("listen");
		return UNTRIED;
	}
	ready();
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (peer < 0)
			continue;
		/* That a connection came at all is worth a line, even if nothing is sent. */
		if (write(file, "[connection]\n", 13) < 0)
			return UNTRIED;
		if (fork() == 0) {
			if (a->text && send(peer, a->text, strlen(a->text), MSG_NOSIGNAL) < 0)
				_exit(1);
			while ((n = read(peer, buffer, sizeof(buffer))) > 0)
				if (write(file, buffer, (size_t)n) < 0)
					_exit(1);
			_exit(0);
		}
		close(peer);
	}
}

static volatile sig_atomic_t stopped;

static void stop(int signum)
{
	stopped = 1;
}

/* Whether the packet, from its network header on, has the port at either end. */
static bool packet_has_port(const unsigned char *p, size_t len, unsigned int port)
{
	size_t offset;
	int protocol;

	if (len >= 20 && p[0] >> 4 == 4) {
		offset = (size_t)(p[0] & 15) * 4;
		protocol = p[9];
	} else if (len >= 40 && p[0] >> 4 == 6) {
		offset = 40;
		protocol = p[6];
	} else {
		return false;
	}
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP && protocol != IPPROTO_SCTP &&
	    protocol != IPPROTO_UDPLITE)
		return false;
	if (len < offset + 4)
		return false;
	return (unsigned int)(p[offset] << 8 | p[offset + 1]) == port ||
	       (unsigned int)(p[offset + 2] << 8 | p[offset + 3]) == port;
}

/* capture PORT: prints the number of packets on lo, from "ready" to SIGTERM. */
static int capture(const char *port_text)
{
	struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	const struct timeval turn = {.tv_usec = 200000};
	struct sigaction sa = {.sa_handler = stop};
	unsigned int port = (unsigned int)atoi(port_text);
	unsigned long n_packets = 0;
	unsigned char buffer[256];
	socklen_t len;
	ssize_t n;
	int fd;

	addr.sll_ifindex = (int)if_nametoindex("lo");
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL));
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		perror("AF_PACKET");
		return UNTRIED;
	}
	sigaction(SIGTERM, &sa, NULL);
	/* the signal may come right before a wait */
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &turn, sizeof(turn));
	ready();
	for (;;) {
		bool last = stopped;

		len = sizeof(addr);
		n = recvfrom(fd, buffer, sizeof(buffer), last ? MSG_DONTWAIT : 0,
			     (struct sockaddr *)&addr, &len);
		if (n < 0 && !last && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			break;
		/* lo shows each packet twice: as it leaves and as it arrives. */
		if (addr.sll_pkttype != PACKET_OUTGOING && packet_has_port(buffer, (size_t)n, port))
			n_packets++;
	}
	printf("%lu\n", n_packets);
	return 0;
}

static int usage(void)
{
	size_t i;

	fprintf(stderr, "Usage: probe [OPTION]... PROTOCOL ACTION [ADDRESS PORT | PATH]\n"
			"       probe serve PROTOCOL ADDRESS PORT FILE\n"
			"       probe capture PORT\n"
			"PROTOCOL:");
	for (i = 0; i < sizeof(protocols) / sizeof(*protocols); i++)
		fprintf(stderr, " %s", protocols[i].name);
	fprintf(stderr, "\nACTION:");
	for (i = 0; i < sizeof(actions) / sizeof(*actions); i++)
		fprintf(stderr, " %s", actions[i].name);
	fprintf(stderr,
		"\nOPTION: --send TEXT  --shell COMMAND  --hold SECONDS  --repeat N  --threads N\n"
		"        --pause MICROSECONDS (after each)  --nonblock  --quiet\n"
		"        --stdio (socket on descriptors 0 to 2)\n"
		"Exit status: 0 allowed, 1 denied (EPERM, EACCES), 2 could not try, 3 anything "
		"else\n");
	return UNTRIED;
}

static const struct protocol *find_protocol(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(protocols) / sizeof(*protocols); i++)
		if (!strcmp(protocols[i].name, name))
			return &protocols[i];
	return NULL;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"send", required_argument, NULL, 's'},	   {"shell", required_argument, NULL, 'x'},
		{"hold", required_argument, NULL, 'h'},	   {"repeat", required_argument, NULL, 'r'},
		{"threads", required_argument, NULL, 't'}, {"pause", required_argument, NULL, 'p'},
		{"nonblock", no_argument, NULL, 'n'},	   {"stdio", no_argument, NULL, 'd'},
		{"quiet", no_argument, NULL, 'q'},	   {},
	};
	struct attempt a = {};
	bool wants_addr = false;
	size_t i;
	int c;

	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (c) {
		case 's':
			a.text = optarg;
			break;
		case 'x':
			a.shell = optarg;
			break;
		case 'h':
			a.hold = (unsigned int)atoi(optarg);
			break;
		case 'r':
			n_repeat = (unsigned int)atoi(optarg);
			break;
		case 't':
			n_threads = (unsigned int)atoi(optarg);
			break;
		case 'p':
			pause_us = (unsigned int)atoi(optarg);
			break;
		case 'n':
			a.nonblock = true;
			break;
		case 'd':
			a.stdio = true;
			break;
		case 'q':
			quiet = true;
			break;
		default:
			return usage();
		}
	}
	argv += optind;
	argc -= optind;
	if (argc < 2 || n_threads < 1 || n_threads > 64 || n_repeat < 1)
		return usage();
	if (!strcmp(argv[0], "capture"))
		return capture(argv[1]);
	if (!strcmp(argv[0], "serve")) {
		a.protocol = find_protocol(argv[1]);
		if (argc != 5 || !a.protocol || parse_addr(&a, argv[2], argv[3]) < 0)
			return usage();
		return serve(&a, argv[4]);
	}

	a.protocol = find_protocol(argv[0]);
	for (i = 0; i < sizeof(actions) / sizeof(*actions); i++)
		if (!strcmp(actions[i].name, argv[1])) {
			a.action = actions[i].fn;
			wants_addr = actions[i].wants_addr;
		}
	if (!a.protocol || !a.action || (wants_addr && argc < 3))
		return usage();
	if (wants_addr && parse_addr(&a, argv[2], argc > 3 ? argv[3] : NULL) < 0)
		return usage();
	if (a.stdio)
		report_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
	return run_all(&a);
}
