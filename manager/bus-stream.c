/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* OpenEventStream and ListEvents: events as JSON lines in Tetragon's encoding. */
#include <string.h>

#include "bus-internal.h"
#include "event.h"

/* Events of one ListEvents reply: well below the bus's limit on a message. */
#define MAX_LISTED HISTORY_MAX_EVENTS

static int check_verdict(const char *verdict, sd_bus_error *error)
{
	const enum event_verdict all[] = {EVENT_ALLOWED, EVENT_WOULD_DENY, EVENT_DENIED,
					  EVENT_KILLED};

	if (!verdict)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (strcmp(verdict, event_verdict_name(all[i])) == 0)
			return 0;
	return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "Unknown verdict '%s'", verdict);
}

int bus_method_open_event_stream(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	const char *policy = NULL, *exe = NULL, *verdict = NULL;
	const struct bus_option options[] = {
		{"policy", "s", &policy},
		{"exe", "s", &exe},
		{"verdict", "s", &verdict},
		{},
	};
	struct event_filter filter;
	_cleanup_close_ int fd = -EBADF;
	int r;

	r = bus_check_caller(m, NULL, error);
	if (r >= 0)
		r = bus_read_options(m, options, error);
	if (r >= 0)
		r = check_verdict(verdict, error);
	if (r < 0)
		return r;
	filter = (struct event_filter){
		.policy = strdup(policy ? policy : ""),
		.exe = strdup(exe ? exe : ""),
		.verdict = strdup(verdict ? verdict : ""),
	};
	if (filter.policy && filter.exe && filter.verdict)
		r = stream_open(&b->manager->streams, &filter, &fd);
	else
		r = -ENOMEM;
	event_filter_done(&filter);
	if (r == -EUSERS)
		return sd_bus_error_setf(error, BUS_ERROR_LIMIT_EXCEEDED,
					 "There are already %u event streams",
					 STREAM_MAX_SUBSCRIBERS);
	if (r < 0)
		return sd_bus_error_set_errnof(error, r, "Failed to open a stream: %s",
					       strerror(-r));
	return sd_bus_reply_method_return(m, "ht", fd, b->manager->history.last);
}

static int append_events(sd_bus_message *reply, const struct event_record *const *events, size_t n)
{
	int r = sd_bus_message_open_container(reply, 'a', "s");

	for (size_t i = 0; r >= 0 && i < n; i++)
		r = sd_bus_message_append(reply, "s", events[i]->text);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_method_list_events(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	const struct history *h = &b->manager->history;
	_cleanup_free_ const struct event_record **picked = NULL;
	const char *policy = NULL, *exe = NULL, *verdict = NULL;
	uint64_t after, until = UINT64_MAX;
	const struct bus_option options[] = {
		{"policy", "s", &policy},
		{"exe", "s", &exe},
		{"verdict", "s", &verdict},
		{"until", "t", &until},
		{},
	};
	sd_bus_message *reply = NULL;
	struct event_filter filter;
	uint32_t max;
	size_t n;
	int r;

	r = bus_check_caller(m, NULL, error);
	if (r >= 0)
		r = sd_bus_message_read(m, "tu", &after, &max);
	if (r >= 0)
		r = bus_read_options(m, options, error);
	if (r >= 0)
		r = check_verdict(verdict, error);
	if (r < 0)
		return r;
	max = MIN(max, MAX_LISTED);
	picked = calloc((size_t)max + 1, sizeof(const struct event_record *));
	if (!picked)
		return -ENOMEM;
	filter = (struct event_filter){(char *)policy, (char *)exe, (char *)verdict}; /* lent */
	n = history_pick(h, after, until, max, &filter, picked);
	r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = append_events(reply, picked, n);
	/* Where to go on: behind the last one if there may be more, else behind all there are. */
	if (r >= 0)
		r = sd_bus_message_append(reply, "t",
					  n > 0 && n == max ? picked[n - 1]->number
							    : MIN(h->last, until));
	if (r >= 0)
		r = sd_bus_message_send(reply);
	sd_bus_message_unref(reply);
	return r;
}
