/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text from outside, written as Go's strconv.Quote writes it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Length in bytes of the valid UTF-8 sequence at s, 0 if there is none. */
size_t utf8_length(const char *s, size_t n, uint32_t *ret_code);

/* What is not printed as one visible character in its place, and the quote and the backslash. */
bool quote_is_special(uint32_t code);

/* Writes n bytes with what is special, and what is not UTF-8, escaped; without quotes around it. */
void quote_put(FILE *f, const char *s, size_t n);
