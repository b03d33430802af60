/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Paths of UNIX sockets: a trie whose every entry holds what all shorter ones add up to. */
#include <string.h>

#include "compile.h"
#include "macro.h"

/* One value of one filter. A whole path counts its NUL, so that it is no beginning of another. */
struct pair {
	const char *text;
	size_t len;
	struct diag_pos pos;
	uint32_t filter;
};

/* A run of equal texts in the sorted pairs. */
struct run {
	size_t first;
	size_t end;
};

#define MAX_LEN sizeof(((struct ruleset_unix *)NULL)->data)

/* What holds a text as its beginning stands before it. */
static int pair_compare(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int cmp = memcmp(x->text, y->text, MIN(x->len, y->len));

	return cmp ? cmp : (x->len > y->len) - (x->len < y->len);
}

static int pairs_new(struct compile *c, const struct compile_sweep *s, struct pair **ret_pairs,
		     size_t *ret_n)
{
	_cleanup_free_ struct pair *pairs = NULL;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->filters[i].n_values;
	pairs = calloc(MAX(n, 1U), sizeof(*pairs));
	if (!pairs)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < s->filters[i].n_values; k++) {
			const struct policy_value_string *v = &s->filters[i].strings[k];
			struct pair p = {v->text, strlen(v->text) + s->filters[i].whole, v->pos, i};

			if (p.len > MAX_LEN) {
				diag_error(c->d, p.pos, "value-too-long",
					   "the value has %zu bytes, at most %zu can be compared",
					   strlen(v->text), MAX_LEN - 1);
				return -E2BIG;
			}
			pairs[n++] = p;
		}
	qsort(pairs, n, sizeof(*pairs), pair_compare);
	*ret_pairs = TAKE_PTR(pairs);
	*ret_n = n;
	return 0;
}

static int path_add(struct compile *c, enum revshell_hook hook, const struct pair *p, uint32_t row)
{
	struct ruleset *rs = c->rs;
	struct ruleset_unix *out;
	int err;

	if (rs->n_unix_paths == REVSHELL_MAX_UNIX) {
		diag_error(c->d, p->pos, "too-many-paths",
			   "the rule set names more than %u paths of UNIX sockets "
			   "(REVSHELL_MAX_UNIX)",
			   REVSHELL_MAX_UNIX);
		return -E2BIG;
	}
	err = compile_grow((void **)&rs->unix_paths, &c->unix_size, rs->n_unix_paths,
			   sizeof(*rs->unix_paths));
	if (err < 0)
		return err;
	out = &rs->unix_paths[rs->n_unix_paths++];
	*out = (struct ruleset_unix){.hook = hook, .row = row, .len = p->len};
	memcpy(out->data, p->text, p->len);
	return 0;
}

int compile_unix(struct compile *c, enum revshell_hook hook)
{
	const enum revshell_dim dim = REVSHELL_DIM_UN_PATH;
	struct revshell_hook_cfg *cfg = &c->rs->hooks[hook].cfg;
	_cleanup_(compile_sweep_done) struct compile_sweep s = {};
	_cleanup_free_ struct pair *pairs = NULL;
	struct run stack[MAX_LEN + 1]; /* nested values differ in length */
	size_t depth = 0, n;
	int err;

	if (!(cfg->used & 1ULL << dim))
		return 0;
	err = compile_sweep_init(&s, &c->hooks[hook], dim);
	if (err < 0)
		return err;
	err = compile_row(c, s.words, cfg->n_words, s.filters[0].pos, &cfg->dim_default[dim]);
	if (err < 0)
		return err;
	err = pairs_new(c, &s, &pairs, &n);
	if (err < 0)
		return err;
	for (struct run run = {}; run.first < n; run.first = run.end) {
		const struct pair *p = &pairs[run.first];
		uint32_t row;

		run.end = run.first + 1;
		while (run.end < n && !pair_compare(p, &pairs[run.end]))
			run.end++;
		while (depth) {
			const struct pair *outer = &pairs[stack[depth - 1].first];

			if (outer->len < p->len && !memcmp(outer->text, p->text, outer->len))
				break;
			depth--;
			for (size_t i = stack[depth].first; i < stack[depth].end; i++)
				compile_sweep_leave(&s, pairs[i].filter);
		}
		for (size_t i = run.first; i < run.end; i++)
			compile_sweep_enter(&s, pairs[i].filter);
		stack[depth++] = run;
		err = compile_row(c, s.words, cfg->n_words, p->pos, &row);
		if (err < 0)
			return err;
		err = path_add(c, hook, p, row);
		if (err < 0)
			return err;
	}
	return 0;
}
