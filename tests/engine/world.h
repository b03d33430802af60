/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the programs that drive the real backend share: rule sets from text, real calls, figures. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/un.h>

#include "backend.h"
#include "macro.h"
#include "naive.h"

/* Prints "ok: ..." or "not ok: ...", which the shell tests count. Returns ok. */
bool world_check(bool ok, const char *fmt, ...) _printf_(2, 3);

/* Prints "not ok: ..." and ends the program: nothing more can be tested. */
_Noreturn void world_die(const char *fmt, ...) _printf_(1, 2);

double world_now(void); /* seconds */

/* Opens the backend that this kernel has, or dies with its reason. */
struct backend *world_open(const struct backend_options *opts);

/* Loads the policies of text into set. */
void world_load(const char *text, const char *origin, struct policy_set *set);

/* Compiles set, which is then empty, for b. */
struct ruleset *world_compile(struct backend *b, struct policy_set *set);

void world_publish(struct backend *b, struct ruleset *rs);

/* Bytes that the kernel accounts to all BPF maps, and their number. */
size_t world_map_bytes(size_t *ret_n_maps);

size_t world_rss_bytes(void);

/* Of which no file could be the source: all that malloc gives, nothing that the page cache does. */
size_t world_anon_bytes(void);

/* One call as a process makes it. */
struct world_connect {
	int family; /* of the socket */
	int type;
	int protocol;
	unsigned int addrlen;
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
};

/* Makes the call on a socket of its own. Returns 0 or -errno; -EPERM means that it was denied. */
int world_connect(const struct world_connect *c);

/* The same call as the policies see it, of an executable that is the file its path names. */
void world_describe(const struct world_connect *c, const char *exe, const char *parent,
		    struct sim_call *ret_call);

/* Copies a program, or with /proc/self/exe this one, to a path that is not there yet. */
void world_copy(const char *from, const char *to);

/* Binds the process to the n-th of the processors it may use, counted round and round. */
void world_pin(unsigned int n);
