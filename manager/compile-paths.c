/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Dimensions of paths: what each named path, prefix and postfix means on all hooks at once. */
#include <string.h>

#include "compile.h"
#include "macro.h"

/*
 * A path is resolved once per process, not once per hook, so it stands for a class: one set of
 * selectors for each hook. Paths that mean the same everywhere share a class.
 */
struct classes {
	__u64 *words; /* n times n_words */
	size_t n;
	size_t size;
	struct revshell_class *classes;
	size_t classes_size;
	uint32_t *slots; /* open hash: index + 1 */
	size_t n_slots;
	size_t n_words; /* of all hooks that ask, one after the other */
};

/* One value of one filter. */
struct pair {
	const char *text;
	size_t len;
	struct diag_pos pos;
	uint16_t hook;
	bool exempts;
	uint32_t filter;
};

/* A run of equal texts in the sorted pairs. */
struct run {
	size_t first;
	size_t end;
};

struct resolver {
	struct compile *c;
	enum revshell_dim dim;
	uint32_t asked;		     /* bit per hook whose selectors ask this dimension */
	struct compile_sweep *same;  /* per hook: the executable is the file the path names */
	struct compile_sweep *other; /* it is another file under that path */
	struct classes classes;
	struct pair *pairs;
	size_t n_pairs;
};

static void resolver_done(struct resolver *r)
{
	for (size_t h = 0; h < REVSHELL_HOOK_MAX; h++) {
		if (r->same)
			compile_sweep_done(&r->same[h]);
		if (r->other)
			compile_sweep_done(&r->other[h]);
	}
	free(r->same);
	free(r->other);
	free(r->classes.words);
	free(r->classes.classes);
	free(r->classes.slots);
	free(r->pairs);
}

static bool asks(const struct resolver *r, size_t hook)
{
	return r->asked & 1U << hook;
}

static size_t hook_words(const struct resolver *r, size_t hook)
{
	return r->c->rs->hooks[hook].cfg.n_words;
}

/* Classes */

static size_t class_slot(const struct classes *cl, const __u64 *words)
{
	size_t mask = cl->n_slots - 1;
	size_t i = compile_hash(0, words, cl->n_words) & mask;

	while (cl->slots[i] && memcmp(cl->words + (cl->slots[i] - 1) * cl->n_words, words,
				      cl->n_words * sizeof(*words)) != 0)
		i = (i + 1) & mask;
	return i;
}

static int classes_rehash(struct classes *cl)
{
	size_t n_slots = cl->n_slots ? cl->n_slots * 2 : 64;
	uint32_t *slots = calloc(n_slots, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	free(cl->slots);
	cl->slots = slots;
	cl->n_slots = n_slots;
	for (size_t i = 0; i < cl->n; i++)
		slots[class_slot(cl, cl->words + i * cl->n_words)] = i + 1;
	return 0;
}

/* The hooks on which a path with these words, hook after hook, may match something. */
static uint32_t words_hooks(const struct resolver *r, const __u64 *words)
{
	uint32_t hooks = 0;

	for (size_t h = 0; h < REVSHELL_HOOK_MAX; h++) {
		if (!asks(r, h)) {
			if (hook_words(r, h))
				hooks |= 1U << h;
			continue;
		}
		for (size_t w = 0; w < hook_words(r, h); w++)
			if (words[w])
				hooks |= 1U << h;
		words += hook_words(r, h);
	}
	return hooks;
}

static int class_intern(struct resolver *r, const __u64 *words, struct revshell_class *ret_class)
{
	struct classes *cl = &r->classes;
	size_t slot;
	int err;

	if (cl->n * 2 >= cl->n_slots) {
		err = classes_rehash(cl);
		if (err < 0)
			return err;
	}
	slot = class_slot(cl, words);
	if (!cl->slots[slot]) {
		err = compile_grow((void **)&cl->words, &cl->size, cl->n,
				   cl->n_words * sizeof(*cl->words));
		if (err < 0)
			return err;
		err = compile_grow((void **)&cl->classes, &cl->classes_size, cl->n,
				   sizeof(*cl->classes));
		if (err < 0)
			return err;
		memcpy(cl->words + cl->n * cl->n_words, words, cl->n_words * sizeof(*words));
		cl->classes[cl->n] = (struct revshell_class){
			.id = cl->n,
			.hooks = words_hooks(r, words),
		};
		cl->slots[slot] = ++cl->n;
	}
	*ret_class = cl->classes[cl->slots[slot] - 1];
	return 0;
}

/* The class of what the sweeps stand on. */
static int class_of(struct resolver *r, const struct compile_sweep *sweeps,
		    struct revshell_class *ret_class)
{
	__u64 words[REVSHELL_HOOK_MAX * REVSHELL_WORDS];
	size_t n = 0;

	for (size_t h = 0; h < REVSHELL_HOOK_MAX; h++)
		if (asks(r, h)) {
			memcpy(words + n, sweeps[h].words, hook_words(r, h) * sizeof(*words));
			n += hook_words(r, h);
		}
	return class_intern(r, words, ret_class);
}

/*
 * A path that could not be had: what denies may match, what would keep a denial away may not, and
 * for what only reports it is a path that nobody named.
 */
static int class_of_unknown(struct resolver *r, struct revshell_class *ret_class)
{
	__u64 words[REVSHELL_HOOK_MAX * REVSHELL_WORDS];
	size_t n = 0;

	for (size_t h = 0; h < REVSHELL_HOOK_MAX; h++) {
		const struct compile_hook *hook = &r->c->hooks[h];
		const struct compile_sweep *s = &r->same[h];

		if (!asks(r, h))
			continue;
		memcpy(words + n, s->words, hook_words(r, h) * sizeof(*words));
		for (size_t i = 0; i < s->n; i++) {
			uint32_t bit = s->filters[i].bit;

			if (hook->roles[bit] == ROLE_DENIES)
				words[n + bit / 64] |= 1ULL << bit % 64;
			else if (hook->roles[bit] == ROLE_SHIELDS)
				words[n + bit / 64] &= ~(1ULL << bit % 64);
		}
		n += hook_words(r, h);
	}
	return class_intern(r, words, ret_class);
}

/* Turns the classes into one block of rows on every hook that asks. */
static int classes_store(struct resolver *r)
{
	size_t n = 0;
	int err;

	for (size_t h = 0; h < REVSHELL_HOOK_MAX; h++) {
		if (!asks(r, h))
			continue;
		for (size_t i = 0; i < r->classes.n; i++) {
			uint32_t row;

			err = compile_row_append(r->c,
						 r->classes.words + i * r->classes.n_words + n,
						 hook_words(r, h), r->same[h].filters[0].pos, &row);
			if (err < 0)
				return err;
			if (i == 0)
				r->c->rs->hooks[h].cfg.path_rows[r->dim] = row;
		}
		n += hook_words(r, h);
	}
	return 0;
}

/* Values */

static void run_enter(struct resolver *r, struct run run)
{
	for (size_t i = run.first; i < run.end; i++) {
		const struct pair *p = &r->pairs[i];

		compile_sweep_enter(&r->same[p->hook], p->filter);
		if (!p->exempts)
			compile_sweep_enter(&r->other[p->hook], p->filter);
	}
}

static void run_leave(struct resolver *r, struct run run)
{
	for (size_t i = run.first; i < run.end; i++) {
		const struct pair *p = &r->pairs[i];

		compile_sweep_leave(&r->same[p->hook], p->filter);
		if (!p->exempts)
			compile_sweep_leave(&r->other[p->hook], p->filter);
	}
}

static int text_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int cmp = memcmp(a, b, MIN(a_len, b_len));

	return cmp ? cmp : (a_len > b_len) - (a_len < b_len);
}

/* What holds a text as its beginning stands before it. */
static int pair_compare(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	return text_compare(x->text, x->len, y->text, y->len);
}

/* The same from the end. */
static int pair_compare_reversed(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	size_t n = MIN(x->len, y->len);

	for (size_t i = 1; i <= n; i++) {
		unsigned char cx = (unsigned char)x->text[x->len - i];
		unsigned char cy = (unsigned char)y->text[y->len - i];

		if (cx != cy)
			return cx < cy ? -1 : 1;
	}
	return (x->len > y->len) - (x->len < y->len);
}

static int affix_compare(const void *a, const void *b)
{
	const struct ruleset_affix *x = a, *y = b;

	return text_compare(x->text, x->len, y->text, y->len);
}

static bool pair_is_affix(const struct pair *outer, const struct pair *inner, bool reversed)
{
	if (outer->len > inner->len)
		return false;
	return !memcmp(outer->text, inner->text + (reversed ? inner->len - outer->len : 0),
		       outer->len);
}

static int too_many(struct resolver *r, const struct pair *p)
{
	diag_error(r->c->d, p->pos, "too-many-binaries",
		   "the rule set names more than %u binaries (REVSHELL_MAX_BINARIES)",
		   REVSHELL_MAX_BINARIES);
	return -E2BIG;
}

static int too_long(struct resolver *r, const struct pair *p, size_t max)
{
	diag_error(r->c->d, p->pos, "value-too-long",
		   "the value has %zu bytes, at most %zu can be compared", p->len, max);
	return -E2BIG;
}

/* Sorts the values of all hooks; nested ones become neighbours. */
static int pairs_fill(struct resolver *r, bool reversed)
{
	size_t n = 0;

	for (size_t h = 0; h < REVSHELL_HOOK_MAX; h++)
		for (size_t i = 0; i < r->same[h].n; i++)
			n += r->same[h].filters[i].n_values;
	r->pairs = malloc(MAX(n, 1U) * sizeof(*r->pairs));
	if (!r->pairs)
		return -ENOMEM;
	for (size_t h = 0; h < REVSHELL_HOOK_MAX; h++)
		for (size_t i = 0; i < r->same[h].n; i++) {
			const struct compile_filter *f = &r->same[h].filters[i];

			for (size_t k = 0; k < f->n_values; k++)
				r->pairs[r->n_pairs++] = (struct pair){
					.text = f->strings[k].text,
					.len = strlen(f->strings[k].text),
					.pos = f->strings[k].pos,
					.hook = h,
					.exempts = f->exempts,
					.filter = i,
				};
		}
	qsort(r->pairs, r->n_pairs, sizeof(*r->pairs),
	      reversed ? pair_compare_reversed : pair_compare);
	return 0;
}

static struct run run_at(const struct resolver *r, size_t first)
{
	struct run run = {first, first + 1};

	while (run.end < r->n_pairs && !pair_compare(&r->pairs[first], &r->pairs[run.end]))
		run.end++;
	return run;
}

static int fill_exact(struct resolver *r, struct ruleset_path **paths, size_t *n_paths,
		      size_t n_already)
{
	struct run run;
	int err;

	*paths = calloc(MAX(r->n_pairs, 1U), sizeof(**paths));
	if (!*paths)
		return -ENOMEM;
	for (run = run_at(r, 0); run.first < r->n_pairs; run = run_at(r, run.end)) {
		const struct pair *p = &r->pairs[run.first];
		struct ruleset_path *out = &(*paths)[*n_paths];

		if (p->len > REVSHELL_PATH_MAX)
			return too_long(r, p, REVSHELL_PATH_MAX);
		if (*n_paths + n_already == REVSHELL_MAX_BINARIES)
			return too_many(r, p);
		out->path = strdup(p->text);
		if (!out->path)
			return -ENOMEM;
		(*n_paths)++;
		out->len = p->len;
		run_enter(r, run);
		err = class_of(r, r->same, &out->value.same);
		if (err < 0)
			return err;
		err = class_of(r, r->other, &out->value.other);
		if (err < 0)
			return err;
		run_leave(r, run);
		/* where both mean the same there is nothing to compare the file for */
		out->exempts = out->value.same.id != out->value.other.id;
		out->value.any = !out->exempts;
	}
	return 0;
}

static int fill_affixes(struct resolver *r, struct ruleset_affix **affixes, size_t *n_affixes,
			bool reversed)
{
	const size_t max = reversed ? REVSHELL_POSTFIX_MAX : REVSHELL_PREFIX_MAX;
	struct run stack[REVSHELL_PREFIX_MAX + 1]; /* nested values differ in length */
	size_t depth = 0;
	struct run run;
	int err;

	*affixes = calloc(MAX(r->n_pairs, 1U), sizeof(**affixes));
	if (!*affixes)
		return -ENOMEM;
	for (run = run_at(r, 0); run.first < r->n_pairs; run = run_at(r, run.end)) {
		const struct pair *p = &r->pairs[run.first];
		struct ruleset_affix *out = &(*affixes)[*n_affixes];

		if (p->len > max)
			return too_long(r, p, max);
		if (*n_affixes == REVSHELL_MAX_BINARIES)
			return too_many(r, p);
		while (depth && !pair_is_affix(&r->pairs[stack[depth - 1].first], p, reversed))
			run_leave(r, stack[--depth]);
		run_enter(r, run);
		stack[depth++] = run;
		out->text = strdup(p->text);
		if (!out->text)
			return -ENOMEM;
		(*n_affixes)++;
		out->len = p->len;
		err = class_of(r, r->same, &out->value.host);
		if (err < 0)
			return err;
		err = class_of(r, r->other, &out->value.foreign);
		if (err < 0)
			return err;
	}
	qsort(*affixes, *n_affixes, sizeof(**affixes), affix_compare);
	return 0;
}

static int resolver_init(struct resolver *r)
{
	int err;

	r->same = calloc(REVSHELL_HOOK_MAX, sizeof(*r->same));
	r->other = calloc(REVSHELL_HOOK_MAX, sizeof(*r->other));
	if (!r->same || !r->other)
		return -ENOMEM;
	for (size_t h = 0; h < REVSHELL_HOOK_MAX; h++) {
		if (!(r->c->rs->hooks[h].cfg.used & 1ULL << r->dim))
			continue;
		r->asked |= 1U << h;
		r->classes.n_words += hook_words(r, h);
		err = compile_sweep_init(&r->same[h], &r->c->hooks[h], r->dim);
		if (err < 0)
			return err;
		err = compile_sweep_init(&r->other[h], &r->c->hooks[h], r->dim);
		if (err < 0)
			return err;
	}
	return 0;
}

static int resolve_dim(struct compile *c, enum revshell_dim dim)
{
	_cleanup_(resolver_done) struct resolver r = {.c = c, .dim = dim};
	struct revshell_class class_default, class_unknown;
	struct ruleset *rs = c->rs;
	unsigned int parent = dim >= REVSHELL_DIM_PARENT;
	enum revshell_dim kind = dim - (parent ? REVSHELL_DIM_PARENT : 0);
	int err;

	err = resolver_init(&r);
	if (err < 0)
		return err;
	err = pairs_fill(&r, kind == REVSHELL_DIM_EXE_POSTFIX);
	if (err < 0)
		return err;
	if (r.asked) {
		err = class_of(&r, r.same, &class_default);
		if (err < 0)
			return err;
		err = class_of_unknown(&r, &class_unknown);
		if (err < 0)
			return err;
	} else {
		class_default = (struct revshell_class){.hooks = words_hooks(&r, NULL)};
		class_unknown = class_default;
	}
	for (size_t h = 0; h < REVSHELL_HOOK_MAX; h++) {
		rs->hooks[h].cfg.path_default[dim] = class_default;
		rs->hooks[h].cfg.path_unknown[dim] = class_unknown;
	}
	if (kind == REVSHELL_DIM_EXE)
		err = fill_exact(&r, &rs->paths[parent], &rs->n_paths[parent],
				 parent ? rs->n_paths[0] : 0);
	else if (kind == REVSHELL_DIM_EXE_PREFIX)
		err = fill_affixes(&r, &rs->prefixes[parent], &rs->n_prefixes[parent], false);
	else
		err = fill_affixes(&r, &rs->postfixes[parent], &rs->n_postfixes[parent], true);
	if (err < 0)
		return err;
	return classes_store(&r);
}

int compile_paths(struct compile *c)
{
	int err;

	for (enum revshell_dim dim = 0; dim < REVSHELL_PATH_DIMS; dim++) {
		err = resolve_dim(c, dim);
		if (err < 0)
			return err;
	}
	return 0;
}
