/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records that were taken out of the kernel's ring and are not told yet: one thread puts them in,
 * another one takes them out, and neither ever waits for the other. They are kept by the bytes in
 * use; memory is taken as they come and given back as they go.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "revshell-abi.h"

/* Of addresses: some 60,000 records, or 10,000 of those that are as large as they can be. */
#define EVENT_QUEUE_BYTES     (32U << 20)

/* What it makes do with where the kernel does not lend addresses so freely. */
#define EVENT_QUEUE_MIN_BYTES (1U << 20)

/* Records come out in the order in which they were put in. */
struct event_queue {
	char *data;
	uint64_t size;			   /* bytes, a power of two */
	uint64_t piece;			   /* so many are given back at once */
	_Atomic uint64_t in, out;	   /* bytes since the start; each has one writer */
	_Atomic uint64_t n_in, n_out;	   /* records */
	struct revshell_event_more record; /* the last one that came out */
};

/* Returns 0 or -ENOMEM. q starts zeroed, and may stay so: then there is room for nothing. */
int event_queue_init(struct event_queue *q);

/* Whether there is room for a record, however large. By who puts in. */
bool event_queue_has_room(const struct event_queue *q);

/* Takes a copy of a record of so many bytes. By who puts in, after event_queue_has_room(). */
void event_queue_push(struct event_queue *q, const struct revshell_event *ev, size_t size);

/* How many records wait, counting one that is just being put in. By anybody. */
uint64_t event_queue_n(const struct event_queue *q);

/* Whether a record can be taken out. By who does. */
bool event_queue_has_record(const struct event_queue *q);

/*
 * The oldest record, which is valid until the next call, and its size; NULL: there is none. What
 * its lengths leave unused is zero. By who takes out.
 */
const struct revshell_event *event_queue_pop(struct event_queue *q, size_t *ret_size);

/* The generation of the oldest record. By who takes out, and only while there is one. */
uint64_t event_queue_generation(const struct event_queue *q);

/* Once nobody else uses it. */
void event_queue_done(struct event_queue *q);
