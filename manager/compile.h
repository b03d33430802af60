/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of the compiler share: filters by dimension, sweeps over values, row interning. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ruleset.h"

/* Whether a filter's set holds 0, where that stands for a port still to be chosen. */
enum compile_zero {
	ZERO_AS_GIVEN,
	ZERO_IN,
	ZERO_OUT,
};

/*
 * One filter of one selector, as one dimension sees it: the selector is satisfied when the value
 * at hand is in the set (or is not, if negative). Values belong to the policy or are constants.
 */
struct compile_filter {
	struct diag_pos pos;
	const struct policy_range *ranges;
	const struct policy_cidr *cidrs;
	const struct policy_value_string *strings;
	size_t n_values; /* of the one array above that is not NULL */
	uint32_t bit;	 /* selector's number on its hook */
	bool negative;
	bool owned;   /* ranges were made for this filter */
	bool whole;   /* strings are whole paths, not beginnings */
	bool mptcp;   /* IPPROTO_MPTCP counts as in the set */
	bool exempts; /* a path of this set keeps a denial away */
	bool copy;    /* of a selector that stands on its own hook as well */
	enum compile_zero zero;
	uint32_t predicate; /* dimension PREDICATE: number of what must hold (or not, if negative),
			       and there are no values */
};

/* A question to be answered by yes or no; the same ones are asked once. */
struct compile_predicate {
	enum revshell_fact fact;
	struct diag_pos pos; /* of the first filter that asks */
	bool unknown;	     /* taken to hold where the fact could not be had */
	bool exempts;	     /* an executable reached in another mount namespace does not count */
	uint64_t mask;
	struct policy_range *ranges; /* sorted, apart; as the fact's numbers are, never negative */
	size_t n_ranges;
	const char **strings; /* sorted, distinct; they are the policies' */
	size_t n_strings;
};

struct compile_filters {
	struct compile_filter *items;
	size_t n;
	size_t size;
};

/* What a selector is to the denials of its group. */
enum compile_role {
	ROLE_PLAIN,
	ROLE_DENIES,
	ROLE_SHIELDS, /* does not deny and stands before one that does */
};

struct compile_hook {
	struct compile_filters dims[REVSHELL_DIM_MAX];
	__u64 valid[REVSHELL_WORDS]; /* selectors, padding excluded */
	uint8_t roles[REVSHELL_SELECTORS];
};

/* Interned rows and pages: equal content, equal index. */
struct compile_rows {
	struct revshell_row *rows;
	size_t n;
	size_t size;
	uint32_t *slots; /* open hash: index + 1, 0 is free */
	size_t n_slots;
	struct revshell_port_page *pages;
	uint64_t *page_hashes;
	size_t n_pages;
	size_t pages_size;
};

/* One policy entry on one hook. */
enum compile_placement {
	PLACE_OWN,   /* on the call's own hook */
	PLACE_COPY,  /* a copy ahead of it, which stays as a backstop */
	PLACE_MOVED, /* ahead of it and nowhere else: no program sees the own hook */
};

struct compile_group {
	const struct policy *policy;
	const struct policy_entry *entry;
	uint32_t policy_index;
	uint32_t entry_index;
	size_t n_selectors; /* to place, from the first */
	enum compile_placement placement;
	enum revshell_hook hook; /* where it is placed */
	bool enforce;
};

struct compile {
	const struct policy_set *set;
	const struct ruleset_options *opts;
	struct diag *d;
	struct ruleset *rs;
	struct compile_hook *hooks; /* REVSHELL_HOOK_MAX */
	struct compile_rows rows;
	struct compile_group *groups; /* to place, by policy and entry */
	size_t n_groups;
	size_t groups_size;
	size_t n_cidrs; /* counted against REVSHELL_MAX_CIDRS */
	struct compile_predicate predicates[REVSHELL_PREDICATES];
	size_t n_predicates;
	size_t numbers_size; /* rs->numbers has room for */
	size_t unix_size;
};

/* How the filters of one dimension on one hook judge a value that moves through the sweep. */
struct compile_sweep {
	const struct compile_filter *filters;
	size_t n;
	uint32_t *covered; /* per filter: how many of its values hold the current one */
	uint16_t failing[REVSHELL_SELECTORS]; /* per selector: filters that reject it */
	__u64 words[REVSHELL_WORDS];	      /* selectors that accept the current value */
};

/* compile.c */

/* The error that a match of the selector refuses calls with, -errno; 0: it does not. */
int compile_denial(const struct policy_selector *s);

/* compile-order.c */

/*
 * Where a hook's selectors need more than one word, puts groups that ask alike next to each other,
 * so that a fold leaves few words. Takes no more words, and changes nothing that can be told from
 * outside: where denials differ in their errors, the first policy's counts, and all stays.
 */
int compile_order(struct compile *c);

/* compile-check.c */

/* Reports what the engine cannot do. ret_place: false for entries that have no effect. */
int compile_check_entry(struct compile *c, size_t policy, const struct policy_entry *e,
			bool *ret_place);

/* Whether a program sees calls of the hook. */
bool compile_has_hook(const struct ruleset_options *opts, enum revshell_hook hook);

/* compile-filters.c */

#define COMPILE_NO_DIM REVSHELL_DIM_MAX

bool compile_is_sock(enum policy_arg_type type);
bool compile_is_sockaddr(enum policy_arg_type type);

/*
 * The dimension that answers an operator on argument type at prototype position index of a call
 * that is placed on hook, or COMPILE_NO_DIM.
 */
enum revshell_dim compile_dim(const struct policy_call *call, unsigned int index,
			      enum policy_arg_type type, enum policy_op op,
			      enum revshell_hook hook);

/* Appends to a dimension of the group's hook; owned ranges are taken, even on error. */
int compile_add_filter(struct compile *c, const struct compile_group *g, enum revshell_dim dim,
		       struct compile_filter f);

/* How many leading selectors ask nothing that is unknown at the call's early hook. */
size_t compile_count_early(const struct policy_entry *e);

/* Sorts a placed group's filters into dimensions; its selectors start at bit first. */
int compile_collect(struct compile *c, const struct compile_group *g, uint32_t first);

/* compile-dims.c */
int compile_sweep_init(struct compile_sweep *s, const struct compile_hook *h,
		       enum revshell_dim dim);
void compile_sweep_done(struct compile_sweep *s);
void compile_sweep_enter(struct compile_sweep *s, size_t filter);
void compile_sweep_leave(struct compile_sweep *s, size_t filter);
int compile_numbers(struct compile *c, enum revshell_hook hook);
uint64_t compile_families(const struct compile *c, enum revshell_hook hook);

/* compile-ints.c */

/* Whether values of a call's argument can be told apart as another type sees them. */
bool compile_int_fits(enum policy_arg_type natural, enum policy_arg_type type);
int compile_collect_int(struct compile *c, const struct compile_group *g, uint32_t bit,
			const struct policy_arg_filter *f);
int compile_ints(struct compile *c, enum revshell_hook hook);

/* compile-numbers.c */

/* A run of values with one result, which grows until the next differs. */
struct compile_segment {
	struct compile *c;
	struct diag_pos pos; /* blamed for limits */
	uint32_t space;
	uint64_t lo;
	uint64_t hi;
	uint64_t result;
	bool open;
};

/* Adds values after all that were added; results other than none become prefixes. */
int compile_segment_add(struct compile_segment *s, uint64_t lo, uint64_t hi, uint64_t result,
			uint64_t none);
int compile_segment_end(struct compile_segment *s);

/* A place where a range begins or, if !enter, has just ended. */
struct compile_edge {
	uint64_t value;
	uint32_t owner;
	bool enter;
};

size_t compile_edges_add(struct compile_edge *edges, size_t n, uint64_t lo, uint64_t hi,
			 uint32_t owner);
void compile_edges_sort(struct compile_edge *edges, size_t n);

/* compile-predicates.c */
int compile_collect_process(struct compile *c, const struct compile_group *g, uint32_t bit,
			    const struct policy_selector *s);

/* Asks for a predicate as a filter of a selector; its arrays are taken, even on error. */
int compile_predicate(struct compile *c, const struct compile_group *g, uint32_t bit, bool negative,
		      struct compile_predicate p);
int compile_predicate_rows(struct compile *c, enum revshell_hook hook);

void compile_predicates_done(struct compile *c);

/* compile-facts.c: what all hooks share. Comes after compile_ints() of every hook. */
int compile_facts(struct compile *c);

/* Where a file of a cgroup could have a unit's name, systemd puts an underscore before it. */
bool compile_unit_is_escaped(const char *name);

/* compile-unix.c */
int compile_unix(struct compile *c, enum revshell_hook hook);

/* compile-nodes.c */

/* A run of IPv4 addresses, up to the next: the first in host byte order, and where it leads. */
struct compile_run {
	uint32_t first;
	uint32_t to;
};

/* Makes a tree of runs, which begin with address 0 and are used up. */
int compile_nodes(struct compile *c, struct compile_run *runs, size_t n,
		  struct revshell_addr_node *ret_root, __u32 *ret_below);

/* compile-cidrs.c */
int compile_cidrs(struct compile *c, enum revshell_hook hook);

/* compile-paths.c */
int compile_paths(struct compile *c);

/* compile-rows.c */
int compile_rows_init(struct compile *c);
void compile_rows_done(struct compile_rows *r);

/* Index of the row with these words; pos is blamed if it would be one too many. */
int compile_row(struct compile *c, const __u64 *words, size_t n_words, struct diag_pos pos,
		uint32_t *ret_row);

/* Appends a row without looking for an equal one. */
int compile_row_append(struct compile *c, const __u64 *words, size_t n_words, struct diag_pos pos,
		       uint32_t *ret_row);
int compile_page(struct compile *c, const uint16_t *page, struct diag_pos pos, uint16_t *ret_page);

/* Makes room for one more item of an array; doubles. */
int compile_grow(void **items, size_t *size, size_t n, size_t item_size);

/* first keeps apart what has equal words; it is mixed in like one of them. */
static inline uint64_t compile_hash(uint64_t first, const __u64 *words, size_t n)
{
	uint64_t h = first * 0x9e3779b97f4a7c15ULL;

	for (size_t i = 0; i < n; i++) {
		h ^= h >> 32;
		h = (h ^ words[i]) * 0xff51afd7ed558ccdULL;
	}
	return h ^ h >> 32;
}
