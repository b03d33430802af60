/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Filters on the calling process and on integers, taken literally. */
#include <string.h>

#include "macro.h"
#include "naive.h"

static bool holds(const struct policy_values *v, uint64_t n)
{
	for (size_t i = 0; i < v->n_ranges; i++)
		if ((uint64_t)v->ranges[i].lo <= n && n <= (uint64_t)v->ranges[i].hi)
			return true;
	return false;
}

static bool match_pids(const struct policy_selector *s, const struct sim_process *p)
{
	for (size_t i = 0; i < s->n_pids; i++) {
		const struct policy_pid_filter *f = &s->pids[i];
		const uint32_t *pids = f->is_namespace_pid ? p->nspids : p->pids;
		size_t n = f->follow_forks ? SIM_ANCESTORS : 1;
		bool found = false;

		for (size_t k = 0; k < n; k++)
			found |= holds(&f->values, pids[k]);
		if (found != (f->op == OP_IN))
			return false;
	}
	return true;
}

static bool match_namespaces(const struct policy_selector *s, const struct sim_process *p,
			     const struct ruleset_options *opts)
{
	for (size_t i = 0; i < s->n_namespaces; i++) {
		const struct policy_namespace_filter *f = &s->namespaces[i];
		bool found = holds(&f->values, p->ns[f->ns]) ||
			     (f->host && p->ns[f->ns] == opts->host_ns[f->ns]);

		if (found != (f->op == OP_IN))
			return false;
	}
	return true;
}

static bool match_caps(const struct policy_selector *s, const struct sim_process *p,
		       const struct ruleset_options *opts)
{
	for (size_t i = 0; i < s->n_caps; i++) {
		const struct policy_cap_filter *f = &s->caps[i];

		if (!!(p->caps[f->set] & f->caps) != (f->op == OP_IN))
			return false;
		if (f->is_namespace_capability && p->ns[NS_USER] == opts->host_ns[NS_USER])
			return false;
	}
	return true;
}

static bool match_users(const struct policy_selector *s, const struct sim_process *p)
{
	for (size_t i = 0; i < s->n_users; i++) {
		const struct policy_user_filter *f = &s->users[i];
		uint32_t id = f->kind == USER_UID   ? p->uid
			      : f->kind == USER_GID ? p->gid
						    : p->loginuid;

		if (holds(&f->values, id) != (f->op == OP_IN))
			return false;
	}
	return true;
}

static bool match_stdio(const struct policy_selector *s, const struct sim_process *p)
{
	for (size_t i = 0; i < s->n_stdio; i++)
		if (!!(p->stdio & s->stdio[i].fds) != (s->stdio[i].op == OP_IN))
			return false;
	return true;
}

static bool names(const struct policy_values *v, const char *text)
{
	for (size_t i = 0; i < v->n_strings; i++)
		if (!strcmp(v->strings[i].text, text))
			return true;
	return false;
}

/* Where not all is known, what denies may match and what shields may not. */
static bool conclude(enum policy_op op, bool found, bool lost, const struct naive_role *role)
{
	if (op == OP_IN)
		return found || (lost && role->denies);
	return !found && !(lost && role->shields);
}

static bool match_units(const struct policy_selector *s, const struct sim_process *p,
			const struct naive_role *role)
{
	for (size_t i = 0; i < s->n_units; i++) {
		bool found = false;

		for (size_t k = 0; k < SIM_ANCESTORS; k++)
			found |= p->units[k] && names(&s->units[i].values, p->units[k]);
		if (!conclude(s->units[i].op, found, p->units_lost, role))
			return false;
	}
	return true;
}

/* Whether an executable that a filter follows is among exe and the first n of the lineage. */
static bool match_followed(const struct policy_path_filter *filters, size_t n_filters,
			   const struct sim_exe *exe, size_t n, bool lost,
			   const struct sim_call *call, const struct naive_role *role)
{
	for (size_t i = 0; i < n_filters; i++) {
		const struct policy_path_filter *f = &filters[i];
		bool exempts = !role->by_path && (f->op == OP_IN ? role->shields : role->denies);
		bool found = false;

		if (!f->follow_children)
			continue;
		for (size_t k = 0; k <= n; k++) {
			const struct sim_exe *one = k < n ? &call->process.lineage[k] : exe;

			if (one->path && !(exempts && one->foreign))
				found |= names(&f->values, one->path);
		}
		if (!conclude(f->op, found, !exe->path || lost, role))
			return false;
	}
	return true;
}

static bool match_lineage(const struct policy_selector *s, const struct sim_call *call,
			  const struct naive_role *role)
{
	const struct sim_process *p = &call->process;

	return match_followed(s->binaries, s->n_binaries, &call->exe, SIM_ANCESTORS,
			      p->lineage_lost, call, role) &&
	       match_followed(s->parent_binaries, s->n_parent_binaries, &call->parent,
			      p->n_inherited, p->inherited_lost, call, role);
}

bool naive_match_process(const struct policy_selector *s, const struct sim_call *call,
			 const struct ruleset_options *opts, const struct naive_role *role)
{
	const struct sim_process *p = &call->process;

	return match_pids(s, p) && match_namespaces(s, p, opts) && match_caps(s, p, opts) &&
	       match_users(s, p) && match_stdio(s, p) && match_units(s, p, role) &&
	       match_lineage(s, call, role);
}

/* Comparisons in the argument's own type; unsigned ones of 64 bits are told apart. */
#define MATCH(ctype)                                                                    \
	({                                                                              \
		ctype x_ = (ctype)value;                                                \
		bool any_ = false;                                                      \
		for (size_t i_ = 0; i_ < f->values.n_ranges; i_++) {                    \
			__typeof__(+x_) lo_ = (__typeof__(+x_))f->values.ranges[i_].lo; \
			bool in_ = in_range(f, i_, (int64_t)x_, (uint64_t)x_,           \
					    (ctype)-1 > 0 && sizeof(ctype) == 8);       \
			any_ |= f->op == OP_GT	   ? x_ > lo_                           \
				: f->op == OP_LT   ? x_ < lo_                           \
				: f->op == OP_MASK ? (x_ & (ctype)lo_) != 0             \
						   : in_;                               \
		}                                                                       \
		any_;                                                                   \
	})

static bool in_range(const struct policy_arg_filter *f, size_t i, int64_t number, uint64_t bits,
		     bool is_u64)
{
	const struct policy_range *r = &f->values.ranges[i];

	if (is_u64)
		return (uint64_t)r->lo <= bits && bits <= (uint64_t)r->hi;
	return r->lo <= number && number <= r->hi;
}

bool naive_match_int(const struct policy_arg_filter *f, enum policy_arg_type type, int64_t value)
{
	bool any = false;

	switch (type) {
	case ARG_INT:
		any = MATCH(int32_t);
		break;
	case ARG_UINT32:
	case ARG_SIZE:
		any = MATCH(uint32_t);
		break;
	case ARG_UINT64:
		any = MATCH(uint64_t);
		break;
	case ARG_LONG:
		any = MATCH(int64_t);
		break;
	case ARG_INT8:
		any = MATCH(int8_t);
		break;
	case ARG_UINT8:
		any = MATCH(uint8_t);
		break;
	case ARG_INT16:
		any = MATCH(int16_t);
		break;
	case ARG_UINT16:
		any = MATCH(uint16_t);
		break;
	default:
		break;
	}
	return any != policy_op_negative(f->op);
}
