/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random policies and calls that have something to do with each other. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "naive.h"
#include "ruleset.h"

struct random_source {
	uint64_t state;
	size_t cidrs_left; /* for filters with very many */
	uint64_t pool;	   /* of the predicates that a set is made of */
};

void random_seed(struct random_source *r, uint64_t seed);
uint64_t random_next(struct random_source *r);
size_t random_below(struct random_source *r, size_t n);

/* Appends n policies whose address filters hold n_cidrs prefixes each, once in a while. */
void random_policy_set(struct random_source *r, const struct ruleset_options *opts, size_t n,
		       size_t n_cidrs, struct policy_set *set);

/* A call on one of the hooks that rs uses. Its texts live as long as the program. */
void random_call(struct random_source *r, const struct ruleset *rs, struct sim_call *ret_call);

void random_call_describe(const struct sim_call *call, char *buf, size_t size);
void random_policy_print(const struct policy *p);

/* random-filters.c */
void random_process_filters(struct random_source *r, struct policy_selector *s);
void random_lineage_filter(struct random_source *r, const char *const *pool, size_t n,
			   struct policy_path_filter *f);
void random_unix_filter(struct random_source *r, struct policy_arg_filter *f);
const char *random_unix_path(struct random_source *r);

/* A type that an argument may be compared as. */
enum policy_arg_type random_int_type(struct random_source *r, enum policy_arg_type natural);
void random_int_filter(struct random_source *r, unsigned int slot, enum policy_arg_type type,
		       struct policy_arg_filter *f);
void random_ints(struct random_source *r, enum revshell_hook hook, int64_t *ints);
void random_process(struct random_source *r, const char *const *paths, size_t n_paths,
		    struct sim_process *p);

/* The host's namespaces, two of those that random_process() has. */
void random_host(struct random_source *r, struct ruleset_options *opts);
