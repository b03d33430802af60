/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counters as OpenMetrics 1.0 text, as a collector of text files takes it too. */
#include <inttypes.h>
#include <string.h>

#include "macro.h"
#include "openmetrics.h"

#define POLICY_PREFIX "policy." /* of counters by policy */
#define HOOK_PREFIX   "hook."	/* of counters by hook */

/* Those that are not here are counters that nothing more is said of. */
static const struct {
	const char *name;
	bool gauge; /* goes up and down; all else only grows while the daemon lives */
	const char *help;
} known[] = {
	{"denied", false, "Calls that were refused."},
	{"directories-unknown", false, "Working directories that could not be had for an event."},
	{"events-dropped-ring-full", false,
	 "Events that found no room on their way to the daemon."},
	{"events-lost", false, "Events that the daemon had no memory for."},
	{"events-rate-limited", false, "Events that a rateLimit kept back."},
	{"events-refused", false, "Events that contradicted their rule set."},
	{"events-seen", false, "Events that went to history, subscribers, journal and files."},
	{"events-sent", false, "Events that the kernel sent."},
	{"events-stale", false, "Events of a rule set that is not kept any more."},
	{"events-waiting", true, "Events that the daemon has taken over and not told yet."},
	{"export-lost", false, "Events that are missing in the export file."},
	{"generation", true, "Number of the rule set in force."},
	{"journal-left-out", false, "Events that were too many for the journal."},
	{"labels-computed-late", false, "Processes whose executable was found out at a call only."},
	{"labels-resolved", false, "Times that it was worked out what an executable means."},
	{"labels-without-memory", false, "Processes that there was no memory to remember."},
	{"lookups-failed", false,
	 "Look-ups in the rule set that found nothing where something is."},
	{"metrics-failed", false, "Times that the metrics file could not be replaced."},
	{"owners-without-memory", false, "Sockets whose creator there was no memory to remember."},
	{"path-buffers-busy", false, "Times that every buffer for paths was in use."},
	{"paths-unknown", false, "Executables whose path could not be had."},
	{"policies", true, "Policies in force."},
	{"signalled", false, "Calls whose caller was sent a signal."},
	{"subscriber-drops", false, "Events that subscribers were too slow for."},
	{"subscribers", true, "Event streams that are open."},
	{"subscribers-refused", false, "Event streams that were one too many."},
	{"units-unknown", false, "Calls from cgroups deeper than is looked at."},
	{"would-deny", false, "Calls that would have been refused under enforce."},
};

static void put_label(FILE *f, const char *key, const char *value, size_t size)
{
	fprintf(f, "%s=\"", key);
	for (size_t i = 0; i < size; i++) {
		if (value[i] == '\n')
			fputs("\\n", f);
		else if (value[i] == '"' || value[i] == '\\')
			fprintf(f, "\\%c", value[i]);
		else
			fputc(value[i], f);
	}
	fputc('"', f);
}

static void put_family(FILE *f, const char *name, bool gauge, const char *help)
{
	fprintf(f, "# TYPE revshell_%s %s\n", name, gauge ? "gauge" : "counter");
	if (help)
		fprintf(f, "# HELP revshell_%s %s\n", name, help);
}

/* A family of a counter's name behind prefix. Returns whether it is a gauge. */
static bool put_known_family(FILE *f, const char *prefix, const char *stat,
			     char ret_name[static 64])
{
	const char *help = NULL;
	bool gauge = false;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(known[i].name, stat) == 0) {
			gauge = known[i].gauge;
			help = known[i].help;
		}
	snprintf(ret_name, 64, "%s%s", prefix, stat);
	for (char *s = ret_name; *s; s++)
		if (*s == '-' || *s == '.')
			*s = '_';
	put_family(f, ret_name, gauge, help);
	return gauge;
}

static void put_metric(FILE *f, const struct openmetrics_stat *stat)
{
	char name[64];
	bool gauge = put_known_family(f, "", stat->name, name);

	fprintf(f, "revshell_%s%s %" PRIu64 "\n", name, gauge ? "" : "_total", stat->value);
}

/* NAME of "hook.HOOK.NAME", NULL of others. No hook has a dot in its name. */
static const char *hook_stat_name(const struct openmetrics_stat *stat)
{
	const char *dot;

	if (strncmp(stat->name, HOOK_PREFIX, strlen(HOOK_PREFIX)) != 0)
		return NULL;
	dot = strchr(stat->name + strlen(HOOK_PREFIX), '.');
	return dot ? dot + 1 : NULL;
}

/* The samples of a NAME for every hook, which have to follow each other, where first is the first.
 */
static void put_hook_metric(FILE *f, const struct openmetrics *o, size_t first)
{
	const char *what = hook_stat_name(&o->stats[first]);
	char name[64];

	for (size_t i = 0; what && i < first; i++) {
		const char *before = hook_stat_name(&o->stats[i]);

		if (before && strcmp(before, what) == 0)
			return;
	}
	if (!what)
		return;
	put_known_family(f, "hook_", what, name);
	for (size_t i = first; i < o->n_stats; i++) {
		const char *hook = o->stats[i].name + strlen(HOOK_PREFIX);
		const char *other = hook_stat_name(&o->stats[i]);

		if (!other || strcmp(other, what) != 0)
			continue;
		fprintf(f, "revshell_%s_total{", name);
		put_label(f, "hook", hook, (size_t)(other - 1 - hook));
		fprintf(f, "} %" PRIu64 "\n", o->stats[i].value);
	}
}

static bool is_of_policy(const struct openmetrics_stat *stat)
{
	return strncmp(stat->name, POLICY_PREFIX, strlen(POLICY_PREFIX)) == 0;
}

/* The samples of "policy.ID.WHAT" for every ID, which have to follow each other. */
static void put_policy_metric(FILE *f, const struct openmetrics *o, const char *what,
			      const char *help)
{
	char name[64];

	snprintf(name, sizeof(name), "policy_%s", what);
	put_family(f, name, false, help);
	for (size_t i = 0; i < o->n_stats; i++) {
		const char *id = o->stats[i].name + strlen(POLICY_PREFIX), *dot;

		if (!is_of_policy(&o->stats[i]))
			continue;
		dot = strrchr(id, '.');
		if (!dot || strcmp(dot + 1, what) != 0)
			continue;
		fprintf(f, "revshell_policy_%s_total{", what);
		put_label(f, "policy", id, (size_t)(dot - id));
		fprintf(f, "} %" PRIu64 "\n", o->stats[i].value);
	}
}

/* The last part of text up to *end, behind a dot; *end then stands at that dot. NULL: there is
 * none. */
static const char *take_last_part(const char *text, const char **end)
{
	const char *dot = memrchr(text, '.', (size_t)(*end - text));

	if (!dot)
		return NULL;
	*end = dot;
	return dot + 1;
}

/* "policy.ID.events.HOOK.ACTION.VERDICT", with the labels that Tetragon's metrics have. */
static void put_events_metric(FILE *f, const struct openmetrics *o)
{
	static const char *const keys[] = {"verdict", "action", "hook"};

	put_family(f, "policy_events", false, "Matches by policy, hook, action and verdict.");
	for (size_t i = 0; i < o->n_stats; i++) {
		const char *id = o->stats[i].name + strlen(POLICY_PREFIX), *end, *begin;
		struct {
			const char *s;
			size_t n;
		} parts[ARRAY_SIZE(keys)];
		size_t n = 0;

		if (!is_of_policy(&o->stats[i]))
			continue;
		end = id + strlen(id);
		for (; n < ARRAY_SIZE(keys); n++) {
			const char *before = end;

			begin = take_last_part(id, &end);
			if (!begin)
				break;
			parts[n].s = begin;
			parts[n].n = (size_t)(before - begin);
		}
		if (n < ARRAY_SIZE(keys) || !(begin = take_last_part(id, &end)) ||
		    strncmp(begin, "events.", strlen("events.")) != 0)
			continue;
		fputs("revshell_policy_events_total{", f);
		put_label(f, "policy", id, (size_t)(end - id));
		while (n-- > 0) {
			fputc(',', f);
			put_label(f, keys[n], parts[n].s, parts[n].n);
		}
		fprintf(f, "} %" PRIu64 "\n", o->stats[i].value);
	}
}

void openmetrics_write(FILE *f, const struct openmetrics *o)
{
	/* a gauge, since collectors of the older text format know no info */
	put_family(f, "build_info", true,
		   "The daemon's version and what it reaches the kernel by.");
	fputs("revshell_build_info{", f);
	put_label(f, "version", o->version, strlen(o->version));
	fputc(',', f);
	put_label(f, "backend", o->backend, strlen(o->backend));
	fputs("} 1\n", f);
	put_family(f, "enforcing", true, "1 while verdicts are carried out, all of them.");
	fprintf(f, "revshell_enforcing %d\n", o->enforcing);
	for (size_t i = 0; i < o->n_stats; i++)
		if (!is_of_policy(&o->stats[i]) && !hook_stat_name(&o->stats[i]))
			put_metric(f, &o->stats[i]);
	for (size_t i = 0; i < o->n_stats; i++)
		put_hook_metric(f, o, i);
	put_policy_metric(f, o, "matches", "Calls that the policy matched.");
	put_policy_metric(f, o, "denials", "Calls that were refused, or their caller killed.");
	put_events_metric(f, o);
	fputs("# EOF\n", f);
}
