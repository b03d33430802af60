/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A thread that does nothing but empty the kernel's ring into a queue, so that telling an event, a
 * reload or a slow disk does not keep the next ones waiting where there is little room.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "backend.h"
#include "event-queue.h"
#include "sandbox.h"

/* Starts zeroed. */
struct event_reader {
	struct backend *backend;
	struct event_queue queue;
	int notify_fd; /* an eventfd: readable once records were put into the queue, or at an end */
	int stop_fd, epoll_fd;
	bool open, runs;
	pthread_t thread;
	atomic_int failure; /* -errno of the last reading that failed, until another one does not */
	atomic_bool gave_up; /* after too many of these in a row */
};

/*
 * Starts to read what the backend's descriptor announces, in a sandbox of the thread's own. Returns
 * 0, or -errno and which step failed.
 */
int event_reader_start(struct event_reader *r, struct backend *b, enum sandbox_mode sandbox,
		       const char **ret_step);

/* Ends the thread. What is in the queue stays there. */
void event_reader_stop(struct event_reader *r);

void event_reader_done(struct event_reader *r);
