/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random policies and calls: the engine on compiled tables against the policies taken literally. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include <time.h>

#include "expect.h"
#include "macro.h"
#include "simulate.h"
#include "random-policy.h"

#define DEFAULT_SEED 20260830U

struct statistics {
	size_t vectors;
	size_t matches;
	size_t denials;
};

static uint64_t seed_get(void)
{
	const char *s = getenv("REVSHELL_SEED");
	uint64_t seed = s ? strtoull(s, NULL, 0) : DEFAULT_SEED;

	print_message("# REVSHELL_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

static void fail_at(const struct ruleset *rs, const struct sim_call *call, uint64_t seed,
		    const char *what)
{
	char text[1024];

	random_call_describe(call, text, sizeof(text));
	for (size_t i = 0; i < rs->policies.n && i < 3; i++)
		random_policy_print(rs->policies.policies[i]);
	fail_msg("seed %llu: %s differs for %s", (unsigned long long)seed, what, text);
}

/* Both opinions on one call, in both global modes. */
static void check_call(const struct ruleset *rs, const struct ruleset_options *opts,
		       const struct sim_call *call, uint64_t seed, struct statistics *st)
{
	const struct ruleset_hook *h = &rs->hooks[call->hook];

	for (int enforcing = 0; enforcing < 2; enforcing++) {
		struct sim_decision d;
		struct expected x;
		uint64_t signals = 0;

		assert_int_equal(expect_call(rs, opts, call, enforcing, &x), 0);
		st->matches += x.n_matches;
		sim_decide(rs, call, enforcing, &d);
		for (size_t w = 0; w < REVSHELL_WORDS; w++) {
			if (d.first[w] != x.first[w])
				fail_at(rs, call, seed, "the first match");
			if ((d.first[w] & h->cfg.report[w]) != x.report[w])
				fail_at(rs, call, seed, "what is reported");
		}
		for (uint32_t i = 0; i < h->cfg.n_signals; i++)
			if (d.outcome.signals & 1U << i)
				signals |= 1ULL << h->cfg.signals[i];
		if (d.outcome.deny != x.deny)
			fail_at(rs, call, seed, "the denial");
		if (signals != x.signals)
			fail_at(rs, call, seed, "the signals");
		st->denials += x.deny >= 0;
	}
	st->vectors++;
}

/* No selector stands on a hook but those that should. */
static void check_placement(const struct ruleset *rs, const struct ruleset_options *opts)
{
	for (enum revshell_hook hook = 0; hook < REVSHELL_HOOK_MAX; hook++) {
		const struct ruleset_hook *h = &rs->hooks[hook];

		for (size_t i = 0; i < h->n_selectors; i++) {
			const struct ruleset_selector *s = &h->selectors[i];
			const struct policy *p = rs->policies.policies[s->policy];
			enum naive_place place =
				naive_place(p, &p->entries[s->entry], rs->effective[s->policy].mode,
					    hook, opts);

			assert_true(place != NAIVE_ABSENT);
			assert_int_equal(s->early, place == NAIVE_AHEAD);
		}
	}
}

struct round {
	size_t n_sets;
	size_t n_policies; /* at most, in one set */
	size_t n_calls;
	size_t n_cidrs; /* in one filter */
	bool exactly;	/* n_policies in each set */
};

static void run(const struct round *round)
{
	uint64_t seed = seed_get();
	struct statistics st = {};
	struct timespec begin, end;
	double compiling = 0;

	for (size_t i = 0; i < round->n_sets; i++) {
		struct ruleset_options opts = {.observe_tcp_connect = true,
					       .observe_listen_start = true};
		_cleanup_(ruleset_freep) struct ruleset *rs = NULL;
		struct policy_set set = {};
		struct diag d = {};
		struct random_source r;
		int err;

		random_seed(&r, seed + i);
		if (random_below(&r, 4) == 0)
			opts.observe_tcp_connect = opts.observe_listen_start = false;
		random_host(&r, &opts);
		random_policy_set(&r, &opts,
				  round->exactly ? round->n_policies
						 : 1 + random_below(&r, round->n_policies),
				  round->n_cidrs, &set);
		clock_gettime(CLOCK_MONOTONIC, &begin);
		err = ruleset_compile(&set, &opts, NULL, &d, &rs);
		clock_gettime(CLOCK_MONOTONIC, &end);
		compiling += (double)(end.tv_sec - begin.tv_sec) +
			     (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
		if (err < 0)
			fail_msg("seed %llu: %d, %s", (unsigned long long)(seed + i), err,
				 d.n_items ? d.items[0].message : "");
		diag_done(&d);
		check_placement(rs, &opts);
		for (size_t k = 0; k < round->n_calls; k++) {
			struct sim_call call;

			random_call(&r, rs, &call);
			check_call(rs, &opts, &call, seed + i, &st);
		}
	}
	print_message("# %zu vectors, %zu matches, %zu denials, %.2f s compiling\n", st.vectors,
		      st.matches, st.denials, compiling);
	assert_true(st.matches > st.vectors / 50);
}

static void test_small_sets(void **state)
{
	run(&(struct round){.n_sets = 400, .n_policies = 8, .n_calls = 250, .n_cidrs = 4});
}

static void test_many_policies(void **state)
{
	run(&(struct round){
		.n_sets = 4, .n_policies = 512, .n_calls = 500, .n_cidrs = 190, .exactly = true});
}

static void test_many_cidrs(void **state)
{
	run(&(struct round){
		.n_sets = 4, .n_policies = 20, .n_calls = 300, .n_cidrs = 33000, .exactly = true});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_sets),
		cmocka_unit_test(test_many_policies),
		cmocka_unit_test(test_many_cidrs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
