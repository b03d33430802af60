/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers and addresses, read as strictly as Tetragon's Go code reads them. */
#include <arpa/inet.h>
#include <string.h>

#include "policy-internal.h"

bool number_parse_decimal(const char *s, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (*s == 0)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*s - '0'), &value))
			return false;
	}
	if (value > max)
		return false;
	*ret_value = value;
	return true;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

/* The base that a literal's prefix names; moves past the prefix. */
static unsigned int literal_base(const char **s)
{
	const char *p = *s;

	if (p[0] != '0' || p[1] == 0)
		return 10;
	switch (p[1]) {
	case 'x':
	case 'X':
		*s += 2;
		return 16;
	case 'b':
	case 'B':
		*s += 2;
		return 2;
	case 'o':
	case 'O':
		*s += 2;
		return 8;
	default:
		*s += 1;
		return 8;
	}
}

/* Digits with single underscores between them, or between the prefix and them. */
static bool parse_digits(const char *s, unsigned int base, bool has_prefix, uint64_t *ret_value)
{
	bool after_digit = has_prefix;
	uint64_t value = 0;

	if (*s == 0)
		return false;
	for (; *s; s++) {
		if (*s == '_') {
			if (!after_digit)
				return false;
			after_digit = false;
			continue;
		}
		if ((unsigned int)digit_value(*s) >= base)
			return false;
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit_value(*s), &value))
			return false;
		after_digit = true;
	}
	if (!after_digit)
		return false;
	*ret_value = value;
	return true;
}

bool number_parse_literal(const char *s, bool is_signed, int64_t *ret_value)
{
	const char *digits;
	uint64_t magnitude;
	unsigned int base;
	bool negative;

	negative = is_signed && *s == '-';
	if (is_signed && (*s == '-' || *s == '+'))
		s++;
	digits = s;
	base = literal_base(&digits);
	if (!parse_digits(digits, base, digits > s, &magnitude))
		return false;
	if (is_signed && magnitude > (uint64_t)INT64_MAX + negative)
		return false;
	*ret_value = (int64_t)(negative ? 0 - magnitude : magnitude);
	return true;
}

static void cidr_clear_host_bits(struct policy_cidr *c, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned int kept = c->prefix > 8 * i ? c->prefix - 8 * (unsigned int)i : 0;

		if (kept < 8)
			c->addr[i] &= (uint8_t)(0xff00U >> kept);
	}
}

bool cidr_parse(const char *s, struct policy_cidr *ret_cidr, const char **ret_reason)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	struct policy_cidr c = {.family = strchr(s, ':') ? 6 : 4};
	unsigned int bits = c.family == 6 ? 128 : 32;
	const char *slash = strchr(s, '/');
	char address[INET6_ADDRSTRLEN];
	size_t length = slash ? (size_t)(slash - s) : strlen(s);
	uint64_t prefix = bits;

	if (memchr(s, '%', length)) {
		*ret_reason = "an address with a zone (%) cannot be matched";
		return false;
	}
	*ret_reason = "not an IPv4 or IPv6 address or CIDR";
	if (length >= sizeof(address))
		return false;
	memcpy(address, s, length);
	address[length] = 0;
	if (inet_pton(c.family == 6 ? AF_INET6 : AF_INET, address, c.addr) != 1)
		return false;
	/* Go refuses /08; so do we, or a file would mean different things here and there */
	if (slash && (!number_parse_decimal(slash + 1, bits, &prefix) ||
		      (slash[1] == '0' && slash[2] != 0))) {
		*ret_reason = c.family == 6 ? "the prefix length must be 0 to 128"
					    : "the prefix length must be 0 to 32";
		return false;
	}

	c.prefix = (uint8_t)prefix;
	if (c.family == 6 && c.prefix >= 96 && memcmp(c.addr, mapped, sizeof(mapped)) == 0) {
		c.family = 4;
		c.prefix -= 96;
		memmove(c.addr, c.addr + 12, 4);
		memset(c.addr + 4, 0, 12);
	}
	cidr_clear_host_bits(&c, c.family == 6 ? 16 : 4);
	*ret_cidr = c;
	return true;
}
