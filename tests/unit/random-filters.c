/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random filters on integers, UNIX paths and processes, and the facts that they are about. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "macro.h"
#include "random-policy.h"

#define FIRST_INODE 4026531836U
#define N_INODES    6U

/* A quarter of the bits. */
static uint64_t random_sparse(struct random_source *r)
{
	uint64_t bits = random_next(r);

	return bits & random_next(r);
}

static const char *const units[] = {"ssh.service",   "user.slice",   "session-3.scope",
				    "nginx.service", "system.slice", "-.slice"};
static const char *const unix_paths[] = {"/run/a", "/run/a.sock", "/run/b/c", "/run", "@abstract",
					 "@abstr", "/tmp/x",	  "/",	      "x"};
static const char *const unix_prefixes[] = {"/run", "/run/", "/run/a", "@", "@abs", "/", "/tmp/x"};

static bool one_in(struct random_source *r, size_t n)
{
	return random_below(r, n) == 0;
}

static void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		abort();
	return p;
}

static void add_string(struct policy_values *v, const char *text)
{
	v->strings = reallocarray(v->strings, v->n_strings + 1, sizeof(*v->strings));
	if (!v->strings)
		abort();
	v->strings[v->n_strings] = (struct policy_value_string){.text = strdup(text)};
	if (!v->strings[v->n_strings++].text)
		abort();
}

static void add_range(struct policy_values *v, int64_t lo, int64_t hi)
{
	v->ranges = reallocarray(v->ranges, v->n_ranges + 1, sizeof(*v->ranges));
	if (!v->ranges)
		abort();
	v->ranges[v->n_ranges++] = (struct policy_range){lo, hi};
}

/*
 * Predicates are few, so a set's filters are drawn from a few variants, which are its own. variant
 * names one of them: the same numbers come out for it each time.
 */
static struct random_source variant_of(const struct random_source *r, uint64_t kind, uint64_t n)
{
	struct random_source v = {.state = r->pool ^ kind << 40 ^ n << 20};

	random_next(&v);
	return v;
}

static void variant_ranges(struct random_source *v, int64_t first, size_t n,
			   struct policy_values *values)
{
	size_t n_ranges = 1 + random_below(v, 3);

	for (size_t i = 0; i < n_ranges; i++) {
		int64_t lo = first + (int64_t)random_below(v, n);

		add_range(values, lo, one_in(v, 3) ? lo + (int64_t)random_below(v, n) : lo);
	}
}

static enum policy_op in_or_not(struct random_source *r)
{
	return one_in(r, 2) ? OP_NOT_IN : OP_IN;
}

static void add_pids(struct random_source *r, struct policy_selector *s)
{
	struct policy_pid_filter *f = s->pids = xcalloc(1, sizeof(*s->pids));
	size_t kind = random_below(r, 8);
	struct random_source v = variant_of(r, 1, kind);

	s->n_pids = 1;
	f->op = in_or_not(r);
	f->follow_forks = kind & 1;
	f->is_namespace_pid = kind & 2;
	variant_ranges(&v, 1, 12, &f->values);
}

static void add_namespaces(struct random_source *r, struct policy_selector *s)
{
	struct policy_namespace_filter *f = s->namespaces = xcalloc(1, sizeof(*s->namespaces));
	struct random_source v;

	s->n_namespaces = 1;
	f->ns = random_below(r, NS_MAX);
	v = variant_of(r, 2, f->ns);
	f->op = in_or_not(r);
	f->host = one_in(&v, 2);
	if (!f->host || one_in(&v, 2))
		variant_ranges(&v, FIRST_INODE, N_INODES, &f->values);
}

static void add_caps(struct random_source *r, struct policy_selector *s)
{
	struct policy_cap_filter *f = s->caps = xcalloc(1, sizeof(*s->caps));
	struct random_source v;

	s->n_caps = 1;
	f->set = random_below(r, 3);
	v = variant_of(r, 3, f->set);
	f->op = in_or_not(r);
	f->caps = 1ULL << random_below(&v, 41);
	f->caps |= 1ULL << random_below(&v, 41);
	f->is_namespace_capability = one_in(r, 3);
}

static void add_users(struct random_source *r, struct policy_selector *s)
{
	struct policy_user_filter *f = s->users = xcalloc(1, sizeof(*s->users));
	size_t kind = random_below(r, 6);
	struct random_source v = variant_of(r, 4, kind);

	s->n_users = 1;
	f->kind = kind % 3;
	f->op = in_or_not(r);
	variant_ranges(&v, 0, 8, &f->values);
	if (f->kind == USER_LOGINUID && one_in(&v, 2))
		add_range(&f->values, UINT32_MAX, UINT32_MAX);
}

static void add_units(struct random_source *r, struct policy_selector *s)
{
	struct policy_unit_filter *f = s->units = xcalloc(1, sizeof(*s->units));
	struct random_source v = variant_of(r, 5, random_below(r, 2));
	size_t n = 1 + random_below(&v, 2);

	s->n_units = 1;
	f->op = in_or_not(r);
	for (size_t i = 0; i < n; i++)
		add_string(&f->values, units[random_below(&v, ARRAY_SIZE(units))]);
}

static void add_stdio(struct random_source *r, struct policy_selector *s)
{
	struct policy_stdio_filter *f = s->stdio = xcalloc(1, sizeof(*s->stdio));
	struct random_source v = variant_of(r, 6, random_below(r, 2));

	s->n_stdio = 1;
	f->op = in_or_not(r);
	f->fds = 1 + random_below(&v, 7);
}

void random_process_filters(struct random_source *r, struct policy_selector *s)
{
	static void (*const adders[])(struct random_source * r, struct policy_selector * s) = {
		add_pids, add_namespaces, add_caps, add_users, add_units, add_stdio,
	};

	for (size_t i = 0; i < ARRAY_SIZE(adders); i++)
		if (one_in(r, 8))
			adders[i](r, s);
}

void random_lineage_filter(struct random_source *r, const char *const *pool, size_t n,
			   struct policy_path_filter *f)
{
	struct random_source v = variant_of(r, 7, random_below(r, 2));
	size_t n_values = 1 + random_below(&v, 3);

	f->op = in_or_not(r);
	f->follow_children = true;
	for (size_t i = 0; i < n_values; i++)
		add_string(&f->values, pool[random_below(&v, n)]);
}

void random_unix_filter(struct random_source *r, struct policy_arg_filter *f)
{
	static const enum policy_op ops[] = {OP_EQUAL, OP_NOT_EQUAL, OP_PREFIX, OP_NOT_PREFIX};
	size_t n = 1 + random_below(r, 3);

	f->op = ops[random_below(r, ARRAY_SIZE(ops))];
	for (size_t i = 0; i < n; i++)
		add_string(&f->values,
			   f->op == OP_EQUAL || f->op == OP_NOT_EQUAL
				   ? unix_paths[random_below(r, ARRAY_SIZE(unix_paths))]
				   : unix_prefixes[random_below(r, ARRAY_SIZE(unix_prefixes))]);
}

const char *random_unix_path(struct random_source *r)
{
	return one_in(r, 8) ? NULL : unix_paths[random_below(r, ARRAY_SIZE(unix_paths))];
}

/* A number near where something changes, as type holds it. */
static int64_t random_int(struct random_source *r, enum policy_arg_type type)
{
	static const int64_t around[] = {0,	    2,	       10,	  255,
					 65535,	    INT32_MAX, INT32_MIN, UINT32_MAX,
					 INT64_MAX, 1LL << 32, INT64_MIN, 1LL << 40};
	uint64_t n = (uint64_t)around[random_below(r, ARRAY_SIZE(around))] + random_below(r, 5) - 2;

	if (type == ARG_INT)
		return (int32_t)n;
	if (type == ARG_UINT32 || type == ARG_SIZE)
		return (uint32_t)n;
	return (int64_t)n;
}

enum policy_arg_type random_int_type(struct random_source *r, enum policy_arg_type natural)
{
	static const enum policy_arg_type types[] = {ARG_LONG, ARG_UINT64, ARG_INT, ARG_UINT32,
						     ARG_SIZE};

	if (!one_in(r, 3))
		return natural;
	return types[random_below(r, natural == ARG_LONG ? 2 : ARRAY_SIZE(types))];
}

void random_int_filter(struct random_source *r, unsigned int slot, enum policy_arg_type type,
		       struct policy_arg_filter *f)
{
	static const enum policy_op ops[] = {
		OP_EQUAL,    OP_NOT_EQUAL,    OP_GT,	 OP_LT,		OP_MASK,
		OP_IN_RANGE, OP_NOT_IN_RANGE, OP_IN_MAP, OP_NOT_IN_MAP,
	};
	size_t n = 1 + random_below(r, 3);

	f->op = ops[random_below(r, ARRAY_SIZE(ops))];
	if (f->op == OP_MASK) {
		struct random_source v = variant_of(r, 8 + slot, random_below(r, 2));
		int64_t mask = random_int(&v, ARG_UINT32) & INT32_MAX;

		add_range(&f->values, mask, mask);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		int64_t a = random_int(r, type), b = random_int(r, type), swap = a;

		if (f->op == OP_EQUAL || f->op == OP_NOT_EQUAL || f->op == OP_GT || f->op == OP_LT)
			b = a;
		if (type == ARG_UINT64 ? (uint64_t)b < (uint64_t)a : b < a) {
			a = b;
			b = swap;
		}
		/* what InRange takes on an int, as Tetragon does */
		if (type == ARG_INT && a != b && one_in(r, 8))
			b = UINT32_MAX;
		add_range(&f->values, a, b);
	}
}

void random_ints(struct random_source *r, enum revshell_hook hook, int64_t *ints)
{
	for (size_t i = 0; i < n_policy_calls; i++) {
		const struct policy_call *call = &policy_calls[i];

		if (call->hook != hook)
			continue;
		for (unsigned int k = 0; k < call->n_args; k++)
			if (policy_arg_type_is_integer(call->args[k]))
				ints[REVSHELL_INT_SLOT(k)] = random_int(r, call->args[k]);
		return;
	}
}

void random_process(struct random_source *r, const char *const *paths, size_t n_paths,
		    struct sim_process *p)
{
	*p = (struct sim_process){
		.uid = random_below(r, 9),
		.gid = random_below(r, 9),
		.loginuid = one_in(r, 3) ? UINT32_MAX : random_below(r, 9),
		.stdio = random_below(r, 8),
		.units_lost = one_in(r, 8),
		.lineage_lost = one_in(r, 8),
		.inherited_lost = one_in(r, 8),
		.n_inherited = random_below(r, SIM_ANCESTORS + 1),
	};
	for (size_t i = 0; i < SIM_ANCESTORS; i++) {
		p->pids[i] = 1 + random_below(r, 20);
		p->nspids[i] = 1 + random_below(r, 20);
		p->units[i] = one_in(r, 2) ? NULL : units[random_below(r, ARRAY_SIZE(units))];
		if (one_in(r, 2))
			p->lineage[i] = (struct sim_exe){
				.path = paths[random_below(r, n_paths)],
				.foreign = one_in(r, 3),
			};
	}
	for (size_t i = 0; i < NS_MAX; i++)
		p->ns[i] = FIRST_INODE + random_below(r, N_INODES);
	for (size_t i = 0; i < ARRAY_SIZE(p->caps); i++)
		p->caps[i] = one_in(r, 3) ? (1ULL << 41) - 1 : random_sparse(r);
}

void random_host(struct random_source *r, struct ruleset_options *opts)
{
	for (size_t i = 0; i < NS_MAX; i++)
		opts->host_ns[i] = FIRST_INODE + random_below(r, 2);
}
