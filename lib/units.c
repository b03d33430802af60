/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers with a unit, "10M" or "5m", as options and configuration have them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "units.h"

const struct unit units_none[] = {{"", 1}, {}};

const struct unit units_usec[] = {
	{"", 1000000}, {"s", 1000000}, {"m", 60000000}, {"h", 3600000000}, {"d", 86400000000}, {},
};

const struct unit units_size[] = {
	{"", 1}, {"K", 1024}, {"M", 1024 * 1024}, {"G", 1024 * 1024 * 1024}, {},
};

int units_parse(const char *s, const struct unit *units, uint64_t max, uint64_t *ret_value)
{
	unsigned long long n;
	char *end;

	if (s[0] < '0' || s[0] > '9') /* strtoull() takes blanks and signs */
		return -EINVAL;
	errno = 0;
	n = strtoull(s, &end, 10);
	while (units->name && strcmp(units->name, end) != 0)
		units++;
	if (!units->name)
		return -EINVAL;
	if (errno == ERANGE || n > max / units->factor)
		return -ERANGE;
	*ret_value = n * units->factor;
	return 0;
}
