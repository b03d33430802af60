/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the ways around connect(2) share: how one ends, and system calls by unusual entrances. */
#pragma once

#include <sys/socket.h>

struct way {
	const char *name;
	void (*go)(void);
};

extern const struct way ways[]; /* a NULL name ends them */

/* Ends of a way; each ends the process. errno tells why. */
void way_done(void) __attribute__((noreturn));		      /* it got through */
void way_refused(const char *step) __attribute__((noreturn)); /* a call failed */
void way_untried(const char *step) __attribute__((noreturn)); /* what comes before failed */
void way_lost(void) __attribute__((noreturn));		      /* all calls worked, nothing came */

const char *way_self(void); /* the path of this program */

/* By io_uring; results are those of the system calls. */
long uring_do_connect(int fd, const struct sockaddr *addr, socklen_t len);
long uring_do_connect_async(int fd, const struct sockaddr *addr, socklen_t len);
long uring_do_connect_sqpoll(int fd, const struct sockaddr *addr, socklen_t len);
long uring_do_listen(int fd, int backlog);
long uring_do_sendmsg(int fd, int flags, const struct sockaddr *addr, socklen_t len);

/* By 32-bit system calls from a 64-bit program. */
long int80_do_connect(int fd, const struct sockaddr *addr, socklen_t len);
long int80_do_listen(int fd, int backlog);
long int80_do_sendto(int fd, int flags, const struct sockaddr *addr, socklen_t len);
