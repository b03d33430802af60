/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Filters in words, as a policy has them. */
#include <arpa/inet.h>
#include <string.h>

#include "event-internal.h"
#include "macro.h"
#include "quote.h"
#include "simulate-internal.h"

#define MAX_VALUES 4 /* of a filter; the file has them all */

/* The separator before value i of n, or false where the rest is left out. */
static bool put_next(FILE *f, size_t i, size_t n)
{
	if (i == MAX_VALUES) {
		fprintf(f, ", ... (%zu)", n);
		return false;
	}
	fputs(i ? ", " : " ", f);
	return true;
}

void sim_put_text(FILE *f, const char *s)
{
	quote_put(f, s, strlen(s));
}

void sim_put_strings(FILE *f, const struct policy_values *v)
{
	for (size_t i = 0; i < v->n_strings && put_next(f, i, v->n_strings); i++)
		sim_put_text(f, v->strings[i].text);
}

static void put_number(FILE *f, int64_t n, bool is_unsigned)
{
	if (is_unsigned)
		fprintf(f, "%llu", (unsigned long long)n);
	else
		fprintf(f, "%lld", (long long)n);
}

void sim_put_ranges(FILE *f, const struct policy_values *v, bool is_unsigned)
{
	for (size_t i = 0; i < v->n_ranges && put_next(f, i, v->n_ranges); i++) {
		put_number(f, v->ranges[i].lo, is_unsigned);
		if (v->ranges[i].lo == v->ranges[i].hi)
			continue;
		fputc(':', f);
		put_number(f, v->ranges[i].hi, is_unsigned);
	}
}

static void put_names(FILE *f, const struct policy_values *v,
		      const char *(*name)(unsigned int number, char buf[12]))
{
	char buf[12];

	for (size_t i = 0; i < v->n_ranges && put_next(f, i, v->n_ranges); i++) {
		const struct policy_range *r = &v->ranges[i];

		if (r->lo == r->hi)
			fputs(name((unsigned int)r->lo, buf), f);
		else
			fprintf(f, "%lld:%lld", (long long)r->lo, (long long)r->hi);
	}
}

static void put_cidrs(FILE *f, const struct policy_values *v)
{
	for (size_t i = 0; i < v->n_cidrs && put_next(f, i, v->n_cidrs); i++) {
		const struct policy_cidr *c = &v->cidrs[i];

		sim_put_address(f, c->family == 4 ? AF_INET : AF_INET6, c->addr);
		if (c->prefix < (c->family == 4 ? 32 : 128))
			fprintf(f, "/%u", c->prefix);
	}
}

void sim_put_address(FILE *f, unsigned int family, const uint8_t *addr)
{
	char buf[EVENT_ADDR_SIZE];

	fputs(event_address(family, addr, buf), f);
}

void sim_put_arg_filter(FILE *f, const struct policy_arg_filter *filter, enum policy_arg_type type)
{
	const struct policy_values *v = &filter->values;

	fputs(policy_op_name(filter->op), f);
	if (v->n_cidrs)
		put_cidrs(f, v);
	else if (v->n_strings)
		sim_put_strings(f, v);
	else if (filter->op == OP_PROTOCOL)
		put_names(f, v, event_protocol_name);
	else if (filter->op == OP_FAMILY)
		put_names(f, v, event_family_name);
	else if (filter->op == OP_STATE)
		put_names(f, v, event_state_name);
	else
		sim_put_ranges(f, v, type == ARG_UINT64);
}
