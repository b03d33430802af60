/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of sim_explain() share: the selector that is asked, and texts. */
#pragma once

#include <stdio.h>

#include "simulate.h"

/* Where a selector stands, as compile places it. */
enum sim_place {
	SIM_OWN,   /* on its call's own hook */
	SIM_AHEAD, /* a copy ahead of it */
	SIM_MOVED, /* ahead of it, and nowhere else */
};

/* One selector that is asked about one call. */
struct sim_asking {
	const struct ruleset *rs;
	uint32_t number; /* of the selector on the call's hook */
	const struct ruleset_options *opts;
	const struct sim_call *call;
	uint64_t unknown; /* sim_open_facts() */
	const struct policy *policy;
	const struct policy_entry *entry;
	const struct policy_selector *selector;
	enum sim_place place;
	bool denies;
	bool shields; /* does not deny, and stands before one that does */
};

/*
 * The questions answer whether a filter is satisfied, and add the facts that this depends on. With
 * why, which may be NULL, they write what the call has there instead: "port is 80".
 */
enum sim_answer sim_ask_arg(const struct sim_asking *a, const struct policy_arg_filter *f,
			    const struct policy_arg *arg, uint64_t *facts, FILE *why);

/* What a call says of its socket when its selectors are asked on an earlier hook. */
enum sim_answer sim_ask_implied(const struct sim_asking *a, uint64_t *facts, FILE *why);

enum sim_answer sim_ask_path(const struct sim_asking *a, const struct policy_path_filter *f,
			     bool parent, uint64_t *facts, FILE *why);

/* The filters on the process that are not about paths, by the names of their lists. */
struct sim_process_filters {
	const char *name;
	size_t (*count)(const struct policy_selector *s);
	/* Position and operator of one, and its values in words. */
	struct diag_pos (*describe)(const struct policy_selector *s, size_t i, FILE *f);
	enum sim_answer (*ask)(const struct sim_asking *a, size_t i, uint64_t *facts, FILE *why);
};
extern const struct sim_process_filters sim_process_filters[];
extern const size_t n_sim_process_filters;

static inline enum sim_answer sim_answer_of(bool yes)
{
	return yes ? SIM_YES : SIM_NO;
}

static inline enum sim_answer sim_negate(enum sim_answer answer, bool negative)
{
	return negative ? SIM_YES - answer : answer;
}

/* An unknown fact. */
static inline enum sim_answer sim_depends(uint64_t *facts, uint64_t on)
{
	*facts |= on;
	return SIM_MAYBE;
}

/* simulate-text.c: an operator and its values, cut after some. */
void sim_put_arg_filter(FILE *f, const struct policy_arg_filter *filter, enum policy_arg_type type);
void sim_put_strings(FILE *f, const struct policy_values *v);
void sim_put_ranges(FILE *f, const struct policy_values *v, bool is_unsigned);
void sim_put_address(FILE *f, unsigned int family, const uint8_t *addr);
void sim_put_text(FILE *f, const char *s);
