/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A storm of records: others have their turns, what the queue cannot take stays where it is, all is
 * told. */
#include <limits.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "manager.h"
#include "manager-internal.h"
#include "policy-helpers.h"

int __wrap_backend_events_consume(struct backend *b, backend_event_fn fn, void *userdata);
int __wrap_backend_events_fd(struct backend *b);

/* What the ring has left, what was taken out of it, and what reading it fails with. */
static _Atomic uint64_t left, taken;
static atomic_int failures_left; /* INT_MAX: for good */
static int ring_fd;		 /* readable, as the ring is while there is something in it */

/* Of a generation that nobody knows, so that telling one means to count it. */
static struct revshell_event record = {.generation = 99, .args_len = REVSHELL_ARGS_SIZE};

int __wrap_backend_events_fd(struct backend *b)
{
	return ring_fd;
}

/* As libbpf does it: a record that fn has seen is gone. */
int __wrap_backend_events_consume(struct backend *b, backend_event_fn fn, void *userdata)
{
	int n = 0, r = 0;

	if (failures_left > 0) {
		failures_left--;
		r = -EIO;
	}
	for (; left > 0 && n < 256 && r >= 0; n++) {
		left--;
		taken++;
		r = fn(&record, sizeof(record), userdata);
	}
	return r < 0 ? r : n;
}

/* Within which something happens, however busy the machine is. */
#define LONG_USEC 60000000ULL

/* Before which of the next readings of a clock so much passes; by how much the clock was set. */
static int64_t delay_ns, passed_ns, real_ahead_ns;
static unsigned int delay_at;

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	int64_t ns;

	if (delay_ns > 0 && delay_at-- == 0) {
		passed_ns += delay_ns;
		delay_ns = 0;
	}
	assert_int_equal(__real_clock_gettime(clock, ret), 0);
	ns = ret->tv_sec * 1000000000LL + ret->tv_nsec + passed_ns;
	if (clock == CLOCK_REALTIME)
		ns += real_ahead_ns;
	*ret = (struct timespec){ns / 1000000000, ns % 1000000000};
	return 0;
}

struct fixture {
	sd_event *event;
	struct log log;
	struct manager *m;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *step;

	if (!f || sd_event_new(&f->event) < 0 || manager_new(f->event, &f->log, NULL, 0, &f->m) < 0)
		return -1;
	f->log.max_level = -1;
	ring_fd = eventfd(1, EFD_CLOEXEC);
	left = taken = 0;
	failures_left = 0;
	*state = f;
	return manager_listen(f->m, SANDBOX_OFF, &step);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	manager_free(f->m);
	sd_event_unref(f->event);
	close(ring_fd);
	free(f);
	return 0;
}

static uint64_t waiting(const struct fixture *f)
{
	return event_queue_n(&f->m->reader.queue);
}

static void wait_until_taken(uint64_t n)
{
	while (taken < n)
		usleep(100);
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
	_cleanup_close_ int other = dup(ring_fd);
	unsigned int n = 0;

	assert_int_equal(sd_event_add_io(f->event, NULL, other, EPOLLIN, on_other, &n), 0);
	left = UINT64_MAX;
	while (f->m->events_stale < 8 * MANAGER_EVENTS_PER_TURN)
		assert_true(sd_event_run(f->event, LONG_USEC) > 0);
	assert_true(n >= 8);
}

/* While nobody tells anything, the ring is emptied until the queue is full; then it keeps the rest.
 */
static void test_backlog(void **state)
{
	struct fixture *f = *state;
	const uint64_t all = 100000;

	left = all;
	while (event_queue_has_room(&f->m->reader.queue) || waiting(f) != taken)
		usleep(100);
	assert_true(left > 0);
	assert_false(event_queue_has_room(&f->m->reader.queue));
	assert_int_equal(waiting(f), taken);
	assert_int_equal(f->m->events_stale, 0);
	assert_true(sd_event_run(f->event, LONG_USEC) > 0);
	assert_int_equal(f->m->events_stale, MANAGER_EVENTS_PER_TURN);
	while (left > 0)
		assert_true(sd_event_run(f->event, LONG_USEC) > 0);
	empty(ring_fd);
	/* the ring is silent: what waits is told all the same, and then nothing is done */
	while (f->m->events_stale < all)
		assert_true(sd_event_run(f->event, LONG_USEC) > 0);
	assert_int_equal(f->m->events_stale, all);
	assert_int_equal(waiting(f), 0);
	/* but for what was on its way */
	for (unsigned int i = 0; sd_event_run(f->event, 10000) > 0; i++)
		assert_true(i < 10);
}

static void test_flush(void **state)
{
	struct fixture *f = *state;

	left = 3000;
	wait_until_taken(3000);
	while (waiting(f) < 3000)
		usleep(100);
	manager_flush_generation(f->m, 98);
	assert_int_equal(f->m->events_stale, 0);
	manager_flush_generation(f->m, 99);
	assert_int_equal(waiting(f), 0);
	assert_int_equal(f->m->events_stale, 3000);
}

/* What was taken out of the ring is told when the daemon ends. */
static void test_stop(void **state)
{
	struct fixture *f = *state;

	left = 3000;
	wait_until_taken(3000);
	event_reader_stop(&f->m->reader);
	assert_int_equal(waiting(f), 3000);
	manager_flush_events(f->m);
	assert_int_equal(f->m->events_stale, 3000);
}

/* A failure now and then is none; hundreds in a row are one for good. */
static void test_deaf(void **state)
{
	struct fixture *f = *state;

	left = 100;
	failures_left = 10;
	while (f->m->events_stale < 100)
		assert_true(sd_event_run(f->event, LONG_USEC) > 0);
	assert_int_equal(failures_left, 0);
	assert_false(f->m->events_deaf);
	failures_left = INT_MAX;
	while (!f->m->events_deaf)
		assert_true(sd_event_run(f->event, LONG_USEC) > 0);
	left = 1;
	usleep(10000);
	assert_true(left == 1);
}

/* The time that a process began must not change because the daemon was kept waiting between two
 * readings, and has to where the clock is set. */
static void test_boot_offset(void **state)
{
	struct fixture *f = *state;
	int64_t offset = manager_boot_offset_ns(f->m);

	for (unsigned int i = 0; i < 3; i++) {
		delay_ns = 5000000;
		delay_at = i;
		assert_int_equal(manager_boot_offset_ns(f->m), offset);
	}
	real_ahead_ns = 7000000000;
	assert_in_range(manager_boot_offset_ns(f->m) - offset, 6990000000, 7010000000);
	real_ahead_ns = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_others_have_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_backlog, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flush, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deaf, setup, teardown),
		cmocka_unit_test_setup_teardown(test_boot_offset, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
