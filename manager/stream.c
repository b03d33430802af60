/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Event subscribers: one SOCK_SEQPACKET socket each, one JSON event a datagram. */
#include <inttypes.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "stream.h"

/* Room for events a reader has not fetched yet; the kernel may grant less. */
#define STREAM_BUFFER	   (512 * 1024)

/* Text of events that a subscriber may be behind besides, which the history mostly has as well. */
#define STREAM_MAX_WAITING (2U << 20)

struct waiting {
	TAILQ_ENTRY(waiting) link;
	struct event_record *rec;
};

struct stream_subscriber {
	TAILQ_ENTRY(stream_subscriber) link;
	struct stream_set *set;
	struct event_filter filter;
	int fd;
	sd_event_source *source;
	TAILQ_HEAD(, waiting) waiting;
	size_t waiting_bytes;
	uint64_t drops; /* after those that wait; not told yet */
};

int stream_set_init(struct stream_set *s, sd_event *event)
{
	TAILQ_INIT(&s->subscribers);
	s->event = sd_event_ref(event);
	s->n = 0;
	s->drops = s->refused = 0;
	return 0;
}

static void forget_first(struct stream_subscriber *sub)
{
	struct waiting *w = TAILQ_FIRST(&sub->waiting);

	TAILQ_REMOVE(&sub->waiting, w, link);
	sub->waiting_bytes -= w->rec->len;
	event_record_free(w->rec);
	free(w);
}

static void subscriber_free(struct stream_subscriber *sub)
{
	if (!sub)
		return;
	while (!TAILQ_EMPTY(&sub->waiting))
		forget_first(sub);
	sd_event_source_disable_unref(sub->source);
	if (sub->fd >= 0)
		close(sub->fd);
	event_filter_done(&sub->filter);
	free(sub);
}
DEFINE_CLEANUP(struct stream_subscriber *, subscriber_free)

static void subscriber_remove(struct stream_subscriber *sub)
{
	TAILQ_REMOVE(&sub->set->subscribers, sub, link);
	sub->set->n--;
	subscriber_free(sub);
}

void stream_set_done(struct stream_set *s)
{
	while (s->n > 0)
		subscriber_remove(TAILQ_FIRST(&s->subscribers));
	s->event = sd_event_unref(s->event);
}

/*
 * 0 if sent, -EAGAIN if the socket is full, -EMSGSIZE if it never takes so much, another -errno if
 * it is of no use any more.
 */
static int subscriber_write(struct stream_subscriber *sub, const char *data, size_t len)
{
	ssize_t n = send(sub->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0)
		return 0;
	switch (errno) {
	case EINTR:
	case ENOBUFS:
	case ENOMEM:
		return -EAGAIN;
	}
	return -errno;
}

static int subscriber_tell_drops(struct stream_subscriber *sub)
{
	char text[40];
	int r, len;

	if (sub->drops == 0)
		return 0;
	len = snprintf(text, sizeof(text), "{\"drops\":%" PRIu64 "}", sub->drops);
	r = subscriber_write(sub, text, (size_t)len);
	if (r < 0)
		return r;
	sub->drops = 0;
	return 0;
}

static void count_drop(struct stream_subscriber *sub)
{
	sub->drops++;
	sub->set->drops++;
}

/* Once a drop was counted all are, until it is told: it stands for those between two events. */
static void subscriber_keep(struct stream_subscriber *sub, struct event_record *rec)
{
	struct waiting *w = NULL;

	if (sub->drops == 0 && sub->waiting_bytes + rec->len <= STREAM_MAX_WAITING)
		w = malloc(sizeof(*w));
	if (!w) {
		count_drop(sub);
		return;
	}
	w->rec = event_record_ref(rec);
	sub->waiting_bytes += rec->len;
	TAILQ_INSERT_TAIL(&sub->waiting, w, link);
}

/* Sends what waits, as far as the socket takes it. -EAGAIN: something is left. */
static int subscriber_flush(struct stream_subscriber *sub)
{
	int r;

	while (!TAILQ_EMPTY(&sub->waiting)) {
		const struct event_record *rec = TAILQ_FIRST(&sub->waiting)->rec;

		r = subscriber_write(sub, rec->text, rec->len);
		if (r == -EMSGSIZE)
			count_drop(sub);
		else if (r < 0)
			return r;
		forget_first(sub);
	}
	r = subscriber_tell_drops(sub);
	return r < 0 ? r : sd_event_source_set_io_events(sub->source, 0);
}

/* Writable while something waits, or the other end is gone (EPOLLHUP needs no subscription). */
static int on_socket(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct stream_subscriber *sub = userdata;
	int r = 0;

	if (revents & (EPOLLHUP | EPOLLERR))
		r = -EPIPE;
	else if (revents & EPOLLOUT)
		r = subscriber_flush(sub);
	if (r < 0 && r != -EAGAIN)
		subscriber_remove(sub);
	return 0;
}

int stream_open(struct stream_set *s, struct event_filter *f, int *ret_fd)
{
	_cleanup_(subscriber_freep) struct stream_subscriber *sub = NULL;
	_cleanup_close_ int other = -EBADF;
	int fds[2], r, size = STREAM_BUFFER;

	if (s->n >= STREAM_MAX_SUBSCRIBERS) {
		s->refused++;
		return -EUSERS;
	}
	sub = calloc(1, sizeof(*sub));
	if (!sub)
		return -ENOMEM;
	TAILQ_INIT(&sub->waiting);
	sub->fd = -EBADF;
	sub->set = s;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	sub->fd = fds[0];
	other = fds[1];
	/* What a subscriber writes is never read: it may not even queue. */
	if (shutdown(sub->fd, SHUT_RD) < 0)
		return -errno;
	(void)setsockopt(sub->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	r = sd_event_add_io(s->event, &sub->source, sub->fd, 0, on_socket, sub);
	if (r < 0)
		return r;
	sub->filter = *f;
	*f = (struct event_filter){};
	TAILQ_INSERT_TAIL(&s->subscribers, sub, link);
	s->n++;
	sub = NULL;
	*ret_fd = TAKE_FD(other);
	return 0;
}

static void subscriber_send(struct stream_subscriber *sub, struct event_record *rec)
{
	int r = subscriber_flush(sub);

	if (r == 0)
		r = subscriber_write(sub, rec->text, rec->len);
	if (r == -EAGAIN || r == -EMSGSIZE) {
		if (r == -EAGAIN)
			subscriber_keep(sub, rec);
		else
			count_drop(sub);
		r = sd_event_source_set_io_events(sub->source, EPOLLOUT);
	}
	if (r < 0)
		subscriber_remove(sub);
}

void stream_send(struct stream_set *s, struct event_record *rec)
{
	struct stream_subscriber *sub = TAILQ_FIRST(&s->subscribers), *next;

	for (; sub; sub = next) {
		next = TAILQ_NEXT(sub, link);
		if (event_filter_match(&sub->filter, rec))
			subscriber_send(sub, rec);
	}
}
