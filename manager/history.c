/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The last events, kept in memory up to a bound, and the filter that picks among them. */
#include <string.h>

#include "history.h"

int event_record_new(const struct event_line *event, const char *policy, const char *verdict,
		     struct event_record **ret_record)
{
	size_t policy_size = strlen(policy) + 1, exe_size = strlen(event->exe) + 1;
	struct event_record *rec = malloc(sizeof(*rec) + event->len + 1 + policy_size + exe_size);
	char *policy_copy, *exe_copy;

	if (!rec)
		return -ENOMEM;
	policy_copy = rec->text + event->len + 1;
	exe_copy = policy_copy + policy_size;
	*rec = (struct event_record){
		.refs = 1,
		.len = event->len,
		.policy = memcpy(policy_copy, policy, policy_size),
		.exe = memcpy(exe_copy, event->exe, exe_size),
		.verdict = verdict,
	};
	memcpy(rec->text, event->text, event->len + 1);
	*ret_record = rec;
	return 0;
}

struct event_record *event_record_ref(struct event_record *rec)
{
	rec->refs++;
	return rec;
}

void event_record_free(struct event_record *rec)
{
	if (rec && --rec->refs == 0)
		free(rec);
}

static bool member_matches(const char *wanted, const char *is)
{
	return !wanted || !*wanted || strcmp(wanted, is) == 0;
}

bool event_filter_match(const struct event_filter *f, const struct event_record *rec)
{
	return member_matches(f->policy, rec->policy) && member_matches(f->exe, rec->exe) &&
	       member_matches(f->verdict, rec->verdict);
}

void event_filter_done(struct event_filter *f)
{
	free(f->policy);
	free(f->exe);
	free(f->verdict);
	*f = (struct event_filter){};
}

static void history_drop_oldest(struct history *h)
{
	h->bytes -= h->records[h->first]->len;
	event_record_free(h->records[h->first]);
	h->records[h->first] = NULL;
	h->first = (h->first + 1) % HISTORY_MAX_EVENTS;
	h->n--;
}

void history_push(struct history *h, struct event_record *rec)
{
	while (h->n > 0 && (h->n == HISTORY_MAX_EVENTS || h->bytes + rec->len > HISTORY_MAX_BYTES))
		history_drop_oldest(h);
	rec->number = ++h->last;
	h->records[(h->first + h->n) % HISTORY_MAX_EVENTS] = rec;
	h->bytes += rec->len;
	h->n++;
}

const struct event_record *history_get(const struct history *h, size_t i)
{
	return h->records[(h->first + i) % HISTORY_MAX_EVENTS];
}

size_t history_pick(const struct history *h, uint64_t after, uint64_t until, size_t max,
		    const struct event_filter *f, const struct event_record **ret_picked)
{
	size_t begin = 0, n = 0;

	if (after == 0) { /* walk back to where the newest max begin */
		begin = h->n;
		for (size_t found = 0; begin > 0 && found < max; begin--) {
			const struct event_record *rec = history_get(h, begin - 1);

			if (rec->number <= until && event_filter_match(f, rec))
				found++;
		}
	}
	for (size_t i = begin; i < h->n && n < max; i++) {
		const struct event_record *rec = history_get(h, i);

		if (rec->number > after && rec->number <= until && event_filter_match(f, rec))
			ret_picked[n++] = rec;
	}
	return n;
}

void history_done(struct history *h)
{
	while (h->n > 0)
		history_drop_oldest(h);
}
