/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the fuzz targets share: assertions that stay on, and what holds of every diagnostic. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diag.h"

#define fuzz_assert(condition)                                                          \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each has a code and prints as one line without control characters. */
static inline void fuzz_check_diag(const struct diag *d)
{
	fuzz_assert(!d->oom);
	fuzz_assert(d->n_items <= DIAG_MAX_ITEMS);
	for (size_t i = 0; i < d->n_items; i++) {
		char *line = diag_format(&d->items[i]);

		fuzz_assert(d->items[i].code && d->items[i].message);
		fuzz_assert(line);
		for (const char *c = line; *c; c++)
			fuzz_assert((unsigned char)*c >= 0x20 && *c != 0x7f);
		free(line);
	}
}
