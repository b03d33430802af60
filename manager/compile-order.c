/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order in which a hook's groups get their places: those that ask alike side by side. */
#include <string.h>

#include "compile.h"
#include "fnv.h"
#include "macro.h"

#define N_ARGS 5 /* filters of arguments that are looked at */

enum part {
	PART_BINARIES,
	PART_PARENTS,
	PART_ARGS,
	PART_MAX = PART_ARGS + N_ARGS,
};

/* What a group asks, in hashes. */
struct key {
	uint64_t parts[PART_MAX]; /* in the order that they are compared in */
	size_t group;		  /* equal ones stay in their order */
};

static uint64_t mix(uint64_t h, __u64 value)
{
	return compile_hash(h, &value, 1);
}

static uint64_t mix_values(uint64_t h, enum policy_op op, const struct policy_values *v)
{
	h = mix(h, op);
	for (size_t i = 0; i < v->n_strings; i++)
		h = fnv1a_string(h, v->strings[i].text);
	for (size_t i = 0; i < v->n_ranges; i++)
		h = mix(mix(h, (uint64_t)v->ranges[i].lo), (uint64_t)v->ranges[i].hi);
	for (size_t i = 0; i < v->n_cidrs; i++) {
		__u64 words[2];

		memcpy(words, v->cidrs[i].addr, sizeof(words));
		h = mix(mix(mix(h, v->cidrs[i].prefix), words[0]), words[1]);
	}
	return h;
}

static uint64_t mix_paths(uint64_t h, const struct policy_path_filter *filters, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = mix_values(mix(h, filters[i].follow_children), filters[i].op,
			       &filters[i].values);
	return mix(h, n);
}

static struct key key_of(const struct compile_group *g)
{
	struct key key = {};

	for (size_t i = 0; i < g->n_selectors; i++) {
		const struct policy_selector *s = &g->entry->selectors[i];

		key.parts[PART_BINARIES] =
			mix_paths(key.parts[PART_BINARIES], s->binaries, s->n_binaries);
		key.parts[PART_PARENTS] = mix_paths(key.parts[PART_PARENTS], s->parent_binaries,
						    s->n_parent_binaries);
		for (size_t k = 0; k < s->n_args; k++) {
			uint64_t *h = &key.parts[PART_ARGS + MIN(k, N_ARGS - 1UL)];

			*h = mix_values(mix(*h, s->args[k].arg), s->args[k].op, &s->args[k].values);
		}
	}
	return key;
}

static int key_compare(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	int cmp = memcmp(x->parts, y->parts, sizeof(x->parts));

	if (cmp)
		return cmp;
	return x->group < y->group ? -1 : x->group > y->group;
}

static int value_compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* How many different things are asked by one part of all keys; values is room for one of each. */
static size_t count_distinct(const struct key *keys, size_t n, size_t part, uint64_t *values)
{
	size_t distinct = 0;

	for (size_t i = 0; i < n; i++)
		values[i] = keys[i].parts[part];
	qsort(values, n, sizeof(*values), value_compare);
	for (size_t i = 0; i < n; i++)
		distinct += i == 0 || values[i] != values[i - 1];
	return distinct;
}

/*
 * Puts the parts that differ least first: what many groups have in common makes long runs, and what
 * each has for itself makes none wherever it stands.
 */
static int order_parts(struct key *keys, size_t n)
{
	_cleanup_free_ uint64_t *values = calloc(n, sizeof(*values));
	size_t distinct[PART_MAX];

	if (!values)
		return -ENOMEM;
	for (size_t part = 0; part < PART_MAX; part++)
		distinct[part] = count_distinct(keys, n, part, values);
	for (size_t done = 1; done < PART_MAX; done++)
		for (size_t at = done; at > 0 && distinct[at] < distinct[at - 1]; at--) {
			SWAP(distinct[at], distinct[at - 1]);
			for (size_t i = 0; i < n; i++)
				SWAP(keys[i].parts[at], keys[i].parts[at - 1]);
		}
	return 0;
}

/* Words that groups take which are placed one after another. */
static size_t count_words(const struct compile_group *groups, const struct key *keys, size_t n)
{
	size_t next = 0;

	for (size_t i = 0; i < n; i++) {
		size_t size = groups[keys[i].group].n_selectors;

		if (next / 64 != (next + size - 1) / 64)
			next = (next + 63) / 64 * 64;
		next += size;
	}
	return (next + 63) / 64;
}

/* Whether all selectors that deny do so with the same error. */
static bool deny_alike(const struct compile_group *groups, const struct key *keys, size_t n)
{
	int error = 0;

	for (size_t i = 0; i < n; i++) {
		const struct compile_group *g = &groups[keys[i].group];

		for (size_t k = 0; k < g->n_selectors; k++) {
			int denial = compile_denial(&g->entry->selectors[k]);

			if (denial && error && denial != error)
				return false;
			error = denial ?: error;
		}
	}
	return true;
}

/* Puts the groups of keys into the places that they have now, in the keys' order. */
static int permute(struct compile_group *groups, const struct key *keys, size_t n)
{
	_cleanup_free_ struct compile_group *sorted = malloc(n * sizeof(*sorted));
	size_t next = 0;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = groups[keys[i].group];
	for (size_t i = 0; next < n; i++)
		if (groups[i].hook == sorted[0].hook)
			groups[i] = sorted[next++];
	return 0;
}

static int order_hook(struct compile *c, enum revshell_hook hook)
{
	_cleanup_free_ struct key *keys = NULL;
	size_t n = 0, words;
	int err;

	for (size_t i = 0; i < c->n_groups; i++)
		n += c->groups[i].hook == hook;
	if (n < 2)
		return 0;
	keys = calloc(n, sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < c->n_groups; i++) {
		if (c->groups[i].hook != hook)
			continue;
		keys[n] = key_of(&c->groups[i]);
		keys[n++].group = i;
	}
	words = count_words(c->groups, keys, n);
	if (words < 2 || !deny_alike(c->groups, keys, n))
		return 0;
	err = order_parts(keys, n);
	if (err < 0)
		return err;
	qsort(keys, n, sizeof(*keys), key_compare);
	return count_words(c->groups, keys, n) > words ? 0 : permute(c->groups, keys, n);
}

int compile_order(struct compile *c)
{
	for (enum revshell_hook hook = 0; hook < REVSHELL_HOOK_MAX; hook++) {
		int err = order_hook(c, hook);

		if (err < 0)
			return err;
	}
	return 0;
}
