/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the command line tells of the calling process, and of a call's integers. */
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "facts.h"

static bool parse_user(const char *s, uint64_t *ret_id)
{
	const struct passwd *pw;

	if (number_parse_decimal(s, UINT32_MAX, ret_id))
		return true;
	pw = getpwnam(s);
	if (pw)
		*ret_id = pw->pw_uid;
	return pw != NULL;
}

static bool parse_group(const char *s, uint64_t *ret_id)
{
	const struct group *gr;

	if (number_parse_decimal(s, UINT32_MAX, ret_id))
		return true;
	gr = getgrnam(s);
	if (gr)
		*ret_id = gr->gr_gid;
	return gr != NULL;
}

/* Lists */

/* The parts of a list, "none" being none of them; they live in o. Returns false if there are more
 * than max. */
static bool split(struct ctl_operation *o, const char *list, const char **ret_parts, size_t max,
		  size_t *ret_n)
{
	char *s = o->owned + o->owned_size;

	*ret_n = 0;
	if (strcmp(list, "none") == 0)
		return true;
	strcpy(s, list);
	o->owned_size += strlen(list) + 1;
	for (char *part = strsep(&s, ","); part; part = strsep(&s, ",")) {
		if (*ret_n == max)
			return false;
		ret_parts[(*ret_n)++] = part;
	}
	return true;
}

/* Of the process */

static int read_ids(const struct ctl *c, struct sim_call *call)
{
	const struct {
		enum ctl_fact fact;
		const char *option;
		bool (*parse)(const char *s, uint64_t *ret_id);
		uint32_t *id;
		uint64_t facts;
	} rows[] = {
		{CTL_FACT_UID, "uid", parse_user, &call->process.uid, SIM_FACT(UID)},
		{CTL_FACT_GID, "gid", parse_group, &call->process.gid, SIM_FACT(GID)},
		{CTL_FACT_AUID, "auid", parse_user, &call->process.loginuid, SIM_FACT(LOGINUID)},
	};
	uint64_t n;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *s = c->facts[rows[i].fact];

		if (!s)
			continue;
		if (!rows[i].parse(s, &n))
			return facts_bad_value(rows[i].option, s, NULL);
		*rows[i].id = (uint32_t)n;
		facts_know(call, rows[i].facts);
	}
	return 0;
}

static int read_pids(const struct ctl *c, struct ctl_operation *o, struct sim_call *call)
{
	const char *pid = c->facts[CTL_FACT_PID], *ancestors = c->facts[CTL_FACT_ANCESTORS];
	struct sim_process *p = &call->process;
	const char *parts[SIM_ANCESTORS - 1];
	size_t n = 0;
	uint64_t number;

	if (pid) {
		if (!number_parse_decimal(pid, INT32_MAX, &number))
			return facts_bad_value("pid", pid, NULL);
		p->pids[0] = p->nspids[0] = (uint32_t)number;
		facts_know(call, SIM_FACT(PID) | SIM_FACT(NSPID));
	}
	if (!ancestors)
		return 0;
	if (!split(o, ancestors, parts, ARRAY_SIZE(parts), &n))
		return facts_bad_value("ancestors", ancestors, "Hint: at most 7 PIDs.");
	for (size_t i = 0; i < n; i++) {
		if (!number_parse_decimal(parts[i], INT32_MAX, &number))
			return facts_bad_value("ancestors", ancestors, NULL);
		p->pids[i + 1] = p->nspids[i + 1] = (uint32_t)number;
	}
	facts_know(call, SIM_FACT(FORK) | SIM_FACT(NSPID_FORK));
	return 0;
}

static int read_stdio(const struct ctl *c, struct ctl_operation *o, struct sim_call *call)
{
	const char *s = c->facts[CTL_FACT_STDIO], *parts[3];
	uint64_t fd;
	size_t n;

	if (!s)
		return 0;
	facts_know(call, SIM_FACT(STDIO));
	if (strcmp(s, "socket") == 0) {
		call->process.stdio = 7;
		return 0;
	}
	if (!split(o, s, parts, ARRAY_SIZE(parts), &n))
		n = 0;
	for (size_t i = 0; i < n; i++) {
		if (!number_parse_decimal(parts[i], 2, &fd))
			return facts_bad_value("stdio", s,
					       "Hint: none, socket, or descriptors as 0,1.");
		call->process.stdio |= 1U << fd;
	}
	return n || strcmp(s, "none") == 0 ? 0 : facts_bad_value("stdio", s, NULL);
}

static int read_caps(const struct ctl *c, struct ctl_operation *o, struct sim_call *call)
{
	const char *s = c->facts[CTL_FACT_CAPS], *parts[64];
	uint64_t cap, caps = 0;
	size_t n = 0;

	if (!s)
		return 0;
	if (strcmp(s, "all") == 0)
		caps = UINT64_MAX;
	else if (!split(o, s, parts, ARRAY_SIZE(parts), &n))
		return facts_bad_value("caps", s, NULL);
	for (size_t i = 0; i < n; i++) {
		if (!facts_parse_name(parts[i], "CAP_", policy_cap_parse, 63, &cap))
			return facts_bad_value("caps", s,
					       "Hint: none, all, or names as net_raw,sys_admin.");
		caps |= 1ULL << cap;
	}
	for (size_t i = 0; i < ARRAY_SIZE(call->process.caps); i++)
		call->process.caps[i] = caps;
	facts_know(call,
		   SIM_FACT(CAP_EFFECTIVE) | SIM_FACT(CAP_PERMITTED) | SIM_FACT(CAP_INHERITABLE));
	return 0;
}

static int read_names(const struct ctl *c, struct ctl_operation *o, struct sim_call *call)
{
	const char *units = c->facts[CTL_FACT_UNIT], *lineage = c->facts[CTL_FACT_LINEAGE];
	struct sim_process *p = &call->process;
	const char *parts[SIM_ANCESTORS];
	size_t n;

	if (units) {
		if (!split(o, units, p->units, SIM_ANCESTORS, &n))
			return facts_bad_value("unit", units, "Hint: at most 8 names.");
		facts_know(call, SIM_FACT(UNIT));
	}
	if (lineage) {
		if (!split(o, lineage, parts, SIM_ANCESTORS, &n))
			return facts_bad_value("lineage", lineage, "Hint: at most 8 paths.");
		for (size_t i = 0; i < n; i++)
			p->lineage[i] = (struct sim_exe){.path = parts[i], .same_file = true};
		p->n_inherited = n;
		facts_know(call, SIM_FACT(LINEAGE) | SIM_FACT(PARENT_LINEAGE));
	}
	if (c->exe) {
		call->exe.path = c->exe;
		facts_know(call, SIM_DIM(EXE));
	}
	if (c->facts[CTL_FACT_PARENT]) {
		call->parent.path = c->facts[CTL_FACT_PARENT];
		facts_know(call, SIM_DIM(PARENT));
	}
	return 0;
}

static int read_namespaces(const struct ctl *c, struct sim_call *call)
{
	const char *s = c->facts[CTL_FACT_NAMESPACES];

	if (!s)
		return 0;
	if (strcmp(s, "host") != 0)
		return facts_bad_value("namespaces", s,
				       "Hint: host is the only one that can be told.");
	for (size_t i = 0; i < NS_MAX; i++)
		call->process.ns[i] = 1; /* as in rules.c */
	for (uint32_t fact = REVSHELL_FACT_NS_UTS; fact <= REVSHELL_FACT_NS_USER; fact++)
		facts_know(call, SIM_FACT_BIT(fact));
	return 0;
}

/* POSITION:NUMBER, several with commas between them. */
static int read_args(const struct ctl *c, struct ctl_operation *o, struct sim_call *call)
{
	const char *s = c->facts[CTL_FACT_ARG], *parts[REVSHELL_INTS];
	size_t n;

	if (!s)
		return 0;
	if (!split(o, s, parts, ARRAY_SIZE(parts), &n))
		return facts_bad_value("arg", s, NULL);
	for (size_t i = 0; i < n; i++) {
		unsigned long position;
		char *end;
		long long value;

		errno = 0;
		position = strtoul(parts[i], &end, 10);
		if (!isdigit((unsigned char)parts[i][0]) || *end != ':' || position > 4)
			return facts_bad_value("arg", s, "Hint: POSITION:NUMBER, from position 0.");
		value = strtoll(end + 1, &end, 0);
		if (*end || end[-1] == ':' || errno)
			return facts_bad_value("arg", s, "Hint: POSITION:NUMBER, from position 0.");
		facts_put_int(call, REVSHELL_INT_SLOT((unsigned int)position), value);
	}
	return 0;
}

int facts_read_process(const struct ctl *c, struct ctl_operation *o, struct sim_call *call)
{
	int r;

	r = read_ids(c, call);
	if (r == 0)
		r = read_pids(c, o, call);
	if (r == 0)
		r = read_names(c, o, call);
	if (r == 0)
		r = read_stdio(c, o, call);
	if (r == 0)
		r = read_caps(c, o, call);
	if (r == 0)
		r = read_namespaces(c, call);
	return r == 0 ? read_args(c, o, call) : r;
}
