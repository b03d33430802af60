/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rateLimit of Post: of events that are alike, one in a period. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "macro.h"
#include "revshell-abi.h"
#include "ruleset.h"

/* Kinds of events that are remembered; the one seen longest ago is forgotten first. */
#define RATELIMIT_ENTRIES 32768U

struct ratelimit;

/* Memory is fixed: RATELIMIT_ENTRIES entries. */
int ratelimit_new(struct ratelimit **ret_limit);
void ratelimit_free(struct ratelimit *l);
DEFINE_CLEANUP(struct ratelimit *, ratelimit_free)

/*
 * Whether an event of a valid record may be sent now. Alike are those of one selector (policies are
 * known by name, so a reload changes nothing), one thread, process or all, and equal arguments.
 */
bool ratelimit_allows(struct ratelimit *l, const struct revshell_event *ev,
		      const struct ruleset *rs, const struct ruleset_selector *sel);
