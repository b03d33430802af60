/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What must follow from a call, by the policies taken literally, in the numbers of a rule set. */
#pragma once

#include "naive.h"

struct expected {
	__u64 first[REVSHELL_WORDS];  /* first match of each group */
	__u64 report[REVSHELL_WORDS]; /* those of them that want an event */
	int deny;		      /* lowest selector whose denial counts, or -1 */
	uint64_t signals;	      /* bit per signal number */
	size_t n_matches;
};

/*
 * Returns 0, or -ENOENT if a selector that matches has no number on the hook. enforcing: the global
 * mode; the mode of each policy is taken from rs.
 */
int expect_call(const struct ruleset *rs, const struct ruleset_options *opts,
		const struct sim_call *call, bool enforcing, struct expected *ret_expected);
