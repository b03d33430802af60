/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Event subscribers: one SOCK_SEQPACKET socket each, one JSON event a datagram. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <systemd/sd-event.h>

#include "history.h"

#define STREAM_MAX_SUBSCRIBERS 64U

struct stream_subscriber;

/*
 * All subscribers. One that does not read loses events, never the daemon's time: what does not fit
 * its socket waits, up to a bound; what is beyond that is counted, and told as {"drops":N} before
 * the next event that fits.
 */
struct stream_set {
	sd_event *event;
	TAILQ_HEAD(, stream_subscriber) subscribers;
	size_t n;
	uint64_t drops;	  /* of all subscribers, also those that left */
	uint64_t refused; /* would-be subscribers, as there were too many */
};

int stream_set_init(struct stream_set *s, sd_event *event);

/* Closes every socket: the other ends read an end of file. */
void stream_set_done(struct stream_set *s);

/*
 * Adds a subscriber and takes the filter's members on success. ret_fd is the other end, to be
 * handed out; the subscriber lives until it is closed. -EUSERS: there are too many.
 */
int stream_open(struct stream_set *s, struct event_filter *f, int *ret_fd);

/* May keep a reference. */
void stream_send(struct stream_set *s, struct event_record *rec);
