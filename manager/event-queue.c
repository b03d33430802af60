/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records that were taken out of the kernel's ring and are not told yet. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "event-queue.h"
#include "macro.h"

/* Memory is given back in pieces of this size, or that of a page if they are larger. */
#define PIECE_BYTES (16U << 10)

#define N_STRINGS   5

/* Before each record. */
struct packed {
	uint32_t bytes;		      /* with this, in whole words */
	uint32_t size;		      /* of the record */
	uint16_t used[N_STRINGS + 3]; /* bytes of each string */
};

#define MAX_BYTES (sizeof(struct packed) + sizeof(struct revshell_event_more))

_Static_assert(sizeof(struct packed) % 8 == 0 && sizeof(struct revshell_event_more) % 8 == 0,
	       "records stand at whole words");
_Static_assert(EVENT_QUEUE_MIN_BYTES >= 16 * PIECE_BYTES && PIECE_BYTES >= MAX_BYTES,
	       "however its pieces stand, a queue has room for a record");

#define STRING(member)                                               \
	{                                                            \
		offsetof(struct revshell_event, member),             \
			sizeof(((struct revshell_event *)0)->member) \
	}

/* Of which only what is in use is kept, in the order of the record. */
static const struct {
	size_t begin, size;
} strings[N_STRINGS] = {
	STRING(sa.path), STRING(exe.path), STRING(parent.path), STRING(args), STRING(cwd),
};

/* A length may say anything. */
static void measure(const struct revshell_event *ev, uint16_t ret_used[static N_STRINGS])
{
	const uint32_t lengths[N_STRINGS] = {ev->sa.path_len, ev->exe.path_len, ev->parent.path_len,
					     ev->args_len, ev->cwd_len};

	for (size_t i = 0; i < N_STRINGS; i++)
		ret_used[i] = (uint16_t)MIN(lengths[i], strings[i].size);
}

/* Returns where the copy ends. */
static char *pack(const struct packed *p, const char *record, char *to)
{
	size_t at = 0;

	for (size_t i = 0; i < N_STRINGS; i++) {
		to = mempcpy(to, record + at, strings[i].begin + p->used[i] - at);
		at = strings[i].begin + strings[i].size;
	}
	return mempcpy(to, record + at, p->size - at);
}

static void unpack(const struct packed *p, const char *from, char *record)
{
	size_t at = 0;

	for (size_t i = 0; i < N_STRINGS; i++) {
		size_t end = strings[i].begin + p->used[i];

		memcpy(record + at, from, end - at);
		from += end - at;
		at = strings[i].begin + strings[i].size;
		memset(record + end, 0, at - end);
	}
	memcpy(record + at, from, p->size - at);
}

int event_queue_init(struct event_queue *q)
{
	for (uint64_t size = EVENT_QUEUE_BYTES; size >= EVENT_QUEUE_MIN_BYTES; size /= 2) {
		char *data = mmap(NULL, size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (data == MAP_FAILED)
			continue;
		/* or a record would take 2 MiB */
		(void)madvise(data, size, MADV_NOHUGEPAGE);
		q->data = data;
		q->size = size;
		q->piece = MAX((uint64_t)sysconf(_SC_PAGESIZE), PIECE_BYTES);
		return 0;
	}
	return -ENOMEM;
}

/* Where a record begins that is due at this byte: one that might not fit before the end begins
 * anew. */
static uint64_t begin_of(const struct event_queue *q, uint64_t at)
{
	uint64_t left = q->size - at % q->size;

	return left < MAX_BYTES ? at + left : at;
}

static char *place(const struct event_queue *q, uint64_t at)
{
	return q->data + at % q->size;
}

/* The piece that is being emptied is not written to: it will be given back as a whole. */
bool event_queue_has_room(const struct event_queue *q)
{
	uint64_t in = atomic_load_explicit(&q->in, memory_order_relaxed), out;

	if (!q->data)
		return false;
	/* what is before it was read, and its pieces given back */
	out = atomic_load_explicit(&q->out, memory_order_acquire);
	return begin_of(q, in) + MAX_BYTES - (out - out % q->piece) <= q->size;
}

void event_queue_push(struct event_queue *q, const struct revshell_event *ev, size_t size)
{
	uint64_t in = begin_of(q, atomic_load_explicit(&q->in, memory_order_relaxed));
	char *begin = place(q, in), *end;
	struct packed *p = (struct packed *)(void *)begin;

	*p = (struct packed){.size = (uint32_t)MIN(size, sizeof(q->record))};
	measure(ev, p->used);
	end = pack(p, (const char *)ev, begin + sizeof(*p));
	p->bytes = (uint32_t)(end - begin + 7) & ~7U;
	atomic_fetch_add_explicit(&q->n_in, 1, memory_order_relaxed);
	/* the record is there before it is seen */
	atomic_store_explicit(&q->in, in + p->bytes, memory_order_release);
}

uint64_t event_queue_n(const struct event_queue *q)
{
	uint64_t out = atomic_load_explicit(&q->n_out, memory_order_relaxed);

	return atomic_load_explicit(&q->n_in, memory_order_relaxed) - out;
}

bool event_queue_has_record(const struct event_queue *q)
{
	return atomic_load_explicit(&q->out, memory_order_relaxed) !=
	       atomic_load_explicit(&q->in, memory_order_acquire);
}

/* Gives back the pieces that were left on the way from one byte to another. */
static void give_back(const struct event_queue *q, uint64_t from, uint64_t to)
{
	for (from -= from % q->piece; from + q->piece <= to; from += q->piece)
		(void)madvise(place(q, from), q->piece, MADV_DONTNEED);
}

static const struct packed *oldest(const struct event_queue *q, uint64_t out)
{
	return (const struct packed *)(const void *)place(q, out);
}

const struct revshell_event *event_queue_pop(struct event_queue *q, size_t *ret_size)
{
	uint64_t out = atomic_load_explicit(&q->out, memory_order_relaxed), begin, end;
	const struct packed *p;

	if (!event_queue_has_record(q))
		return NULL;
	begin = begin_of(q, out);
	p = oldest(q, begin);
	*ret_size = p->size;
	unpack(p, (const char *)(p + 1), (char *)&q->record);
	end = begin + p->bytes;
	give_back(q, out, end);
	atomic_fetch_add_explicit(&q->n_out, 1, memory_order_relaxed);
	atomic_store_explicit(&q->out, end, memory_order_release);
	return &q->record.ev;
}

uint64_t event_queue_generation(const struct event_queue *q)
{
	uint64_t out = begin_of(q, atomic_load_explicit(&q->out, memory_order_relaxed)), generation;

	/* before the first string, and so where it stands in the record */
	memcpy(&generation,
	       (const char *)(oldest(q, out) + 1) + offsetof(struct revshell_event, generation),
	       sizeof(generation));
	return generation;
}

void event_queue_done(struct event_queue *q)
{
	if (q->data)
		(void)munmap(q->data, q->size);
	*q = (struct event_queue){};
}
