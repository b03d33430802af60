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

/* What a family's prefixes come to: one of the first two. */
struct nets {
	struct ruleset_cidr *cidrs; /* IPv6: each prefix */
	struct compile_run *runs;   /* IPv4: where the row changes */
	size_t n;
	uint32_t *alone; /* per filter: the row of what lies in one of its prefixes only, or 0 */
};

static unsigned int cidr_bytes(const struct policy_cidr *c)
{
	return c->family == 4 ? 4 : 16;
}

/* Whether two of one family are the same prefix. */
static bool pairs_equal(const struct pair *a, const struct pair *b)
{
	return a->cidr->prefix == b->cidr->prefix &&
	       memcmp(a->cidr->addr, b->cidr->addr, cidr_bytes(a->cidr)) == 0;
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

/*
 * Sorts n pairs of a family of so many bytes by address, then prefix, so that what holds a prefix
 * stands before it; those that are equal stay as they were. Byte by byte, the one that counts least
 * first: a hundred thousand comparisons of each other take ten times as long.
 */
static int sort_family(struct pair *pairs, size_t n, size_t n_bytes)
{
	_cleanup_free_ struct pair *other = malloc(MAX(n, 1U) * sizeof(*other));
	struct pair *from = pairs, *to = other;

	if (!other)
		return -ENOMEM;
	for (size_t i = 0; i <= n_bytes; i++) {
		size_t at = i ? offsetof(struct policy_cidr, addr) + n_bytes - i
			      : offsetof(struct policy_cidr, prefix);
		uint32_t ends[256] = {}, end = 0;
		uint8_t last = 0;

		for (size_t k = 0; k < n; k++) {
			last = ((const uint8_t *)from[k].cidr)[at];
			ends[last]++;
		}
		if (ends[last] == n)
			continue;
		for (size_t k = 0; k < 256; k++) {
			end += ends[k];
			ends[k] = end;
		}
		for (size_t k = n; k-- > 0;)
			to[--ends[((const uint8_t *)from[k].cidr)[at]]] = from[k];
		to = from;
		from = from == pairs ? other : pairs;
	}
	if (from != pairs)
		memcpy(pairs, from, n * sizeof(*pairs));
	return 0;
}

/* The values of one family of all filters, to pairs; how many there are. */
static size_t collect_family(const struct compile_sweep *s, uint8_t family, struct pair *pairs)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < s->filters[i].n_values; k++)
			if (s->filters[i].cidrs[k].family == family)
				pairs[n++] = (struct pair){&s->filters[i].cidrs[k], i};
	return n;
}

/* IPv4 first. */
static int pairs_new(const struct compile_sweep *s, struct pair **ret_pairs, size_t *ret_n_v4,
		     size_t *ret_n_v6)
{
	_cleanup_free_ struct pair *pairs = NULL;
	size_t n = 0, n_v4;
	int err;

	for (size_t i = 0; i < s->n; i++)
		n += s->filters[i].n_values;
	pairs = malloc(MAX(n, 1U) * sizeof(*pairs));
	if (!pairs)
		return -ENOMEM;
	n_v4 = collect_family(s, 4, pairs);
	collect_family(s, 6, pairs + n_v4);
	err = sort_family(pairs, n_v4, 4);
	if (err == 0)
		err = sort_family(pairs + n_v4, n - n_v4, 16);
	if (err < 0)
		return err;
	*ret_pairs = TAKE_PTR(pairs);
	*ret_n_v4 = n_v4;
	*ret_n_v6 = n - n_v4;
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

/* The row of what next and the prefixes around it, depth of them, add up to. */
static int row_inside(struct compile *c, const struct compile_sweep *s, size_t n_words,
		      const struct pair *pairs, size_t depth, struct nets *nets, struct same *next)
{
	uint32_t filter = pairs[next->first].filter, *alone = NULL;
	int err;

	if (depth == 0 && next->end == next->first + 1)
		alone = &nets->alone[filter];
	if (alone && *alone) {
		next->row = *alone;
		return 0;
	}
	err = compile_row(c, s->words, n_words, s->filters[filter].pos, &next->row);
	if (err == 0 && alone)
		*alone = next->row;
	return err;
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
		while (next.end < n && pairs_equal(&pairs[next.first], &pairs[next.end]))
			next.end++;
		err = count_same(c, s, pairs, &next);
		if (err < 0)
			return err;
		for (; depth && !cidr_holds(pairs[stack[depth - 1].first].cidr, cidr); depth--)
			leave_last(s, pairs, stack, depth, outside, nets);
		for (size_t i = next.first; i < next.end; i++)
			compile_sweep_enter(s, pairs[i].filter);
		err = row_inside(c, s, n_words, pairs, depth, nets, &next);
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
		distinct += !pairs_equal(&pairs[i - 1], &pairs[i]);
	return distinct;
}

static int fill_v4(struct compile *c, struct compile_sweep *s, enum revshell_hook hook,
		   enum revshell_dim dim, const struct pair *pairs, size_t n, uint32_t *alone)
{
	const size_t d = dim - REVSHELL_DIM_SK_SADDR;
	struct revshell_hook_cfg *cfg = &c->rs->hooks[hook].cfg;
	_cleanup_free_ struct compile_run *runs = NULL;
	struct nets nets = {.alone = alone};
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
		   enum revshell_dim dim, const struct pair *pairs, size_t n, uint32_t *alone)
{
	const struct revshell_hook_cfg *cfg = &c->rs->hooks[hook].cfg;
	struct ruleset_trie *trie = &c->rs->tries[hook][dim - REVSHELL_DIM_SK_SADDR];
	struct nets nets = {.alone = alone};
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
	_cleanup_free_ uint32_t *alone = NULL;
	struct ruleset_hook *h = &c->rs->hooks[hook];
	__u64 none[REVSHELL_WORDS];
	size_t n_v4, n_v6, n_words = h->cfg.n_words;
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

	err = pairs_new(&s, &pairs, &n_v4, &n_v6);
	if (err < 0)
		return err;
	alone = calloc(MAX(s.n, 1U), sizeof(*alone));
	if (!alone)
		return -ENOMEM;
	err = fill_v4(c, &s, hook, dim, pairs, n_v4, alone);
	if (err < 0)
		return err;
	return fill_v6(c, &s, hook, dim, pairs + n_v4, n_v6, alone);
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
