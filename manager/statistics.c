/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All counters by name, as GetStatistics and the metrics file have them. */
#include <string.h>

#include "event.h"
#include "macro.h"
#include "statistics.h"

static int each_policy(const struct manager *m, statistics_fn fn, void *userdata)
{
	const struct manager_generation *g = manager_current(m);
	char name[POLICY_MAX_NAME + 32];
	int r = 0;

	for (size_t i = 0; r >= 0 && i < g->rs->policies.n; i++) {
		const char *id = g->rs->policies.policies[i]->name;

		snprintf(name, sizeof(name), "policy.%s.matches", id);
		r = fn(name, g->counts[i].matches, userdata);
		snprintf(name, sizeof(name), "policy.%s.denials", id);
		if (r >= 0)
			r = fn(name, g->counts[i].denials, userdata);
	}
	return r;
}

static int each_row(const struct manager *m, statistics_fn fn, void *userdata)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < m->tally.n_rows; i++) {
		const struct tally_row *row = &m->tally.rows[i];
		_cleanup_free_ char *name = NULL;

		/* the hook as Tetragon's metrics have it */
		if (asprintf(&name, "policy.%s.events.%s:%s.%s.%s", row->policy,
			     row->section == SECTION_LSMHOOKS ? "lsm" : "kprobe", row->call->name,
			     policy_action_name(row->action),
			     event_verdict_name(row->verdict)) < 0) {
			name = NULL;
			return -ENOMEM;
		}
		r = fn(name, row->n, userdata);
	}
	return r;
}

static int each_sink(const struct manager *m, statistics_fn fn, void *userdata)
{
	int r = 0;

	for (const struct sink *s = m->sinks; r >= 0 && s; s = s->next)
		if (s->ops->lost)
			r = fn(s->ops->lost_name, s->ops->lost(s), userdata);
	return r;
}

/* Those of hooks with a program, and of others where something was counted. */
static int each_place(const struct manager *m, const struct backend_stats *kernel, statistics_fn fn,
		      void *userdata)
{
	uint64_t attached = backend_attached_hooks(m->backend);
	char name[128];
	int r = 0;

	for (int place = 0; place < REVSHELL_PLACES; place++) {
		bool all = place < REVSHELL_HOOK_MAX && ((attached >> place) & 1);
		const char *hook = place < REVSHELL_HOOK_MAX
					   ? ruleset_hook_name((enum revshell_hook)place)
					   : "other";

		for (int i = 0; r >= 0 && i < REVSHELL_STAT_MAX; i++) {
			if (!all && !kernel->at[place][i])
				continue;
			snprintf(name, sizeof(name), "hook.%s.%s", hook,
				 backend_stat_name((enum revshell_stat)i));
			r = fn(name, kernel->at[place][i], userdata);
		}
	}
	return r;
}

int statistics_each(const struct manager *m, statistics_fn fn, void *userdata)
{
	struct backend_stats kernel = {};
	const struct {
		const char *name;
		uint64_t value;
	} own[] = {
		{"generation", manager_current(m)->number},
		{"policies", manager_current(m)->rs->policies.n},
		{"events-seen", m->history.last},
		{"events-stale", m->events_stale},
		{"events-refused", m->events_refused},
		{"events-lost", m->events_lost},
		{"events-waiting", event_queue_n(&m->reader.queue)},
		{"subscribers", m->streams.n},
		{"subscriber-drops", m->streams.drops},
		{"subscribers-refused", m->streams.refused},
	};
	int r;

	r = backend_get_stats(m->backend, &kernel);
	/* where they were alike only in what their selectors ask for */
	for (int i = 0; i < REVSHELL_HOOK_MAX; i++)
		kernel.at[i][REVSHELL_STAT_RATE_LIMITED] += m->events_limited[i];
	for (int i = 0; r >= 0 && i < REVSHELL_STAT_MAX; i++)
		r = fn(backend_stat_name((enum revshell_stat)i),
		       backend_stats_total(&kernel, (enum revshell_stat)i), userdata);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(own); i++)
		r = fn(own[i].name, own[i].value, userdata);
	if (r >= 0)
		r = each_place(m, &kernel, fn, userdata);
	if (r >= 0)
		r = each_sink(m, fn, userdata);
	if (r >= 0)
		r = each_policy(m, fn, userdata);
	return r < 0 ? r : each_row(m, fn, userdata);
}
