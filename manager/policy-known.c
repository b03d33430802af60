/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Policies that were read before: shared by the next set instead of being read again. */
#include <string.h>

#include "policy-internal.h"

static bool leads_alike(const struct policy_lookup *l)
{
	_cleanup_free_ char *real = realpath(l->text, NULL);

	if (!real)
		return !l->real && errno == l->error;
	return l->real && strcmp(real, l->real) == 0;
}

/* Whether the host would have it read as before. */
static bool host_is_alike(const struct policy *p)
{
	if (p->names_users || p->warnings.oom)
		return false;
	for (size_t i = 0; i < p->n_lookups; i++)
		if (!leads_alike(&p->lookups[i]))
			return false;
	return true;
}

/* Where in known, looked for from next on, the policies of a file begin; known->n: it has none. */
static size_t find_file(const struct policy_set *known, size_t next, const char *origin)
{
	for (size_t k = 0; k < known->n; k++) {
		size_t i = (next + k) % known->n;

		if (strcmp(known->policies[i]->origin, origin) == 0)
			return i;
	}
	return known->n;
}

/* How many policies, from first on, make up the text; 0: it is another text. */
static size_t count_same(const struct policy_set *known, size_t first, const char *text,
			 size_t size, const char *origin)
{
	size_t offset = 0, i;

	for (i = first; i < known->n && strcmp(known->policies[i]->origin, origin) == 0; i++) {
		const struct policy *p = known->policies[i];
		size_t length = strlen(p->source);

		if (p->offset != offset || length > size - offset ||
		    memcmp(p->source, text + offset, length) != 0 || !host_is_alike(p))
			return 0;
		offset += length;
	}
	return offset == size ? i - first : 0;
}

static int share(struct policy *p, struct diag *d, struct policy_set *set)
{
	int err = policy_set_add(set, p);

	if (err < 0)
		return err;
	p->n_shares++;
	diag_copy(d, &p->warnings);
	return 0;
}

int policy_known_take(const char *text, size_t size, const char *origin,
		      const struct policy_options *opts, size_t *next, struct diag *d,
		      struct policy_set *set)
{
	size_t first, n;

	if (!opts->known)
		return 0;
	first = find_file(opts->known, *next, origin);
	n = count_same(opts->known, first, text, size, origin);
	for (size_t i = first; i < first + n; i++) {
		int err = share(opts->known->policies[i], d, set);

		if (err < 0)
			return err;
	}
	if (n == 0)
		return 0;
	*next = first + n;
	return 1;
}

int policy_share(struct policy *p, struct diag *d, struct policy_set *set)
{
	int err;

	if (!host_is_alike(p))
		return 0;
	err = share(p, d, set);
	return err < 0 ? err : 1;
}
