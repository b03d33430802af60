/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records that were taken out of the kernel's ring and are not told yet. They are kept by the bytes
 * in use, in memory that is taken as they come and given back as they go.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "revshell-abi.h"

/* Some 60,000 records, or 10,000 of those that are as large as they can be. */
#define EVENT_QUEUE_MAX_BYTES (32U << 20)

struct event_chunk;

/* Starts zeroed. Records come out in the order in which they were put in. */
struct event_queue {
	struct event_chunk *first, *last;
	size_t n_chunks;
	size_t n;			   /* records */
	struct revshell_event_more record; /* the last one that came out */
};

/* Makes room for a record, however large. false: there is none, or no memory. */
bool event_queue_reserve(struct event_queue *q);

/* Takes a copy of a record of so many bytes. Only after event_queue_reserve(). */
void event_queue_push(struct event_queue *q, const struct revshell_event *ev, size_t size);

/*
 * The oldest record, which is valid until the next call, and its size; NULL: there is none. What
 * its lengths leave unused is zero.
 */
const struct revshell_event *event_queue_pop(struct event_queue *q, size_t *ret_size);

/* The generation of the oldest record. Only while there is one. */
uint64_t event_queue_generation(const struct event_queue *q);

void event_queue_done(struct event_queue *q);
