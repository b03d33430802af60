/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of options: how they are read, which verbs take them, and what help says of them. */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <time.h>

#include "ctl.h"
#include "units.h"

enum kind {
	FLAG,	/* a bool */
	TEXT,	/* a const char * */
	NUMBER, /* an index into the words */
	PARSED, /* by a function */
};

static int parse_bus(struct ctl *c, const char *arg)
{
	c->where = arg;
	return strcmp(arg, "system") == 0 || strcmp(arg, "session") == 0 || strchr(arg, ':')
		       ? 0
		       : -EINVAL;
}

static int parse_lines(struct ctl *c, const char *arg)
{
	uint64_t n;

	if (!number_parse_decimal(arg, UINT32_MAX, &n))
		return -EINVAL;
	c->lines = (uint32_t)n;
	return 0;
}

static int parse_confirm(struct ctl *c, const char *arg)
{
	uint64_t usec;
	int r;

	r = units_parse(arg, units_usec, 86400 * USEC_PER_SEC, &usec);
	if (r < 0 || usec == 0)
		return -EINVAL;
	c->confirm_usec = usec;
	return 0;
}

/* A day, a time of today, or both, by the local clock. */
static bool parse_moment(const char *arg, time_t *ret_time)
{
	static const char *const days[] = {"today", "yesterday"};
	static const char *const formats[] = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d",
					      "%H:%M:%S", "%H:%M"};
	time_t now = time(NULL);

	for (int i = 0; i < (int)ARRAY_SIZE(days); i++) {
		struct tm tm;

		if (strcmp(arg, days[i]) != 0 || !localtime_r(&now, &tm))
			continue;
		tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
		tm.tm_mday -= i;
		tm.tm_isdst = -1;
		*ret_time = mktime(&tm);
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		const char *end;
		struct tm tm;

		if (!localtime_r(&now, &tm))
			return false;
		tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
		end = strptime(arg, formats[i], &tm);
		if (!end || *end)
			continue;
		tm.tm_isdst = -1;
		*ret_time = mktime(&tm);
		return *ret_time != (time_t)-1;
	}
	return false;
}

static int parse_since(struct ctl *c, const char *arg)
{
	uint64_t usec;
	time_t t;
	struct tm tm;

	if (units_parse(arg, units_usec, UINT64_MAX, &usec) == 0)
		t = time(NULL) - (time_t)(usec / USEC_PER_SEC);
	else if (!parse_moment(arg, &t))
		return -EINVAL;
	/* as events tell their time, so that the texts compare as the times do */
	if (!gmtime_r(&t, &tm) || !strftime(c->since, sizeof(c->since), "%FT%T", &tm))
		return -EINVAL;
	return 0;
}

static const struct row {
	const char *name;
	char letter; /* or 0 */
	enum kind kind;
	unsigned int group; /* enum ctl_option, or 0: every verb takes it */
	size_t at;	    /* where in struct ctl */
	const char *arg;    /* NULL: none */
	const char *values; /* words it may be, with | between them, or examples */
	const char *help;
	int (*parse)(struct ctl *c, const char *arg);
} rows[] = {
#define AT(field) offsetof(struct ctl, field)
	{"bus", 0, PARSED, 0, 0, "BUS", "system|session", "The daemon's bus, or a D-Bus address",
	 parse_bus},
	{"host", 'H', TEXT, 0, AT(host), "HOST", NULL, "Ask the daemon of another host, by ssh",
	 NULL},
	{"json", 0, NUMBER, 0, AT(json), "FORMAT", "off|short|pretty", "JSON, in one line or many",
	 NULL},
	{"no-legend", 0, FLAG, 0, AT(no_legend), NULL, NULL, "No headings on tables", NULL},
	{"help", 'h', FLAG, 0, AT(help), NULL, NULL, "Show this text", NULL},
	{"version", 0, FLAG, 0, AT(version), NULL, NULL, "Show the versions", NULL},
	{"reason", 0, TEXT, CTL_OPT_REASON, AT(reason), "TEXT", NULL, "For the log", NULL},
	{"confirm", 0, PARSED, CTL_OPT_CONFIRM, 0, "TIME", "30s|5m|1h",
	 "On trial: 'confirm' has to follow in that time", parse_confirm},
	{"persist", 0, FLAG, CTL_OPT_CONFIRM, AT(persist), NULL, NULL,
	 "Also for the boots that come", NULL},
	{"disarm", 0, FLAG, CTL_OPT_DISARM, AT(disarm), NULL, NULL, "Take enforcement away as well",
	 NULL},
	{"follow", 'f', FLAG, CTL_OPT_FOLLOW, AT(follow), NULL, NULL,
	 "Show events as they come, until interrupted", NULL},
	{"lines", 'n', PARSED, CTL_OPT_LINES, 0, "N", NULL, "Begin with the last N events",
	 parse_lines},
	{"output", 'o', NUMBER, CTL_OPT_OUTPUT, AT(format), "FORMAT", "json|tetragon|compact",
	 "How events are shown, compact if not told", NULL},
	{"policy", 0, TEXT, CTL_OPT_FILTER, AT(policy), "ID", NULL, "Only events of this policy",
	 NULL},
	{"verdict", 0, TEXT, CTL_OPT_FILTER, AT(verdict), "VERDICT",
	 "allowed|would-deny|denied|killed", "Only events with this verdict", NULL},
	{"since", 0, PARSED, CTL_OPT_SINCE, 0, "TIME", "10m|2h|today|yesterday",
	 "Only events since then, or since a day or time of day", parse_since},
	{"tetragon", 0, FLAG, CTL_OPT_CHECK, AT(tetragon), NULL, NULL,
	 "Warn about what Tetragon would not load", NULL},
	{"offline", 0, FLAG, CTL_OPT_OFFLINE, AT(offline), NULL, NULL,
	 "Look at files alone: neither at the daemon, nor (check) at this host", NULL},
	{"dry-run", 0, FLAG, CTL_OPT_CHANGE, AT(dry_run), NULL, NULL, "Only check", NULL},
	{"runtime", 0, FLAG, CTL_OPT_CHANGE, AT(runtime), NULL, NULL,
	 "Write below /run: until the next boot", NULL},
	{"mask", 0, FLAG, CTL_OPT_MASK, AT(mask), NULL, NULL, "Hide the file of a lower directory",
	 NULL},
	{"replace-all", 0, FLAG, CTL_OPT_REPLACE, AT(replace_all), NULL, NULL,
	 "Remove all other policies", NULL},
	{"openmetrics", 0, FLAG, CTL_OPT_METRICS, AT(openmetrics), NULL, NULL,
	 "As OpenMetrics text", NULL},
	{"exe", 0, TEXT, CTL_OPT_EXE, AT(words.told[SIM_WORD_EXE]), "PATH", NULL,
	 "The executable of the process", NULL},
#define FACT(id, name, arg, values, help)                                                       \
	{                                                                                       \
		name, 0, TEXT, CTL_OPT_FACTS, AT(words.told[SIM_WORD_##id]), arg, values, help, \
			NULL                                                                    \
	}
	FACT(HOOK, "hook", "HOOK", "connect|listen|bind|sendmsg|create|accept|setsockopt|...",
	     "The call"),
	FACT(DST, "dst", "ADDRESS", NULL,
	     "Where to: ADDR:PORT, [ADDR6]:PORT, /path or @name of a UNIX socket"),
	FACT(SRC, "src", "ADDRESS", NULL, "Where from; what is bound to or listened at"),
	FACT(PROTOCOL, "protocol", "NAME", "tcp|udp|sctp|mptcp|...", "Or a number"),
	FACT(FAMILY, "family", "NAME", "inet|inet6|unix|...", "Of the socket, or a number"),
	FACT(TYPE, "type", "NAME", "stream|dgram|raw|seqpacket|...", "Of the socket, or a number"),
	FACT(STATE, "state", "NAME", "established|syn_sent|close|listen|...",
	     "Of the socket, or a number"),
	FACT(ARG, "arg", "N:VALUE", NULL, "The integer argument at position N"),
	FACT(PARENT, "parent", "PATH", NULL, "The parent's executable"),
	FACT(LINEAGE, "lineage", "PATH,...", NULL, "Earlier executables, or none"),
	FACT(UID, "uid", "USER", NULL, "Effective user"),
	FACT(GID, "gid", "GROUP", NULL, "Effective group"),
	FACT(AUID, "auid", "USER", NULL, "The user who logged in"),
	FACT(PID, "pid", "PID", NULL, "The process"),
	FACT(ANCESTORS, "ancestors", "PID,...", NULL, "Those it descends from, the parent first"),
	FACT(UNIT, "unit", "NAME,...", NULL, "Units that the process belongs to, or none"),
	FACT(STDIO, "stdio", "FD,...", "none|socket|0|1|2",
	     "Standard descriptors that are sockets"),
	FACT(CAPS, "caps", "CAP,...", "none|all|...", "Capabilities"),
	FACT(NAMESPACES, "namespaces", "WHICH", "host", "The process is in those of the host"),
#undef FACT
#undef AT
};

_Static_assert(EVENT_JSON == 0 && EVENT_TETRAGON == 1 && EVENT_COMPACT == 2, "order of formats");
_Static_assert(ARRAY_SIZE(rows) <= 64, "rows fit a set");

/* The position of a word in words with | between them; "..." is none. */
static int find_word(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (int i = 0; words; i++) {
		if (strncmp(words, word, n) == 0 && (words[n] == '|' || words[n] == '\0'))
			return i;
		words = strchr(words, '|');
		words += words != NULL;
	}
	return -EINVAL;
}

static int take(struct ctl *c, const struct row *row, const char *arg)
{
	void *at = (char *)c + row->at;
	int r;

	switch (row->kind) {
	case FLAG:
		*(bool *)at = true;
		return 0;
	case TEXT:
		*(const char **)at = arg;
		return 0;
	case NUMBER:
		r = find_word(row->values, arg);
		if (r >= 0)
			*(unsigned int *)at = (unsigned int)r;
		return r;
	case PARSED:
		return row->parse(c, arg);
	}
	return -EINVAL;
}

/* What getopt is told: the options' places in rows are their values, above those of letters. */
static void fill_getopt(struct option *options, char *letters)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int has_arg = rows[i].arg ? required_argument : no_argument;

		options[i] = (struct option){rows[i].name, has_arg, NULL, 0x100 + (int)i};
		if (!rows[i].letter)
			continue;
		*letters++ = rows[i].letter;
		if (has_arg)
			*letters++ = ':';
	}
}

static size_t find_row(int opt)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (opt == 0x100 + (int)i || (rows[i].letter && opt == rows[i].letter))
			return i;
	return ARRAY_SIZE(rows);
}

int ctl_read_options(struct ctl *c, int argc, char **argv)
{
	struct option options[ARRAY_SIZE(rows) + 1] = {};
	char letters[2 * ARRAY_SIZE(rows)] = {};
	int opt;

	fill_getopt(options, letters);
	while ((opt = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		size_t i = find_row(opt);

		if (i == ARRAY_SIZE(rows)) { /* getopt has told what */
			fputs(CTL_HINT_HELP "\n", stderr);
			return CTL_FAILED;
		}
		if (take(c, &rows[i], optarg) < 0) {
			fprintf(stderr, "revshellctl: Bad value for --%s: '%s'\n", rows[i].name,
				optarg);
			if (rows[i].values)
				fprintf(stderr, "Hint: it may be %s.\n", rows[i].values);
			else
				fputs(CTL_HINT_HELP "\n", stderr);
			return CTL_FAILED;
		}
		c->given |= 1ULL << i;
	}
	return 0;
}

const char *ctl_surplus_option(const struct ctl *c, unsigned int groups)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (c->given >> i & 1 && rows[i].group & ~groups)
			return rows[i].name;
	return NULL;
}

bool ctl_has_option(const struct ctl *c, unsigned int group)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (c->given >> i & 1 && rows[i].group & group)
			return true;
	return false;
}

/* The options of these groups, or those of every verb. */
static bool is_in(const struct row *row, unsigned int groups)
{
	return groups ? row->group & groups : row->group == 0;
}

void ctl_print_options(unsigned int groups)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		char text[64] = "   ";

		if (!is_in(row, groups))
			continue;
		if (row->letter)
			snprintf(text, sizeof(text), "-%c ", row->letter);
		printf("  %s--%s%s%-*s %s", text, row->name, row->arg ? "=" : "",
		       (int)(21 - strlen(row->name) - (row->arg != NULL)), row->arg ? row->arg : "",
		       row->help);
		if (row->values)
			printf(" (%s)", row->values);
		putchar('\n');
	}
}

json_t *ctl_options_json(unsigned int groups)
{
	json_t *array = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		char letter[2] = {row->letter};

		if (is_in(row, groups))
			json_array_append_new(array, json_pack("{s:s, s:s*, s:s*, s:s*, s:s}",
							       "name", row->name, "letter",
							       row->letter ? letter : NULL,
							       "argument", row->arg, "values",
							       row->values, "help", row->help));
	}
	return array;
}
