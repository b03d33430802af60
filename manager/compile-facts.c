/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the answers to predicates are looked up: numbers, units, executables. */
#include <string.h>

#include "compile.h"
#include "macro.h"

#define LABEL_FACTS                                                         \
	(1U << REVSHELL_FACT_LINEAGE | 1U << REVSHELL_FACT_PARENT_LINEAGE | \
	 1U << REVSHELL_FACT_FORK | 1U << REVSHELL_FACT_NSPID_FORK)

static bool is_number(enum revshell_fact fact)
{
	return fact < REVSHELL_FACT_FIRST_MASK && fact != REVSHELL_FACT_LINEAGE &&
	       fact != REVSHELL_FACT_PARENT_LINEAGE && fact != REVSHELL_FACT_UNIT;
}

/* The words of all numbers of a fact. */
static int fill_fact(struct compile *c, enum revshell_fact fact)
{
	struct compile_segment segment = {.c = c, .space = REVSHELL_SPACE_FACT(fact)};
	_cleanup_free_ struct compile_edge *edges = NULL;
	uint64_t word = 0;
	size_t n = 0;
	int err;

	for (size_t i = 0; i < c->n_predicates; i++)
		if (c->predicates[i].fact == fact) {
			n += c->predicates[i].n_ranges;
			segment.pos = c->predicates[i].pos;
		}
	if (n == 0)
		return 0;
	edges = calloc(n, 2 * sizeof(*edges));
	if (!edges)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < c->n_predicates; i++)
		for (size_t k = 0; c->predicates[i].fact == fact && k < c->predicates[i].n_ranges;
		     k++)
			n = compile_edges_add(edges, n, (uint64_t)c->predicates[i].ranges[k].lo,
					      (uint64_t)c->predicates[i].ranges[k].hi, i);
	compile_edges_sort(edges, n);
	for (size_t i = 0; i < n;) {
		uint64_t value = edges[i].value;

		/* a predicate's ranges are apart: none begins where another of its own ends */
		for (; i < n && edges[i].value == value; i++)
			word ^= 1ULL << edges[i].owner;
		err = compile_segment_add(&segment, value, i < n ? edges[i].value - 1 : UINT64_MAX,
					  word, 0);
		if (err < 0)
			return err;
	}
	return compile_segment_end(&segment);
}

static int fill_unknown(struct compile *c, enum revshell_fact fact)
{
	struct compile_segment segment = {.c = c, .space = REVSHELL_SPACE_UNKNOWN(fact)};
	uint64_t word = 0;
	int err;

	for (size_t i = 0; i < c->n_predicates; i++)
		if (c->predicates[i].fact == fact && c->predicates[i].unknown) {
			word |= 1ULL << i;
			segment.pos = c->predicates[i].pos;
		}
	err = compile_segment_add(&segment, 0, 0, word, 0);
	if (err < 0)
		return err;
	return compile_segment_end(&segment);
}

/* One string of one predicate. */
struct pair {
	const char *text;
	uint32_t predicate;
};

static int pair_compare(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	return strcmp(x->text, y->text);
}

static int pairs_new(const struct compile *c, enum revshell_fact fact, struct pair **ret_pairs,
		     size_t *ret_n)
{
	struct pair *pairs;
	size_t n = 0;

	for (size_t i = 0; i < c->n_predicates; i++)
		if (c->predicates[i].fact == fact)
			n += c->predicates[i].n_strings;
	pairs = calloc(MAX(n, 1U), sizeof(*pairs));
	if (!pairs)
		return -ENOMEM;
	n = 0;
	for (uint32_t i = 0; i < c->n_predicates; i++)
		for (size_t k = 0; c->predicates[i].fact == fact && k < c->predicates[i].n_strings;
		     k++)
			pairs[n++] = (struct pair){c->predicates[i].strings[k], i};
	qsort(pairs, n, sizeof(*pairs), pair_compare);
	*ret_pairs = pairs;
	*ret_n = n;
	return 0;
}

static int too_many(struct compile *c, const struct pair *p, const char *what, unsigned int max,
		    const char *limit)
{
	diag_error(c->d, c->predicates[p->predicate].pos, "too-many-names",
		   "the rule set names more than %u %s (%s)", max, what, limit);
	return -E2BIG;
}

bool compile_unit_is_escaped(const char *name)
{
	static const char *const controllers[] = {"cgroup", "cpu",    "cpuacct", "cpuset", "io",
						  "blkio",  "memory", "devices", "pids"};
	size_t n = strcspn(name, ".");

	if (name[0] == '_')
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
		if (strlen(controllers[i]) == n && !strncmp(name, controllers[i], n))
			return true;
	return false;
}

static int fill_units(struct compile *c)
{
	_cleanup_free_ struct pair *pairs = NULL;
	struct ruleset *rs = c->rs;
	size_t n = 0;
	int err;

	err = pairs_new(c, REVSHELL_FACT_UNIT, &pairs, &n);
	if (err < 0 || n == 0)
		return err;
	rs->units = calloc(n, sizeof(*rs->units));
	if (!rs->units)
		return -ENOMEM;
	for (size_t i = 0; i < n;) {
		struct ruleset_unit *unit = &rs->units[rs->n_units];
		const char *text = pairs[i].text;

		if (rs->n_units == REVSHELL_MAX_UNITS)
			return too_many(c, &pairs[i], "units", REVSHELL_MAX_UNITS,
					"REVSHELL_MAX_UNITS");
		if (asprintf(&unit->name, "%s%s", compile_unit_is_escaped(text) ? "_" : "", text) <
		    0) {
			unit->name = NULL;
			return -ENOMEM;
		}
		rs->n_units++;
		for (; i < n && !strcmp(pairs[i].text, text); i++)
			unit->word |= 1ULL << pairs[i].predicate;
	}
	return 0;
}

static int fill_lineage(struct compile *c, enum revshell_fact fact)
{
	_cleanup_free_ struct pair *pairs = NULL;
	struct ruleset *rs = c->rs;
	struct ruleset_lineage *all;
	size_t n = 0;
	int err;

	err = pairs_new(c, fact, &pairs, &n);
	if (err < 0 || n == 0)
		return err;
	all = reallocarray(rs->lineage, rs->n_lineage + n, sizeof(*all));
	if (!all)
		return -ENOMEM;
	rs->lineage = all;
	for (size_t i = 0; i < n;) {
		struct ruleset_lineage *l = &rs->lineage[rs->n_lineage];
		const char *text = pairs[i].text;

		if (rs->n_lineage == REVSHELL_MAX_BINARIES)
			return too_many(c, &pairs[i], "binaries with followChildren",
					REVSHELL_MAX_BINARIES, "REVSHELL_MAX_BINARIES");
		*l = (struct ruleset_lineage){.fact = fact};
		l->path = strdup(text);
		if (!l->path)
			return -ENOMEM;
		rs->n_lineage++;
		for (; i < n && !strcmp(pairs[i].text, text); i++) {
			uint64_t bit = 1ULL << pairs[i].predicate;

			l->host |= bit;
			if (!c->predicates[pairs[i].predicate].exempts)
				l->foreign |= bit;
		}
	}
	return 0;
}

int compile_facts(struct compile *c)
{
	uint32_t label_facts = 0;
	int err;

	for (size_t i = 0; i < c->n_predicates; i++)
		label_facts |= 1U << c->predicates[i].fact & LABEL_FACTS;
	for (size_t h = 0; h < REVSHELL_HOOK_MAX; h++) {
		c->rs->hooks[h].cfg.label_facts = label_facts;
		c->rs->hooks[h].cfg.track_sock = c->rs->track_sock;
	}
	c->rs->n_predicates = c->n_predicates;

	for (enum revshell_fact fact = 0; fact < REVSHELL_FACT_MAX; fact++) {
		if (!is_number(fact))
			continue;
		err = fill_fact(c, fact);
		if (err < 0)
			return err;
	}
	err = fill_unknown(c, REVSHELL_FACT_LINEAGE);
	if (err < 0)
		return err;
	err = fill_unknown(c, REVSHELL_FACT_PARENT_LINEAGE);
	if (err < 0)
		return err;
	err = fill_unknown(c, REVSHELL_FACT_UNIT);
	if (err < 0)
		return err;
	err = fill_units(c);
	if (err < 0)
		return err;
	err = fill_lineage(c, REVSHELL_FACT_LINEAGE);
	if (err < 0)
		return err;
	return fill_lineage(c, REVSHELL_FACT_PARENT_LINEAGE);
}
