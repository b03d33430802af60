/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lifetime of rule sets and look-ups in their sorted tables. */
#include <string.h>

#include "fnv.h"
#include "macro.h"
#include "ruleset.h"

static const char *const hook_names[] = {
#define X(id, name) name,
	REVSHELL_HOOKS(X)
#undef X
};

const char *ruleset_hook_name(enum revshell_hook hook)
{
	return hook_names[hook];
}

enum revshell_hook ruleset_hook_parse(const char *name)
{
	enum revshell_hook hook = 0;

	while (hook < REVSHELL_HOOK_MAX && strcmp(hook_names[hook], name) != 0)
		hook++;
	return hook;
}

bool ruleset_admits_protocol(const struct ruleset *rs, enum revshell_hook hook,
			     unsigned int protocol)
{
	const struct revshell_hook_cfg *cfg = &rs->hooks[hook].cfg;

	if (rs->hooks[hook].n_selectors == 0)
		return false;
	if (!(cfg->used & 1ULL << REVSHELL_DIM_SK_PROTOCOL))
		return true;
	return rs->rows[cfg->sk_protocol[protocol]].fold != 0;
}

uint32_t ruleset_fold_bits(size_t n_words)
{
	uint32_t bits = 64;

	while (bits * n_words > 64)
		bits /= 2;
	return bits;
}

uint64_t ruleset_fold(const __u64 *words, size_t n_words)
{
	uint32_t bits = ruleset_fold_bits(n_words), each = 64 / bits;
	uint64_t fold = 0, mask = ~0ULL >> (64 - each);

	for (size_t w = 0; w < n_words; w++)
		for (uint32_t i = 0; i < bits; i++)
			if (words[w] >> i * each & mask)
				fold |= 1ULL << (w * bits + i);
	return fold;
}

int ruleset_new_empty(struct ruleset **ret_rs)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = NULL;

	rs = calloc(1, sizeof(*rs));
	if (!rs)
		return -ENOMEM;
	rs->rows = malloc(sizeof(*rs->rows));
	if (!rs->rows)
		return -ENOMEM;
	memset(rs->rows, 0xff, sizeof(*rs->rows));
	rs->n_rows = 1;
	rs->digest = FNV1A_INIT;
	*ret_rs = TAKE_PTR(rs);
	return 0;
}

static void affixes_free(struct ruleset_affix *a, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(a[i].text);
	free(a);
}

/* All but selectors, what they deny, and policies. */
static void tables_done(struct ruleset *rs)
{
	for (size_t h = 0; h < REVSHELL_HOOK_MAX; h++)
		for (size_t d = 0; d < REVSHELL_ADDR_DIMS; d++)
			free(rs->tries[h][d].v6);
	memset(rs->tries, 0, sizeof(rs->tries));
	for (size_t i = 0; i < ARRAY_SIZE(rs->paths); i++) {
		for (size_t k = 0; k < rs->n_paths[i]; k++)
			free(rs->paths[i][k].path);
		free(rs->paths[i]);
		affixes_free(rs->prefixes[i], rs->n_prefixes[i]);
		affixes_free(rs->postfixes[i], rs->n_postfixes[i]);
		rs->paths[i] = NULL;
		rs->prefixes[i] = rs->postfixes[i] = NULL;
		rs->n_paths[i] = rs->n_prefixes[i] = rs->n_postfixes[i] = 0;
	}
	for (size_t i = 0; i < rs->n_units; i++)
		free(rs->units[i].name);
	for (size_t i = 0; i < rs->n_lineage; i++)
		free(rs->lineage[i].path);
	free(rs->units);
	free(rs->lineage);
	free(rs->numbers);
	free(rs->unix_paths);
	free(rs->rows);
	free(rs->pages);
	free(rs->nodes);
	rs->units = NULL;
	rs->lineage = NULL;
	rs->numbers = NULL;
	rs->unix_paths = NULL;
	rs->rows = NULL;
	rs->pages = NULL;
	rs->nodes = NULL;
	rs->n_units = rs->n_lineage = rs->n_numbers = rs->n_unix_paths = 0;
	rs->n_rows = rs->n_pages = rs->n_nodes = 0;
}

/* hint: about where it stands. */
static bool holds_policy(const struct ruleset *rs, const struct policy *p, size_t hint)
{
	if (hint < rs->policies.n && rs->policies.policies[hint] == p)
		return true;
	for (size_t i = 0; i < rs->policies.n; i++)
		if (rs->policies.policies[i] == p)
			return true;
	return false;
}

void ruleset_shed(struct ruleset *rs, const struct ruleset *newer, bool keep_sources)
{
	tables_done(rs);
	for (size_t i = 0; i < rs->policies.n; i++) {
		struct policy *p = rs->policies.policies[i];

		if (!newer || !holds_policy(newer, p, i))
			policy_shed(p, keep_sources);
	}
}

void ruleset_free(struct ruleset *rs)
{
	if (!rs)
		return;
	tables_done(rs);
	for (size_t h = 0; h < REVSHELL_HOOK_MAX; h++) {
		free(rs->hooks[h].selectors);
		free(rs->hooks[h].denials);
	}
	free(rs->effective);
	policy_set_done(&rs->policies);
	free(rs);
}

/* Leading bits that two addresses share. */
static unsigned int common_bits(const uint8_t *a, const uint8_t *b)
{
	for (unsigned int i = 0; i < 16; i++)
		if (a[i] != b[i])
			return i * 8 + (unsigned int)__builtin_clz((unsigned int)(a[i] ^ b[i])) -
			       24;
	return 128;
}

const struct ruleset_cidr *ruleset_lookup_cidr(const struct ruleset_cidr *cidrs, size_t n,
					       const uint8_t *addr)
{
	unsigned int limit = 128;
	size_t end = n;

	/*
	 * In (addr, prefix) order the last prefix that holds addr is the most specific. The last
	 * one not above addr may miss it; whatever holds addr and stands before that one holds
	 * both, so it is no longer than what the two have in common.
	 */
	for (;;) {
		size_t lo = 0, hi = end;
		unsigned int common;
		uint8_t key[16];

		memcpy(key, addr, sizeof(key));
		for (unsigned int i = limit; i < 128; i++)
			key[i / 8] &= (uint8_t) ~(0x80U >> (i % 8));
		while (lo < hi) {
			size_t mid = lo + (hi - lo) / 2;
			int cmp = memcmp(cidrs[mid].addr, key, sizeof(key));

			if (cmp < 0 || (cmp == 0 && cidrs[mid].prefix <= limit))
				lo = mid + 1;
			else
				hi = mid;
		}
		if (lo == 0)
			return NULL;
		common = common_bits(cidrs[lo - 1].addr, addr);
		if (common >= cidrs[lo - 1].prefix)
			return &cidrs[lo - 1];
		limit = MIN(limit, common);
		end = lo - 1;
	}
}

const struct revshell_port_page *ruleset_page(const struct ruleset *rs,
					      const struct revshell_hook_cfg *cfg, uint32_t index)
{
	if (index < REVSHELL_HOOK_PAGES)
		return &cfg->page[index];
	index -= REVSHELL_HOOK_PAGES;
	return index < rs->n_pages ? &rs->pages[index] : NULL;
}

static void each_run(const struct ruleset *rs, const struct revshell_addr_node *node,
		     uint32_t below, void (*fn)(uint32_t first, uint32_t row, void *userdata),
		     void *userdata)
{
	for (size_t i = 0; i < REVSHELL_NODE_RUNS; i++) {
		if (i && node->before[i] == UINT32_MAX)
			break;
		if (below)
			each_run(rs, &rs->nodes[node->to[i]], below - 1, fn, userdata);
		else
			fn(node->before[i] + 1, node->to[i], userdata);
	}
}

void ruleset_each_run(const struct ruleset *rs, enum revshell_hook hook, enum revshell_dim dim,
		      void (*fn)(uint32_t first, uint32_t row, void *userdata), void *userdata)
{
	const struct revshell_hook_cfg *cfg = &rs->hooks[hook].cfg;
	const size_t d = dim - REVSHELL_DIM_SK_SADDR;

	each_run(rs, &cfg->addr4[d], cfg->addr4_below[d], fn, userdata);
}

const struct ruleset_number *ruleset_lookup_number(const struct ruleset *rs, uint32_t space,
						   uint64_t value)
{
	const struct ruleset_number *last;
	size_t lo = 0, hi = rs->n_numbers;

	while (lo < hi) {
		const struct ruleset_number *mid = &rs->numbers[lo + (hi - lo) / 2];

		if (mid->space < space || (mid->space == space && mid->value <= value))
			lo = (size_t)(mid - rs->numbers) + 1;
		else
			hi = (size_t)(mid - rs->numbers);
	}
	if (lo == 0)
		return NULL;
	last = &rs->numbers[lo - 1];
	if (last->space != space)
		return NULL;
	if (last->bits && (last->value ^ value) >> (64 - last->bits))
		return NULL;
	return last;
}

const struct ruleset_unix *ruleset_lookup_unix(const struct ruleset *rs, enum revshell_hook hook,
					       const char *data, size_t len)
{
	const struct ruleset_unix *best = NULL;

	for (size_t i = 0; i < rs->n_unix_paths; i++) {
		const struct ruleset_unix *u = &rs->unix_paths[i];

		if (u->hook == hook && u->len <= len && !memcmp(u->data, data, u->len) &&
		    (!best || u->len > best->len))
			best = u;
	}
	return best;
}
