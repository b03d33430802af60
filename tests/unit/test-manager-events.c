/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A storm of records: others have their turns, what the queue cannot take stays where it is, all is
 * told. */
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "manager.h"
#include "manager-internal.h"
#include "policy-helpers.h"

int __wrap_backend_events_consume(struct backend *b, backend_event_fn fn, void *userdata);

/* What the ring has left, and what was taken out of it. */
static uint64_t left, taken;

/* Of a generation that nobody knows, so that telling one means to count it. */
static struct revshell_event record = {.generation = 99, .args_len = REVSHELL_ARGS_SIZE};

/* As libbpf does it: a record that fn has seen is gone. */
int __wrap_backend_events_consume(struct backend *b, backend_event_fn fn, void *userdata)
{
	int n = 0, r = 0;

	for (; left > 0 && n < 256 && r >= 0; n++) {
		left--;
		taken++;
		r = fn(&record, sizeof(record), userdata);
	}
	return r < 0 ? r : n;
}

struct fixture {
	sd_event *event;
	struct log log;
	struct manager *m;
	int fd; /* readable, as the ring is while there is something in it */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f || sd_event_new(&f->event) < 0 || manager_new(f->event, &f->log, NULL, 0, &f->m) < 0)
		return -1;
	f->fd = eventfd(1, EFD_CLOEXEC);
	left = taken = 0;
	*state = f;
	return manager_listen(f->m, f->fd);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	manager_free(f->m);
	sd_event_unref(f->event);
	close(f->fd);
	free(f);
	return 0;
}

static void empty(int fd)
{
	uint64_t n;

	assert_int_equal(read(fd, &n, sizeof(n)), sizeof(n));
}

static int on_other(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	++*(unsigned int *)userdata;
	return 0;
}

static void test_others_have_turns(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int other = dup(f->fd);
	unsigned int n = 0;

	assert_int_equal(sd_event_add_io(f->event, NULL, other, EPOLLIN, on_other, &n), 0);
	left = UINT64_MAX;
	for (unsigned int i = 0; i < 30; i++)
		assert_true(sd_event_run(f->event, 0) > 0);
	assert_true(f->m->queue.n > 0);
	assert_true(n >= 8);
	assert_true(f->m->events_stale >= 8 * MANAGER_EVENTS_PER_TURN);
}

static void test_backlog(void **state)
{
	struct fixture *f = *state;
	const uint64_t all = 100000;

	left = all;
	assert_true(sd_event_run(f->event, 0) > 0);
	assert_int_equal(f->m->events_stale, MANAGER_EVENTS_PER_TURN);
	assert_true(taken > 16 * MANAGER_EVENTS_PER_TURN);
	assert_int_equal(f->m->queue.n, taken - MANAGER_EVENTS_PER_TURN);
	/* more than the queue has room for: the ring keeps it */
	for (unsigned int i = 0; i < 5; i++)
		assert_true(sd_event_run(f->event, 0) > 0);
	assert_true(left > 0);
	assert_false(event_queue_reserve(&f->m->queue));
	while (left > 0)
		assert_true(sd_event_run(f->event, 0) > 0);
	empty(f->fd);
	/* the ring is silent: what waits is told all the same, and then nothing is done */
	while (f->m->queue.n > 0)
		assert_true(sd_event_run(f->event, 0) > 0);
	assert_int_equal(f->m->events_stale, all);
	for (unsigned int i = 0; i < 3; i++)
		(void)sd_event_run(f->event, 0); /* what was on its way */
	assert_int_equal(sd_event_run(f->event, 0), 0);
}

static void test_flush(void **state)
{
	struct fixture *f = *state;

	left = 3000;
	assert_true(sd_event_run(f->event, 0) > 0);
	assert_true(f->m->queue.n > 0);
	manager_flush_generation(f->m, 98);
	assert_int_equal(f->m->events_stale, MANAGER_EVENTS_PER_TURN);
	manager_flush_generation(f->m, 99);
	assert_int_equal(f->m->queue.n, 0);
	assert_int_equal(f->m->events_stale, 3000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_others_have_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_backlog, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flush, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
