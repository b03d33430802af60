/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text from outside, written as Go's strconv.Quote writes it. */
#include <string.h>

#include "quote.h"

size_t utf8_length(const char *s, size_t n, uint32_t *ret_code)
{
	const unsigned char *u = (const unsigned char *)s;
	uint32_t code, least;
	size_t len;

	if (n == 0)
		return 0;
	if (u[0] < 0x80) {
		*ret_code = u[0];
		return 1;
	}
	if (u[0] >= 0xc0 && u[0] < 0xe0) {
		len = 2;
		least = 0x80;
		code = u[0] & 0x1f;
	} else if (u[0] >= 0xe0 && u[0] < 0xf0) {
		len = 3;
		least = 0x800;
		code = u[0] & 0x0f;
	} else if (u[0] >= 0xf0 && u[0] < 0xf8) {
		len = 4;
		least = 0x10000;
		code = u[0] & 0x07;
	} else {
		return 0;
	}
	if (n < len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (u[i] & 0x3f);
	}
	if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret_code = code;
	return len;
}

bool quote_is_special(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == '"' || code == '\\' ||
	       code == 0xad || (code >= 0x200b && code <= 0x200f) ||
	       (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) ||
	       code == 0xfeff || (code >= 0xfff9 && code <= 0xfffb) ||
	       (code >= 0xe0000 && code <= 0xe0fff);
}

/* One that a letter stands for after the backslash, or 0. */
static char letter_of(uint32_t code)
{
	static const char codes[] = "\a\b\f\n\r\t\v\"\\", letters[] = "abfnrtv\"\\";
	const char *at = code && code < 0x80 ? strchr(codes, (int)code) : NULL;

	return at ? letters[at - codes] : 0;
}

void quote_put(FILE *f, const char *s, size_t n)
{
	size_t k;
	uint32_t code;

	for (; n; s += k, n -= k) {
		k = utf8_length(s, n, &code);
		if (!k) {
			k = 1;
			fprintf(f, "\\x%02x", (unsigned char)*s);
		} else if (!quote_is_special(code)) {
			fwrite(s, 1, k, f);
		} else if (letter_of(code)) {
			fprintf(f, "\\%c", letter_of(code));
		} else if (code < 0x80) {
			fprintf(f, "\\x%02x", code);
		} else if (code < 0x10000) {
			fprintf(f, "\\u%04x", code);
		} else {
			fprintf(f, "\\U%08x", code);
		}
	}
}
