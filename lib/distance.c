/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How far two words are apart, for guesses at what was meant. */
#include <string.h>

#include "distance.h"
#include "macro.h"

size_t word_distance(const char *a, const char *b, size_t limit)
{
	size_t row[33], n = strlen(b);

	if (n > 32 || strnlen(a, 33) > 32)
		return limit;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t change = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = MIN(change, MIN(row[j], row[j - 1]) + 1);
		}
	}
	return MIN(row[n], limit);
}
