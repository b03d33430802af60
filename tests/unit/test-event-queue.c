/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queue of records: what comes out is what went in, whatever its lengths say; bounds; memory;
 * two threads at once. */
#include <pthread.h>
#include <sys/mman.h>

#include "event-queue.h"
#include "policy-helpers.h"

/* What the C library calls mmap() where file offsets have 64 bits. */
void *__wrap_mmap64(void *addr, size_t size, int protection, int flags, int fd, off_t offset);
void *__real_mmap64(void *addr, size_t size, int protection, int flags, int fd, off_t offset);

static size_t most = SIZE_MAX;

void *__wrap_mmap64(void *addr, size_t size, int protection, int flags, int fd, off_t offset)
{
	if (size > most) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return __real_mmap64(addr, size, protection, flags, fd, offset);
}

/* Bytes of memory that it has now. */
static size_t resident(const struct event_queue *q)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n = 0;
	unsigned char *pages = calloc(q->size / page, 1);

	assert_int_equal(mincore(q->data, q->size, pages), 0);
	for (size_t i = 0; i < q->size / page; i++)
		n += pages[i] & 1;
	free(pages);
	return n * page;
}

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct event_queue));
	return *state ? event_queue_init(*state) : -1;
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
	assert_true(event_queue_has_room(q));
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
	assert_int_equal(event_queue_n(q), 3);
	assert_true(event_queue_generation(q) == 7);
	expect_pop(q, &small, sizeof(small.ev));
	assert_true(event_queue_generation(q) == large.ev.generation);
	expect_pop(q, &large, sizeof(large));
	expect_pop(q, &small, sizeof(small.ev) + 8);
	assert_null(event_queue_pop(q, &size));
	assert_int_equal(event_queue_n(q), 0);
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

/* Pieces are crossed in order, with records of many lengths, while more come in. */
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
	assert_true(resident(q) <= 2 * q->piece);
}

static size_t fill_up(struct event_queue *q, const struct revshell_event_more *more)
{
	size_t n = 0;

	for (; event_queue_has_room(q); n++)
		event_queue_push(q, &more->ev, sizeof(more->ev));
	return n;
}

/* As many as there is room for; then none, until some are taken out. All of it is given back. */
static void test_bound(void **state)
{
	struct event_queue *q = *state;
	struct revshell_event_more more;
	unsigned char page;
	size_t n, size;
	char *data;

	fill(&more, 0x55);
	for (unsigned int round = 0; round < 3; round++) { /* which begin at different places */
		n = fill_up(q, &more);
		assert_int_equal(event_queue_n(q), n);
		assert_true(resident(q) > q->size - 2 * q->piece);
		assert_true(n > 30000);
		while (!event_queue_has_room(q))
			assert_non_null(event_queue_pop(q, &size));
		assert_true(event_queue_n(q) > n - 1000);
		more.ev.sa.path[0]++;
		n = event_queue_n(q);
		push(q, &more, sizeof(more));
		more.ev.sa.path[0]--;
		for (; n > 0; n--)
			expect_pop(q, &more, sizeof(more.ev));
		more.ev.sa.path[0]++;
		expect_pop(q, &more, sizeof(more));
		assert_null(event_queue_pop(q, &size));
		assert_true(resident(q) <= 2 * q->piece);
	}
	data = q->data;
	event_queue_done(q);
	assert_int_equal(mincore(data, 1, &page), -1);
	assert_int_equal(errno, ENOMEM);
}

/* Fewer addresses make a smaller queue; none make none, which has room for nothing. */
static void test_no_memory(void **state)
{
	struct event_queue *q = *state, none = {};
	struct revshell_event_more more;
	size_t n;

	event_queue_done(q);
	most = EVENT_QUEUE_MIN_BYTES - 1;
	assert_int_equal(event_queue_init(&none), -ENOMEM);
	assert_false(event_queue_has_room(&none));
	assert_null(event_queue_pop(&none, &n));
	event_queue_done(&none);
	most = EVENT_QUEUE_MIN_BYTES;
	assert_int_equal(event_queue_init(q), 0);
	most = SIZE_MAX;
	assert_int_equal(q->size, EVENT_QUEUE_MIN_BYTES);
	fill(&more, 0x55);
	n = fill_up(q, &more);
	assert_true(n > 1000);
	for (; n > 0; n--)
		expect_pop(q, &more, sizeof(more.ev));
}

#define N_RACED 200000U

static void *put_many_in(void *userdata)
{
	struct event_queue *q = userdata;
	struct revshell_event_more more;

	fill(&more, 0x31);
	for (uint64_t i = 0; i < N_RACED;) {
		if (!event_queue_has_room(q))
			continue;
		more.ev.time_ns = i;
		more.ev.generation = ~i;
		more.ev.args_len = (uint32_t)(i * 7 % (REVSHELL_ARGS_SIZE + 1));
		memset(more.ev.args, (int)(i | 1), more.ev.args_len);
		event_queue_push(q, &more.ev, i % 5 ? sizeof(more.ev) : sizeof(more));
		i++;
	}
	return NULL;
}

/* One thread puts in what the other takes out, in a queue that is now full and now empty. */
static void test_two_threads(void **state)
{
	struct event_queue *q = *state;
	pthread_t thread;

	event_queue_done(q);
	most = EVENT_QUEUE_MIN_BYTES;
	assert_int_equal(event_queue_init(q), 0);
	most = SIZE_MAX;
	assert_int_equal(pthread_create(&thread, NULL, put_many_in, q), 0);
	for (uint64_t i = 0; i < N_RACED;) {
		const struct revshell_event *ev;
		bool waits = event_queue_has_record(q);
		uint64_t generation = waits ? event_queue_generation(q) : 0;
		size_t size;

		ev = event_queue_pop(q, &size);
		assert_true(ev || !waits);
		if (!ev)
			continue;
		assert_true(ev->time_ns == i && ev->generation == ~i);
		assert_true(!waits || generation == ~i);
		assert_int_equal(ev->args_len, i * 7 % (REVSHELL_ARGS_SIZE + 1));
		for (uint32_t k = 0; k < REVSHELL_ARGS_SIZE; k++)
			assert_true(ev->args[k] == (k < ev->args_len ? (char)(i | 1) : 0));
		assert_int_equal(size, i % 5 ? sizeof(*ev) : sizeof(struct revshell_event_more));
		i++;
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(event_queue_n(q), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lengths_that_lie, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_threads, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
