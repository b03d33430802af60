/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* 64-bit FNV-1a: tells texts apart that nobody chose to be mistaken for each other. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FNV1A_INIT 0xcbf29ce484222325ULL

/* The hash of one byte more. */
static inline uint64_t fnv1a_byte(uint64_t h, uint8_t byte)
{
	return (h ^ byte) * 0x100000001b3ULL;
}

static inline uint64_t fnv1a_bytes(uint64_t h, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size; i++)
		h = fnv1a_byte(h, bytes[i]);
	return h;
}

/* Of a string and its NUL. */
static inline uint64_t fnv1a_string(uint64_t h, const char *s)
{
	return fnv1a_bytes(h, s, strlen(s) + 1);
}
