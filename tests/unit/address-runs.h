/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The runs of IPv4 addresses that a dimension tells apart, taken down for a test to look at. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdint.h>

#include "macro.h"

struct runs {
	uint32_t first[8192];
	uint32_t row[8192];
	size_t n;
};

/* For ruleset_each_run(). */
static inline void take_run(uint32_t first, uint32_t row, void *userdata)
{
	struct runs *runs = userdata;

	assert_true(runs->n < ARRAY_SIZE(runs->row));
	assert_true(runs->n ? first > runs->first[runs->n - 1] : first == 0);
	runs->first[runs->n] = first;
	runs->row[runs->n++] = row;
}
