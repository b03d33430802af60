/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looks after what enforces. The service manager's watchdog is fed only while programs and pins are
 * there, the loader lives and events are read; else it restarts the daemon, which sets all that up.
 */
#include <poll.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#include "macro.h"
#include "manager.h"
#include "manager-internal.h"

/* Without a watchdog to feed. */
#define INTERVAL_USEC (60 * 1000000ULL)

/* Whether events waited at the last look, wait now, and not one was read in between. */
static bool events_stand_still(struct manager *m)
{
	struct manager_watchdog *w = &m->watchdog;
	struct pollfd p = {.fd = backend_events_fd(m->backend), .events = POLLIN};
	bool waiting = event_queue_n(&m->reader.queue) > 0 || (p.fd >= 0 && poll(&p, 1, 0) > 0);
	bool still = waiting && w->waiting && w->seen == m->events_read;

	w->waiting = waiting;
	w->seen = m->events_read;
	return still;
}

/* 0, or -errno and why not all is well. */
static int look(struct manager *m, char **ret_reason)
{
	bool still = events_stand_still(m);
	int n = backend_check(m->backend, ret_reason);

	if (n < 0)
		return n;
	if (n > 0)
		log_warning(m->log, "Somebody had removed %d pins in %s: they are there again", n,
			    backend_pin_dir(m->backend) ? backend_pin_dir(m->backend) : "?");
	if (!still && !m->events_deaf)
		return 0;
	*ret_reason = strdup("events are not read");
	return -EIO;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *m = userdata;
	struct manager_watchdog *w = &m->watchdog;
	_cleanup_free_ char *reason = NULL;
	int r = look(m, &reason);

	if (r < 0 && !w->starved)
		log_error(m->log, "%s: %s",
			  w->feeds ? "The watchdog is not fed" : "Not all is well",
			  reason ? reason : strerror(-r));
	if (r >= 0 && w->starved)
		log_notice(m->log, "All is well again");
	w->starved = r < 0;
	if (r >= 0 && w->feeds)
		sd_notify(0, "WATCHDOG=1");
	r = sd_event_source_set_time_relative(source, w->interval_usec);
	return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int manager_watch(struct manager *m, uint64_t watchdog_usec)
{
	struct manager_watchdog *w = &m->watchdog;

	w->feeds = watchdog_usec > 0;
	w->interval_usec = w->feeds ? watchdog_usec / 4 : INTERVAL_USEC;
	return sd_event_add_time_relative(m->event, &w->timer, CLOCK_MONOTONIC, w->interval_usec,
					  w->interval_usec / 4, on_time, m);
}

void manager_watchdog_done(struct manager *m)
{
	m->watchdog.timer = sd_event_source_disable_unref(m->watchdog.timer);
}
