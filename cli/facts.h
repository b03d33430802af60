/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of facts share: values of options, and what becomes known of a call by them. */
#pragma once

#include "ctl.h"

/* "bad value for --OPTION", with a hint or NULL. */
int facts_bad_value(const char *option, const char *value, const char *hint);

/* NAME in any case, with or without prefix, by the names that policies have; or a number. */
bool facts_parse_name(const char *s, const char *prefix, int (*parse)(const char *s), uint64_t max,
		      uint64_t *ret_number);

static inline void facts_know(struct sim_call *call, uint64_t facts)
{
	call->unknown &= ~facts;
}

static inline void facts_put_int(struct sim_call *call, unsigned int slot, int64_t value)
{
	call->object.ints[slot] = value;
	facts_know(call, SIM_DIM_BIT(REVSHELL_DIM_INT0 + slot));
}

/* facts-process.c: what the options tell of the process, and integer arguments. */
int facts_read_process(const struct ctl *c, struct ctl_operation *o, struct sim_call *call);

/* event-facts.c */

/* The part of an event that all is in, or NULL. */
const json_t *facts_event_body(const json_t *event);

/* False if it is no event of this daemon. Texts stay the event's. */
bool facts_of_event(const json_t *event, const struct ruleset *rs,
		    struct ctl_operation *ret_operation);
