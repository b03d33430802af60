/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The thread that empties the kernel's ring. */
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "event-reader.h"
#include "macro.h"

/* In a row, until the backend's descriptor is given up. */
#define MAX_FAILURES 500

/*
 * From one look at the ring to the next, at least: a storm is taken out in bundles, and does not
 * wake this thread for each record. Two processors fill a ring of 1 MiB with three million
 * instructions each, which is 0.7 ms where they do four in a nanosecond.
 */
#define PAUSE_NS     100000

#define STACK_BYTES  (256U << 10)

static int on_record(const struct revshell_event *ev, size_t size, void *userdata)
{
	struct event_reader *r = userdata;

	event_queue_push(&r->queue, ev, size);
	return event_queue_has_room(&r->queue) ? 0 : -ENOSPC;
}

/* To an eventfd, whose reader waits; it cannot overflow. */
static void add_one(int fd)
{
	const uint64_t one = 1;

	(void)!write(fd, &one, sizeof(one));
}

/*
 * What the queue has no room for stays in the ring, so that only the kernel loses records, and
 * counts them. Returns 0 or -errno.
 */
static int empty_ring(struct event_reader *r)
{
	uint64_t before = atomic_load(&r->queue.n_in);
	int n = 1;

	/* what comes as fast as it is taken must not keep the rest from being announced */
	for (unsigned int looks = 0; n > 0 && looks < 4 && event_queue_has_room(&r->queue); looks++)
		n = backend_events_consume(r->backend, on_record, r);
	if (atomic_load(&r->queue.n_in) != before)
		add_one(r->notify_fd);
	return n == -ENOSPC || n == -EAGAIN || n == -EINTR ? 0 : MIN(n, 0);
}

static void read_events(struct event_reader *r)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	unsigned int failures = 0;

	while (failures < MAX_FAILURES) {
		struct epoll_event e = {};
		int n = epoll_wait(r->epoll_fd, &e, 1, -1);

		if (n > 0 && e.data.fd == r->stop_fd)
			return;
		n = n < 0 && errno != EINTR ? -errno : empty_ring(r);
		failures = n < 0 ? failures + 1 : 0;
		atomic_store(&r->failure, n);
		if (n < 0)
			add_one(r->notify_fd);
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	}
	/* readable and unreadable at once: better deaf than spinning; verdicts do not need this */
	atomic_store(&r->gave_up, true);
	add_one(r->notify_fd);
}

/* Of who starts the thread, until it is ready. */
struct start {
	struct event_reader *reader;
	enum sandbox_mode sandbox;
	sem_t ready; /* it is in its sandbox, or status tells why not */
	int status;
	const char *step;
};

static void *run(void *userdata)
{
	struct start *s = userdata;
	struct event_reader *r = s->reader;
	int status;

	(void)prctl(PR_SET_NAME, "revshelld-ring");
	status = s->status = sandbox_enter(SANDBOX_READER, s->sandbox, &s->step);
	(void)sem_post(&s->ready);
	if (status == 0)
		read_events(r);
	return NULL;
}

static int watch(const struct event_reader *r, int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

static int open_descriptors(struct event_reader *r)
{
	int n;

	r->notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->stop_fd = eventfd(0, EFD_CLOEXEC);
	r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (r->notify_fd < 0 || r->stop_fd < 0 || r->epoll_fd < 0)
		return -errno;
	n = watch(r, backend_events_fd(r->backend));
	return n < 0 ? n : watch(r, r->stop_fd);
}

/* Signals are for the other thread. */
static int start_thread(struct event_reader *r, enum sandbox_mode sandbox, const char **ret_step)
{
	struct start s = {.reader = r, .sandbox = sandbox};
	sigset_t all, before;
	pthread_attr_t attr;
	int n = pthread_attr_init(&attr);

	if (n != 0)
		return -n;
	(void)sem_init(&s.ready, 0, 0); /* fails for values that are too large alone */
	sigfillset(&all);
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	n = pthread_create(&r->thread, &attr, run, &s);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attr);
	if (n != 0)
		return -n;
	r->runs = true;
	while (sem_wait(&s.ready) < 0 && errno == EINTR)
		;
	(void)sem_destroy(&s.ready);
	if (s.status < 0)
		*ret_step = s.step;
	return s.status;
}

int event_reader_start(struct event_reader *r, struct backend *b, enum sandbox_mode sandbox,
		       const char **ret_step)
{
	int n;

	r->open = true;
	r->backend = b;
	r->notify_fd = r->stop_fd = r->epoll_fd = -EBADF;
	*ret_step = "make a queue of events";
	n = event_queue_init(&r->queue);
	if (n < 0)
		return n;
	*ret_step = "look after the ring";
	n = open_descriptors(r);
	if (n < 0)
		return n;
	*ret_step = "make a thread";
	return start_thread(r, sandbox, ret_step);
}

void event_reader_stop(struct event_reader *r)
{
	if (!r->runs)
		return;
	add_one(r->stop_fd);
	(void)pthread_join(r->thread, NULL);
	r->runs = false;
}

void event_reader_done(struct event_reader *r)
{
	if (!r->open)
		return;
	event_reader_stop(r);
	event_queue_done(&r->queue);
	closep(&r->notify_fd);
	closep(&r->stop_fd);
	closep(&r->epoll_fd);
	*r = (struct event_reader){};
}
