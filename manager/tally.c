/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How often each policy matched, by call, action and verdict. */
#include <string.h>

#include "macro.h"
#include "tally.h"

static int compare_rows(const struct tally_row *a, const struct tally_row *b)
{
	int r = strcmp(a->policy, b->policy);

	if (r == 0)
		r = (int)a->section - (int)b->section;
	if (r == 0)
		r = strcmp(a->call->name, b->call->name);
	if (r == 0)
		r = (int)a->action - (int)b->action;
	return r != 0 ? r : (int)a->verdict - (int)b->verdict;
}

/* The index of the first row that is not before key. */
static size_t lower_bound(const struct tally *t, const struct tally_row *key)
{
	size_t low = 0, high = t->n_rows;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_rows(&t->rows[middle], key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int tally_add(struct tally *t, const struct tally_row *key, uint64_t n)
{
	size_t i = lower_bound(t, key);
	struct tally_row *rows;
	char *policy;

	if (i < t->n_rows && compare_rows(&t->rows[i], key) == 0) {
		t->rows[i].n += n;
		return 0;
	}
	rows = reallocarray(t->rows, t->n_rows + 1, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	t->rows = rows;
	policy = strdup(key->policy);
	if (!policy)
		return -ENOMEM;
	memmove(&rows[i + 1], &rows[i], (t->n_rows - i) * sizeof(*rows));
	rows[i] = *key;
	rows[i].policy = policy;
	rows[i].n = n;
	t->n_rows++;
	return 0;
}

static bool set_has(const struct policy_set *set, const char *name)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->policies[i]->name, name) == 0)
			return true;
	return false;
}

void tally_keep(struct tally *t, const struct policy_set *set)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_rows; i++) {
		if (set_has(set, t->rows[i].policy))
			t->rows[n++] = t->rows[i];
		else
			free(t->rows[i].policy);
	}
	t->n_rows = n;
}

void tally_done(struct tally *t)
{
	for (size_t i = 0; i < t->n_rows; i++)
		free(t->rows[i].policy);
	free(t->rows);
	*t = (struct tally){};
}
