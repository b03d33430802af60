/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Dimensions of addresses: tries whose every prefix holds what all prefixes around it add up to. */
#include <string.h>

#include "compile.h"
#include "macro.h"

/* One value of one filter. */
struct pair {
	const struct policy_cidr *cidr;
	uint32_t filter;
};

/* A run of equal prefixes in the sorted pairs. */
struct run {
	size_t first;
	size_t end;
};

static unsigned int cidr_bytes(const struct policy_cidr *c)
{
	return c->family == 4 ? 4 : 16;
}

/* By family, address, prefix: what holds a prefix stands before it. */
static int pair_compare(const void *a, const void *b)
{
	const struct policy_cidr *x = ((const struct pair *)a)->cidr;
	const struct policy_cidr *y = ((const struct pair *)b)->cidr;
	int cmp;

	if (x->family != y->family)
		return x->family < y->family ? -1 : 1;
	cmp = memcmp(x->addr, y->addr, cidr_bytes(x));
	if (cmp)
		return cmp;
	return x->prefix < y->prefix ? -1 : x->prefix > y->prefix;
}

static bool cidr_holds(const struct policy_cidr *outer, const struct policy_cidr *inner)
{
	unsigned int bytes = outer->prefix / 8, rest = outer->prefix % 8;

	if (outer->family != inner->family || outer->prefix > inner->prefix)
		return false;
	if (memcmp(outer->addr, inner->addr, bytes) != 0)
		return false;
	return !rest || !((outer->addr[bytes] ^ inner->addr[bytes]) >> (8 - rest));
}

static int pairs_new(const struct compile_sweep *s, struct pair **ret_pairs, size_t *ret_n)
{
	struct pair *pairs;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->filters[i].n_values;
	pairs = malloc(MAX(n, 1U) * sizeof(*pairs));
	if (!pairs)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < s->filters[i].n_values; k++)
			pairs[n++] = (struct pair){&s->filters[i].cidrs[k], i};
	qsort(pairs, n, sizeof(*pairs), pair_compare);
	*ret_pairs = pairs;
	*ret_n = n;
	return 0;
}

/*
 * A prefix counts once for each dimension of each hook that a policy names; the copies the
 * compiler makes ahead of a hook are not the user's.
 */
static int count_run(struct compile *c, const struct compile_sweep *s, const struct pair *pairs,
		     struct run run)
{
	for (size_t i = run.first; i < run.end; i++) {
		const struct compile_filter *f = &s->filters[pairs[i].filter];

		if (f->copy)
			continue;
		if (c->n_cidrs++ < REVSHELL_MAX_CIDRS)
			return 0;
		diag_error(c->d, f->pos, "too-many-prefixes",
			   "the rule set holds more than %u address prefixes "
			   "(REVSHELL_MAX_CIDRS)",
			   REVSHELL_MAX_CIDRS);
		return -E2BIG;
	}
	return 0;
}

/* Walks the prefixes from outer to inner; out has room for each. */
static int sweep_pairs(struct compile *c, struct compile_sweep *s, size_t n_words,
		       const struct pair *pairs, size_t n, struct ruleset_cidr *out, size_t *ret_n)
{
	struct run stack[130]; /* nested prefixes: one per length */
	size_t depth = 0, n_out = 0;
	int err;

	for (struct run run = {}; run.first < n; run.first = run.end) {
		const struct policy_cidr *cidr = pairs[run.first].cidr;
		uint32_t row;

		run.end = run.first + 1;
		while (run.end < n && !pair_compare(&pairs[run.first], &pairs[run.end]))
			run.end++;
		err = count_run(c, s, pairs, run);
		if (err < 0)
			return err;
		while (depth && !cidr_holds(pairs[stack[depth - 1].first].cidr, cidr)) {
			depth--;
			for (size_t i = stack[depth].first; i < stack[depth].end; i++)
				compile_sweep_leave(s, pairs[i].filter);
		}
		for (size_t i = run.first; i < run.end; i++)
			compile_sweep_enter(s, pairs[i].filter);
		stack[depth++] = run;
		err = compile_row(c, s->words, n_words, s->filters[pairs[run.first].filter].pos,
				  &row);
		if (err < 0)
			return err;
		out[n_out] = (struct ruleset_cidr){.prefix = cidr->prefix, .row = row};
		memcpy(out[n_out].addr, cidr->addr, cidr_bytes(cidr));
		n_out++;
	}
	while (depth) {
		depth--;
		for (size_t i = stack[depth].first; i < stack[depth].end; i++)
			compile_sweep_leave(s, pairs[i].filter);
	}
	*ret_n = n_out;
	return 0;
}

static int fill_family(struct compile *c, struct compile_sweep *s, size_t n_words,
		       const struct pair *pairs, size_t n, struct ruleset_cidr **ret_cidrs,
		       size_t *ret_n)
{
	_cleanup_free_ struct ruleset_cidr *cidrs = NULL;
	struct ruleset_cidr *fit;
	size_t n_cidrs;
	int err;

	if (n == 0)
		return 0;
	cidrs = malloc(n * sizeof(*cidrs));
	if (!cidrs)
		return -ENOMEM;
	err = sweep_pairs(c, s, n_words, pairs, n, cidrs, &n_cidrs);
	if (err < 0)
		return err;
	fit = reallocarray(cidrs, n_cidrs, sizeof(*cidrs));
	if (fit)
		cidrs = fit;
	*ret_cidrs = TAKE_PTR(cidrs);
	*ret_n = n_cidrs;
	return 0;
}

static int fill_trie(struct compile *c, enum revshell_hook hook, enum revshell_dim dim)
{
	_cleanup_(compile_sweep_done) struct compile_sweep s = {};
	_cleanup_free_ struct pair *pairs = NULL;
	struct ruleset_hook *h = &c->rs->hooks[hook];
	struct ruleset_trie *trie = &c->rs->tries[hook][dim - REVSHELL_DIM_SK_SADDR];
	__u64 none[REVSHELL_WORDS];
	size_t n, n_v4 = 0, n_words = h->cfg.n_words;
	struct diag_pos pos;
	int err;

	err = compile_sweep_init(&s, &c->hooks[hook], dim);
	if (err < 0)
		return err;
	pos = s.filters[0].pos;
	err = compile_row(c, s.words, n_words, pos, &h->cfg.dim_default[dim]);
	if (err < 0)
		return err;
	/* Without an IP address neither an operator nor its negation holds. */
	memcpy(none, c->hooks[hook].valid, sizeof(none));
	for (size_t i = 0; i < s.n; i++)
		none[s.filters[i].bit / 64] &= ~(1ULL << s.filters[i].bit % 64);
	err = compile_row(c, none, n_words, pos, &h->cfg.no_address[dim - REVSHELL_DIM_SK_SADDR]);
	if (err < 0)
		return err;

	err = pairs_new(&s, &pairs, &n);
	if (err < 0)
		return err;
	while (n_v4 < n && pairs[n_v4].cidr->family == 4)
		n_v4++;
	err = fill_family(c, &s, n_words, pairs, n_v4, &trie->v4, &trie->n_v4);
	if (err < 0)
		return err;
	return fill_family(c, &s, n_words, pairs + n_v4, n - n_v4, &trie->v6, &trie->n_v6);
}

int compile_cidrs(struct compile *c, enum revshell_hook hook)
{
	int err;

	for (size_t i = 0; i < REVSHELL_ADDR_DIMS; i++) {
		if (!(c->rs->hooks[hook].cfg.used & 1ULL << (REVSHELL_DIM_SK_SADDR + i)))
			continue;
		err = fill_trie(c, hook, REVSHELL_DIM_SK_SADDR + i);
		if (err < 0)
			return err;
	}
	return 0;
}
