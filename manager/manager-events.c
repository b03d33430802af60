/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The way of an event: from the kernel's record to counters, history and subscribers. */
#include <string.h>

#include "clock.h"
#include "event.h"
#include "manager.h"
#include "manager-internal.h"

/* What on_match and on_expanded need to know of the record they are called for. */
struct expansion {
	struct manager *manager;
	const struct manager_generation *generation;
	const struct revshell_event *ev;
};

#define SAME_MOMENT_NS 1000000

int64_t manager_boot_offset_ns(struct manager *m)
{
	int64_t before = (int64_t)clock_ns(CLOCK_BOOTTIME);
	int64_t real = (int64_t)clock_ns(CLOCK_REALTIME);
	int64_t boot = (int64_t)clock_ns(CLOCK_BOOTTIME);

	/* whoever was kept waiting in between has found nothing out */
	if (m->boot_offset_ns && boot - before > SAME_MOMENT_NS)
		return m->boot_offset_ns;
	if (llabs(real - boot - m->boot_offset_ns) > SAME_MOMENT_NS)
		m->boot_offset_ns = real - boot;
	return m->boot_offset_ns;
}

/* The counters that are current for a policy of any kept generation, or NULL if it is gone. */
static struct manager_counts *find_counts(struct manager *m, const struct manager_generation *g,
					  uint32_t policy)
{
	ssize_t i;

	if (!g)
		return NULL;
	if (g == manager_current(m))
		return &g->counts[policy];
	i = manager_find_policy(m, g->rs->policies.policies[policy]->name);
	return i < 0 ? NULL : &m->generations[0].counts[i];
}

static enum event_verdict verdict_of(const struct expansion *x, const struct ruleset_selector *sel)
{
	const struct ruleset *rs = x->generation->rs;

	return event_get_verdict(x->ev, rs, (unsigned int)(sel - rs->hooks[x->ev->hook].selectors));
}

static void tally_match(struct manager *m, const struct ruleset *rs,
			const struct ruleset_selector *sel, enum event_verdict verdict, uint64_t n)
{
	const struct policy *p = rs->policies.policies[sel->policy];
	const struct policy_entry *e = &p->entries[sel->entry];
	const struct policy_selector *s = &e->selectors[sel->selector];
	const struct tally_row row = {
		.policy = p->name,
		.section = e->section,
		.call = e->call,
		.action = s->n_actions ? s->actions[s->n_actions - 1].kind : ACTION_POST,
		.verdict = verdict,
	};

	(void)tally_add(&m->tally, &row, n); /* without memory it is not counted here */
}

/* Every match counts; a rate limit only keeps the event back. */
static bool on_match(const struct ruleset_selector *sel, void *userdata)
{
	struct expansion *x = userdata;
	struct manager *m = x->manager;
	struct manager_counts *counts = find_counts(m, x->generation, sel->policy);
	enum event_verdict verdict = verdict_of(x, sel);

	/* those that the kernel kept back were alike */
	if (counts) {
		counts->matches += 1 + x->ev->suppressed;
		if (verdict == EVENT_DENIED || verdict == EVENT_KILLED)
			counts->denials += 1 + x->ev->suppressed;
		tally_match(m, x->generation->rs, sel, verdict, 1 + x->ev->suppressed);
	}
	if (ratelimit_allows(m->ratelimit, x->ev, x->generation->rs, sel))
		return true;
	m->events_limited[x->ev->hook]++;
	return false;
}

static int on_expanded(const struct event_line *event, const struct ruleset_selector *sel,
		       void *userdata)
{
	struct expansion *x = userdata;
	struct manager *m = x->manager;
	const struct ruleset *rs = x->generation->rs;
	struct event_record *rec;

	if (event_record_new(event, rs->policies.policies[sel->policy]->name,
			     event_verdict_name(verdict_of(x, sel)), &rec) < 0) {
		m->events_lost++;
		return 0;
	}
	stream_send(&m->streams, rec);
	sink_send(m->sinks, rec);
	history_push(&m->history, rec);
	return 0;
}

static const struct manager_generation *find_generation(const struct manager *m, uint64_t number)
{
	for (size_t i = 0; i < m->n_generations; i++)
		if (m->generations[i].number == number)
			return &m->generations[i];
	return NULL;
}

static void tell_record(struct manager *m, const struct revshell_event *ev, size_t size)
{
	struct expansion x = {.manager = m, .ev = ev};
	int r;

	m->events_read++;
	x.generation = find_generation(m, ev->generation);
	if (!x.generation) {
		m->events_stale++;
	} else {
		const struct event_host host = {manager_boot_offset_ns(m), m->node, m->symbols,
						&m->history.last};

		r = event_expand(ev, size, x.generation->rs, &host, on_match, on_expanded, &x);
		if (r == -EBADMSG)
			m->events_refused++;
		else if (r < 0)
			m->events_lost++;
	}
}

static bool tell_oldest(struct manager *m)
{
	size_t size;
	const struct revshell_event *ev = event_queue_pop(&m->reader.queue, &size);

	if (ev)
		tell_record(m, ev, size);
	return ev;
}

void manager_flush_events(struct manager *m)
{
	while (tell_oldest(m))
		;
}

void manager_flush_generation(struct manager *m, uint64_t generation)
{
	const struct event_queue *q = &m->reader.queue;

	while (event_queue_has_record(q) && event_queue_generation(q) <= generation)
		(void)tell_oldest(m);
}

static void note_reading(struct manager *m)
{
	int failure = atomic_load(&m->reader.failure);

	if (failure < 0 && m->events_failure == 0)
		log_error(m->log, "Failed to read events: %s", strerror(-failure));
	m->events_failure = failure;
	if (!atomic_load(&m->reader.gave_up) || m->events_deaf)
		return;
	log_error(m->log, "Events are not read any more");
	m->events_deaf = true;
	if (m->observer.properties_changed)
		m->observer.properties_changed(m->observer.userdata, MANAGER_EVENTS);
}

/* Tells what waits, as long as a turn may be; the rest has a turn after the bus and the signals. */
static int have_turn(struct manager *m)
{
	note_reading(m);
	for (unsigned int n = 0; n < MANAGER_EVENTS_PER_TURN && tell_oldest(m); n++)
		;
	manager_tell_denials(m);
	manager_tell_losses(m);
	return sd_event_source_set_enabled(m->backlog_source,
					   event_queue_has_record(&m->reader.queue) ? SD_EVENT_ON
										    : SD_EVENT_OFF);
}

/* Whatever is put into the queue from here on announces itself anew. */
static int on_notify(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	uint64_t n;

	(void)!read(fd, &n, sizeof(n));
	return have_turn(userdata);
}

static int on_backlog(sd_event_source *source, uint64_t usec, void *userdata)
{
	return have_turn(userdata);
}

int manager_listen(struct manager *m, enum sandbox_mode sandbox, const char **ret_step)
{
	int r;

	if (backend_events_fd(m->backend) < 0)
		return 0;
	r = event_reader_start(&m->reader, m->backend, sandbox, ret_step);
	if (r < 0)
		return r;
	*ret_step = "listen to the ring's reader";
	/* always due; a deferred source would be, too, but before everything else */
	r = sd_event_add_time(m->event, &m->backlog_source, CLOCK_MONOTONIC, 0, 1, on_backlog, m);
	if (r >= 0)
		r = sd_event_source_set_enabled(m->backlog_source, SD_EVENT_OFF);
	return r < 0 ? r
		     : sd_event_add_io(m->event, &m->events_source, m->reader.notify_fd, EPOLLIN,
				       on_notify, m);
}
