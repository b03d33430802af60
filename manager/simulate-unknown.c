/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows for what is not known of a call: what some value of it satisfies, or what every value does.
 */
#include <string.h>
#include <sys/socket.h>

#include "macro.h"
#include "simulate.h"

/* Rows taken together. */
struct sum {
	const struct ruleset *rs;
	size_t n_words;
	bool all; /* AND of the rows, else OR */
	__u64 words[REVSHELL_WORDS];
};

static struct sum sum_new(const struct ruleset *rs, size_t n_words, bool all)
{
	struct sum s = {.rs = rs, .n_words = n_words, .all = all};

	memset(s.words, all ? 0xff : 0, n_words * sizeof(*s.words));
	return s;
}

static void sum_add(struct sum *s, uint32_t row)
{
	for (size_t w = 0; w < s->n_words; w++) {
		__u64 word = row < s->rs->n_rows ? s->rs->rows[row].words[w] : ~0ULL;

		if (s->all)
			s->words[w] &= word;
		else
			s->words[w] |= word;
	}
}

static struct revshell_row sum_row(const struct sum *s)
{
	struct revshell_row row = {};

	memcpy(row.words, s->words, s->n_words * sizeof(*s->words));
	row.fold = ruleset_fold(s->words, s->n_words);
	return row;
}

static void add_affixes(struct sum *s, uint32_t first, const struct ruleset_affix *affixes,
			size_t n)
{
	for (size_t i = 0; i < n; i++) {
		sum_add(s, first + affixes[i].value.host.id);
		sum_add(s, first + affixes[i].value.foreign.id);
	}
}

static void add_paths(struct sum *s, const struct revshell_hook_cfg *cfg, enum revshell_dim dim)
{
	unsigned int parent = dim >= REVSHELL_DIM_PARENT;
	uint32_t first = cfg->path_rows[dim];
	const struct ruleset *rs = s->rs;

	sum_add(s, first + cfg->path_default[dim].id);
	sum_add(s, first + cfg->path_unknown[dim].id);
	switch (dim - (parent ? REVSHELL_DIM_PARENT : REVSHELL_DIM_EXE)) {
	case 0:
		for (size_t i = 0; i < rs->n_paths[parent]; i++) {
			sum_add(s, first + rs->paths[parent][i].value.same.id);
			sum_add(s, first + rs->paths[parent][i].value.other.id);
		}
		break;
	case 1:
		add_affixes(s, first, rs->prefixes[parent], rs->n_prefixes[parent]);
		break;
	default:
		add_affixes(s, first, rs->postfixes[parent], rs->n_postfixes[parent]);
	}
}

static void add_table(struct sum *s, const __u16 *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum_add(s, rows[i]);
}

static void add_ports(struct sum *s, const struct revshell_hook_cfg *cfg, const __u16 *pages)
{
	for (size_t i = 0; i < 256; i++) {
		const struct revshell_port_page *page = ruleset_page(s->rs, cfg, pages[i]);

		if (page && (i == 0 || pages[i] != pages[i - 1]))
			add_table(s, page->row, 256);
	}
}

static void add_run(uint32_t first, uint32_t row, void *userdata)
{
	sum_add(userdata, row);
}

static void add_addresses(struct sum *s, enum revshell_hook hook, enum revshell_dim dim)
{
	const struct ruleset_trie *trie = &s->rs->tries[hook][dim - REVSHELL_DIM_SK_SADDR];

	ruleset_each_run(s->rs, hook, dim, add_run, s);
	for (size_t i = 0; i < trie->n_v6; i++)
		sum_add(s, trie->v6[i].row);
}

/* Every row that a dimension of the hook can have. */
static void add_dim(struct sum *s, const struct revshell_hook_cfg *cfg, enum revshell_hook hook,
		    enum revshell_dim dim)
{
	const struct ruleset *rs = s->rs;

	switch (dim) {
	case REVSHELL_DIM_EXE ... REVSHELL_DIM_PARENT_POSTFIX:
		add_paths(s, cfg, dim);
		return;
	case REVSHELL_DIM_SK_FAMILY:
		add_table(s, cfg->sk_family, ARRAY_SIZE(cfg->sk_family));
		break;
	case REVSHELL_DIM_SK_TYPE:
		add_table(s, cfg->sk_type, ARRAY_SIZE(cfg->sk_type));
		break;
	case REVSHELL_DIM_SK_PROTOCOL:
		add_table(s, cfg->sk_protocol, ARRAY_SIZE(cfg->sk_protocol));
		break;
	case REVSHELL_DIM_SK_STATE:
		add_table(s, cfg->sk_state, ARRAY_SIZE(cfg->sk_state));
		break;
	case REVSHELL_DIM_SA_FAMILY:
		add_table(s, cfg->sa_family, ARRAY_SIZE(cfg->sa_family));
		break;
	case REVSHELL_DIM_SK_SPORT ... REVSHELL_DIM_SA_PORT:
		add_ports(s, cfg, cfg->port_page[dim - REVSHELL_DIM_SK_SPORT]);
		return;
	case REVSHELL_DIM_SK_SADDR ... REVSHELL_DIM_SA_ADDR:
		add_addresses(s, hook, dim);
		sum_add(s, cfg->no_address[dim - REVSHELL_DIM_SK_SADDR]);
		break;
	case REVSHELL_DIM_UN_PATH:
		for (size_t i = 0; i < rs->n_unix_paths; i++)
			if (rs->unix_paths[i].hook == hook)
				sum_add(s, rs->unix_paths[i].row);
		break;
	default:
		for (size_t i = 0; i < rs->n_numbers; i++)
			if (rs->numbers[i].space ==
			    REVSHELL_SPACE_INT((uint32_t)hook, dim - REVSHELL_DIM_INT0))
				sum_add(s, (uint32_t)rs->numbers[i].result);
	}
	sum_add(s, cfg->dim_default[dim]);
}

/* Where the engine finds the row of what it has no value of. */
static void point_to(struct revshell_hook_cfg *cfg, enum revshell_dim dim)
{
	if (dim >= REVSHELL_DIM_SK_SPORT && dim <= REVSHELL_DIM_SA_PORT) {
		__u16 *pages = cfg->port_page[dim - REVSHELL_DIM_SK_SPORT];

		for (size_t i = 0; i < 256; i++)
			pages[i] = (__u16)(SIM_MORE_PAGES + dim - REVSHELL_DIM_SK_SPORT);
	} else if (dim >= REVSHELL_DIM_SK_SADDR && dim <= REVSHELL_DIM_SA_ADDR) {
		cfg->no_address[dim - REVSHELL_DIM_SK_SADDR] = SIM_MORE_ROWS + dim;
	} else {
		cfg->dim_default[dim] = SIM_MORE_ROWS + dim;
	}
}

/* Dimensions that have no value while facts are not known: an address needs its family too. */
static uint64_t open_dims(uint64_t unknown)
{
	uint64_t dims = unknown & (SIM_DIM_BIT(REVSHELL_DIM_PREDICATE) - 1);

	if (unknown & SIM_DIM(EXE))
		dims |= SIM_DIM(EXE_PREFIX) | SIM_DIM(EXE_POSTFIX);
	if (unknown & SIM_DIM(PARENT))
		dims |= SIM_DIM(PARENT_PREFIX) | SIM_DIM(PARENT_POSTFIX);
	if (unknown & SIM_DIM(SK_FAMILY))
		dims |= SIM_DIM(SK_SADDR) | SIM_DIM(SK_DADDR);
	if (unknown & SIM_DIM(SA_FAMILY))
		dims |= SIM_DIM(SA_ADDR) | SIM_DIM(UN_PATH);
	return dims;
}

/* Predicates that ask a fact which is a number or a name. */
static __u64 asking(const struct ruleset *rs, enum revshell_fact fact)
{
	__u64 word = 0;

	for (size_t i = 0; i < rs->n_numbers; i++)
		if (rs->numbers[i].space == REVSHELL_SPACE_FACT((uint32_t)fact))
			word |= rs->numbers[i].result;
	for (size_t i = 0; i < rs->n_lineage; i++)
		if (rs->lineage[i].fact == fact)
			word |= rs->lineage[i].host | rs->lineage[i].foreign;
	for (size_t i = 0; fact == REVSHELL_FACT_UNIT && i < rs->n_units; i++)
		word |= rs->units[i].word;
	return word;
}

/* Facts whose predicates are open: one of an ancestor is also answered by the process itself. */
static uint64_t open_facts(uint64_t unknown)
{
	static const struct {
		uint64_t own;
		uint64_t also;
	} parts[] = {
		{SIM_DIM(EXE), SIM_FACT(LINEAGE)},
		{SIM_DIM(PARENT), SIM_FACT(PARENT_LINEAGE)},
		{SIM_FACT(PID), SIM_FACT(FORK)},
		{SIM_FACT(NSPID), SIM_FACT(NSPID_FORK)},
	};
	uint64_t facts = unknown;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (unknown & parts[i].own)
			facts |= parts[i].also;
	for (uint32_t i = 0; i < REVSHELL_INTS; i++)
		if (unknown & SIM_DIM_BIT(REVSHELL_DIM_INT0 + i))
			facts |= SIM_FACT_BIT(REVSHELL_FACT_INT0 + i);
	return facts;
}

/* Predicates of the hook that ask one of the facts. */
static __u64 predicates_of(const struct ruleset *rs, const struct revshell_hook_cfg *cfg,
			   uint64_t facts)
{
	__u64 word = 0;

	for (uint32_t fact = 0; fact < REVSHELL_FACT_FIRST_MASK; fact++)
		if (facts & SIM_FACT_BIT(fact))
			word |= asking(rs, fact);
	for (uint32_t i = 0; i < cfg->n_masks; i++)
		if (facts & SIM_FACT_BIT(cfg->masks[i].fact))
			word |= 1ULL << cfg->masks[i].predicate;
	return word & cfg->predicates;
}

static bool row_has(const struct ruleset *rs, uint32_t row, uint32_t bit)
{
	return row >= rs->n_rows || ruleset_has_bit(rs->rows[row].words, bit);
}

enum sim_answer sim_answered(const struct ruleset *rs, const struct sim_call *call,
			     uint32_t selector, uint64_t facts)
{
	const struct revshell_hook_cfg *cfg = &rs->hooks[call->hook].cfg;
	__u64 left = predicates_of(rs, cfg, facts) & call->answered;
	unsigned int satisfied = 0, others = 0;

	for (; left; left &= left - 1) {
		uint32_t i = (uint32_t)__builtin_ctzll(left);
		bool holds[2] = {row_has(rs, cfg->predicate_row[i][0], selector),
				 row_has(rs, cfg->predicate_row[i][1], selector)};

		if (holds[0] == holds[1]) /* it is another selector's */
			continue;
		if (holds[call->answers >> i & 1])
			satisfied++;
		else
			others++;
	}
	if (satisfied && others) /* which filter asks which is not kept */
		return SIM_MAYBE;
	return satisfied ? SIM_YES : others ? SIM_NO : SIM_MAYBE;
}

uint64_t sim_open_facts(const struct sim_call *call)
{
	const struct sim_object *o = &call->object;
	uint64_t unknown = call->unknown;

	if (!(unknown & SIM_DIM(SK_FAMILY)) && o->sk_family != AF_INET && o->sk_family != AF_INET6)
		unknown &= ~(SIM_DIM(SK_SPORT) | SIM_DIM(SK_DPORT) | SIM_DIM(SK_SADDR) |
			     SIM_DIM(SK_DADDR));
	if (!(unknown & SIM_DIM(SA_FAMILY)) && o->sa_family != AF_INET && o->sa_family != AF_INET6)
		unknown &= ~(SIM_DIM(SA_PORT) | SIM_DIM(SA_ADDR));
	if (!(unknown & SIM_DIM(SA_FAMILY)) && o->sa_family != AF_UNIX)
		unknown &= ~SIM_DIM(UN_PATH);
	return unknown;
}

void sim_more_fill(const struct ruleset *rs, const struct sim_call *call, bool all,
		   struct sim_more *ret_more)
{
	const struct revshell_hook_cfg *cfg = &rs->hooks[call->hook].cfg;
	uint64_t dims = open_dims(call->unknown) & cfg->used;
	__u64 predicates = predicates_of(rs, cfg, open_facts(call->unknown)) & ~call->answered;

	ret_more->cfg = *cfg;
	for (uint32_t dim = 0; dim < REVSHELL_DIM_PREDICATE; dim++) {
		struct sum s = sum_new(rs, cfg->n_words, all);

		if (!(dims & SIM_DIM_BIT(dim)))
			continue;
		add_dim(&s, cfg, call->hook, dim);
		ret_more->rows[dim] = sum_row(&s);
		point_to(&ret_more->cfg, dim);
	}
	for (uint32_t i = 0; i < REVSHELL_PREDICATES; i++) {
		struct sum s = sum_new(rs, cfg->n_words, all);
		uint32_t row = REVSHELL_DIM_MAX + i;

		if (!(predicates >> i & 1))
			continue;
		sum_add(&s, cfg->predicate_row[i][0]);
		sum_add(&s, cfg->predicate_row[i][1]);
		ret_more->rows[row] = sum_row(&s);
		/* one that holds by what is known is answered by 1, and keeps its row */
		ret_more->cfg.predicate_row[i][0] = SIM_MORE_ROWS + row;
	}
}
