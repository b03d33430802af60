/* SPDX-License-Identifier: GPL-2.0-only */
/* Access to one generation's tables, as decide.h asks for it. */
#pragma once

#include "maps.bpf.h"
#include <bpf/bpf_endian.h>

#define RS_VIEW __u32 /* slot */

/* 1 if x is not 0; arithmetic that the compiler does not turn into a branch. */
static __always_inline __u64 is_nonzero(__u64 x)
{
	__u64 negated = -x;

	barrier_var(negated);
	return (x | negated) >> 63;
}

/* Functions of their own: the verifier looks at them once, and forgets what they looked at. */
__weak __noinline __u64 rs_row_fold(__u32 slot, __u32 hook, __u32 index)
{
	void *rows = bpf_map_lookup_elem(&rs_rows, &slot);
	const struct revshell_row *row = rows ? bpf_map_lookup_elem(rows, &index) : NULL;

	if (row)
		return row->fold;
	stat_add(hook, REVSHELL_STAT_LOOKUP_FAILED);
	return ~0ULL;
}

static __always_inline __u64 rows_word(void *rows, __u32 index, __u32 at)
{
	const struct revshell_row *row;

	/* every bit of row 0 is set */
	if (!index)
		return ~0ULL;
	row = bpf_map_lookup_elem(rows, &index);
	if (row)
		return row->words[at & (REVSHELL_WORDS - 1)];
	stat_add(at / REVSHELL_WORDS, REVSHELL_STAT_LOOKUP_FAILED);
	return ~0ULL;
}

/* Of four rows, as struct rs_match has them. */
static __always_inline __u64 four_rows_word(void *rows, __u64 four, __u32 at)
{
	if (!four)
		return ~0ULL;
	return rows_word(rows, four & 0xffff, at) & rows_word(rows, (four >> 16) & 0xffff, at) &
	       rows_word(rows, (four >> 32) & 0xffff, at) & rows_word(rows, four >> 48, at);
}

/* AND of a word of twelve rows, four to an argument. at: RS_AT(hook, word). */
__weak __noinline __u64 rs_rows_word(__u32 slot, __u32 at, __u64 a, __u64 b, __u64 c)
{
	void *rows = bpf_map_lookup_elem(&rs_rows, &slot);

	if (!rows) {
		stat_add(at / REVSHELL_WORDS, REVSHELL_STAT_LOOKUP_FAILED);
		return ~0ULL;
	}
	return four_rows_word(rows, a, at) & four_rows_word(rows, b, at) &
	       four_rows_word(rows, c, at);
}

/* Which of the eight words from word at on have a bit that all of twelve rows have: bit by word. */
__weak __noinline __u64 rs_rows_alive(__u32 slot, __u32 at, __u64 a, __u64 b, __u64 c)
{
	void *rows = bpf_map_lookup_elem(&rs_rows, &slot);
	__u64 left[8], alive = 0;

	if (!rows) {
		stat_add(at / REVSHELL_WORDS, REVSHELL_STAT_LOOKUP_FAILED);
		return ~0ULL;
	}
	for (int i = 0; i < 8; i++)
		left[i] = ~0ULL;
#pragma unroll
	for (int i = 0; i < 12; i++) {
		__u32 index = ((i < 4 ? a : i < 8 ? b : c) >> i % 4 * 16) & 0xffff;
		const struct revshell_row *row;

		/* every bit of row 0 is set */
		if (!index)
			continue;
		row = bpf_map_lookup_elem(rows, &index);
		if (!row) {
			stat_add(at / REVSHELL_WORDS, REVSHELL_STAT_LOOKUP_FAILED);
			continue;
		}
		for (int k = 0; k < 8; k++)
			left[k] &= row->words[(at & 8) + k];
	}
	for (int i = 0; i < 8; i++)
		alive |= is_nonzero(left[i]) << i;
	return alive;
}

__weak __noinline __u64 rs_row_word(__u32 slot, __u32 index, __u32 w)
{
	void *rows = bpf_map_lookup_elem(&rs_rows, &slot);
	const struct revshell_row *row = rows ? bpf_map_lookup_elem(rows, &index) : NULL;

	return row ? row->words[w & (REVSHELL_WORDS - 1)] : ~0ULL;
}

static __always_inline __u32 rs_page_row(__u32 slot, __u32 page, __u32 port)
{
	void *pages = bpf_map_lookup_elem(&rs_pages, &slot);
	const struct revshell_port_page *p = pages ? bpf_map_lookup_elem(pages, &page) : NULL;

	return p ? p->row[port & 255] : ~0U;
}

static __always_inline __u32 rs_cidr6_row(__u32 slot, const struct revshell_hook_cfg *cfg,
					  __u32 hook, __u32 dim, const __u32 *addr)
{
	__u32 index = REVSHELL_TRIE_INDEX(slot, hook, dim - REVSHELL_DIM_SK_SADDR);
	struct revshell_cidr6_key key = {
		.prefixlen = 128,
		.addr = {addr[0], addr[1], addr[2], addr[3]},
	};
	void *trie = bpf_map_lookup_elem(&rs_cidr6, &index);
	__u32 *row = trie ? bpf_map_lookup_elem(trie, &key) : NULL;

	return row ? *row : cfg->dim_default[dim];
}

/* value as struct revshell_number_key has it, in host order; otherwise: without an entry. */
__weak __noinline __u64 rs_number_lookup(__u32 slot, __u32 space, __u64 value, __u64 otherwise)
{
	struct revshell_number_key key = {.prefixlen = 96};
	void *trie = bpf_map_lookup_elem(&rs_numbers, &slot);
	__u64 big = bpf_cpu_to_be64(value);
	__u64 *found;

	key.space = bpf_htonl(space);
	__builtin_memcpy(key.value, &big, sizeof(key.value));
	found = trie ? bpf_map_lookup_elem(trie, &key) : NULL;
	return found ? *found : otherwise;
}

#define rs_number_row(slot, space, value, otherwise) \
	((__u32)rs_number_lookup(slot, space, value, otherwise))

/* The word of predicates that a fact's number satisfies; 0 without an entry. */
static __always_inline __u64 fact_lookup(__u32 slot, const __u32 fact, __u64 value)
{
	return rs_number_lookup(slot, REVSHELL_SPACE_FACT(fact), value, 0);
}

/* The word for a fact that could not be had whole: strict. */
static __always_inline __u64 fact_unknown(__u32 slot, const __u32 fact)
{
	return rs_number_lookup(slot, REVSHELL_SPACE_UNKNOWN(fact), 0, 0);
}
