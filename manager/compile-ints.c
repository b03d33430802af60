/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Integer arguments: what a policy says of them as one type, in numbers as the call passes them. */
#include <string.h>

#include "compile.h"
#include "macro.h"

#define TURN ((int64_t)1 << 32)

/* What a call's own types can be. A size's upper half is not looked at, and sockets have no more.
 */
static struct policy_range natural_range(enum policy_arg_type natural)
{
	switch (natural) {
	case ARG_LONG:
		return (struct policy_range){INT64_MIN, INT64_MAX};
	case ARG_UINT32:
	case ARG_SIZE:
		return (struct policy_range){0, UINT32_MAX};
	default:
		return (struct policy_range){INT32_MIN, INT32_MAX};
	}
}

static bool natural_is_signed(enum policy_arg_type natural)
{
	return natural == ARG_INT || natural == ARG_LONG;
}

static unsigned int type_bits(enum policy_arg_type type)
{
	switch (type) {
	case ARG_INT8:
	case ARG_UINT8:
		return 8;
	case ARG_INT16:
	case ARG_UINT16:
		return 16;
	case ARG_UINT64:
	case ARG_LONG:
		return 64;
	default:
		return 32;
	}
}

bool compile_int_fits(enum policy_arg_type natural, enum policy_arg_type type)
{
	return type_bits(type) >= type_bits(natural);
}

static struct policy_range type_range(enum policy_arg_type type)
{
	switch (type) {
	case ARG_INT:
		return (struct policy_range){INT32_MIN, INT32_MAX};
	case ARG_UINT32:
	case ARG_SIZE:
		return (struct policy_range){0, UINT32_MAX};
	default:
		return (struct policy_range){INT64_MIN, INT64_MAX};
	}
}

struct ranges {
	struct policy_range *items;
	size_t n;
};

static void add_clipped(struct ranges *r, int64_t lo, int64_t hi, struct policy_range within)
{
	lo = MAX(lo, within.lo);
	hi = MIN(hi, within.hi);
	if (lo <= hi)
		r->items[r->n++] = (struct policy_range){lo, hi};
}

/*
 * Adds the numbers that a call may pass and that, seen as type, lie in lo .. hi; at most two
 * ranges. Types of 32 bits see each number once, so what one sees as negative is what the other
 * has one turn higher.
 */
static void add_seen(struct ranges *r, enum policy_arg_type natural, enum policy_arg_type type,
		     int64_t lo, int64_t hi)
{
	struct policy_range passed = natural_range(natural), all = type_range(type);

	if (type == ARG_UINT64) {
		/* bounds are bits: those from 2^63 on are what a signed number has below zero */
		if (lo >= 0 && hi < 0) {
			add_clipped(r, lo, INT64_MAX, passed);
			add_clipped(r, INT64_MIN, hi, passed);
		} else {
			add_clipped(r, lo, hi, passed);
		}
		return;
	}
	lo = MAX(lo, all.lo);
	hi = MIN(hi, all.hi);
	if (lo > hi)
		return;
	add_clipped(r, lo, hi, passed);
	if (type_bits(type) == 64)
		return;
	if (all.lo < 0 && passed.lo == 0 && lo < 0)
		add_clipped(r, lo + TURN, MIN(hi, -1) + TURN, passed);
	if (all.lo == 0 && passed.lo < 0 && hi > INT32_MAX)
		add_clipped(r, MAX(lo, (int64_t)INT32_MAX + 1) - TURN, hi - TURN, passed);
}

/* The same for one value of an operator. */
static void add_value(struct ranges *r, enum policy_arg_type natural, enum policy_arg_type type,
		      enum policy_op op, struct policy_range v)
{
	struct policy_range all = type_range(type);

	if (op == OP_GT) {
		if (type == ARG_UINT64)
			all.hi = -1; /* all bits set */
		if (v.lo == all.hi)
			return;
		v.lo = (int64_t)((uint64_t)v.lo + 1);
		v.hi = all.hi;
	} else if (op == OP_LT) {
		if (type == ARG_UINT64)
			all.lo = 0;
		if (v.lo == all.lo)
			return;
		v.hi = (int64_t)((uint64_t)v.lo - 1);
		v.lo = all.lo;
	}
	add_seen(r, natural, type, v.lo, v.hi);
}

/* The bits of a type that a mask is about. */
static uint64_t mask_of(const struct policy_arg_filter *f, enum policy_arg_type natural,
			enum policy_arg_type type)
{
	unsigned int bits = MIN(type_bits(type), natural == ARG_SIZE ? 32U : 64U);
	uint64_t mask = 0;

	for (size_t i = 0; i < f->values.n_ranges; i++)
		mask |= (uint64_t)f->values.ranges[i].lo;
	return bits == 64 ? mask : mask & ((1ULL << bits) - 1);
}

int compile_collect_int(struct compile *c, const struct compile_group *g, uint32_t bit,
			const struct policy_arg_filter *f)
{
	const struct policy_arg *arg = &g->entry->args[f->arg];
	enum policy_arg_type natural = g->entry->call->args[arg->index];
	struct revshell_hook_cfg *cfg = &c->rs->hooks[g->hook].cfg;
	uint32_t slot = REVSHELL_INT_SLOT(arg->index);
	struct ranges r = {};

	if (f->op == OP_MASK)
		return compile_predicate(c, g, bit, false,
					 (struct compile_predicate){
						 .fact = REVSHELL_FACT_INT0 + slot,
						 .pos = f->pos,
						 .mask = mask_of(f, natural, arg->type),
					 });
	if (natural_is_signed(natural))
		cfg->ints_signed |= 1U << slot;
	if (natural == ARG_SIZE)
		cfg->ints_low32 |= 1U << slot;
	r.items = calloc(MAX(f->values.n_ranges, 1U), 2 * sizeof(*r.items));
	if (!r.items)
		return -ENOMEM;
	for (size_t i = 0; i < f->values.n_ranges; i++)
		add_value(&r, natural, arg->type, f->op, f->values.ranges[i]);
	if (r.n == 0)
		diag_warning(c->d, f->pos, "value-out-of-range",
			     "argument %u of %s has no such value: the filter %s matches",
			     arg->index, g->entry->call->name,
			     policy_op_negative(f->op) ? "always" : "never");
	return compile_add_filter(c, g, REVSHELL_DIM_INT0 + slot,
				  (struct compile_filter){
					  .pos = f->pos,
					  .bit = bit,
					  .negative = policy_op_negative(f->op),
					  .ranges = r.items,
					  .n_values = r.n,
					  .owned = true,
				  });
}

/* As in the key: signed numbers sort as unsigned ones when their top bit is flipped. */
static uint64_t key_of(const struct revshell_hook_cfg *cfg, uint32_t slot, int64_t number)
{
	return (uint64_t)number ^ (uint64_t)(cfg->ints_signed >> slot & 1) << 63;
}

static struct compile_edge *edges_new(const struct compile_sweep *s,
				      const struct revshell_hook_cfg *cfg, uint32_t slot,
				      size_t *ret_n)
{
	struct compile_edge *edges;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->filters[i].n_values;
	edges = calloc(MAX(n, 1U), 2 * sizeof(*edges));
	if (!edges)
		return NULL;
	n = 0;
	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < s->filters[i].n_values; k++)
			n = compile_edges_add(edges, n,
					      key_of(cfg, slot, s->filters[i].ranges[k].lo),
					      key_of(cfg, slot, s->filters[i].ranges[k].hi), i);
	compile_edges_sort(edges, n);
	*ret_n = n;
	return edges;
}

static int fill_ints(struct compile *c, enum revshell_hook hook, uint32_t slot)
{
	enum revshell_dim dim = REVSHELL_DIM_INT0 + slot;
	struct revshell_hook_cfg *cfg = &c->rs->hooks[hook].cfg;
	_cleanup_(compile_sweep_done) struct compile_sweep s = {};
	_cleanup_free_ struct compile_edge *edges = NULL;
	struct compile_segment segment = {.c = c, .space = REVSHELL_SPACE_INT(hook, slot)};
	size_t n = 0;
	int err;

	err = compile_sweep_init(&s, &c->hooks[hook], dim);
	if (err < 0)
		return err;
	segment.pos = s.filters[0].pos;
	err = compile_row(c, s.words, cfg->n_words, segment.pos, &cfg->dim_default[dim]);
	if (err < 0)
		return err;
	edges = edges_new(&s, cfg, slot, &n);
	if (!edges)
		return -ENOMEM;
	for (size_t i = 0; i < n;) {
		uint64_t value = edges[i].value;
		uint32_t row;

		for (; i < n && edges[i].value == value; i++)
			if (edges[i].enter)
				compile_sweep_enter(&s, edges[i].owner);
			else
				compile_sweep_leave(&s, edges[i].owner);
		err = compile_row(c, s.words, cfg->n_words, segment.pos, &row);
		if (err < 0)
			return err;
		err = compile_segment_add(&segment, value, i < n ? edges[i].value - 1 : UINT64_MAX,
					  row, cfg->dim_default[dim]);
		if (err < 0)
			return err;
	}
	return compile_segment_end(&segment);
}

int compile_ints(struct compile *c, enum revshell_hook hook)
{
	int err;

	for (uint32_t slot = 0; slot < REVSHELL_INTS; slot++) {
		if (!(c->rs->hooks[hook].cfg.used & 1ULL << (REVSHELL_DIM_INT0 + slot)))
			continue;
		err = fill_ints(c, hook, slot);
		if (err < 0)
			return err;
	}
	return 0;
}
