/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a configuration file: pairs that keep the form's promises, or errors with positions.
 */
#include <ctype.h>
#include <string.h>

#include "conf.h"
#include "fuzz.h"

static bool is_word(const char *s)
{
	for (; *s; s++)
		if (!isalnum((unsigned char)*s))
			return false;
	return true;
}

static int check_pair(const char *section, const char *key, const char *value,
		      struct diag_pos position, struct diag *d, void *userdata)
{
	size_t n = strlen(value);

	fuzz_assert(is_word(section) && is_word(key) && *key);
	fuzz_assert(position.line > 0 && position.column > 0);
	fuzz_assert(!strchr(value, '\n') && n <= CONF_MAX_SIZE);
	fuzz_assert(n == 0 || (value[0] != ' ' && value[n - 1] != ' '));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct diag d = {};
	int err;

	err = conf_parse((const char *)data, size, "f", check_pair, NULL, &d);
	fuzz_assert(err == 0 || err == -EINVAL);
	fuzz_assert((err == 0) == (d.n_errors == 0));
	fuzz_check_diag(&d);
	diag_done(&d);
	return 0;
}
