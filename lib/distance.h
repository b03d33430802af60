/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How far two words are apart, for guesses at what was meant. */
#pragma once

#include <stddef.h>

/*
 * How many letters must change to make b of a; at least limit where it is more than that, or a word
 * is longer than 32 letters.
 */
size_t word_distance(const char *a, const char *b, size_t limit);
