/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From kernel records to events as people and Tetragon's tools read them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>

#include "revshell-abi.h"
#include "ruleset.h"
#include "symbols.h"

enum event_format {
	EVENT_JSON,	/* wrapper values as {"value": n}: pid, tid, uid, auid */
	EVENT_TETRAGON, /* exactly as Tetragon encodes it */
	EVENT_COMPACT,	/* one line for people */
};

enum event_verdict {
	EVENT_ALLOWED,
	EVENT_WOULD_DENY,
	EVENT_DENIED,
	EVENT_KILLED,
};

const char *event_verdict_name(enum event_verdict v); /* "would-deny" */

/* A socket's type by the name that events have for it, "SOCK_STREAM"; -1 if there is none. */
int event_type_parse(const char *name);

/* What events tell besides their record. */
struct event_host {
	int64_t boot_offset_ns;	 /* CLOCK_REALTIME minus CLOCK_BOOTTIME */
	const char *node;	 /* host name */
	struct symbols *symbols; /* for call stacks, or NULL */
	/* of the event before, by which explain finds them; NULL: they are not numbered */
	const uint64_t *last_number;
};

/* An event as one line of JSON in Tetragon's encoding, plus this project's keys. */
struct event_line {
	const char *text;
	size_t len;
	const char *exe; /* as the process's binary; "" if it has none */
};

/*
 * One kernel record is one decision; it becomes one event per set bit of ev->match. This calls fn
 * for each with the event in Tetragon's encoding plus this project's added keys (verdict,
 * policy_mode, ...). size, in bytes, tells whether ev is a struct revshell_event_more.
 * Records whose fields contradict the rule set (bits beyond its selectors, lengths beyond their
 * arrays) are refused with -EBADMSG. want may be NULL. The event is valid during the call. Returns
 * the number of events or -errno.
 */
typedef int (*event_fn)(const struct event_line *event, const struct ruleset_selector *sel,
			void *userdata);

/* Asked for each selector beforehand, on a valid record; false: no event is made of it. */
typedef bool (*event_want_fn)(const struct ruleset_selector *sel, void *userdata);

int event_expand(const struct revshell_event *ev, size_t size, const struct ruleset *rs,
		 const struct event_host *host, event_want_fn want, event_fn fn, void *userdata);

/* The verdict of one expanded event. */
enum event_verdict event_get_verdict(const struct revshell_event *ev, const struct ruleset *rs,
				     unsigned int selector);

/*
 * Formats an event that event_expand made, read back from its JSON. EVENT_JSON and
 * EVENT_TETRAGON give one line without newline; color is for EVENT_COMPACT. New string or NULL.
 */
char *event_format(const json_t *event, enum event_format format, bool color);
