/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How often each policy matched, by call, action and verdict. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "policy.h"

struct tally_row {
	char *policy;
	enum policy_section section;
	const struct policy_call *call;
	enum policy_action_kind action; /* the last one of the selector, as events tell it */
	enum event_verdict verdict;
	uint64_t n;
};

/* Starts zeroed. Rows are sorted by all of their key. */
struct tally {
	struct tally_row *rows;
	size_t n_rows;
};

/* Adds n to the row of this key, whose own n and ownership of policy do not matter. -ENOMEM. */
int tally_add(struct tally *t, const struct tally_row *key, uint64_t n);

/* Drops the rows of policies that are not in the set any more. */
void tally_keep(struct tally *t, const struct policy_set *set);

void tally_done(struct tally *t);
