/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers with a unit, "10M" or "5m", as options and configuration have them. */
#pragma once

#include <stdint.h>

struct unit {
	const char *name; /* "" for none; NULL ends the table */
	uint64_t factor;
};

#define USEC_PER_SEC 1000000ULL

extern const struct unit units_none[]; /* a bare number */
extern const struct unit units_usec[]; /* none or s, m, h, d */
extern const struct unit units_size[]; /* none, K, M, G: of 1024 */

/* Decimal digits and a unit. -EINVAL: another form. -ERANGE: the product is more than max. */
int units_parse(const char *s, const struct unit *units, uint64_t max, uint64_t *ret_value);
