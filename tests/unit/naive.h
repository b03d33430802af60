/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The policy language evaluated word by word, to hold the compiled rule sets against. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "simulate.h"

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
		const struct sim_call *call, const struct ruleset_options *opts);

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
bool naive_match_process(const struct policy_selector *s, const struct sim_call *call,
			 const struct ruleset_options *opts, const struct naive_role *role);

/* Whether the argument, seen as type, satisfies an integer filter. */
bool naive_match_int(const struct policy_arg_filter *f, enum policy_arg_type type, int64_t value);
