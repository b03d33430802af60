/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Dimensions of addresses: tries of IPv6 prefixes, each of which holds what all prefixes around it
 * add up to, and trees of the runs that IPv4 prefixes cut the addresses into.
 */
#include <string.h>

#include "compile.h"
#include "macro.h"

/* One value of one filter. */
struct pair {
	const struct policy_cidr *cidr;
	uint32_t filter;
};

/* Equal prefixes in the sorted pairs, and what they and all around them add up to. */
struct same {
	size_t first;
	size_t end;
	uint32_t row;
};

/* What a family's prefixes come to: one of the two. */
struct nets {
	struct ruleset_cidr *cidrs; /* IPv6: each prefix */
	struct compile_run *runs;   /* IPv4: where the row changes */
	size_t n;
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
static int count_same(struct compile *c, const struct compile_sweep *s, const struct pair *pairs,
		      const struct same *same)
{
	for (size_t i = same->first; i < same->end; i++) {
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

static uint32_t cidr_first(const struct policy_cidr *c)
{
	return (uint32_t)c->addr[0] << 24 | (uint32_t)c->addr[1] << 16 | (uint32_t)c->addr[2] << 8 |
	       c->addr[3];
}

static uint64_t cidr_end(const struct policy_cidr *c)
{
	return cidr_first(c) + (1ULL << (32 - c->prefix));
}

/* From an address on the row is another; what began there before had no address. */
static void run_add(struct nets *nets, uint64_t first, uint32_t row)
{
	if (first > UINT32_MAX)
		return;
	if (nets->n && nets->runs[nets->n - 1].first == first)
		nets->n--;
	if (nets->n && nets->runs[nets->n - 1].to == row)
		return;
	nets->runs[nets->n++] = (struct compile_run){(uint32_t)first, row};
}

static void nets_begin(struct nets *nets, const struct policy_cidr *cidr, uint32_t row)
{
	if (nets->runs) {
		run_add(nets, cidr_first(cidr), row);
	} else if (nets->cidrs) {
		struct ruleset_cidr *c = &nets->cidrs[nets->n++];

		*c = (struct ruleset_cidr){.prefix = cidr->prefix, .row = row};
		memcpy(c->addr, cidr->addr, sizeof(c->addr));
	}
}

/* Leaves the last of nested prefixes: what lies behind it has the row of the one around it. */
static void leave_last(struct compile_sweep *s, const struct pair *pairs, const struct same *stack,
		       size_t depth, uint32_t outside, struct nets *nets)
{
	const struct same *last = &stack[depth - 1];

	for (size_t i = last->first; i < last->end; i++)
		compile_sweep_leave(s, pairs[i].filter);
	if (nets->runs)
		run_add(nets, cidr_end(pairs[last->first].cidr),
			depth > 1 ? stack[depth - 2].row : outside);
}

/* Walks the prefixes from outer to inner; outside: the row of what none of them holds. */
static int sweep_pairs(struct compile *c, struct compile_sweep *s, size_t n_words, uint32_t outside,
		       const struct pair *pairs, size_t n, struct nets *nets)
{
	struct same stack[130]; /* nested prefixes: one per length */
	struct same next = {};
	size_t depth = 0;
	int err;

	for (; next.first < n; next.first = next.end) {
		const struct policy_cidr *cidr = pairs[next.first].cidr;

		next.end = next.first + 1;
		while (next.end < n && !pair_compare(&pairs[next.first], &pairs[next.end]))
			next.end++;
		err = count_same(c, s, pairs, &next);
		if (err < 0)
			return err;
		for (; depth && !cidr_holds(pairs[stack[depth - 1].first].cidr, cidr); depth--)
			leave_last(s, pairs, stack, depth, outside, nets);
		for (size_t i = next.first; i < next.end; i++)
			compile_sweep_enter(s, pairs[i].filter);
		err = compile_row(c, s->words, n_words, s->filters[pairs[next.first].filter].pos,
				  &next.row);
		if (err < 0)
			return err;
		nets_begin(nets, cidr, next.row);
		stack[depth++] = next;
	}
	for (; depth; depth--)
		leave_last(s, pairs, stack, depth, outside, nets);
	return 0;
}

/* How many different prefixes there are. */
static size_t count_distinct(const struct pair *pairs, size_t n)
{
	size_t distinct = n > 0;

	for (size_t i = 1; i < n; i++)
		distinct += pair_compare(&pairs[i - 1], &pairs[i]) != 0;
	return distinct;
}

static int fill_v4(struct compile *c, struct compile_sweep *s, enum revshell_hook hook,
		   enum revshell_dim dim, const struct pair *pairs, size_t n)
{
	const size_t d = dim - REVSHELL_DIM_SK_SADDR;
	struct revshell_hook_cfg *cfg = &c->rs->hooks[hook].cfg;
	_cleanup_free_ struct compile_run *runs = NULL;
	struct nets nets = {};
	int err;

	runs = malloc((2 * n + 1) * sizeof(*runs));
	if (!runs)
		return -ENOMEM;
	nets.runs = runs;
	run_add(&nets, 0, cfg->dim_default[dim]);
	err = sweep_pairs(c, s, cfg->n_words, cfg->dim_default[dim], pairs, n, &nets);
	if (err < 0)
		return err;
	c->rs->tries[hook][d].n_v4 = count_distinct(pairs, n);
	return compile_nodes(c, runs, nets.n, &cfg->addr4[d], &cfg->addr4_below[d]);
}

static int fill_v6(struct compile *c, struct compile_sweep *s, enum revshell_hook hook,
		   enum revshell_dim dim, const struct pair *pairs, size_t n)
{
	const struct revshell_hook_cfg *cfg = &c->rs->hooks[hook].cfg;
	struct ruleset_trie *trie = &c->rs->tries[hook][dim - REVSHELL_DIM_SK_SADDR];
	struct nets nets = {};
	int err;

	if (n == 0)
		return 0;
	trie->v6 = malloc(count_distinct(pairs, n) * sizeof(*trie->v6));
	if (!trie->v6)
		return -ENOMEM;
	nets.cidrs = trie->v6;
	err = sweep_pairs(c, s, cfg->n_words, cfg->dim_default[dim], pairs, n, &nets);
	trie->n_v6 = nets.n;
	return err;
}

static int fill_addresses(struct compile *c, enum revshell_hook hook, enum revshell_dim dim)
{
	_cleanup_(compile_sweep_done) struct compile_sweep s = {};
	_cleanup_free_ struct pair *pairs = NULL;
	struct ruleset_hook *h = &c->rs->hooks[hook];
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
	err = fill_v4(c, &s, hook, dim, pairs, n_v4);
	if (err < 0)
		return err;
	return fill_v6(c, &s, hook, dim, pairs + n_v4, n - n_v4);
}

int compile_cidrs(struct compile *c, enum revshell_hook hook)
{
	int err;

	for (size_t i = 0; i < REVSHELL_ADDR_DIMS; i++) {
		if (!(c->rs->hooks[hook].cfg.used & 1ULL << (REVSHELL_DIM_SK_SADDR + i)))
			continue;
		err = fill_addresses(c, hook, REVSHELL_DIM_SK_SADDR + i);
		if (err < 0)
			return err;
	}
	return 0;
}
