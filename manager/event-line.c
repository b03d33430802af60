/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON text as it is written. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "event-internal.h"
#include "event-line.h"
#include "macro.h"
#include "quote.h"

#define FIRST_BYTES 2048 /* most events fit */

/* The longest that a byte becomes: \u001F. */
#define ESCAPED	    6

void line_done(struct line *l)
{
	free(l->text);
	*l = (struct line){};
}

/* Room for n bytes more, which the caller then counts in; NULL without memory. */
static char *line_room(struct line *l, size_t n)
{
	size_t size = MAX(l->size * 2, l->len + n + FIRST_BYTES);
	char *text;

	if (l->size - l->len < n) {
		text = realloc(l->text, size);
		if (!text) {
			l->oom = true;
			return NULL;
		}
		l->text = text;
		l->size = size;
	}
	return l->text + l->len;
}

int line_finish(struct line *l)
{
	char *to = line_room(l, 1);

	if (!to || l->oom)
		return -ENOMEM;
	*to = '\0';
	return 0;
}

/* Room for a value of n bytes behind the comma and the key that it needs, which are written. */
static char *line_begin(struct line *l, const char *key, size_t n)
{
	size_t key_len = key ? strlen(key) : 0;
	char *to = line_room(l, n + key_len + strlen(",\"\":"));

	if (!to)
		return NULL;
	if (l->len > 0 && to[-1] != '{' && to[-1] != '[')
		*to++ = ',';
	if (key) {
		*to++ = '"';
		to = mempcpy(to, key, key_len);
		*to++ = '"';
		*to++ = ':';
	}
	return to;
}

static void line_end(struct line *l, const char *end)
{
	l->len = (size_t)(end - l->text);
}

void line_open(struct line *l, const char *key, char bracket)
{
	char *to = line_begin(l, key, 1);

	if (!to)
		return;
	*to++ = bracket;
	line_end(l, to);
}

void line_close(struct line *l, char bracket)
{
	char *to = line_room(l, 1);

	if (!to)
		return;
	*to++ = bracket;
	line_end(l, to);
}

static char *put_hex(char *to, unsigned int c, const char *digits)
{
	to = mempcpy(to, "\\u00", strlen("\\u00"));
	*to++ = digits[c >> 4];
	*to++ = digits[c & 15];
	return to;
}

static char *put_escape(char *to, unsigned char c)
{
	static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* a byte and its letter each */

	for (size_t i = 0; i + 1 < sizeof(shorts); i += 2)
		if ((unsigned char)shorts[i] == c) {
			*to++ = '\\';
			*to++ = shorts[i + 1];
			return to;
		}
	return put_hex(to, c, "0123456789ABCDEF");
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* One character that is not plain; *i is moved behind it. */
static char *put_special(char *to, const char *s, size_t n, size_t *i)
{
	uint32_t code;
	size_t k = utf8_length(s + *i, n - *i, &code);
	const char *from = s + *i;

	if (k == 0 || code == 0) {
		*i += 1;
		return mempcpy(to, EVENT_REPLACEMENT, strlen(EVENT_REPLACEMENT));
	}
	*i += k;
	if (code >= 0x7f && code < 0xa0)
		return put_hex(to, code, "0123456789abcdef");
	return k == 1 ? put_escape(to, (unsigned char)code) : mempcpy(to, from, k);
}

void line_bytes(struct line *l, const char *key, const char *s, size_t n)
{
	char *to = line_begin(l, key, n * ESCAPED + strlen("\"\""));

	if (!to)
		return;
	*to++ = '"';
	for (size_t i = 0; i < n;) {
		if (is_plain((unsigned char)s[i]))
			*to++ = s[i++];
		else
			to = put_special(to, s, n, &i);
	}
	*to++ = '"';
	line_end(l, to);
}

void line_string(struct line *l, const char *key, const char *s)
{
	line_bytes(l, key, s, strlen(s));
}

void line_text(struct line *l, const char *key, const char *s)
{
	if (*s)
		line_string(l, key, s);
}

#define DIGITS 20 /* of 64 bits */

static char *put_digits(char *to, uint64_t n)
{
	char buf[DIGITS];
	size_t i = sizeof(buf);

	do {
		buf[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	return mempcpy(to, buf + i, sizeof(buf) - i);
}

static char *put_signed(char *to, int64_t n)
{
	if (n >= 0)
		return put_digits(to, (uint64_t)n);
	*to++ = '-';
	return put_digits(to, -(uint64_t)n);
}

void line_integer(struct line *l, const char *key, int64_t n)
{
	char *to = line_begin(l, key, DIGITS + 1);

	if (to)
		line_end(l, put_signed(to, n));
}

void line_number(struct line *l, const char *key, uint64_t n)
{
	if (n)
		line_integer(l, key, (int64_t)n);
}

void line_false(struct line *l, const char *key)
{
	char *to = line_begin(l, key, strlen("false"));

	if (to)
		line_end(l, mempcpy(to, "false", strlen("false")));
}

void line_decimal(struct line *l, const char *key, uint64_t n)
{
	char buf[DIGITS];

	line_bytes(l, key, buf, (size_t)(put_digits(buf, n) - buf));
}

void line_decimal_signed(struct line *l, const char *key, int64_t n)
{
	char buf[DIGITS + 1];

	line_bytes(l, key, buf, (size_t)(put_signed(buf, n) - buf));
}

/* n with so many digits, and what stands before it. */
static char *put_fixed(char *to, char before, uint64_t n, size_t digits)
{
	*to++ = before;
	for (size_t i = digits; i-- > 0; n /= 10)
		to[i] = (char)('0' + n % 10);
	return to + digits;
}

void line_time(struct line *l, const char *key, int64_t ns)
{
	int64_t frac = ns % NSEC_PER_SEC;
	time_t seconds = ns / NSEC_PER_SEC;
	char *to = line_begin(l, key, strlen("\"2262-04-11T23:47:16.854775807Z\""));
	struct tm tm = {};

	if (!to)
		return;
	if (frac < 0) {
		frac += NSEC_PER_SEC;
		seconds--;
	}
	/* 64 bits of nanoseconds are years of four digits, which it does not fail for */
	(void)gmtime_r(&seconds, &tm);
	to = put_fixed(to, '"', (uint64_t)tm.tm_year + 1900, 4);
	to = put_fixed(to, '-', (uint64_t)tm.tm_mon + 1, 2);
	to = put_fixed(to, '-', (uint64_t)tm.tm_mday, 2);
	to = put_fixed(to, 'T', (uint64_t)tm.tm_hour, 2);
	to = put_fixed(to, ':', (uint64_t)tm.tm_min, 2);
	to = put_fixed(to, ':', (uint64_t)tm.tm_sec, 2);
	to = put_fixed(to, '.', (uint64_t)frac, 9);
	line_end(l, mempcpy(to, "Z\"", strlen("Z\"")));
}

void line_exec_id(struct line *l, const char *key, const char *node, uint64_t start_ns,
		  uint32_t pid)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char buf[2 * DIGITS + 2], *end = buf, *to;
	size_t node_len = strlen(node), n, i = 0;
	unsigned char three[3];

	*end++ = ':';
	end = put_digits(end, start_ns);
	*end++ = ':';
	end = put_digits(end, pid);
	n = node_len + (size_t)(end - buf);
	to = line_begin(l, key, (n + 2) / 3 * 4 + strlen("\"\""));
	if (!to)
		return;
	*to++ = '"';
	while (i < n) {
		size_t k = 0;

		for (; k < 3 && i < n; k++, i++)
			three[k] = (unsigned char)(i < node_len ? node[i] : buf[i - node_len]);
		memset(three + k, 0, 3 - k);
		*to++ = digits[three[0] >> 2];
		*to++ = digits[(three[0] & 3) << 4 | three[1] >> 4];
		*to++ = k > 1 ? digits[(three[1] & 15) << 2 | three[2] >> 6] : '=';
		*to++ = k > 2 ? digits[three[2] & 63] : '=';
	}
	*to++ = '"';
	line_end(l, to);
}
