/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* More ways to a peer, or to be reached: IPv6's forms, SCTP's calls, listening in other clothes. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ways.h"

/* SCTP's header is not everywhere. */
#define SOL_SCTP       132
#define SCTP_CONNECTX  110 /* by setsockopt(2) */
#define SCTP_CONNECTX3 111 /* by getsockopt(2) */

/* Nobody is there; the test sees to it that no error comes back either. */
#define QUIET4	       "198.51.100.77"
#define QUIET6	       "2001:db8:51::77"

#define SOL_DCCP       269
#define DCCP_SERVICE   2

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* From an AF_INET6 socket to the peer of the address. */
static void by_send6(int type, int protocol, int flags, struct sockaddr_in6 to, socklen_t len,
		     bool mapped, send_fn fn)
{
	struct receiver r = receiver_new(mapped ? AF_INET : AF_INET6, type, 0);
	int fd = get_socket(AF_INET6, type, protocol);

	check_call(&r, fn(fd, flags, (struct sockaddr *)&to, len), "send");
	receiver_check(&r);
}

static void udp6_sendto(void)
{
	by_send6(SOCK_DGRAM, 0, 0, peer6(false), sizeof(struct sockaddr_in6), false, plain_sendto);
}

static void udp6_short(void)
{
	by_send6(SOCK_DGRAM, 0, 0, peer6(false), 24, false, plain_sendto);
}

static void udp_mapped_short(void)
{
	by_send6(SOCK_DGRAM, 0, 0, peer6(true), 24, true, plain_sendto);
}

/* The AF_INET6 socket hands an AF_INET address on. */
static void udp6_sendto_inet(void)
{
	struct receiver r = receiver_new(AF_INET, SOCK_DGRAM, 0);
	int fd = get_socket(AF_INET6, SOCK_DGRAM, 0);
	struct sockaddr_in in = peer4();

	check_call(&r, plain_sendto(fd, 0, (struct sockaddr *)&in, sizeof(in)), "send");
	receiver_check(&r);
}

/* No family is AF_INET on an AF_INET socket. */
static void udp_no_family(void)
{
	struct receiver r = receiver_new(AF_INET, SOCK_DGRAM, 0);
	int fd = get_socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in in = peer4();

	in.sin_family = AF_UNSPEC;
	check_call(&r, plain_sendto(fd, 0, (struct sockaddr *)&in, sizeof(in)), "send");
	receiver_check(&r);
}

static void tcp_mapped(void)
{
	struct receiver r = receiver_new(AF_INET, SOCK_STREAM, 0);
	int fd = get_socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 in6 = peer6(true);

	check_call(&r, connect(fd, (struct sockaddr *)&in6, 24), "connect");
	send_on(&r, fd);
}

static void tfo6(void)
{
	by_send6(SOCK_STREAM, 0, MSG_FASTOPEN, peer6(false), sizeof(struct sockaddr_in6), false,
		 plain_sendto);
}

static void tfo_mapped(void)
{
	by_send6(SOCK_STREAM, 0, MSG_FASTOPEN, peer6(true), sizeof(struct sockaddr_in6), true,
		 plain_sendmsg);
}

/* From 6.2 on; before, the message is refused for want of a connection. */
static void tfo_mptcp(void)
{
	struct receiver r = receiver_new(AF_INET, SOCK_STREAM, 0);
	int fd = get_socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	struct sockaddr_in in = peer4();
	long n = plain_sendto(fd, MSG_FASTOPEN, (struct sockaddr *)&in, sizeof(in));

	if (n < 0 && errno != EPERM && errno != EACCES)
		way_untried("MSG_FASTOPEN");
	check_call(&r, n, "send");
	receiver_check(&r);
}

static void mptcp6(void)
{
	by_connect(AF_INET6, SOCK_STREAM, IPPROTO_MPTCP, 0, sizeof(struct sockaddr_in6),
		   plain_connect);
}

static void sctp6(void)
{
	by_connect(AF_INET6, SOCK_STREAM, IPPROTO_SCTP, IPPROTO_SCTP, sizeof(struct sockaddr_in6),
		   plain_connect);
}

static void uring_sendmsg_async(void)
{
	by_send(SOCK_DGRAM, 0, 0, uring_do_sendmsg_async);
}

static void uring_sendmsg_sqpoll(void)
{
	by_send(SOCK_DGRAM, 0, 0, uring_do_sendmsg_sqpoll);
}

static void uring_send(void)
{
	by_send(SOCK_DGRAM, 0, 0, uring_do_send);
}

static void uring_send_zc(void)
{
	by_send(SOCK_DGRAM, 0, 0, uring_do_send_zc);
}

static void int80_sendmsg(void)
{
	by_send(SOCK_DGRAM, 0, 0, int80_do_sendmsg);
}

/* A datagram of one's own making, by IPv6. */
static void send_raw6(sa_family_t family)
{
	struct receiver r = receiver_new(AF_INET6, SOCK_DGRAM, 0);
	int fd = get_socket(AF_INET6, SOCK_RAW, IPPROTO_UDP);
	int checksum_at = offsetof(struct udphdr, uh_sum);
	struct sockaddr_in6 in6 = peer6(false);
	struct {
		struct udphdr h;
		char byte;
	} packet = {.h = {.uh_sport = htons(5555), .uh_dport = htons(PORT), .uh_ulen = htons(9)},
		    .byte = 'x'};

	/* the port of the address would be the protocol */
	in6.sin6_port = 0;
	in6.sin6_family = family;
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_CHECKSUM, &checksum_at, sizeof(checksum_at)) < 0)
		way_untried("IPV6_CHECKSUM");
	check_call(&r, sendto(fd, &packet, 9, 0, (struct sockaddr *)&in6, sizeof(in6)), "send");
	receiver_check(&r);
}

static void raw6(void)
{
	send_raw6(AF_INET6);
}

/* rawv6_sendmsg() takes no family for AF_INET6. */
static void raw6_no_family(void)
{
	send_raw6(AF_UNSPEC);
}

static long connectx_set(int fd, const struct sockaddr *addr, socklen_t len)
{
	return setsockopt(fd, SOL_SCTP, SCTP_CONNECTX, addr, len);
}

static long connectx_get(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct {
		int association, size;
		const struct sockaddr *addresses;
	} list = {.size = (int)len, .addresses = addr};
	socklen_t list_len = sizeof(list);

	return getsockopt(fd, SOL_SCTP, SCTP_CONNECTX3, &list, &list_len);
}

static void connectx_by_set(void)
{
	by_connect(AF_INET, SOCK_STREAM, IPPROTO_SCTP, IPPROTO_SCTP, sizeof(struct sockaddr_in),
		   connectx_set);
}

static void connectx_by_get(void)
{
	by_connect(AF_INET, SOCK_STREAM, IPPROTO_SCTP, IPPROTO_SCTP, sizeof(struct sockaddr_in),
		   connectx_get);
}

/* The peer behind an address of the other family, or of its own, from which nothing comes. */
static long connectx_after(int fd, sa_family_t quiet, const struct sockaddr *addr, socklen_t len)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
	char list[sizeof(in6) + sizeof(in6)];
	size_t n = quiet == AF_INET ? sizeof(in) : sizeof(in6);

	inet_pton(AF_INET, QUIET4, &in.sin_addr);
	inet_pton(AF_INET6, QUIET6, &in6.sin6_addr);
	memcpy(list, quiet == AF_INET ? (void *)&in : (void *)&in6, n);
	memcpy(list + n, addr, len);
	return connectx_set(fd, (struct sockaddr *)list, (socklen_t)n + len);
}

static long connectx_after4(int fd, const struct sockaddr *addr, socklen_t len)
{
	return connectx_after(fd, AF_INET, addr, len);
}

static long connectx_after6(int fd, const struct sockaddr *addr, socklen_t len)
{
	return connectx_after(fd, AF_INET6, addr, len);
}

static void connectx_second(void)
{
	by_connect(AF_INET, SOCK_STREAM, IPPROTO_SCTP, IPPROTO_SCTP, sizeof(struct sockaddr_in),
		   connectx_after4);
}

static void connectx6_second(void)
{
	by_connect(AF_INET6, SOCK_STREAM, IPPROTO_SCTP, IPPROTO_SCTP, sizeof(struct sockaddr_in6),
		   connectx_after6);
}

static void connectx6_after4(void)
{
	by_connect(AF_INET6, SOCK_STREAM, IPPROTO_SCTP, IPPROTO_SCTP, sizeof(struct sockaddr_in6),
		   connectx_after4);
}

static void connectx6(void)
{
	by_connect(AF_INET6, SOCK_STREAM, IPPROTO_SCTP, IPPROTO_SCTP, sizeof(struct sockaddr_in6),
		   connectx_set);
}

/*
 * Has fd listen and a byte brought by the caller's socket. wait: what the listener does to get it,
 * SOCK_STREAM for taking a connection first. to: where the caller connects, NULL for where the
 * socket is.
 */
static void be_reached(int fd, int caller, int wait, const struct sockaddr *to, socklen_t len)
{
	struct sockaddr_storage own;
	struct receiver r = {};

	check_call(NULL, listen(fd, 8), "listen");
	r.pid = fork();
	if (r.pid == 0)
		receive(fd, wait);
	if (!to) {
		len = sizeof(own);
		if (getsockname(fd, (struct sockaddr *)&own, &len) < 0)
			way_untried("getsockname");
		to = (struct sockaddr *)&own;
	}
	if (connect(caller, to, len) < 0 || send(caller, "x", 1, MSG_NOSIGNAL) != 1)
		way_lost();
	receiver_check(&r);
}

/* On all addresses of both families. */
static void listen_dual(void)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int one = 1, fd = get_socket(AF_INET6, SOCK_STREAM, 0);

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&in6, sizeof(in6)) < 0)
		way_untried("bind");
	be_reached(fd, get_socket(AF_INET, SOCK_STREAM, 0), SOCK_STREAM, (struct sockaddr *)&in,
		   sizeof(in));
}

/* No family, and no address, is AF_INET to bind(2). */
static void listen_no_family(void)
{
	struct sockaddr_in in = {.sin_family = AF_UNSPEC, .sin_port = htons(PORT)};
	int one = 1, fd = get_socket(AF_INET, SOCK_STREAM, 0);

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0)
		way_untried("bind");
	be_reached(fd, get_socket(AF_INET, SOCK_STREAM, 0), SOCK_STREAM, NULL, 0);
}

/* A socket that has tried to connect before. */
static void listen_after_connect(void)
{
	int fd = get_socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct sockaddr_in in = peer4();

	in.sin_port = htons(PORT + 5);
	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0 || errno != ECONNREFUSED ||
	    connect(fd, &none, sizeof(none)) < 0)
		way_untried("connect to nobody");
	be_reached(fd, get_socket(AF_INET, SOCK_STREAM, 0), SOCK_STREAM, NULL, 0);
}

/* One to many: there is nothing to accept. */
static void listen_sctp_many(void)
{
	struct sockaddr_in in = peer4();
	int fd = get_socket(AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP);

	if (bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0)
		way_untried("bind");
	be_reached(fd, get_socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP), SOCK_DGRAM, NULL, 0);
}

static void listen_dccp(void)
{
	int fd = get_socket(AF_INET, SOCK_DCCP, IPPROTO_DCCP);
	int caller = get_socket(AF_INET, SOCK_DCCP, IPPROTO_DCCP);
	unsigned int service = htonl(1);
	struct sockaddr_in in = peer4();

	if (setsockopt(fd, SOL_DCCP, DCCP_SERVICE, &service, sizeof(service)) < 0 ||
	    setsockopt(caller, SOL_DCCP, DCCP_SERVICE, &service, sizeof(service)) < 0)
		way_untried("service");
	if (bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0)
		way_untried("bind");
	be_reached(fd, caller, SOCK_STREAM, NULL, 0);
}

static void listen_vsock(void)
{
	struct sockaddr_vm vm = {
		.svm_family = AF_VSOCK, .svm_port = PORT, .svm_cid = VMADDR_CID_LOCAL};
	int fd = get_socket(AF_VSOCK, SOCK_STREAM, 0);
	int caller = get_socket(AF_VSOCK, SOCK_STREAM, 0);
	const struct timeval limit = {.tv_sec = 60};

	/* two seconds, if nothing is said */
	(void)setsockopt(caller, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &limit, sizeof(limit));
	if (bind(fd, (struct sockaddr *)&vm, sizeof(vm)) < 0)
		way_untried("bind");
	be_reached(fd, caller, SOCK_STREAM, NULL, 0);
}

/* The socket, and who calls, are in another network namespace. */
static void listen_foreign(void)
{
	struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), fd, caller;

	if (home < 0 || unshare(CLONE_NEWNET) < 0)
		way_untried("unshare");
	fd = get_socket(AF_INET, SOCK_STREAM, 0);
	caller = get_socket(AF_INET, SOCK_STREAM, 0);
	if (ioctl(fd, SIOCSIFFLAGS, &up) < 0)
		way_untried("lo");
	if (setns(home, CLONE_NEWNET) < 0)
		way_untried("setns");
	be_reached(fd, caller, SOCK_STREAM, NULL, 0);
}

const struct way more_ways[] = {
	{"tcp-mapped-short", tcp_mapped},
	{"udp6-sendto", udp6_sendto},
	{"udp6-sendto-inet", udp6_sendto_inet},
	{"udp6-short-address", udp6_short},
	{"udp-mapped-short", udp_mapped_short},
	{"udp-no-family", udp_no_family},
	{"tfo6", tfo6},
	{"tfo-mapped", tfo_mapped},
	{"tfo-mptcp", tfo_mptcp},
	{"mptcp6", mptcp6},
	{"sctp6", sctp6},
	{"raw6", raw6},
	{"raw6-no-family", raw6_no_family},
	{"uring-sendmsg-async", uring_sendmsg_async},
	{"uring-sendmsg-sqpoll", uring_sendmsg_sqpoll},
	{"uring-send", uring_send},
	{"uring-send-zc", uring_send_zc},
	{"int80-sendmsg", int80_sendmsg},
	{"connectx-setsockopt", connectx_by_set},
	{"connectx-getsockopt", connectx_by_get},
	{"connectx6", connectx6},
	{"connectx-second", connectx_second},
	{"connectx6-second", connectx6_second},
	{"connectx6-after4", connectx6_after4},
	{"listen-dual", listen_dual},
	{"listen-no-family", listen_no_family},
	{"listen-after-connect", listen_after_connect},
	{"listen-sctp-many", listen_sctp_many},
	{"listen-dccp", listen_dccp},
	{"listen-vsock", listen_vsock},
	{"listen-foreign-namespace", listen_foreign},
	{},
};
