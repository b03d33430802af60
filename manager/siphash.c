/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SipHash-1-3 after Aumasson and Bernstein, for keys of path maps. */
#include "siphash.h"

#include <string.h>

struct state {
	uint64_t v[4];
};

static uint64_t rotate_left(uint64_t x, unsigned int bits)
{
	return x << bits | x >> (64 - bits);
}

static void state_round(struct state *s)
{
	s->v[0] += s->v[1];
	s->v[1] = rotate_left(s->v[1], 13) ^ s->v[0];
	s->v[0] = rotate_left(s->v[0], 32);
	s->v[2] += s->v[3];
	s->v[3] = rotate_left(s->v[3], 16) ^ s->v[2];
	s->v[0] += s->v[3];
	s->v[3] = rotate_left(s->v[3], 21) ^ s->v[0];
	s->v[2] += s->v[1];
	s->v[1] = rotate_left(s->v[1], 17) ^ s->v[2];
	s->v[2] = rotate_left(s->v[2], 32);
}

static void state_absorb(struct state *s, uint64_t word)
{
	s->v[3] ^= word;
	state_round(s);
	s->v[0] ^= word;
}

uint64_t siphash13(const void *data, size_t size, const uint64_t key[2])
{
	const unsigned char *p = data;
	struct state s = {{
		key[0] ^ 0x736f6d6570736575ULL,
		key[1] ^ 0x646f72616e646f6dULL,
		key[0] ^ 0x6c7967656e657261ULL,
		key[1] ^ 0x7465646279746573ULL,
	}};
	size_t left = size;
	uint64_t word;

	for (; left >= 8; left -= 8, p += 8) {
		memcpy(&word, p, 8);
		state_absorb(&s, word);
	}
	word = 0;
	if (left > 0)
		memcpy(&word, p, left);
	state_absorb(&s, word | (uint64_t)size << 56);
	s.v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		state_round(&s);
	return s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3];
}
