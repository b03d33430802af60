/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records that were taken out of the kernel's ring and are not told yet. */
#include <string.h>
#include <sys/mman.h>

#include "event-queue.h"
#include "macro.h"

/* Of memory that goes back to the kernel at once, and leaves no holes in the heap. */
#define CHUNK_BYTES (128U << 10)
#define MAX_CHUNKS  (EVENT_QUEUE_MAX_BYTES / CHUNK_BYTES)

/* An empty queue keeps a chunk of which no more than that was used. */
#define KEPT_BYTES  (16U << 10)

#define N_STRINGS   5

/* Before each record. */
struct packed {
	uint32_t bytes;		      /* with this, in whole words */
	uint32_t size;		      /* of the record */
	uint16_t used[N_STRINGS + 3]; /* bytes of each string */
};

struct event_chunk {
	struct event_chunk *next;
	size_t begin, end; /* of what is in data */
	char data[];
};

#define DATA_BYTES (CHUNK_BYTES - offsetof(struct event_chunk, data))
#define MAX_BYTES  (sizeof(struct packed) + sizeof(struct revshell_event_more))

_Static_assert(sizeof(struct packed) % 8 == 0 && sizeof(struct revshell_event_more) % 8 == 0,
	       "records stand at whole words");
_Static_assert(DATA_BYTES % 8 == 0 && DATA_BYTES >= MAX_BYTES, "a chunk takes any record");

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

bool event_queue_reserve(struct event_queue *q)
{
	struct event_chunk *c;

	if (q->last && DATA_BYTES - q->last->end >= MAX_BYTES)
		return true;
	if (q->n_chunks == MAX_CHUNKS)
		return false;
	c = mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c == MAP_FAILED)
		return false;
	if (q->last)
		q->last->next = c;
	else
		q->first = c;
	q->last = c;
	q->n_chunks++;
	return true;
}

void event_queue_push(struct event_queue *q, const struct revshell_event *ev, size_t size)
{
	struct event_chunk *c = q->last;
	char *begin = c->data + c->end, *end;
	struct packed *p = (struct packed *)(void *)begin;

	*p = (struct packed){.size = (uint32_t)MIN(size, sizeof(q->record))};
	measure(ev, p->used);
	end = pack(p, (const char *)ev, begin + sizeof(*p));
	p->bytes = (uint32_t)(end - begin + 7) & ~7U;
	c->end += p->bytes;
	q->n++;
}

static void free_first(struct event_queue *q)
{
	struct event_chunk *c = q->first;

	q->first = c->next;
	if (!q->first)
		q->last = NULL;
	q->n_chunks--;
	(void)munmap(c, CHUNK_BYTES);
}

/* Nothing of the first chunk is left. */
static void leave_first(struct event_queue *q)
{
	struct event_chunk *c = q->first;

	if (c->next || c->end > KEPT_BYTES)
		free_first(q);
	else
		c->begin = c->end = 0;
}

static const struct packed *oldest(const struct event_queue *q)
{
	return (const struct packed *)(const void *)(q->first->data + q->first->begin);
}

const struct revshell_event *event_queue_pop(struct event_queue *q, size_t *ret_size)
{
	const struct packed *p;

	if (q->n == 0)
		return NULL;
	p = oldest(q);
	*ret_size = p->size;
	unpack(p, (const char *)(p + 1), (char *)&q->record);
	q->first->begin += p->bytes;
	q->n--;
	if (q->first->begin == q->first->end)
		leave_first(q);
	return &q->record.ev;
}

uint64_t event_queue_generation(const struct event_queue *q)
{
	uint64_t generation;

	memcpy(&generation,
	       (const char *)(oldest(q) + 1) + offsetof(struct revshell_event, generation),
	       sizeof(generation));
	return generation;
}

void event_queue_done(struct event_queue *q)
{
	while (q->first)
		free_first(q);
	q->n = 0;
}
