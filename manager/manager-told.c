/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is told at a bounded rate: denials to the observer, losses to the log. Opening of sinks. */
#include <inttypes.h>

#include "manager.h"
#include "manager-internal.h"
#include "messages.h"

#define DENIED_USEC (1 * 1000000ULL)
#define LOSS_USEC   (5 * 1000000ULL)

static bool is_on(sd_event_source *timer)
{
	int enabled = SD_EVENT_OFF;

	return sd_event_source_get_enabled(timer, &enabled) >= 0 && enabled != SD_EVENT_OFF;
}

static void arm(sd_event_source *timer, uint64_t usec)
{
	/* if it cannot be armed, the next turn of events tells */
	if (sd_event_source_set_time_relative(timer, usec) >= 0)
		(void)sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

void manager_tell_denials(struct manager *m)
{
	const struct manager_generation *g = manager_current(m);
	bool told = false;

	if (!g || is_on(m->denied_timer))
		return;
	for (size_t i = 0; i < g->rs->policies.n; i++) {
		struct manager_counts *c = &g->counts[i];
		uint64_t n = c->denials - c->denials_told;

		if (n == 0)
			continue;
		c->denials_told = c->denials;
		told = true;
		if (m->observer.denied)
			m->observer.denied(m->observer.userdata, g->rs->policies.policies[i]->name,
					   n, c->denials);
	}
	if (told)
		arm(m->denied_timer, DENIED_USEC);
}

static int on_denied_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	manager_tell_denials(userdata); /* one-shot: it is off now */
	return 0;
}

static uint64_t count_losses(struct manager *m)
{
	struct backend_stats kernel;

	if (backend_get_stats(m->backend, &kernel) < 0)
		return m->losses_told;
	return backend_stats_total(&kernel, REVSHELL_STAT_RING_FULL) + m->events_lost;
}

void manager_forget_losses(struct manager *m)
{
	m->losses_told = count_losses(m);
}

/* The kernel loses events only while there are some, so nobody has to look while it is quiet. */
void manager_tell_losses(struct manager *m)
{
	if (!is_on(m->loss_timer))
		arm(m->loss_timer, LOSS_USEC);
}

static int on_loss_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *m = userdata;
	uint64_t losses = count_losses(m), n = losses - m->losses_told;
	char field[48];
	const char *const fields[] = {MESSAGE_FIELD(MESSAGE_LOST), field, NULL};

	if (losses <= m->losses_told)
		return 0;
	m->losses_told = losses;
	snprintf(field, sizeof(field), "REVSHELL_LOST=%" PRIu64, n);
	log_fields(m->log, LOG_WARNING, fields,
		   "%" PRIu64 " events were lost: more came than could be read; verdicts are not "
		   "concerned",
		   n);
	return 0;
}

static int new_timer(struct manager *m, sd_event_time_handler_t fn, sd_event_source **ret_timer)
{
	int r = sd_event_add_time_relative(m->event, ret_timer, CLOCK_MONOTONIC, 0, 10000, fn, m);

	return r < 0 ? r : sd_event_source_set_enabled(*ret_timer, SD_EVENT_OFF);
}

int manager_told_init(struct manager *m)
{
	int r = new_timer(m, on_denied_timer, &m->denied_timer);

	return r < 0 ? r : new_timer(m, on_loss_timer, &m->loss_timer);
}

void manager_told_done(struct manager *m)
{
	sd_event_source_disable_unref(m->denied_timer);
	sd_event_source_disable_unref(m->loss_timer);
}

static void add_sink(struct manager *m, struct sink *s)
{
	s->next = m->sinks;
	m->sinks = s;
}

int manager_open_sinks(struct manager *m, const struct sink_config *config)
{
	struct sink *s;
	int r;

	r = sink_journal_new(m->event, m->log, config->journal, &s);
	if (r < 0)
		return r;
	add_sink(m, s);
	if (config->export_file) {
		r = sink_file_new(m->log, config, &s);
		if (r < 0)
			return r;
		add_sink(m, s);
	}
	if (config->metrics_file) {
		r = sink_metrics_new(m->event, m->log, config, m, &s);
		if (r < 0)
			return r;
		add_sink(m, s);
	}
	return 0;
}
