/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The last events, kept in memory up to a bound, and the filter that picks among them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "macro.h"

#define HISTORY_MAX_EVENTS 1000U
#define HISTORY_MAX_BYTES  (1024U * 1024U) /* of text */

/* One expanded event. Numbers count from 1 since the daemon started and never repeat. */
struct event_record {
	unsigned int refs;
	uint64_t number;
	size_t len;
	const char *policy;
	const char *exe;     /* as the event's process.binary; "" if it has none */
	const char *verdict; /* static, "would-deny" */
	char text[]; /* one line of JSON in Tetragon's encoding, no newline; then the others */
};

/* Copies what is needed out of event. verdict must be static. Returns 0 or -ENOMEM. */
int event_record_new(const struct event_line *event, const char *policy, const char *verdict,
		     struct event_record **ret_record);
struct event_record *event_record_ref(struct event_record *rec);

/* Drops a reference; the last one frees it. */
void event_record_free(struct event_record *rec);
DEFINE_CLEANUP(struct event_record *, event_record_free)

/* Empty or NULL members match everything. */
struct event_filter {
	char *policy;
	char *exe;
	char *verdict;
};

bool event_filter_match(const struct event_filter *f, const struct event_record *rec);
void event_filter_done(struct event_filter *f);

struct history {
	struct event_record *records[HISTORY_MAX_EVENTS]; /* a ring */
	size_t first;					  /* index of the oldest */
	size_t n;
	size_t bytes;
	uint64_t last; /* number of the newest ever pushed; 0: none */
};

/* Takes the record, numbers it, and drops the oldest as far as the bounds ask. */
void history_push(struct history *h, struct event_record *rec);

/* The i-th oldest record, i < h->n. */
const struct event_record *history_get(const struct history *h, size_t i);

/*
 * Picks at most max records that match: with after == 0 the newest ones, else the oldest ones
 * numbered above after; none numbered above until. ret_picked has room for max or
 * HISTORY_MAX_EVENTS pointers, whichever is less; they are in order of number. Returns their count.
 */
size_t history_pick(const struct history *h, uint64_t after, uint64_t until, size_t max,
		    const struct event_filter *f, const struct event_record **ret_picked);

void history_done(struct history *h);
