/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON text as it is written: a line without blanks that nothing in it can break, since what a
 * terminal may obey is escaped. key is NULL in arrays. Lack of memory is remembered, so that only
 * the end has to look.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Starts zeroed. */
struct line {
	char *text;
	size_t len, size;
	bool oom;
};

void line_done(struct line *l);

/* Ends it with a NUL that does not count. -ENOMEM: something is missing. */
int line_finish(struct line *l);

/* bracket is '{' or '[', and what closes it. */
void line_open(struct line *l, const char *key, char bracket);
void line_close(struct line *l, char bracket);

/* n bytes from outside: what is not UTF-8, and NUL, becomes U+FFFD. */
void line_bytes(struct line *l, const char *key, const char *s, size_t n);
void line_string(struct line *l, const char *key, const char *s);
void line_integer(struct line *l, const char *key, int64_t n);
void line_false(struct line *l, const char *key);

/* Those that leave out what is empty or zero, as Tetragon's encoder does. */
void line_text(struct line *l, const char *key, const char *s);
void line_number(struct line *l, const char *key, uint64_t n);

/* A number as text: 64 bits do not survive every JSON reader. */
void line_decimal(struct line *l, const char *key, uint64_t n);
void line_decimal_signed(struct line *l, const char *key, int64_t n);

/* RFC 3339 in UTC with nine digits; ns since 1970. */
void line_time(struct line *l, const char *key, int64_t ns);

/* base64("NODE:START:PID"). */
void line_exec_id(struct line *l, const char *key, const char *node, uint64_t start_ns,
		  uint32_t pid);
