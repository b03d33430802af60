/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What words tell of the calling process, and of a call's integers. */
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "simulate-facts.h"

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

/* The parts of a list, "none" being none of them; they live in f. Returns false if there are more
 * than max. */
static bool split(struct sim_facts *f, const char *list, const char **ret_parts, size_t max,
		  size_t *ret_n)
{
	char *s = f->owned + f->owned_size;

	*ret_n = 0;
	if (strcmp(list, "none") == 0)
		return true;
	strcpy(s, list);
	f->owned_size += strlen(list) + 1;
	for (char *part = strsep(&s, ","); part; part = strsep(&s, ",")) {
		if (*ret_n == max)
			return false;
		ret_parts[(*ret_n)++] = part;
	}
	return true;
}

/* Of the process */

static int read_ids(const struct sim_reading *r, struct sim_call *call)
{
	const struct {
		enum sim_word word;
		bool (*parse)(const char *s, uint64_t *ret_id);
		uint32_t *id;
		uint64_t facts;
	} rows[] = {
		{SIM_WORD_UID, parse_user, &call->process.uid, SIM_FACT(UID)},
		{SIM_WORD_GID, parse_group, &call->process.gid, SIM_FACT(GID)},
		{SIM_WORD_AUID, parse_user, &call->process.loginuid, SIM_FACT(LOGINUID)},
	};
	uint64_t n;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *s = r->words->told[rows[i].word];

		if (!s)
			continue;
		if (r->words->numeric ? !number_parse_decimal(s, UINT32_MAX, &n)
				      : !rows[i].parse(s, &n))
			return sim_bad_word(r, rows[i].word, NULL);
		*rows[i].id = (uint32_t)n;
		sim_know(call, rows[i].facts);
	}
	return 0;
}

static int read_pids(const struct sim_reading *r, struct sim_call *call)
{
	const char *pid = r->words->told[SIM_WORD_PID],
		   *ancestors = r->words->told[SIM_WORD_ANCESTORS];
	struct sim_process *p = &call->process;
	const char *parts[SIM_ANCESTORS - 1];
	size_t n = 0;
	uint64_t number;

	if (pid) {
		if (!number_parse_decimal(pid, INT32_MAX, &number))
			return sim_bad_word(r, SIM_WORD_PID, NULL);
		p->pids[0] = p->nspids[0] = (uint32_t)number;
		sim_know(call, SIM_FACT(PID) | SIM_FACT(NSPID));
	}
	if (!ancestors)
		return 0;
	if (!split(r->facts, ancestors, parts, ARRAY_SIZE(parts), &n))
		return sim_bad_word(r, SIM_WORD_ANCESTORS, "at most 7 PIDs");
	for (size_t i = 0; i < n; i++) {
		if (!number_parse_decimal(parts[i], INT32_MAX, &number))
			return sim_bad_word(r, SIM_WORD_ANCESTORS, NULL);
		p->pids[i + 1] = p->nspids[i + 1] = (uint32_t)number;
	}
	sim_know(call, SIM_FACT(FORK) | SIM_FACT(NSPID_FORK));
	return 0;
}

static int read_stdio(const struct sim_reading *r, struct sim_call *call)
{
	const char *s = r->words->told[SIM_WORD_STDIO], *parts[3];
	uint64_t fd;
	size_t n;

	if (!s)
		return 0;
	sim_know(call, SIM_FACT(STDIO));
	if (strcmp(s, "socket") == 0) {
		call->process.stdio = 7;
		return 0;
	}
	if (!split(r->facts, s, parts, ARRAY_SIZE(parts), &n))
		n = 0;
	for (size_t i = 0; i < n; i++) {
		if (!number_parse_decimal(parts[i], 2, &fd))
			return sim_bad_word(r, SIM_WORD_STDIO,
					    "none, socket, or descriptors as 0,1");
		call->process.stdio |= 1U << fd;
	}
	return n || strcmp(s, "none") == 0 ? 0 : sim_bad_word(r, SIM_WORD_STDIO, NULL);
}

static int read_caps(const struct sim_reading *r, struct sim_call *call)
{
	const char *s = r->words->told[SIM_WORD_CAPS], *parts[64];
	uint64_t cap, caps = 0;
	size_t n = 0;

	if (!s)
		return 0;
	if (strcmp(s, "all") == 0)
		caps = UINT64_MAX;
	else if (!split(r->facts, s, parts, ARRAY_SIZE(parts), &n))
		return sim_bad_word(r, SIM_WORD_CAPS, NULL);
	for (size_t i = 0; i < n; i++) {
		if (!sim_parse_name(parts[i], "CAP_", policy_cap_parse, 63, &cap))
			return sim_bad_word(r, SIM_WORD_CAPS,
					    "none, all, or names as net_raw,sys_admin");
		caps |= 1ULL << cap;
	}
	for (size_t i = 0; i < ARRAY_SIZE(call->process.caps); i++)
		call->process.caps[i] = caps;
	sim_know(call,
		 SIM_FACT(CAP_EFFECTIVE) | SIM_FACT(CAP_PERMITTED) | SIM_FACT(CAP_INHERITABLE));
	return 0;
}

static int read_names(const struct sim_reading *r, struct sim_call *call)
{
	const char *units = r->words->told[SIM_WORD_UNIT],
		   *lineage = r->words->told[SIM_WORD_LINEAGE];
	struct sim_process *p = &call->process;
	const char *parts[SIM_ANCESTORS];
	size_t n;

	if (units) {
		if (!split(r->facts, units, p->units, SIM_ANCESTORS, &n))
			return sim_bad_word(r, SIM_WORD_UNIT, "at most 8 names");
		sim_know(call, SIM_FACT(UNIT));
	}
	if (lineage) {
		if (!split(r->facts, lineage, parts, SIM_ANCESTORS, &n))
			return sim_bad_word(r, SIM_WORD_LINEAGE, "at most 8 paths");
		for (size_t i = 0; i < n; i++)
			p->lineage[i] = (struct sim_exe){.path = parts[i], .same_file = true};
		p->n_inherited = n;
		sim_know(call, SIM_FACT(LINEAGE) | SIM_FACT(PARENT_LINEAGE));
	}
	if (r->words->told[SIM_WORD_EXE]) {
		call->exe.path = r->words->told[SIM_WORD_EXE];
		sim_know(call, SIM_DIM(EXE));
	}
	if (r->words->told[SIM_WORD_PARENT]) {
		call->parent.path = r->words->told[SIM_WORD_PARENT];
		sim_know(call, SIM_DIM(PARENT));
	}
	return 0;
}

static int read_namespaces(const struct sim_reading *r, struct sim_call *call)
{
	const char *s = r->words->told[SIM_WORD_NAMESPACES];

	if (!s)
		return 0;
	if (strcmp(s, "host") != 0)
		return sim_bad_word(r, SIM_WORD_NAMESPACES,
				    "host is the only one that can be told");
	for (uint32_t i = 0; i < NS_MAX; i++) {
		call->process.ns[i] = r->words->host_ns[i];
		if (r->words->host_ns[i])
			sim_know(call, SIM_FACT_BIT(REVSHELL_FACT_NS_UTS + i));
	}
	return 0;
}

/* POSITION:NUMBER, several with commas between them. */
static int read_args(const struct sim_reading *r, struct sim_call *call)
{
	const char *s = r->words->told[SIM_WORD_ARG], *parts[REVSHELL_INTS];
	size_t n;

	if (!s)
		return 0;
	if (!split(r->facts, s, parts, ARRAY_SIZE(parts), &n))
		return sim_bad_word(r, SIM_WORD_ARG, NULL);
	for (size_t i = 0; i < n; i++) {
		unsigned long position;
		char *end;
		long long value;

		errno = 0;
		position = strtoul(parts[i], &end, 10);
		if (!isdigit((unsigned char)parts[i][0]) || *end != ':' || position > 4)
			return sim_bad_word(r, SIM_WORD_ARG, "POSITION:NUMBER, from position 0");
		value = strtoll(end + 1, &end, 0);
		if (*end || end[-1] == ':' || errno)
			return sim_bad_word(r, SIM_WORD_ARG, "POSITION:NUMBER, from position 0");
		sim_put_int(call, REVSHELL_INT_SLOT((unsigned int)position), value);
	}
	return 0;
}

int sim_read_process(const struct sim_reading *r, struct sim_call *call)
{
	static int (*const parts[])(const struct sim_reading *r, struct sim_call *call) = {
		read_ids, read_pids, read_names, read_stdio, read_caps, read_namespaces, read_args,
	};
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(parts); i++)
		ret = parts[i](r, call);
	return ret;
}
