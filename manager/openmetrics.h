/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counters as OpenMetrics 1.0 text, as a collector of text files takes it too. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* One of those that statistics_each() names. */
struct openmetrics_stat {
	const char *name;
	uint64_t value;
};

struct openmetrics {
	const char *version, *backend;
	bool enforcing;
	const struct openmetrics_stat *stats;
	size_t n_stats;
};

/* What could not be written shows in ferror(f). */
void openmetrics_write(FILE *f, const struct openmetrics *o);
