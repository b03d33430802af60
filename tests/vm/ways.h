/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the ways around connect(2) share: how one ends, and system calls by unusual entrances. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#define PORT 4444 /* of the peer that policies forbid */

struct way {
	const char *name;
	void (*go)(void);
};

extern const struct way ways[], more_ways[]; /* a NULL name ends them */

/* Ends of a way; each ends the process. errno tells why. */
void way_done(void) __attribute__((noreturn));		      /* it got through */
void way_refused(const char *step) __attribute__((noreturn)); /* a call failed */
void way_untried(const char *step) __attribute__((noreturn)); /* what comes before failed */
void way_lost(void) __attribute__((noreturn));		      /* all calls worked, nothing came */

extern pid_t way_process;   /* the one that the way was begun in */
const char *way_self(void); /* the path of this program */

/* The peer's addresses, and a socket; what the kernel does not have ends the way as untried. */
struct sockaddr_in peer4(void);
struct sockaddr_in6 peer6(bool mapped);
int get_socket(int family, int type, int protocol);

/* The receiver: a child with the socket on which the byte is expected. */
struct receiver {
	pid_t pid;
	int socket;
};

struct receiver receiver_new(int family, int type, int protocol);
/* What the child does: takes a connection first if type is SOCK_STREAM. */
void receive(int fd, int type) __attribute__((noreturn));
/* After the way was gone: did it arrive? */
void receiver_check(const struct receiver *r);
/* A call that is refused ends the way, and the receiver, if there is one, with it. */
void check_call(const struct receiver *r, long result, const char *step);
void send_on(const struct receiver *r, int fd);

/* connect(2) and sendto(2) as a function does them. */
typedef long (*connect_fn)(int fd, const struct sockaddr *addr, socklen_t len);
typedef long (*send_fn)(int fd, int flags, const struct sockaddr *addr, socklen_t len);

long plain_connect(int fd, const struct sockaddr *addr, socklen_t len);
long plain_sendto(int fd, int flags, const struct sockaddr *addr, socklen_t len);
long plain_sendmsg(int fd, int flags, const struct sockaddr *addr, socklen_t len);
void by_connect(int family, int type, int protocol, int receiver_protocol, socklen_t len,
		connect_fn fn);
void by_send(int type, int protocol, int flags, send_fn fn);

/* By io_uring; results are those of the system calls. */
long uring_do_connect(int fd, const struct sockaddr *addr, socklen_t len);
long uring_do_connect_async(int fd, const struct sockaddr *addr, socklen_t len);
long uring_do_connect_sqpoll(int fd, const struct sockaddr *addr, socklen_t len);
long uring_do_listen(int fd, int backlog);
long uring_do_sendmsg(int fd, int flags, const struct sockaddr *addr, socklen_t len);
long uring_do_sendmsg_async(int fd, int flags, const struct sockaddr *addr, socklen_t len);
long uring_do_sendmsg_sqpoll(int fd, int flags, const struct sockaddr *addr, socklen_t len);
long uring_do_send(int fd, int flags, const struct sockaddr *addr, socklen_t len);
long uring_do_send_zc(int fd, int flags, const struct sockaddr *addr, socklen_t len);

/* By 32-bit system calls from a 64-bit program. */
long int80_do_connect(int fd, const struct sockaddr *addr, socklen_t len);
long int80_do_listen(int fd, int backlog);
long int80_do_sendto(int fd, int flags, const struct sockaddr *addr, socklen_t len);
long int80_do_sendmsg(int fd, int flags, const struct sockaddr *addr, socklen_t len);
