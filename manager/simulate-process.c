/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Filters on the calling process, one by one: satisfied, not, or dependent on what is not known. */
#include <string.h>

#include "macro.h"
#include "simulate-internal.h"

static bool is_known(const struct sim_asking *a, uint64_t fact)
{
	return !(a->unknown & fact);
}

static bool holds(const struct policy_values *v, uint64_t n)
{
	for (size_t i = 0; i < v->n_ranges; i++)
		if ((uint64_t)v->ranges[i].lo <= n && n <= (uint64_t)v->ranges[i].hi)
			return true;
	return false;
}

static bool names(const struct policy_values *v, const char *text)
{
	for (size_t i = 0; i < v->n_strings; i++)
		if (strcmp(v->strings[i].text, text) == 0)
			return true;
	return false;
}

/* Paths */

static void put_exe(FILE *why, const struct sim_exe *exe, bool parent)
{
	fprintf(why, "%s ", parent ? "parent" : "executable");
	if (!exe->path) {
		fputs("is not known to the kernel", why);
		return;
	}
	fputs("is ", why);
	sim_put_text(why, exe->path);
	if (exe->foreign)
		fputs(" of another mount namespace", why);
	else if (!exe->same_file)
		fputs(", but not the file that the host has there", why);
}

/* Whether one value names the executable. exempts: only the host's own file counts. */
static bool names_exe(enum policy_op op, const char *value, const struct sim_exe *exe, bool exempts)
{
	size_t n = strlen(value), len = strlen(exe->path);

	switch (op) {
	case OP_IN:
	case OP_NOT_IN:
		return strcmp(value, exe->path) == 0 && (!exempts || exe->same_file);
	case OP_PREFIX:
	case OP_NOT_PREFIX:
		return len >= n && memcmp(value, exe->path, n) == 0 && (!exempts || !exe->foreign);
	default:
		return len >= n && memcmp(value, exe->path + len - n, n) == 0 &&
		       (!exempts || !exe->foreign);
	}
}

/* Whether a filter is one that keeps a denial away. */
static bool exempts(const struct sim_asking *a, enum policy_op op)
{
	return !a->policy->identity_by_path && (policy_op_negative(op) ? a->denies : a->shields);
}

static enum sim_answer ask_followed(const struct sim_asking *a, const struct policy_path_filter *f,
				    bool parent, uint64_t *facts, FILE *why)
{
	const struct sim_exe *exe = parent ? &a->call->parent : &a->call->exe;
	const struct sim_process *p = &a->call->process;
	bool exe_known = is_known(a, parent ? SIM_DIM(PARENT) : SIM_DIM(EXE));
	bool lineage_known = is_known(a, parent ? SIM_FACT(PARENT_LINEAGE) : SIM_FACT(LINEAGE));
	bool lost = (exe_known && !exe->path) ||
		    (lineage_known && (parent ? p->inherited_lost : p->lineage_lost));
	size_t n = parent ? p->n_inherited : SIM_ANCESTORS;
	bool found = false, negative = policy_op_negative(f->op);

	for (size_t i = 0; lineage_known && i < n; i++)
		found |= p->lineage[i].path && !(exempts(a, f->op) && p->lineage[i].foreign) &&
			 names(&f->values, p->lineage[i].path);
	found |= exe_known && exe->path && !(exempts(a, f->op) && exe->foreign) &&
		 names(&f->values, exe->path);
	/* where not all could be found out, a denial is taken to match, and what shields is not */
	if (lost && (negative ? a->shields : a->denies))
		found = true;
	if (!found && !exe_known)
		*facts |= parent ? SIM_DIM(PARENT) : SIM_DIM(EXE);
	if (!found && !lineage_known)
		*facts |= parent ? SIM_FACT(PARENT_LINEAGE) : SIM_FACT(LINEAGE);
	if (!found && !(exe_known && lineage_known))
		return SIM_MAYBE;
	if (why)
		fprintf(why, "%s among the %s and those before it", found ? "one is" : "none is",
			parent ? "parent" : "executable");
	return sim_answer_of(found != negative);
}

enum sim_answer sim_ask_path(const struct sim_asking *a, const struct policy_path_filter *f,
			     bool parent, uint64_t *facts, FILE *why)
{
	const struct sim_exe *exe = parent ? &a->call->parent : &a->call->exe;
	uint64_t fact = parent ? SIM_DIM(PARENT) : SIM_DIM(EXE);
	bool negative = policy_op_negative(f->op), found = false;

	if (f->follow_children)
		return ask_followed(a, f, parent, facts, why);
	if (!is_known(a, fact))
		return sim_depends(facts, fact);
	if (why)
		put_exe(why, exe, parent);
	if (!exe->path)
		return sim_answer_of(a->denies || (!a->shields && negative));
	for (size_t i = 0; i < f->values.n_strings && !found; i++)
		found = names_exe(f->op, f->values.strings[i].text, exe, exempts(a, f->op));
	return sim_answer_of(found != negative);
}

/* The others, by the lists that they stand in */

static struct diag_pos describe_pid(const struct policy_selector *s, size_t i, FILE *f)
{
	const struct policy_pid_filter *filter = &s->pids[i];

	fputs(policy_op_name(filter->op), f);
	sim_put_ranges(f, &filter->values, true);
	return filter->pos;
}

static enum sim_answer ask_pid(const struct sim_asking *a, size_t i, uint64_t *facts, FILE *why)
{
	const struct policy_pid_filter *f = &a->selector->pids[i];
	const struct sim_process *p = &a->call->process;
	const uint32_t *pids = f->is_namespace_pid ? p->nspids : p->pids;
	uint64_t own = f->is_namespace_pid ? SIM_FACT(NSPID) : SIM_FACT(PID);
	uint64_t all = f->is_namespace_pid ? SIM_FACT(NSPID_FORK) : SIM_FACT(FORK);
	bool found = false;

	for (size_t k = 0; k < (f->follow_forks ? SIM_ANCESTORS : 1U); k++)
		found |= is_known(a, k ? all : own) && holds(&f->values, pids[k]);
	if (!found && !is_known(a, own))
		*facts |= own;
	if (!found && f->follow_forks && !is_known(a, all))
		*facts |= all;
	if (!found && (!is_known(a, own) || (f->follow_forks && !is_known(a, all))))
		return SIM_MAYBE;
	if (why)
		fprintf(why, "PID is %u", pids[0]);
	return sim_answer_of(found != policy_op_negative(f->op));
}

static const struct {
	const char *name;
	uint64_t fact;
} namespaces[NS_MAX] = {
	[NS_UTS] = {"Uts", SIM_FACT(NS_UTS)},
	[NS_IPC] = {"Ipc", SIM_FACT(NS_IPC)},
	[NS_MNT] = {"Mnt", SIM_FACT(NS_MNT)},
	[NS_PID] = {"Pid", SIM_FACT(NS_PID)},
	[NS_PID_FOR_CHILDREN] = {"PidForChildren", SIM_FACT(NS_PID_FOR_CHILDREN)},
	[NS_NET] = {"Net", SIM_FACT(NS_NET)},
	[NS_TIME] = {"Time", SIM_FACT(NS_TIME)},
	[NS_TIME_FOR_CHILDREN] = {"TimeForChildren", SIM_FACT(NS_TIME_FOR_CHILDREN)},
	[NS_CGROUP] = {"Cgroup", SIM_FACT(NS_CGROUP)},
	[NS_USER] = {"User", SIM_FACT(NS_USER)},
};

static struct diag_pos describe_namespace(const struct policy_selector *s, size_t i, FILE *f)
{
	const struct policy_namespace_filter *filter = &s->namespaces[i];

	fprintf(f, "%s %s%s", namespaces[filter->ns].name, policy_op_name(filter->op),
		filter->host ? " host_ns" : "");
	sim_put_ranges(f, &filter->values, true);
	return filter->pos;
}

static enum sim_answer ask_namespace(const struct sim_asking *a, size_t i, uint64_t *facts,
				     FILE *why)
{
	const struct policy_namespace_filter *f = &a->selector->namespaces[i];
	uint64_t inode = a->call->process.ns[f->ns];

	if (!is_known(a, namespaces[f->ns].fact))
		return sim_depends(facts, namespaces[f->ns].fact);
	if (why && inode == a->opts->host_ns[f->ns])
		fputs("it is the host's", why);
	else if (why)
		fprintf(why, "it is %llu", (unsigned long long)inode);
	return sim_answer_of(
		(holds(&f->values, inode) || (f->host && inode == a->opts->host_ns[f->ns])) !=
		policy_op_negative(f->op));
}

static struct diag_pos describe_cap(const struct policy_selector *s, size_t i, FILE *f)
{
	static const char *const sets[] = {
		[CAP_SET_EFFECTIVE] = "effective",
		[CAP_SET_INHERITABLE] = "inheritable",
		[CAP_SET_PERMITTED] = "permitted",
	};
	const struct policy_cap_filter *filter = &s->caps[i];

	fprintf(f, "%s %s%s", sets[filter->set], policy_op_name(filter->op),
		filter->is_namespace_capability ? " in another user namespace" : "");
	return filter->pos;
}

static enum sim_answer ask_cap(const struct sim_asking *a, size_t i, uint64_t *facts, FILE *why)
{
	static const uint64_t sets[] = {
		[CAP_SET_EFFECTIVE] = SIM_FACT(CAP_EFFECTIVE),
		[CAP_SET_INHERITABLE] = SIM_FACT(CAP_INHERITABLE),
		[CAP_SET_PERMITTED] = SIM_FACT(CAP_PERMITTED),
	};
	const struct policy_cap_filter *f = &a->selector->caps[i];
	bool held = a->call->process.caps[f->set] & f->caps;
	enum sim_answer answer = SIM_YES;

	if (!is_known(a, sets[f->set])) {
		answer = sim_depends(facts, sets[f->set]);
	} else if (held == policy_op_negative(f->op)) {
		if (why)
			fputs(held ? "some of them are held" : "none of them is held", why);
		return SIM_NO;
	}
	if (!f->is_namespace_capability)
		return answer;
	if (!is_known(a, SIM_FACT(NS_USER)))
		return sim_depends(facts, SIM_FACT(NS_USER));
	if (a->call->process.ns[NS_USER] != a->opts->host_ns[NS_USER])
		return answer;
	if (why)
		fputs("the user namespace is the host's", why);
	return SIM_NO;
}

static struct diag_pos describe_user(const struct policy_selector *s, size_t i, FILE *f)
{
	static const char *const kinds[] = {
		[USER_UID] = "uid", [USER_GID] = "gid", [USER_LOGINUID] = "auid"};
	const struct policy_user_filter *filter = &s->users[i];

	fprintf(f, "%s %s", kinds[filter->kind], policy_op_name(filter->op));
	sim_put_ranges(f, &filter->values, true);
	return filter->pos;
}

static enum sim_answer ask_user(const struct sim_asking *a, size_t i, uint64_t *facts, FILE *why)
{
	const struct policy_user_filter *f = &a->selector->users[i];
	const struct sim_process *p = &a->call->process;
	uint64_t fact = f->kind == USER_UID   ? SIM_FACT(UID)
			: f->kind == USER_GID ? SIM_FACT(GID)
					      : SIM_FACT(LOGINUID);
	uint32_t id = f->kind == USER_UID ? p->uid : f->kind == USER_GID ? p->gid : p->loginuid;

	if (!is_known(a, fact))
		return sim_depends(facts, fact);
	if (why)
		fprintf(why, "it is %u", id);
	return sim_answer_of(holds(&f->values, id) != policy_op_negative(f->op));
}

static struct diag_pos describe_unit(const struct policy_selector *s, size_t i, FILE *f)
{
	fputs(policy_op_name(s->units[i].op), f);
	sim_put_strings(f, &s->units[i].values);
	return s->units[i].pos;
}

static enum sim_answer ask_unit(const struct sim_asking *a, size_t i, uint64_t *facts, FILE *why)
{
	const struct policy_unit_filter *f = &a->selector->units[i];
	const struct sim_process *p = &a->call->process;
	bool negative = policy_op_negative(f->op), found = false;

	if (!is_known(a, SIM_FACT(UNIT)))
		return sim_depends(facts, SIM_FACT(UNIT));
	if (why && !p->units[0])
		fputs("there is none", why);
	for (size_t k = 0; k < SIM_ANCESTORS; k++) {
		if (!p->units[k])
			continue;
		if (why) {
			fputs(k ? ", " : "unit is ", why);
			sim_put_text(why, p->units[k]);
		}
		found |= names(&f->values, p->units[k]);
	}
	if (p->units_lost && (negative ? a->shields : a->denies))
		found = true;
	return sim_answer_of(found != negative);
}

static struct diag_pos describe_stdio(const struct policy_selector *s, size_t i, FILE *f)
{
	fputs(policy_op_name(s->stdio[i].op), f);
	for (unsigned int fd = 0; fd < 3; fd++)
		if (s->stdio[i].fds >> fd & 1)
			fprintf(f, " %u", fd);
	return s->stdio[i].pos;
}

static enum sim_answer ask_stdio(const struct sim_asking *a, size_t i, uint64_t *facts, FILE *why)
{
	const struct policy_stdio_filter *f = &a->selector->stdio[i];
	bool found = a->call->process.stdio & f->fds;

	if (!is_known(a, SIM_FACT(STDIO)))
		return sim_depends(facts, SIM_FACT(STDIO));
	if (why)
		fputs(found ? "one is a socket" : "none is a socket", why);
	return sim_answer_of(found != policy_op_negative(f->op));
}

#define COUNT(member)                                                 \
	static size_t count_##member(const struct policy_selector *s) \
	{                                                             \
		return s->n_##member;                                 \
	}
COUNT(pids)
COUNT(namespaces)
COUNT(caps)
COUNT(users)
COUNT(units)
COUNT(stdio)
#undef COUNT

const struct sim_process_filters sim_process_filters[] = {
	{"matchPIDs", count_pids, describe_pid, ask_pid},
	{"matchNamespaces", count_namespaces, describe_namespace, ask_namespace},
	{"matchCapabilities", count_caps, describe_cap, ask_cap},
	{"matchUsers", count_users, describe_user, ask_user},
	{"matchUnits", count_units, describe_unit, ask_unit},
	{"matchStdio", count_stdio, describe_stdio, ask_stdio},
};
const size_t n_sim_process_filters = ARRAY_SIZE(sim_process_filters);
