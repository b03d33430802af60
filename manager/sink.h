/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where events go besides the history and the subscribers: the journal, a file, metrics. */
#pragma once

#include <stdint.h>

#include <systemd/sd-event.h>

#include "history.h"
#include "log.h"
#include "macro.h"

/*
 * A sink begins with this. None may end the daemon, or hold it up longer than a disk or journald
 * takes: what cannot be delivered is counted and told, once for a whole trouble.
 */
struct sink {
	const struct sink_ops *ops;
	struct sink *next;
};

struct sink_ops {
	/* NULL: events are not asked for. */
	void (*event)(struct sink *s, const struct event_record *rec);
	/* Files may have been moved away. NULL: there is none. */
	void (*reopen)(struct sink *s);
	void (*free)(struct sink *s);
	/* What was not delivered so far, and the name of that counter. NULL: cannot happen. */
	const char *lost_name;
	uint64_t (*lost)(const struct sink *s);
};

enum sink_journal_events {
	SINK_JOURNAL_VERDICTS, /* denied, killed, would-deny */
	SINK_JOURNAL_ALL,
	SINK_JOURNAL_NONE,
};

#define SINK_FILE_MAX_FILES 100U

/* What is configured. */
struct sink_config {
	enum sink_journal_events journal;
	char *export_file;	   /* or NULL */
	uint64_t export_max_size;  /* bytes; 0: no bound */
	unsigned int export_files; /* kept besides the one that is written */
	char *metrics_file;	   /* or NULL */
	uint64_t metrics_interval_usec;
};

/* "verdicts", "all", "none"; -EINVAL if unknown. */
int sink_journal_events_parse(const char *s);

/*
 * Records in the journal, as long as the log goes there. Of one policy, and of all together, only
 * so many are written in a while; a summary says how many more there were.
 */
int sink_journal_new(sd_event *event, const struct log *log, enum sink_journal_events events,
		     struct sink **ret_sink);

/*
 * One line of JSON an event. The file is opened here and once more whenever it cannot be written;
 * trouble is told to log. config must outlive the sink.
 */
int sink_file_new(const struct log *log, const struct sink_config *config, struct sink **ret_sink);

struct manager;

/* A file in OpenMetrics text, replaced now and then. config and m must outlive the sink. */
int sink_metrics_new(sd_event *event, const struct log *log, const struct sink_config *config,
		     const struct manager *m, struct sink **ret_sink);

static inline void sink_send(struct sink *list, const struct event_record *rec)
{
	for (struct sink *s = list; s; s = s->next)
		if (s->ops->event)
			s->ops->event(s, rec);
}

static inline void sink_reopen(struct sink *list)
{
	for (struct sink *s = list; s; s = s->next)
		if (s->ops->reopen)
			s->ops->reopen(s);
}

static inline void sink_free(struct sink *list)
{
	while (list) {
		struct sink *s = list;

		list = s->next;
		s->ops->free(s);
	}
}
DEFINE_CLEANUP(struct sink *, sink_free)
