/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Predicates: filters on the calling process, asked once however many selectors ask the same. */
#include <string.h>

#include "compile.h"
#include "macro.h"

_Static_assert(REVSHELL_FACT_MAX <= 32, "facts fit hook_cfg.facts");

static void predicate_done(struct compile_predicate *p)
{
	free(p->ranges);
	free(p->strings);
}

void compile_predicates_done(struct compile *c)
{
	for (size_t i = 0; i < c->n_predicates; i++)
		predicate_done(&c->predicates[i]);
}

static bool predicate_equal(const struct compile_predicate *a, const struct compile_predicate *b)
{
	if (a->fact != b->fact || a->unknown != b->unknown || a->exempts != b->exempts ||
	    a->mask != b->mask || a->n_ranges != b->n_ranges || a->n_strings != b->n_strings)
		return false;
	for (size_t i = 0; i < a->n_ranges; i++)
		if (a->ranges[i].lo != b->ranges[i].lo || a->ranges[i].hi != b->ranges[i].hi)
			return false;
	for (size_t i = 0; i < a->n_strings; i++)
		if (strcmp(a->strings[i], b->strings[i]) != 0)
			return false;
	return true;
}

static int predicate_find(struct compile *c, struct compile_predicate p, uint32_t *ret_number)
{
	for (size_t i = 0; i < c->n_predicates; i++)
		if (predicate_equal(&c->predicates[i], &p)) {
			predicate_done(&p);
			*ret_number = i;
			return 0;
		}
	if (c->n_predicates == REVSHELL_PREDICATES) {
		diag_error(c->d, p.pos, "too-many-predicates",
			   "the policies hold more than %u different filters by user, group, PID, "
			   "namespace, capability, unit, standard descriptor, followChildren and "
			   "Mask (REVSHELL_PREDICATES)",
			   REVSHELL_PREDICATES);
		predicate_done(&p);
		return -E2BIG;
	}
	c->predicates[c->n_predicates] = p;
	*ret_number = c->n_predicates++;
	return 0;
}

static int mask_add(struct compile *c, struct revshell_hook_cfg *cfg, uint32_t number)
{
	const struct compile_predicate *p = &c->predicates[number];

	for (uint32_t i = 0; i < cfg->n_masks; i++)
		if (cfg->masks[i].predicate == number)
			return 0;
	if (cfg->n_masks == REVSHELL_MASKS) {
		diag_error(c->d, p->pos, "too-many-masks",
			   "one hook's policies hold more than %u different filters by capability, "
			   "standard descriptor and Mask (REVSHELL_MASKS)",
			   REVSHELL_MASKS);
		return -E2BIG;
	}
	cfg->masks[cfg->n_masks++] =
		(struct revshell_mask){.fact = p->fact, .predicate = number, .mask = p->mask};
	return 0;
}

int compile_predicate(struct compile *c, const struct compile_group *g, uint32_t bit, bool negative,
		      struct compile_predicate p)
{
	struct revshell_hook_cfg *cfg = &c->rs->hooks[g->hook].cfg;
	struct diag_pos pos = p.pos;
	uint32_t number;
	int err;

	err = predicate_find(c, p, &number);
	if (err < 0)
		return err;
	if (p.fact >= REVSHELL_FACT_FIRST_MASK) {
		err = mask_add(c, cfg, number);
		if (err < 0)
			return err;
	}
	cfg->predicates |= 1ULL << number;
	cfg->facts |= 1U << p.fact;
	return compile_add_filter(c, g, REVSHELL_DIM_PREDICATE,
				  (struct compile_filter){
					  .pos = pos,
					  .bit = bit,
					  .negative = negative,
					  .predicate = number,
				  });
}

/* Canonical sets: equal ones have equal arrays. */

static int range_compare(const void *a, const void *b)
{
	const struct policy_range *x = a, *y = b;

	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

/* Copies ranges, and one more number if it is not 0; sorted, and apart from each other. */
static int canonical_ranges(const struct policy_values *v, uint64_t more,
			    struct compile_predicate *p)
{
	size_t n = 0, k = 0;

	p->ranges = calloc(v->n_ranges + 1, sizeof(*p->ranges));
	if (!p->ranges)
		return -ENOMEM;
	for (size_t i = 0; i < v->n_ranges; i++)
		p->ranges[n++] = v->ranges[i];
	if (more)
		p->ranges[n++] = (struct policy_range){(int64_t)more, (int64_t)more};
	qsort(p->ranges, n, sizeof(*p->ranges), range_compare);
	for (size_t i = 1; i < n; i++) {
		if (p->ranges[i].lo <= p->ranges[k].hi + 1)
			p->ranges[k].hi = MAX(p->ranges[k].hi, p->ranges[i].hi);
		else
			p->ranges[++k] = p->ranges[i];
	}
	p->n_ranges = n ? k + 1 : 0;
	return 0;
}

static int string_compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int canonical_strings(const struct policy_values *v, struct compile_predicate *p)
{
	size_t k = 0;

	p->strings = calloc(MAX(v->n_strings, 1U), sizeof(*p->strings));
	if (!p->strings)
		return -ENOMEM;
	for (size_t i = 0; i < v->n_strings; i++)
		p->strings[i] = v->strings[i].text;
	qsort(p->strings, v->n_strings, sizeof(*p->strings), string_compare);
	for (size_t i = 1; i < v->n_strings; i++)
		if (strcmp(p->strings[k], p->strings[i]) != 0)
			p->strings[++k] = p->strings[i];
	p->n_strings = v->n_strings ? k + 1 : 0;
	return 0;
}

/* Filters */

struct collector {
	struct compile *c;
	const struct compile_group *g;
	uint32_t bit;
};

static int collect_numbers(struct collector *k, enum revshell_fact fact, struct diag_pos pos,
			   enum policy_op op, const struct policy_values *v, uint64_t more)
{
	struct compile_predicate p = {.fact = fact, .pos = pos};
	int err;

	err = canonical_ranges(v, more, &p);
	if (err < 0)
		return err;
	return compile_predicate(k->c, k->g, k->bit, policy_op_negative(op), p);
}

static int collect_mask(struct collector *k, enum revshell_fact fact, struct diag_pos pos,
			enum policy_op op, uint64_t mask)
{
	return compile_predicate(
		k->c, k->g, k->bit, policy_op_negative(op),
		(struct compile_predicate){.fact = fact, .pos = pos, .mask = mask});
}

/*
 * Where not all could be found out, a denial's filter is taken to match and that of a selector
 * which keeps a denial away is taken not to.
 */
static int collect_strings(struct collector *k, enum revshell_fact fact, struct diag_pos pos,
			   enum policy_op op, const struct policy_values *v)
{
	enum compile_role role = k->c->hooks[k->g->hook].roles[k->bit];
	bool negative = policy_op_negative(op);
	struct compile_predicate p = {
		.fact = fact,
		.pos = pos,
		.unknown = role == (negative ? ROLE_SHIELDS : ROLE_DENIES),
	};
	int err;

	if (fact == REVSHELL_FACT_LINEAGE || fact == REVSHELL_FACT_PARENT_LINEAGE)
		p.exempts = role == (negative ? ROLE_DENIES : ROLE_SHIELDS) &&
			    !k->g->policy->identity_by_path;
	err = canonical_strings(v, &p);
	if (err < 0)
		return err;
	return compile_predicate(k->c, k->g, k->bit, negative, p);
}

static int collect_followed(struct collector *k, enum revshell_fact fact,
			    const struct policy_path_filter *filters, size_t n)
{
	int err;

	for (size_t i = 0; i < n; i++) {
		const struct policy_path_filter *f = &filters[i];

		if (!f->follow_children)
			continue;
		err = collect_strings(k, fact, f->pos, f->op, &f->values);
		if (err < 0)
			return err;
	}
	return 0;
}

static int collect_lineage(struct collector *k, const struct policy_selector *s)
{
	int err;

	err = collect_followed(k, REVSHELL_FACT_LINEAGE, s->binaries, s->n_binaries);
	if (err < 0)
		return err;
	return collect_followed(k, REVSHELL_FACT_PARENT_LINEAGE, s->parent_binaries,
				s->n_parent_binaries);
}

static int collect_pids(struct collector *k, const struct policy_selector *s)
{
	static const enum revshell_fact facts[2][2] = {
		{REVSHELL_FACT_PID, REVSHELL_FACT_NSPID},
		{REVSHELL_FACT_FORK, REVSHELL_FACT_NSPID_FORK},
	};
	int err;

	for (size_t i = 0; i < s->n_pids; i++) {
		const struct policy_pid_filter *f = &s->pids[i];

		err = collect_numbers(k, facts[f->follow_forks][f->is_namespace_pid], f->pos, f->op,
				      &f->values, 0);
		if (err < 0)
			return err;
	}
	return 0;
}

static int collect_namespaces(struct collector *k, const struct policy_selector *s)
{
	static const enum revshell_fact facts[NS_MAX] = {
		[NS_UTS] = REVSHELL_FACT_NS_UTS,
		[NS_IPC] = REVSHELL_FACT_NS_IPC,
		[NS_MNT] = REVSHELL_FACT_NS_MNT,
		[NS_PID] = REVSHELL_FACT_NS_PID,
		[NS_PID_FOR_CHILDREN] = REVSHELL_FACT_NS_PID_FOR_CHILDREN,
		[NS_NET] = REVSHELL_FACT_NS_NET,
		[NS_TIME] = REVSHELL_FACT_NS_TIME,
		[NS_TIME_FOR_CHILDREN] = REVSHELL_FACT_NS_TIME_FOR_CHILDREN,
		[NS_CGROUP] = REVSHELL_FACT_NS_CGROUP,
		[NS_USER] = REVSHELL_FACT_NS_USER,
	};
	int err;

	for (size_t i = 0; i < s->n_namespaces; i++) {
		const struct policy_namespace_filter *f = &s->namespaces[i];

		err = collect_numbers(k, facts[f->ns], f->pos, f->op, &f->values,
				      f->host ? k->c->opts->host_ns[f->ns] : 0);
		if (err < 0)
			return err;
	}
	return 0;
}

static int collect_caps(struct collector *k, const struct policy_selector *s)
{
	static const enum revshell_fact facts[] = {
		[CAP_SET_EFFECTIVE] = REVSHELL_FACT_CAP_EFFECTIVE,
		[CAP_SET_INHERITABLE] = REVSHELL_FACT_CAP_INHERITABLE,
		[CAP_SET_PERMITTED] = REVSHELL_FACT_CAP_PERMITTED,
	};
	const struct policy_values none = {};
	int err;

	for (size_t i = 0; i < s->n_caps; i++) {
		const struct policy_cap_filter *f = &s->caps[i];

		err = collect_mask(k, facts[f->set], f->pos, f->op, f->caps);
		if (err < 0)
			return err;
		if (!f->is_namespace_capability)
			continue;
		err = collect_numbers(k, REVSHELL_FACT_NS_USER, f->pos, OP_NOT_IN, &none,
				      k->c->opts->host_ns[NS_USER]);
		if (err < 0)
			return err;
	}
	return 0;
}

static int collect_users(struct collector *k, const struct policy_selector *s)
{
	static const enum revshell_fact facts[] = {
		[USER_UID] = REVSHELL_FACT_UID,
		[USER_GID] = REVSHELL_FACT_GID,
		[USER_LOGINUID] = REVSHELL_FACT_LOGINUID,
	};
	int err;

	for (size_t i = 0; i < s->n_users; i++) {
		const struct policy_user_filter *f = &s->users[i];

		err = collect_numbers(k, facts[f->kind], f->pos, f->op, &f->values, 0);
		if (err < 0)
			return err;
	}
	return 0;
}

static int collect_units(struct collector *k, const struct policy_selector *s)
{
	int err;

	for (size_t i = 0; i < s->n_units; i++) {
		const struct policy_unit_filter *f = &s->units[i];

		for (size_t n = 0; n < f->values.n_strings; n++)
			if (strlen(f->values.strings[n].text) +
				    compile_unit_is_escaped(f->values.strings[n].text) >=
			    REVSHELL_UNIT_NAME) {
				diag_error(k->c->d, f->values.strings[n].pos, "value-too-long",
					   "the name has %zu bytes, at most %d can be compared",
					   strlen(f->values.strings[n].text),
					   REVSHELL_UNIT_NAME - 1);
				return -E2BIG;
			}
		err = collect_strings(k, REVSHELL_FACT_UNIT, f->pos, f->op, &f->values);
		if (err < 0)
			return err;
	}
	return 0;
}

static int collect_stdio(struct collector *k, const struct policy_selector *s)
{
	int err;

	for (size_t i = 0; i < s->n_stdio; i++) {
		err = collect_mask(k, REVSHELL_FACT_STDIO, s->stdio[i].pos, s->stdio[i].op,
				   s->stdio[i].fds);
		if (err < 0)
			return err;
	}
	return 0;
}

int compile_collect_process(struct compile *c, const struct compile_group *g, uint32_t bit,
			    const struct policy_selector *s)
{
	static int (*const collectors[])(struct collector * k, const struct policy_selector *s) = {
		collect_lineage, collect_pids,	collect_namespaces, collect_caps,
		collect_users,	 collect_units, collect_stdio,
	};
	struct collector k = {.c = c, .g = g, .bit = bit};
	int err;

	for (size_t i = 0; i < ARRAY_SIZE(collectors); i++) {
		err = collectors[i](&k, s);
		if (err < 0)
			return err;
	}
	return 0;
}

int compile_predicate_rows(struct compile *c, enum revshell_hook hook)
{
	const struct compile_filters *filters = &c->hooks[hook].dims[REVSHELL_DIM_PREDICATE];
	struct revshell_hook_cfg *cfg = &c->rs->hooks[hook].cfg;
	int err;

	for (uint32_t number = 0; number < c->n_predicates; number++) {
		if (!(cfg->predicates & 1ULL << number))
			continue;
		for (unsigned int answer = 0; answer < 2; answer++) {
			__u64 words[REVSHELL_WORDS];

			memcpy(words, c->hooks[hook].valid, sizeof(words));
			for (size_t i = 0; i < filters->n; i++) {
				const struct compile_filter *f = &filters->items[i];

				if (f->predicate == number && answer == f->negative)
					words[f->bit / 64] &= ~(1ULL << f->bit % 64);
			}
			err = compile_row(c, words, cfg->n_words, c->predicates[number].pos,
					  &cfg->predicate_row[number][answer]);
			if (err < 0)
				return err;
		}
	}
	return 0;
}
