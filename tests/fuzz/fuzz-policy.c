/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a policy file: refused with reasons, or a model that keeps its promises. */
#include <string.h>

#include "fuzz.h"
#include "policy.h"

static void check_strings(const struct policy_values *v)
{
	for (size_t i = 0; i < v->n_strings; i++)
		fuzz_assert(v->strings[i].text && v->strings[i].pos.line > 0);
}

static void check_cidr(const struct policy_cidr *c)
{
	size_t size = c->family == 4 ? 4 : 16;

	fuzz_assert(c->family == 4 || c->family == 6);
	fuzz_assert(c->prefix <= 8 * size);
	for (size_t bit = c->prefix; bit < 8 * size; bit++)
		fuzz_assert(!(c->addr[bit / 8] & 0x80 >> bit % 8));
	for (size_t i = size; i < 16; i++)
		fuzz_assert(c->addr[i] == 0);
}

static void check_ranges(const struct policy_values *v, enum policy_arg_type type)
{
	for (size_t i = 0; i < v->n_ranges; i++) {
		int64_t lo = v->ranges[i].lo, hi = v->ranges[i].hi;

		if (type == ARG_UINT64) {
			fuzz_assert((uint64_t)lo <= (uint64_t)hi);
			continue;
		}
		fuzz_assert(lo <= hi);
		if (type == ARG_SOCK || type == ARG_SOCKET || type == ARG_SOCKADDR)
			fuzz_assert(lo >= 0 && hi <= 65535);
		if (type == ARG_SIZE || type == ARG_UINT32)
			fuzz_assert(lo >= 0 && hi <= UINT32_MAX);
	}
}

static void check_arg_filter(const struct policy_arg_filter *f, enum policy_arg_type type)
{
	fuzz_assert(policy_op_allowed(f->op, type));
	check_ranges(&f->values, type);
	check_strings(&f->values);
	for (size_t i = 0; i < f->values.n_cidrs; i++)
		check_cidr(&f->values.cidrs[i]);
}

static void check_path_filter(const struct policy_path_filter *f)
{
	fuzz_assert(f->op >= OP_IN && f->op <= OP_NOT_POSTFIX);
	fuzz_assert(f->values.n_strings > 0);
	check_strings(&f->values);
	for (size_t i = 0; i < f->values.n_strings; i++) {
		size_t n = strlen(f->values.strings[i].text);

		fuzz_assert(n > 0 && n < POLICY_MAX_PATH);
		if (f->op == OP_PREFIX || f->op == OP_NOT_PREFIX)
			fuzz_assert(n <= REVSHELL_PREFIX_MAX);
		if (f->op == OP_POSTFIX || f->op == OP_NOT_POSTFIX)
			fuzz_assert(n <= REVSHELL_POSTFIX_MAX);
	}
}

static void check_action(const struct policy_action *a, const struct policy_entry *e)
{
	fuzz_assert(a->kind > ACTION_NONE && a->kind < ACTION_MAX);
	fuzz_assert(a->error <= 0 && a->error >= -4095);
	fuzz_assert(a->signal >= 0 && a->signal <= 64);
	if (a->kind == ACTION_OVERRIDE)
		fuzz_assert(a->error < 0 && e->call->can_override);
	if (a->kind == ACTION_TRACK_SOCK || a->kind == ACTION_UNTRACK_SOCK)
		fuzz_assert(a->arg_sock < e->n_args);
	fuzz_assert(a->rate_limit_ms <= UINT32_MAX);
}

static void check_selector(const struct policy_selector *s, const struct policy_entry *e)
{
	for (size_t i = 0; i < s->n_binaries; i++)
		check_path_filter(&s->binaries[i]);
	for (size_t i = 0; i < s->n_parent_binaries; i++)
		check_path_filter(&s->parent_binaries[i]);
	for (size_t i = 0; i < s->n_args; i++) {
		fuzz_assert(s->args[i].arg < e->n_args);
		check_arg_filter(&s->args[i], e->args[s->args[i].arg].type);
	}
	for (size_t i = 0; i < s->n_return_args; i++)
		check_arg_filter(&s->return_args[i], e->return_arg.type);
	fuzz_assert(s->n_actions > 0 && s->n_actions <= POLICY_MAX_ACTIONS);
	for (size_t i = 0; i < s->n_actions; i++)
		check_action(&s->actions[i], e);
	for (size_t i = 0; i < s->n_return_actions; i++)
		check_action(&s->return_actions[i], e);
}

/* Texts are cut first: one byte may become four then, \x00. */
#define MAX_ESCAPE 4

static void check_entry(const struct policy_entry *e)
{
	fuzz_assert(e->call && (e->call->sections & e->section));
	fuzz_assert(e->n_args <= POLICY_MAX_ARGS && e->n_tags <= POLICY_MAX_TAGS);
	for (size_t i = 0; i < e->n_args; i++) {
		fuzz_assert(e->args[i].index < e->call->n_args);
		fuzz_assert(e->args[i].type != ARG_NONE);
	}
	fuzz_assert(e->has_return == (e->return_arg.type != ARG_NONE));
	if (e->message)
		fuzz_assert(strlen(e->message) <= MAX_ESCAPE * POLICY_MAX_MESSAGE);
	for (size_t i = 0; i < e->n_tags; i++)
		fuzz_assert(strlen(e->tags[i]) >= 2 &&
			    strlen(e->tags[i]) <= MAX_ESCAPE * POLICY_MAX_TAG);
	fuzz_assert(e->n_selectors > 0 && e->n_selectors <= REVSHELL_GROUP_SELECTORS);
	for (size_t i = 0; i < e->n_selectors; i++)
		check_selector(&e->selectors[i], e);
}

static void check_set(const struct policy_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct policy *p = set->policies[i];

		fuzz_assert(p->name && p->name[0] && strlen(p->name) <= POLICY_MAX_NAME);
		fuzz_assert(p->origin && p->source && p->pos.line > 0);
		for (size_t j = 0; j < p->n_entries; j++)
			check_entry(&p->entries[j]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct policy_options options = {.tetragon = true, .offline = true};
	struct policy_set set = {};
	struct diag d = {};
	int err;

	err = policy_load_text((const char *)data, size, "f", &options, &d, &set);
	fuzz_assert(err == 0 || err == -EINVAL);
	fuzz_assert((err == 0) == (d.n_errors == 0));
	fuzz_assert((err == 0) == (set.n > 0));
	fuzz_check_diag(&d);
	check_set(&set);
	policy_set_done(&set);
	diag_done(&d);
	return 0;
}
