/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* 64-bit FNV-1a: tells texts apart that nobody chose to be mistaken for each other. */
#pragma once

#include <stdint.h>

#define FNV1A_INIT 0xcbf29ce484222325ULL

/* Of a string and its NUL, going on from h. */
static inline uint64_t fnv1a_string(uint64_t h, const char *s)
{
	do {
		h = (h ^ (unsigned char)*s) * 0x100000001b3ULL;
	} while (*s++);
	return h;
}
