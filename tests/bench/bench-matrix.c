/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What calls cost by hook, case, number of policies, number of prefixes and backend. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "bench.h"
#include "macro.h"
#include "world.h"

static const unsigned int policies[] = {1, 8, 64, 512};
static const unsigned int prefixes[] = {10, 100, 1000, 10000, 100000};
static const enum backend_kind kinds[] = {BACKEND_LSM, BACKEND_FMOD_RET, BACKEND_KPROBE};

/* Policies on one call, and the work that it is met by; those on connect concern four kinds. */
static const struct hook {
	const char *call;
	unsigned int usual, all; /* the last one asks for the prefixes */
	int address;
	enum bench_work works[4];
	size_t n_works;
} hooks[] = {
	{NULL,
	 BENCH_USUAL,
	 BENCH_ALL,
	 ASK_SA_ADDR,
	 {WORK_CONNECT, WORK_SENDTO, WORK_CONNECT_UNIX, WORK_SEND},
	 4},
	{"security_socket_listen",
	 ASK(EXE) | ASK(SK_FAMILY) | ASK(SK_SPORT) | ASK(OWN_ADDR),
	 (ASK(SK_FAMILY) - 1) | ASK(SK_FAMILY) | ASK(SK_SPORT) | ASK(OWN_ADDR),
	 ASK_OWN_ADDR,
	 {WORK_LISTEN},
	 1},
};

/* How far a call comes. Kprobes cannot deny: there it is only reported. */
enum matrix_case {
	CASE_UNCONCERNED,
	CASE_USUAL,
	CASE_ALL,
	CASE_DENIED,
	CASE_MAX,
};

static const char *const case_names[CASE_MAX] = {"unconcerned", "usual", "all", "denied"};

static void describe(const struct hook *h, enum matrix_case which, enum backend_kind kind,
		     struct bench_case *ret_case)
{
	struct bench_case c = {
		.name = case_names[which],
		.daemon = DAEMON_OURS,
		.work = h->works[0],
		.kind = kind,
		.asks = which == CASE_ALL ? h->all : h->usual,
		.fails = which == CASE_UNCONCERNED ? ASK_EXE
			 : which == CASE_DENIED	   ? -1
						   : h->address,
		.call = h->call,
	};

	if (which == CASE_DENIED)
		c.outcome = kind == BACKEND_KPROBE ? OUTCOME_REPORT : OUTCOME_DENY;
	c.fails_odd = c.fails;
	*ret_case = c;
}

static void check_listen(const struct bench *b, const struct bench_case *c)
{
	bool denied = listen(b->tcp, 1) < 0 && errno == EPERM;

	if (denied != (c->outcome == OUTCOME_DENY))
		world_die("listen, %s: it is%s denied", c->name, denied ? "" : " not");
}

/* Both generations are this one. */
static void print_maps(struct backend *backend, const struct hook *h, const struct bench_case *c,
		       unsigned int n_prefixes, struct ruleset *rs)
{
	size_t n_maps;

	world_publish(backend, rs);
	printf("maps\t%s\t%s\t%s\t%u\t%u\t%zu\n", backend_kind_name(c->kind),
	       bench_work_name(h->works[0]), c->name, c->n_policies, n_prefixes,
	       world_map_bytes(&n_maps) / 1024);
}

static void run_rules(struct bench *b, struct backend *backend, const struct hook *h,
		      const struct bench_case *c, unsigned int n_prefixes, const double *none)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = bench_make_ruleset(b, backend, c);

	world_publish(backend, rs);
	bench_check_case(b, backend, c);
	if (c->work == WORK_LISTEN)
		check_listen(b, c);
	for (size_t i = 0; i < h->n_works; i++) {
		double total = bench_measure(b, backend, h->works[i]);

		if (total == 0)
			world_die("%s, %s cannot be measured", bench_work_name(h->works[i]),
				  c->name);
		printf("cost\t%s\t%s\t%s\t%u\t%u\t%.0f\n", backend_kind_name(c->kind),
		       bench_work_name(h->works[i]), c->name, c->n_policies, n_prefixes,
		       total - none[h->works[i]]);
	}
	if (strcmp(c->name, case_names[CASE_USUAL]) == 0)
		print_maps(backend, h, c, n_prefixes, rs);
	fflush(stdout);
}

/* Whether only one of the two numbers is more than the least, or both are the most. */
static bool is_edge(size_t p, size_t k)
{
	return p == 0 || k == 0 || (p == ARRAY_SIZE(policies) - 1 && k == ARRAY_SIZE(prefixes) - 1);
}

static void run_hook(struct bench *b, struct backend *backend, const struct hook *h,
		     enum backend_kind kind, bool edges, const double *none)
{
	struct bench_case c;

	for (int which = 0; which < CASE_MAX; which++)
		for (size_t p = 0; p < ARRAY_SIZE(policies); p++)
			for (size_t k = 0; k < ARRAY_SIZE(prefixes); k++) {
				if (edges && !is_edge(p, k))
					continue;
				describe(h, which, kind, &c);
				c.n_policies = policies[p];
				/* the socket's addresses are asked for with a few more */
				c.n_cidrs =
					prefixes[k] - (prefixes[k] == REVSHELL_MAX_CIDRS ? 10 : 0);
				run_rules(b, backend, h, &c, prefixes[k], none);
			}
}

void bench_matrix(struct bench *b, bool edges)
{
	double none[WORK_MAX] = {};

	for (size_t h = 0; h < ARRAY_SIZE(hooks); h++)
		for (size_t i = 0; i < hooks[h].n_works; i++)
			none[hooks[h].works[i]] = bench_measure(b, NULL, hooks[h].works[i]);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct backend *backend = world_open(&(struct backend_options){.kind = kinds[i]});

		backend_set_mode(backend, REVSHELL_MODE_ENFORCE, 0);
		for (size_t h = 0; h < ARRAY_SIZE(hooks); h++)
			run_hook(b, backend, &hooks[h], kinds[i], edges, none);
		backend_close(backend);
	}
}
