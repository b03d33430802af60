/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows and port pages of a rule set: each distinct content is stored once. */
#include <string.h>

#include "compile.h"
#include "macro.h"

int compile_grow(void **items, size_t *size, size_t n, size_t item_size)
{
	size_t want = *size ? *size * 2 : 16;
	void *p;

	if (n < *size)
		return 0;
	p = reallocarray(*items, want, item_size);
	if (!p)
		return -ENOMEM;
	*items = p;
	*size = want;
	return 0;
}

static size_t row_slot(const struct compile_rows *r, const struct revshell_row *row)
{
	size_t mask = r->n_slots - 1;
	size_t i = compile_hash(row->fold, row->words, REVSHELL_WORDS) & mask;

	while (r->slots[i] && memcmp(&r->rows[r->slots[i] - 1], row, sizeof(*row)) != 0)
		i = (i + 1) & mask;
	return i;
}

static int rows_rehash(struct compile_rows *r, size_t n_slots)
{
	uint32_t *old = r->slots;
	size_t n_old = r->n_slots;

	r->slots = calloc(n_slots, sizeof(*r->slots));
	if (!r->slots) {
		r->slots = old;
		return -ENOMEM;
	}
	r->n_slots = n_slots;
	for (size_t i = 0; i < n_old; i++)
		if (old[i])
			r->slots[row_slot(r, &r->rows[old[i] - 1])] = old[i];
	free(old);
	return 0;
}

static int row_add(struct compile *c, const struct revshell_row *row, struct diag_pos pos,
		   uint32_t *ret_row)
{
	struct compile_rows *r = &c->rows;
	int err;

	if (r->n == REVSHELL_MAX_ROWS) {
		diag_error(c->d, pos, "too-many-rows",
			   "the rule set needs more than %u distinct sets of selectors "
			   "(REVSHELL_MAX_ROWS)",
			   REVSHELL_MAX_ROWS);
		return -E2BIG;
	}
	err = compile_grow((void **)&r->rows, &r->size, r->n, sizeof(*r->rows));
	if (err < 0)
		return err;
	r->rows[r->n] = *row;
	*ret_row = r->n++;
	return 0;
}

int compile_row_append(struct compile *c, const __u64 *words, size_t n_words, struct diag_pos pos,
		       uint32_t *ret_row)
{
	struct revshell_row row = {};

	memcpy(row.words, words, n_words * sizeof(*words));
	row.fold = ruleset_fold(words, n_words);
	return row_add(c, &row, pos, ret_row);
}

int compile_row(struct compile *c, const __u64 *words, size_t n_words, struct diag_pos pos,
		uint32_t *ret_row)
{
	struct compile_rows *r = &c->rows;
	struct revshell_row row = {};
	uint32_t index;
	size_t slot;
	int err;

	memcpy(row.words, words, n_words * sizeof(*words));
	row.fold = ruleset_fold(words, n_words);
	/* Appended rows fill the array but not the hash: load stays at most half all the same. */
	if (r->n * 2 >= r->n_slots) {
		err = rows_rehash(r, r->n_slots * 2);
		if (err < 0)
			return err;
	}
	slot = row_slot(r, &row);
	if (r->slots[slot]) {
		*ret_row = r->slots[slot] - 1;
		return 0;
	}
	err = row_add(c, &row, pos, &index);
	if (err < 0)
		return err;
	r->slots[slot] = index + 1;
	*ret_row = index;
	return 0;
}

int compile_page(struct compile *c, const uint16_t *page, struct diag_pos pos, uint16_t *ret_page)
{
	struct compile_rows *r = &c->rows;
	__u64 words[64], hash;
	size_t size = r->pages_size;
	int err;

	_Static_assert(sizeof(words) == sizeof(struct revshell_port_page), "a page is 64 words");
	memcpy(words, page, sizeof(words));
	hash = compile_hash(0, words, ARRAY_SIZE(words));
	for (size_t i = 0; i < r->n_pages; i++)
		if (r->page_hashes[i] == hash && !memcmp(&r->pages[i], page, sizeof(words))) {
			*ret_page = i;
			return 0;
		}
	if (r->n_pages == REVSHELL_MAX_PAGES) {
		diag_error(c->d, pos, "too-many-pages",
			   "the rule set needs more than %u distinct pages of ports "
			   "(REVSHELL_MAX_PAGES)",
			   REVSHELL_MAX_PAGES);
		return -E2BIG;
	}
	err = compile_grow((void **)&r->page_hashes, &size, r->n_pages, sizeof(*r->page_hashes));
	if (err < 0)
		return err;
	err = compile_grow((void **)&r->pages, &r->pages_size, r->n_pages, sizeof(*r->pages));
	if (err < 0)
		return err;
	memcpy(&r->pages[r->n_pages], page, sizeof(words));
	r->page_hashes[r->n_pages] = hash;
	*ret_page = r->n_pages++;
	return 0;
}

int compile_rows_init(struct compile *c)
{
	struct revshell_row all;
	uint32_t row;
	int err;

	c->rows.n_slots = 0;
	err = rows_rehash(&c->rows, 256);
	if (err < 0)
		return err;
	/* Row 0 is not in the hash: it has the padding bits set, which no computed row may. */
	memset(&all, 0xff, sizeof(all));
	return row_add(c, &all, (struct diag_pos){}, &row);
}

void compile_rows_done(struct compile_rows *r)
{
	free(r->rows);
	free(r->slots);
	free(r->pages);
	free(r->page_hashes);
	*r = (struct compile_rows){};
}
