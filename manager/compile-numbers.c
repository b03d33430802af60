/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From runs of numbers to the prefixes that a trie holds. */
#include "compile.h"
#include "macro.h"

static int number_add(const struct compile_segment *s, uint64_t value, unsigned int bits)
{
	struct ruleset *rs = s->c->rs;
	int err;

	if (rs->n_numbers == REVSHELL_MAX_NUMBERS) {
		diag_error(s->c->d, s->pos, "too-many-numbers",
			   "the ranges of numbers come to more than %u prefixes "
			   "(REVSHELL_MAX_NUMBERS)",
			   REVSHELL_MAX_NUMBERS);
		return -E2BIG;
	}
	err = compile_grow((void **)&rs->numbers, &s->c->numbers_size, rs->n_numbers,
			   sizeof(*rs->numbers));
	if (err < 0)
		return err;
	rs->numbers[rs->n_numbers++] = (struct ruleset_number){
		.space = s->space,
		.bits = bits,
		.value = value,
		.result = s->result,
	};
	return 0;
}

int compile_segment_end(struct compile_segment *s)
{
	uint64_t lo = s->lo;
	int err;

	if (!s->open)
		return 0;
	s->open = false;
	for (;;) {
		/* the largest aligned block that starts at lo and does not go beyond hi */
		unsigned int free_bits = lo ? (unsigned int)__builtin_ctzll(lo) : 64;
		uint64_t last = free_bits == 64 ? UINT64_MAX : lo | ((1ULL << free_bits) - 1);

		while (last > s->hi) {
			free_bits--;
			last = lo | ((1ULL << free_bits) - 1);
		}
		err = number_add(s, lo, 64 - free_bits);
		if (err < 0)
			return err;
		if (last == s->hi)
			return 0;
		lo = last + 1;
	}
}

int compile_segment_add(struct compile_segment *s, uint64_t lo, uint64_t hi, uint64_t result,
			uint64_t none)
{
	int err;

	if (s->open && s->result == result && s->hi + 1 == lo) {
		s->hi = hi;
		return 0;
	}
	err = compile_segment_end(s);
	if (err < 0 || result == none)
		return err;
	s->lo = lo;
	s->hi = hi;
	s->result = result;
	s->open = true;
	return 0;
}

size_t compile_edges_add(struct compile_edge *edges, size_t n, uint64_t lo, uint64_t hi,
			 uint32_t owner)
{
	edges[n++] = (struct compile_edge){lo, owner, true};
	if (hi < UINT64_MAX)
		edges[n++] = (struct compile_edge){hi + 1, owner, false};
	return n;
}

static int edge_compare(const void *a, const void *b)
{
	const struct compile_edge *x = a, *y = b;

	return x->value < y->value ? -1 : x->value > y->value;
}

void compile_edges_sort(struct compile_edge *edges, size_t n)
{
	qsort(edges, n, sizeof(*edges), edge_compare);
}
