/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any policy that loads, compiled: refused with reasons, or tables the kernel can rely on. */
#include <string.h>

#include "fuzz.h"
#include "ruleset.h"
#include "simulate.h"

static bool has_bit(const __u64 *words, size_t bit)
{
	return words[bit / 64] >> bit % 64 & 1;
}

static void check_rows(const struct ruleset *rs, const __u16 *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fuzz_assert(rows[i] < rs->n_rows);
}

/* Classes are offsets from a hook's first row of the dimension, on every hook that asks it. */
static void check_class(const struct ruleset *rs, size_t dim, const struct revshell_class *class)
{
	fuzz_assert(!(class->hooks >> REVSHELL_HOOK_MAX));
	for (size_t h = 0; h < REVSHELL_HOOK_MAX; h++) {
		const struct revshell_hook_cfg *cfg = &rs->hooks[h].cfg;

		if (cfg->used >> dim & 1)
			fuzz_assert((size_t)cfg->path_rows[dim] + class->id < rs->n_rows);
	}
}

static void check_paths(const struct ruleset *rs)
{
	for (size_t p = 0; p < 2; p++) {
		size_t dim = p ? REVSHELL_DIM_PARENT : REVSHELL_DIM_EXE;

		fuzz_assert(rs->n_paths[p] <= REVSHELL_MAX_BINARIES);
		for (size_t i = 0; i < rs->n_paths[p]; i++) {
			const struct ruleset_path *path = &rs->paths[p][i];

			fuzz_assert(path->len == strlen(path->path));
			fuzz_assert(i == 0 || strcmp(path[-1].path, path->path) < 0);
			check_class(rs, dim, &path->value.same);
			check_class(rs, dim, &path->value.other);
		}
		for (size_t i = 0; i < rs->n_prefixes[p]; i++) {
			fuzz_assert(rs->prefixes[p][i].len <= REVSHELL_PREFIX_MAX);
			check_class(rs, dim + 1, &rs->prefixes[p][i].value.host);
			check_class(rs, dim + 1, &rs->prefixes[p][i].value.foreign);
		}
		for (size_t i = 0; i < rs->n_postfixes[p]; i++) {
			fuzz_assert(rs->postfixes[p][i].len <= REVSHELL_POSTFIX_MAX);
			check_class(rs, dim + 2, &rs->postfixes[p][i].value.host);
			check_class(rs, dim + 2, &rs->postfixes[p][i].value.foreign);
		}
	}
}

struct runs {
	const struct ruleset *rs;
	uint64_t next; /* addresses up to here are in runs */
};

static void check_run(uint32_t first, uint32_t row, void *userdata)
{
	struct runs *runs = userdata;

	fuzz_assert(row < runs->rs->n_rows);
	fuzz_assert(first >= runs->next && (first == 0) == (runs->next == 0));
	runs->next = first + 1ULL;
}

static void check_runs(const struct ruleset *rs, enum revshell_hook hook, enum revshell_dim dim)
{
	struct runs runs = {.rs = rs};

	if (rs->hooks[hook].cfg.used & 1ULL << dim)
		ruleset_each_run(rs, hook, dim, check_run, &runs);
}

static void check_cidrs(const struct ruleset *rs, const struct ruleset_cidr *cidrs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct ruleset_cidr *c = &cidrs[i], *found;

		fuzz_assert(c->prefix <= 128 && c->row < rs->n_rows);
		for (unsigned int b = c->prefix; b < 128; b++)
			fuzz_assert(!(c->addr[b / 8] & 0x80 >> b % 8));
		found = ruleset_lookup_cidr(cidrs, n, c->addr);
		fuzz_assert(found && found->prefix >= c->prefix);
		fuzz_assert(memcmp(found->addr, c->addr, sizeof(c->addr)) == 0);
	}
}

static void check_numbers(const struct ruleset *rs)
{
	__u64 all = rs->n_predicates < 64 ? (1ULL << rs->n_predicates) - 1 : ~0ULL;

	fuzz_assert(rs->n_numbers <= REVSHELL_MAX_NUMBERS);
	for (size_t i = 0; i < rs->n_numbers; i++) {
		const struct ruleset_number *n = &rs->numbers[i];

		fuzz_assert(n->bits <= 64);
		if (n->bits < 64)
			fuzz_assert((n->value & ~0ULL >> n->bits) == 0);
		if (n->space < REVSHELL_SPACE_FACT(0))
			fuzz_assert(n->result < rs->n_rows);
		else
			fuzz_assert(n->result && !(n->result & ~all));
		fuzz_assert(ruleset_lookup_number(rs, n->space, n->value) == n);
	}
	for (size_t i = 0; i < rs->n_units; i++) {
		fuzz_assert(strlen(rs->units[i].name) < REVSHELL_UNIT_NAME);
		fuzz_assert(!(rs->units[i].word & ~all));
	}
	for (size_t i = 0; i < rs->n_lineage; i++)
		fuzz_assert(!((rs->lineage[i].host | rs->lineage[i].foreign) & ~all));
}

static void check_unix(const struct ruleset *rs)
{
	fuzz_assert(rs->n_unix_paths <= REVSHELL_MAX_UNIX);
	for (size_t i = 0; i < rs->n_unix_paths; i++) {
		const struct ruleset_unix *u = &rs->unix_paths[i];

		fuzz_assert(u->hook < REVSHELL_HOOK_MAX && u->row < rs->n_rows);
		fuzz_assert(u->len <= sizeof(u->data));
		fuzz_assert(ruleset_lookup_unix(rs, u->hook, u->data, u->len) == u);
	}
}

static void check_predicates(const struct ruleset *rs, const struct revshell_hook_cfg *cfg)
{
	fuzz_assert(rs->n_predicates <= REVSHELL_PREDICATES);
	for (size_t i = 0; i < REVSHELL_PREDICATES; i++) {
		if (!(cfg->predicates >> i & 1))
			continue;
		fuzz_assert(i < rs->n_predicates);
		fuzz_assert(cfg->predicate_row[i][0] < rs->n_rows);
		fuzz_assert(cfg->predicate_row[i][1] < rs->n_rows);
	}
	fuzz_assert(cfg->n_masks <= REVSHELL_MASKS);
	for (size_t i = 0; i < cfg->n_masks; i++) {
		fuzz_assert(cfg->masks[i].fact >= REVSHELL_FACT_FIRST_MASK);
		fuzz_assert(cfg->masks[i].fact < REVSHELL_FACT_MAX);
		fuzz_assert(cfg->masks[i].predicate < rs->n_predicates);
	}
	fuzz_assert(!(cfg->facts >> REVSHELL_FACT_MAX) && !(cfg->ints_signed >> REVSHELL_INTS) &&
		    !(cfg->ints_low32 >> REVSHELL_INTS));
	fuzz_assert(cfg->n_signals <= REVSHELL_SIGNALS);
	for (size_t i = 0; i < cfg->n_signals; i++)
		fuzz_assert(cfg->signals[i] >= 1 && cfg->signals[i] <= 64);
}

static void check_tables(const struct ruleset *rs, const struct revshell_hook_cfg *cfg)
{
	fuzz_assert(!(cfg->used >> REVSHELL_DIM_MAX));
	for (size_t i = 0; i < REVSHELL_DIM_MAX; i++)
		fuzz_assert(cfg->dim_default[i] < rs->n_rows);
	for (size_t i = 0; i < REVSHELL_ADDR_DIMS; i++)
		fuzz_assert(cfg->no_address[i] < rs->n_rows);
	check_rows(rs, cfg->sk_family, REVSHELL_FAMILIES);
	check_rows(rs, cfg->sa_family, REVSHELL_FAMILIES);
	check_rows(rs, cfg->sk_type, REVSHELL_TYPES);
	check_rows(rs, cfg->sk_protocol, REVSHELL_PROTOCOLS);
	check_rows(rs, cfg->sk_state, REVSHELL_STATES);
	for (size_t d = 0; d < REVSHELL_PORT_DIMS; d++) {
		if (!(cfg->used >> (REVSHELL_DIM_SK_SPORT + d) & 1))
			continue;
		for (size_t i = 0; i < 256; i++)
			fuzz_assert(ruleset_page(rs, cfg, cfg->port_page[d][i]));
	}
	for (size_t d = 0; d < REVSHELL_PATH_DIMS; d++) {
		check_class(rs, d, &cfg->path_default[d]);
		check_class(rs, d, &cfg->path_unknown[d]);
	}
}

static void check_selectors(const struct ruleset *rs, const struct ruleset_hook *h)
{
	for (size_t i = 0; i < REVSHELL_SELECTORS; i++) {
		const struct ruleset_selector *s = i < h->n_selectors ? &h->selectors[i] : NULL;

		if (!s || s->selector == UINT32_MAX) {
			fuzz_assert(!has_bit(h->cfg.deny, i) && !has_bit(h->cfg.report, i));
			for (size_t k = 0; k < h->cfg.n_signals; k++)
				fuzz_assert(!has_bit(h->cfg.signal[k], i));
			continue;
		}
		fuzz_assert(s->policy < rs->policies.n);
		fuzz_assert(s->entry < rs->policies.policies[s->policy]->n_entries);
		fuzz_assert(s->selector <
			    rs->policies.policies[s->policy]->entries[s->entry].n_selectors);
		if (has_bit(h->cfg.deny, i))
			fuzz_assert(h->denials[i].error < 0 && h->denials[i].error >= -4095);
	}
}

/* A few calls through the engine: whatever it decides is about a selector that exists. */
static void check_decisions(const struct ruleset *rs, enum revshell_hook hook)
{
	static const char *const paths[] = {NULL, "", "/usr/bin/nc", "/bin/bash"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct sim_call call = {
			.hook = hook,
			.object = {.sk_family = i % 2 ? 10 : 2,
				   .sk_type = 1,
				   .sk_protocol = 6,
				   .sk_state = 7,
				   .sport = 80,
				   .dport = 4444,
				   .sa_family = i == 3 ? 1 : 2,
				   .sa_port = 65535,
				   .un_path = "/run/x",
				   .sa_is_destination = i % 2},
			.exe = {.path = paths[i], .same_file = i % 2, .foreign = i == 2},
			.parent = {.path = paths[3 - i], .same_file = true},
		};
		const struct ruleset_hook *h = &rs->hooks[hook];
		struct sim_decision d;

		sim_decide(rs, &call, i % 2, &d);
		fuzz_assert(d.outcome.deny < (int)h->n_selectors);
		for (size_t bit = 0; bit < REVSHELL_SELECTORS; bit++)
			if (has_bit(d.first, bit))
				fuzz_assert(bit < h->n_selectors &&
					    h->selectors[bit].selector != UINT32_MAX);
	}
}

static void check_hook(const struct ruleset *rs, enum revshell_hook hook)
{
	const struct ruleset_hook *h = &rs->hooks[hook];

	fuzz_assert(h->n_selectors <= REVSHELL_SELECTORS && h->cfg.n_words <= REVSHELL_WORDS);
	fuzz_assert(h->n_selectors <= (size_t)h->cfg.n_words * 64);
	fuzz_assert((h->n_selectors == 0) == (h->cfg.n_words == 0));
	check_tables(rs, &h->cfg);
	check_predicates(rs, &h->cfg);
	check_selectors(rs, h);
	for (size_t d = 0; d < REVSHELL_ADDR_DIMS; d++) {
		check_runs(rs, hook, REVSHELL_DIM_SK_SADDR + d);
		check_cidrs(rs, rs->tries[hook][d].v6, rs->tries[hook][d].n_v6);
	}
	check_decisions(rs, hook);
}

static void check_ruleset(const struct ruleset *rs)
{
	fuzz_assert(rs->n_rows >= 1 && rs->n_rows <= REVSHELL_MAX_ROWS);
	fuzz_assert(rs->n_pages <= REVSHELL_MAX_PAGES);
	fuzz_assert(rs->rows[0].fold != 0);
	for (size_t w = 0; w < REVSHELL_WORDS; w++)
		fuzz_assert(rs->rows[0].words[w] == ~0ULL);
	for (size_t i = 0; i < rs->n_pages; i++)
		check_rows(rs, rs->pages[i].row, 256);
	check_paths(rs);
	check_numbers(rs);
	check_unix(rs);
	for (enum revshell_hook hook = 0; hook < REVSHELL_HOOK_MAX; hook++)
		check_hook(rs, hook);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct policy_options options = {.offline = true};
	/* the size decides what the backend is said to have */
	struct ruleset_options backend = {
		.observe_tcp_connect = size & 1,
		.observe_listen_start = size & 2,
		.no_track_sock = size & 4,
	};
	struct ruleset *rs = NULL;
	struct policy_set set = {};
	struct diag d = {};
	int err;

	for (size_t i = 0; i < NS_MAX; i++)
		backend.host_ns[i] = 0xf0000000 + i;
	if (policy_load_text((const char *)data, size, "f", &options, &d, &set) == 0) {
		err = ruleset_compile(&set, &backend, NULL, &d, &rs);
		fuzz_assert(err == 0 || err == -EINVAL || err == -E2BIG);
		fuzz_assert((err == 0) == (d.n_errors == 0));
		fuzz_assert((err == 0) == (rs != NULL));
		fuzz_assert((err == 0) == (set.n == 0));
		fuzz_check_diag(&d);
	}
	if (rs)
		check_ruleset(rs);
	ruleset_free(rs);
	policy_set_done(&set);
	diag_done(&d);
	return 0;
}
