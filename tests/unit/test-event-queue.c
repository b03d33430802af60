/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queue of records: what comes out is what went in, whatever its lengths say; bounds; memory.
 */
#include <sys/mman.h>

#include "event-queue.h"
#include "policy-helpers.h"

/* What the C library calls mmap() where file offsets have 64 bits. */
void *__wrap_mmap64(void *addr, size_t size, int protection, int flags, int fd, off_t offset);
void *__real_mmap64(void *addr, size_t size, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *addr, size_t size);
int __real_munmap(void *addr, size_t size);

static size_t mapped, most = SIZE_MAX;

void *__wrap_mmap64(void *addr, size_t size, int protection, int flags, int fd, off_t offset)
{
	if (mapped + size > most) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	mapped += size;
	return __real_mmap64(addr, size, protection, flags, fd, offset);
}

int __wrap_munmap(void *addr, size_t size)
{
	mapped -= size;
	return __real_munmap(addr, size);
}

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct event_queue));
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	event_queue_done(*state);
	free(*state);
	return 0;
}

/* No byte of it is zero, so that what is left out shows. */
static void fill(struct revshell_event_more *more, unsigned char seed)
{
	memset(more, seed | 1, sizeof(*more));
	more->ev.sa.path_len = 3;
	more->ev.exe.path_len = 11;
	more->ev.parent.path_len = 0;
	more->ev.args_len = 21;
	more->ev.cwd_len = sizeof(more->ev.cwd);
}

/* What a reader may look at. */
static void cut(struct revshell_event *ev)
{
	const struct {
		char *s;
		size_t used, size;
	} strings[] = {
		{ev->sa.path, ev->sa.path_len, sizeof(ev->sa.path)},
		{ev->exe.path, ev->exe.path_len, sizeof(ev->exe.path)},
		{ev->parent.path, ev->parent.path_len, sizeof(ev->parent.path)},
		{ev->args, ev->args_len, sizeof(ev->args)},
		{ev->cwd, ev->cwd_len, sizeof(ev->cwd)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		if (strings[i].used < strings[i].size)
			memset(strings[i].s + strings[i].used, 0,
			       strings[i].size - strings[i].used);
}

static void push(struct event_queue *q, const struct revshell_event_more *more, size_t size)
{
	assert_true(event_queue_reserve(q));
	event_queue_push(q, &more->ev, size);
}

static void expect_pop(struct event_queue *q, const struct revshell_event_more *more, size_t size)
{
	struct revshell_event_more cut_one = *more;
	const struct revshell_event *ev;
	size_t found = 0;

	cut(&cut_one.ev);
	ev = event_queue_pop(q, &found);
	assert_non_null(ev);
	assert_int_equal(found, size);
	assert_memory_equal(ev, &cut_one, size);
}

static void test_round_trip(void **state)
{
	struct event_queue *q = *state;
	struct revshell_event_more small, large;
	size_t size;

	fill(&small, 0x41);
	fill(&large, 0x63);
	small.ev.generation = 7;
	assert_null(event_queue_pop(q, &size));
	push(q, &small, sizeof(small.ev));
	push(q, &large, sizeof(large));
	push(q, &small, sizeof(small.ev) + 8); /* a size between the two */
	assert_int_equal(q->n, 3);
	assert_true(event_queue_generation(q) == 7);
	expect_pop(q, &small, sizeof(small.ev));
	assert_true(event_queue_generation(q) == large.ev.generation);
	expect_pop(q, &large, sizeof(large));
	expect_pop(q, &small, sizeof(small.ev) + 8);
	assert_null(event_queue_pop(q, &size));
	assert_int_equal(q->n, 0);
}

/* Lengths beyond their arrays are kept, for event_expand() to refuse. */
static void test_lengths_that_lie(void **state)
{
	struct event_queue *q = *state;
	struct revshell_event_more more;

	fill(&more, 0x21);
	more.ev.sa.path_len = sizeof(more.ev.sa.path) + 1;
	more.ev.exe.path_len = UINT32_MAX;
	more.ev.parent.path_len = REVSHELL_PATH_MAX; /* known, but not all of it is here */
	more.ev.args_len = 1U << 16;
	more.ev.cwd_len = 1U << 31;
	push(q, &more, sizeof(more) + 4096); /* larger than any record is */
	expect_pop(q, &more, sizeof(more));
}

/* Chunks are crossed in order, with records of many lengths, while more come in. */
static void test_order(void **state)
{
	struct event_queue *q = *state;
	uint64_t in = 0, out = 0;
	size_t size;

	while (out < 20000) {
		for (unsigned int i = 0; i < 3 && in < 20000; i++, in++) {
			struct revshell_event_more more;

			fill(&more, (unsigned char)in);
			more.ev.time_ns = in;
			more.ev.args_len = (uint32_t)(in * 7 % (REVSHELL_ARGS_SIZE + 1));
			push(q, &more, in % 5 ? sizeof(more.ev) : sizeof(more));
		}
		for (unsigned int i = 0; i < (in < 20000 ? 2 : 4) && out < in; i++, out++) {
			const struct revshell_event *ev = event_queue_pop(q, &size);

			assert_true(ev->time_ns == out);
			assert_true(ev->args_len == out * 7 % (REVSHELL_ARGS_SIZE + 1));
			assert_true(ev->cwd[REVSHELL_PATH_INLINE - 1] == (char)(out | 1));
			assert_int_equal(size, out % 5 ? sizeof(*ev)
						       : sizeof(struct revshell_event_more));
		}
	}
	assert_null(event_queue_pop(q, &size));
	assert_int_equal(q->n_chunks, 0); /* so many were not kept for nothing */
}

static size_t fill_up(struct event_queue *q, const struct revshell_event_more *more)
{
	size_t n = 0;

	for (; event_queue_reserve(q); n++)
		event_queue_push(q, &more->ev, sizeof(more->ev));
	return n;
}

/* As many as there is room for; then none, until some are taken out. All of it is given back. */
static void test_bound(void **state)
{
	struct event_queue *q = *state;
	struct revshell_event_more more;
	size_t n, size;

	fill(&more, 0x55);
	n = fill_up(q, &more);
	assert_int_equal(q->n, n);
	assert_int_equal(mapped, EVENT_QUEUE_MAX_BYTES);
	assert_true(n > 30000);
	while (!event_queue_reserve(q))
		assert_non_null(event_queue_pop(q, &size));
	assert_true(q->n > n - 1000);
	for (n = q->n; n > 0; n--)
		expect_pop(q, &more, sizeof(more.ev));
	assert_null(event_queue_pop(q, &size));
	assert_true(mapped <= 1U << 17);
	event_queue_done(q);
	assert_int_equal(mapped, 0);
}

static void test_no_memory(void **state)
{
	struct event_queue *q = *state;
	struct revshell_event_more more;
	size_t n;

	most = 0;
	assert_false(event_queue_reserve(q));
	most = 1U << 20;
	fill(&more, 0x55);
	n = fill_up(q, &more);
	assert_true(n > 1000);
	most = SIZE_MAX;
	push(q, &more, sizeof(more));
	for (; n > 0; n--)
		expect_pop(q, &more, sizeof(more.ev));
	expect_pop(q, &more, sizeof(more));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lengths_that_lie, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
