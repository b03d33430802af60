/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files policy-*.c share while one document is turned into a struct policy. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy.h"

/*
 * One document being read. Mistakes go to d and reading goes on, so that one run shows them all;
 * what is half read is destroyed with the policy. Lack of memory only sets oom.
 */
struct policy_ctx {
	struct policy *policy;
	const struct policy_options *opts;
	struct diag *d;
	bool oom;
	const struct yaml_node *macros; /* spec.selectorsMacros, or NULL */
	const struct yaml_node *lists;	/* spec.lists, or NULL */
	uint64_t enforced;		/* calls of spec.enforcers, by position in policy_calls */
	size_t *n_values;		/* values taken from the whole file so far */
	struct diag_pos mode_pos; /* of an explicit policy-mode: enforce; line 0 if there is none */
};

#define ctx_error(ctx, node, code, ...) diag_error((ctx)->d, node_pos(ctx, node), code, __VA_ARGS__)
#define ctx_warning(ctx, node, code, ...) \
	diag_warning((ctx)->d, node_pos(ctx, node), code, __VA_ARGS__)

/* A warning of `policy check --tetragon`: loads here, but not there. */
#define ctx_not_portable(ctx, node, ...)                                     \
	do {                                                                 \
		if ((ctx)->opts->tetragon)                                   \
			ctx_warning(ctx, node, "not-portable", __VA_ARGS__); \
	} while (0)

/* policy-node.c: typed access to YAML nodes */

/* Text for a message: at most 60 bytes of s, cut between characters. Use as excerpt(s).s */
struct excerpt {
	char s[68];
};
struct excerpt excerpt(const char *s);

/* The node's position in terms of the policy's own copy of the file name. */
struct diag_pos node_pos(const struct policy_ctx *ctx, const struct yaml_node *node);

enum key_flag {
	KEY_EXTENSION = 1,   /* Tetragon does not know it */
	KEY_UNSUPPORTED = 2, /* Tetragon knows it, here it is an error unless null or empty */
};

struct node_key {
	const char *name;
	unsigned int flags;
	const char *why; /* of KEY_UNSUPPORTED */
};

/* Checks that node is a mapping with known keys only. False if it is no mapping. */
bool node_check_keys(struct policy_ctx *ctx, const struct yaml_node *node, const char *what,
		     const struct node_key *keys, size_t n_keys);

/* The value of a key, NULL if it is missing or null. */
const struct yaml_node *node_get(const struct yaml_node *mapping, const char *key);
/* The same; a missing one is an error at the mapping. */
const struct yaml_node *node_require(struct policy_ctx *ctx, const struct yaml_node *mapping,
				     const char *key, const char *what);
bool node_is_sequence(struct policy_ctx *ctx, const struct yaml_node *node, const char *what);

/* Each: false after an error. what names the value in it. */
bool node_text(struct policy_ctx *ctx, const struct yaml_node *node, const char *what,
	       const char **ret_text);
bool node_bool(struct policy_ctx *ctx, const struct yaml_node *node, const char *what,
	       bool *ret_value);
bool node_int(struct policy_ctx *ctx, const struct yaml_node *node, const char *what, int64_t min,
	      int64_t max, int64_t *ret_value);
/* A scalar where Tetragon's schema wants a string: warns of a plain number or boolean. */
bool node_string(struct policy_ctx *ctx, const struct yaml_node *node, const char *what,
		 const char **ret_text);

/* strdup() that sets ctx->oom. */
char *ctx_strdup(struct policy_ctx *ctx, const char *s);

/* Appends a zeroed element to the array at *array of *n elements, or sets ctx->oom. */
void *ctx_append(struct policy_ctx *ctx, void *array, size_t *n, size_t size);
#define CTX_APPEND(ctx, array, n) \
	((__typeof__(array))ctx_append(ctx, &(array), &(n), sizeof(*(array))))

/* policy-calls.c, policy-names.c: names and tables */
enum policy_namespace policy_namespace_parse(const char *s); /* NS_MAX if unknown */
enum policy_action_kind policy_action_parse(const char *s, bool *ret_exact);
/* Whether this spelling is in the enum of Tetragon's schema. */
bool policy_op_is_schema(const char *s);
/* The allowed operators of a type, "SAddr, DAddr, ..."; the caller frees. */
char *policy_op_list(enum policy_arg_type type);
/* The calls of a section, likewise. */
char *policy_call_list(enum policy_section section);

/* policy-number.c: numbers and addresses; each false if s is not one */
/* Go's base-0 integer literal: 10, 0x1f, 017, 0o17, 0b1, 1_000; sign only where is_signed. */
bool number_parse_literal(const char *s, bool is_signed, int64_t *ret_value);
bool cidr_parse(const char *s, struct policy_cidr *ret_cidr, const char **ret_reason);

/* policy-values.c */

/* The key "values" of a matchArgs filter. */
void values_parse_arg(struct policy_ctx *ctx, const struct yaml_node *filter, enum policy_op op,
		      enum policy_arg_type type, struct policy_values *values);
/* Counts n more values; false, with an error once per file, above POLICY_MAX_VALUES. */
bool values_count(struct policy_ctx *ctx, const struct yaml_node *node, size_t n);
/* node must be a list with at least one item; counts them. */
bool values_check(struct policy_ctx *ctx, const struct yaml_node *node, const char *what);
void values_done(struct policy_values *values);
void lists_check(struct policy_ctx *ctx);
/* The item of spec.lists of that name; NULL after an error at node. */
const struct yaml_node *list_find(struct policy_ctx *ctx, const struct yaml_node *node,
				  const char *name);

/* policy-paths.c: the values of matchBinaries and matchParentBinaries */
void values_parse_paths(struct policy_ctx *ctx, const struct yaml_node *node, enum policy_op op,
			struct policy_values *values);

/* policy-filters.c: the filters on the process */
void filters_parse_process(struct policy_ctx *ctx, const struct yaml_node *node, const char *kind,
			   struct policy_selector *selector);

/* policy-actions.c */
void actions_parse(struct policy_ctx *ctx, const struct yaml_node *node,
		   const struct policy_entry *entry, bool on_return,
		   struct policy_selector *selector);
void actions_default(struct policy_ctx *ctx, struct policy_selector *selector);

/* policy-selectors.c */
void selectors_parse(struct policy_ctx *ctx, const struct yaml_node *node,
		     struct policy_entry *entry);
void selectors_check_macros(struct policy_ctx *ctx);

/* policy-entry.c: items of kprobes, fentries, lsmhooks */
void entries_parse(struct policy_ctx *ctx, const struct yaml_node *node,
		   enum policy_section section);

/* policy-args.c */
void args_parse(struct policy_ctx *ctx, const struct yaml_node *node, struct policy_entry *entry);
/* The keys return, returnArg, returnArgAction of an entry. */
void return_parse(struct policy_ctx *ctx, const struct yaml_node *node, struct policy_entry *entry);

/* policy-spec.c: one document. NULL after errors (in d) or with *ret_oom set. */
struct policy *policy_parse_document(const struct yaml_node *root, const char *origin,
				     const struct policy_options *opts, size_t *n_values,
				     struct diag *d, bool *ret_oom);

/* policy-known.c */

/*
 * Appends what opts->known has of a file, if it would come out the same, with its warnings to d.
 * Returns 1 if so, 0 if the text is to be read anew, or -ENOMEM. *next: where in known this file's
 * policies may be; moved behind them.
 */
int policy_known_take(const char *text, size_t size, const char *origin,
		      const struct policy_options *opts, size_t *next, struct diag *d,
		      struct policy_set *set);

/* policy.c */

void policy_entry_done(struct policy_entry *e);
/* policy_load_text() without the check for names given twice; origin must not be NULL. */
int policy_parse_text(const char *text, size_t size, const char *origin,
		      const struct policy_options *opts, struct diag *d, struct policy_set *set);
/* Reports every name that several policies of the set, counted from first, bear. */
int policy_set_check_names(const struct policy_set *set, size_t first, struct diag *d);
int policy_set_add(struct policy_set *set, struct policy *p);
/* Moves all of src to the end of set; on -ENOMEM both are as they were. */
int policy_set_append(struct policy_set *set, struct policy_set *src);
/* Frees all but the first n policies. */
void policy_set_truncate(struct policy_set *set, size_t n);
