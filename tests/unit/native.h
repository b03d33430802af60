/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine as compiled natively, asked about one call of a rule set that is in no kernel. */
#pragma once

#include <stdbool.h>

#include "naive.h"
#include "ruleset.h"

struct native_outcome {
	int deny;	  /* lowest selector whose denial counts, or -1 */
	uint32_t signals; /* bit per cfg.signals[] */
	bool report;
};

struct native_decision {
	__u64 first[REVSHELL_WORDS]; /* first match of each group */
	struct native_outcome outcome;
};

void native_decide(const struct ruleset *rs, const struct naive_call *call, bool enforcing,
		   struct native_decision *ret_decision);

/* What a program finds out about the caller and its UNIX address before the rest of a decision. */
__u64 native_predicates(const struct ruleset *rs, const struct naive_call *call);
__u32 native_unix_row(const struct ruleset *rs, const struct naive_call *call);
