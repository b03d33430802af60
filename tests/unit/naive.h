/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The policy language evaluated word by word, to hold the compiled rule sets against. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ruleset.h"

/* What a hook shows of a call. Addresses in network, ports in host byte order. */
struct naive_object {
	unsigned int sk_family;
	unsigned int sk_type;
	unsigned int sk_protocol;
	unsigned int sk_state;
	uint16_t sport;
	uint16_t dport;
	uint8_t saddr[16];
	uint8_t daddr[16];
	unsigned int sa_family;
	uint16_t sa_port;
	uint8_t sa_addr[16];
	bool sa_is_destination;
	const char *un_path;	     /* of AF_UNIX addresses; NULL: unnamed */
	int64_t ints[REVSHELL_INTS]; /* as the kernel passes them */
};

/* An executable as its process was started from it. */
struct naive_exe {
	const char *path; /* NULL: could not be had */
	bool same_file;	  /* it is the file that this path names on the host */
	bool foreign;	  /* reached in another mount namespace */
};

#define NAIVE_ANCESTORS 4

/* What is asked of the calling process besides its executable. */
struct naive_process {
	uint32_t uid;
	uint32_t gid;
	uint32_t loginuid;
	uint32_t pids[NAIVE_ANCESTORS]; /* its own, then its ancestors' */
	uint32_t nspids[NAIVE_ANCESTORS];
	uint64_t ns[NS_MAX];
	uint64_t caps[3];			   /* by enum policy_cap_set */
	unsigned int stdio;			   /* bit n: descriptor n is an inet socket */
	const char *units[NAIVE_ANCESTORS];	   /* NULL: none */
	bool units_lost;			   /* there are more */
	struct naive_exe lineage[NAIVE_ANCESTORS]; /* earlier executables; path NULL: none */
	size_t n_inherited;			   /* the first of them: the parent's */
	bool lineage_lost;			   /* there were more */
	bool inherited_lost;			   /* of the parent's */
};

struct naive_call {
	enum revshell_hook hook;
	struct naive_object object;
	struct naive_exe exe;
	struct naive_exe parent;
	struct naive_process process;
};

/* Where an entry stands on a hook, by policy.md's decision 3. */
enum naive_place {
	NAIVE_ABSENT,
	NAIVE_OWN,
	NAIVE_AHEAD,	  /* decided here, and seen again on the call's own hook */
	NAIVE_AHEAD_ONLY, /* decided here, the call's own hook has no program */
};

enum naive_place naive_place(const struct policy *p, const struct policy_entry *e,
			     enum policy_mode mode, enum revshell_hook hook,
			     const struct ruleset_options *opts);

/* The entry's first selector that matches the call, or -1. */
int naive_match(const struct policy *p, const struct policy_entry *e, enum naive_place place,
		const struct naive_call *call, const struct ruleset_options *opts);

/* Number of leading selectors that can be answered ahead of the call's own hook. */
int naive_ahead(const struct policy_entry *e);

bool naive_denies(const struct policy_selector *s);

/* What the evaluation of a selector's process filters needs to know of the selector. */
struct naive_role {
	bool denies;
	bool shields; /* does not deny, and stands before one that does */
	bool by_path; /* of its policy: executables are what their path says */
};

/* naive-process.c: the process filters other than paths. */
bool naive_match_process(const struct policy_selector *s, const struct naive_call *call,
			 const struct ruleset_options *opts, const struct naive_role *role);

/* Whether the argument, seen as type, satisfies an integer filter. */
bool naive_match_int(const struct policy_arg_filter *f, enum policy_arg_type type, int64_t value);
