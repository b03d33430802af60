/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Simulation: the engine against the filters one by one, also where facts are not known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "macro.h"
#include "random-policy.h"
#include "simulate.h"

#define DEFAULT_SEED 20261126U

struct statistics {
	size_t calls;
	size_t matches;
	size_t decided;	  /* with something unknown, and yet one outcome */
	size_t undecided; /* more than one */
};

/* A set that a seed stands for, and what it was compiled with. */
struct world {
	struct random_source r;
	uint64_t seed;
	struct ruleset_options opts;
	struct ruleset *rs;
};

static uint64_t seed_get(void)
{
	const char *s = getenv("REVSHELL_SEED");
	uint64_t seed = s ? strtoull(s, NULL, 0) : DEFAULT_SEED;

	print_message("# REVSHELL_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

static void world_init(struct world *w, uint64_t seed)
{
	struct policy_set set = {};
	struct diag d = {};

	*w = (struct world){
		.seed = seed,
		.opts = {.observe_tcp_connect = true, .observe_listen_start = true},
	};
	random_seed(&w->r, seed);
	if (random_below(&w->r, 4) == 0)
		w->opts.observe_tcp_connect = w->opts.observe_listen_start = false;
	random_host(&w->r, &w->opts);
	random_policy_set(&w->r, &w->opts, 1 + random_below(&w->r, 8), 4, &set);
	if (ruleset_compile(&set, &w->opts, NULL, &d, &w->rs) < 0)
		fail_msg("seed %llu: %s", (unsigned long long)seed,
			 d.n_items ? d.items[0].message : "");
	diag_done(&d);
}

static void fail_at(const struct world *w, const struct sim_call *call, uint32_t selector,
		    const char *what)
{
	const struct ruleset_selector *s = &w->rs->hooks[call->hook].selectors[selector];
	char text[1024];

	random_call_describe(call, text, sizeof(text));
	random_policy_print(w->rs->policies.policies[s->policy]);
	fail_msg("seed %llu: %s, selector %u (policy %u, entry %u, %u), unknown %llx: %s",
		 (unsigned long long)w->seed, what, selector, s->policy, s->entry, s->selector,
		 (unsigned long long)call->unknown, text);
}

static bool is_subset(const __u64 *a, const __u64 *b)
{
	for (size_t w = 0; w < REVSHELL_WORDS; w++)
		if (a[w] & ~b[w])
			return false;
	return true;
}

/* Filter by filter, each selector says what the engine says of it. */
static void check_reasons(const struct world *w, const struct sim_call *call, struct statistics *st)
{
	const struct ruleset_hook *h = &w->rs->hooks[call->hook];
	struct sim_decision d;

	sim_decide(w->rs, call, true, &d);
	for (uint32_t i = 0; i < h->n_selectors; i++) {
		struct sim_reason reason;

		if (h->selectors[i].selector == UINT32_MAX)
			continue;
		assert_int_equal(sim_explain(w->rs, &w->opts, call, i, &reason), 0);
		if (reason.answer == SIM_NO && ruleset_has_bit(d.may_match, i))
			fail_at(w, call, i, reason.text);
		if (reason.answer == SIM_YES && !ruleset_has_bit(d.match, i))
			fail_at(w, call, i,
				"all filters are satisfied, but the engine has no match");
		/* where all is known, there is no third answer */
		if (reason.answer == SIM_MAYBE && !call->unknown)
			fail_at(w, call, i, "an answer that depends on nothing");
		assert_int_equal(reason.answer == SIM_MAYBE, reason.facts != 0);
		assert_int_equal(reason.facts & ~call->unknown, 0);
		assert_int_equal(reason.answer == SIM_YES, reason.text == NULL);
		if (reason.answer == SIM_NO && !(reason.text && strstr(reason.text, ": ")))
			fail_at(w, call, i, "no reason is given");
		st->matches += reason.answer == SIM_YES;
		sim_reason_done(&reason);
	}
	st->calls++;
}

static bool is_decided(const struct sim_decision *d)
{
	return d->outcome.deny == d->may.deny && d->outcome.signals == d->may.signals &&
	       d->outcome.report == d->may.report;
}

/* Whatever the unknown facts are in truth, what follows lies between the two outcomes. */
static void check_bounds(const struct world *w, const struct sim_call *call, uint64_t unknown,
			 struct statistics *st)
{
	struct sim_decision truth, d;
	struct sim_call c = *call;

	c.unknown = unknown;
	for (int enforcing = 0; enforcing < 2; enforcing++) {
		sim_decide(w->rs, call, enforcing, &truth);
		sim_decide(w->rs, &c, enforcing, &d);
		if (!is_subset(d.match, truth.match) || !is_subset(truth.match, d.may_match))
			fail_at(w, &c, 0, "a match out of bounds");
		if (!is_subset(d.first, truth.first) || !is_subset(truth.first, d.may_first))
			fail_at(w, &c, 0, "a first match out of bounds");
		if ((d.outcome.deny >= 0 && truth.outcome.deny < 0) ||
		    (truth.outcome.deny >= 0 &&
		     (d.may.deny < 0 || !ruleset_has_bit(d.denials, (uint32_t)truth.outcome.deny))))
			fail_at(w, &c, 0, "a denial out of bounds");
		if (d.outcome.signals & ~truth.outcome.signals ||
		    truth.outcome.signals & ~d.may.signals)
			fail_at(w, &c, 0, "a signal out of bounds");
		if (d.outcome.report > truth.outcome.report || truth.outcome.report > d.may.report)
			fail_at(w, &c, 0, "a report out of bounds");
		st->decided += is_decided(&d);
		st->undecided += !is_decided(&d);
	}
	check_reasons(w, &c, st);
}

/* Nothing is known of the process, but what the hook asked of it was answered: all is decided. */
static void check_answers(const struct world *w, const struct sim_call *call, struct statistics *st)
{
	struct sim_decision truth, d;
	struct sim_call c = *call;

	c.unknown = (SIM_FACT(INT0) - 1) & ~(SIM_FACT_BIT(0) - 1);
	c.answers = sim_predicates(w->rs, call);
	c.answered = w->rs->hooks[call->hook].cfg.predicates;
	sim_decide(w->rs, call, true, &truth);
	sim_decide(w->rs, &c, true, &d);
	if (memcmp(d.match, truth.match, sizeof(d.match)) != 0 || !is_decided(&d))
		fail_at(w, &c, 0, "answers do not settle it");
	st->decided += c.answered != 0;
	check_reasons(w, &c, st);
}

static bool is_same_outcome(const struct sim_outcome *a, const struct sim_outcome *b)
{
	return a->deny == b->deny && a->signals == b->signals && a->report == b->report;
}

static bool is_same(const struct sim_decision *a, const struct sim_decision *b)
{
	return memcmp(a->match, b->match, sizeof(a->match)) == 0 &&
	       memcmp(a->may_match, b->may_match, sizeof(a->match)) == 0 &&
	       memcmp(a->first, b->first, sizeof(a->match)) == 0 &&
	       memcmp(a->may_first, b->may_first, sizeof(a->match)) == 0 &&
	       memcmp(a->denials, b->denials, sizeof(a->match)) == 0 &&
	       is_same_outcome(&a->outcome, &b->outcome) && is_same_outcome(&a->may, &b->may);
}

/* Facts that no selector of the hook asks, so that not to know them changes nothing. */
static void check_idle(const struct world *w, const struct sim_call *call)
{
	const struct revshell_hook_cfg *cfg = &w->rs->hooks[call->hook].cfg;
	uint64_t idle = ~cfg->used & SIM_DIM(SK_STATE);
	struct sim_decision truth, d;
	struct sim_call c = *call;

	c.unknown = idle;
	for (int enforcing = 0; enforcing < 2 && idle; enforcing++) {
		sim_decide(w->rs, call, enforcing, &truth);
		sim_decide(w->rs, &c, enforcing, &d);
		if (!is_same(&truth, &d))
			fail_at(w, &c, 0, "a fact that nobody asks for makes a difference");
	}
}

static const char *member(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "";
}

/* The report of a call alone says what the engine says. */
static void check_report(const struct world *w, const struct sim_call *call)
{
	const struct ruleset_hook *h = &w->rs->hooks[call->hook];
	const struct sim_operation op = {.calls = call, .n_calls = 1};
	json_t *report = NULL, *v, *selectors;
	struct sim_decision d;
	size_t n = 0;

	sim_decide(w->rs, call, true, &d);
	assert_int_equal(sim_report(w->rs, &w->opts, &op, REVSHELL_MODE_MONITOR, &report), 0);
	v = json_object_get(report, "enforce");
	selectors = json_object_get(report, "selectors");
	if (strcmp(member(v, "denied"), d.outcome.deny >= 0 ? "yes"
					: d.may.deny >= 0   ? "maybe"
							    : "no") != 0)
		fail_at(w, call, 0, "the report's denial");
	if (strcmp(member(v, "reported"), d.outcome.report ? "yes"
					  : d.may.report   ? "maybe"
							   : "no") != 0)
		fail_at(w, call, 0, "whether it is reported");
	/* what is open depends on something, and what is not on nothing */
	assert_int_equal(json_array_size(json_object_get(v, "depends_on")) > 0,
			 !is_decided(&d) || json_array_size(json_object_get(v, "errno")) > 1);
	/* monitor carries nothing out */
	v = json_object_get(report, "in_force");
	assert_string_equal(member(v, "verdict"), "allowed");
	assert_int_equal(json_object_size(json_object_get(v, "signals")), 0);
	for (uint32_t i = 0; i < h->n_selectors; i++) {
		const char *match;

		if (h->selectors[i].selector == UINT32_MAX)
			continue;
		match = member(json_array_get(selectors, n++), "match");
		if ((strcmp(match, "yes") == 0) != ruleset_has_bit(d.first, i) ||
		    (strcmp(match, "no") == 0) != !ruleset_has_bit(d.may_match, i))
			fail_at(w, call, i, match);
	}
	assert_int_equal(json_array_size(selectors), n);
	json_decref(report);
}

/* Facts that a call may leave open, one or several. */
static uint64_t random_facts(struct random_source *r)
{
	uint64_t facts = 0;

	for (size_t n = 1 + random_below(r, 4); n > 0; n--) {
		size_t k = random_below(r, REVSHELL_DIM_PREDICATE + REVSHELL_FACT_INT0);

		facts |= k < REVSHELL_DIM_PREDICATE ? SIM_DIM_BIT(k)
						    : SIM_FACT_BIT(k - REVSHELL_DIM_PREDICATE);
	}
	/* those of EXE and PARENT stand for all of a path */
	return facts & ~(SIM_DIM(EXE_PREFIX) | SIM_DIM(EXE_POSTFIX) | SIM_DIM(PARENT_PREFIX) |
			 SIM_DIM(PARENT_POSTFIX));
}

static void test_random(void **state)
{
	uint64_t seed = seed_get();
	struct statistics known = {}, open = {}, answered = {};

	for (size_t i = 0; i < 200; i++) {
		struct world w;

		world_init(&w, seed + i);
		for (size_t k = 0; k < 150; k++) {
			struct sim_call call = {};

			random_call(&w.r, w.rs, &call);
			check_reasons(&w, &call, &known);
			check_idle(&w, &call);
			check_answers(&w, &call, &answered);
			check_bounds(&w, &call, random_facts(&w.r), &open);
			if (k % 8 == 0)
				check_report(&w, &call);
			call.unknown = random_facts(&w.r);
			if (k % 8 == 1)
				check_report(&w, &call);
		}
		ruleset_free(w.rs);
	}
	print_message("# %zu calls, %zu matches; with unknown facts %zu decided, %zu not\n",
		      known.calls, known.matches, open.decided, open.undecided);
	assert_true(known.matches > known.calls / 50);
	assert_true(open.decided > open.calls / 2);
	assert_true(answered.decided > known.calls / 10);
	assert_true(answered.matches > known.matches / 2);
	assert_true(open.undecided > open.calls / 50);
}

static const char policy_text[] =
	"apiVersion: cilium.io/v1alpha1\n"
	"kind: TracingPolicy\n"
	"metadata:\n"
	"  name: p\n"
	"spec:\n"
	"  lsmhooks:\n"
	"  - hook: socket_connect\n"
	"    args:\n"
	"    - {index: 0, type: socket}\n"
	"    - {index: 1, type: sockaddr}\n"
	"    selectors:\n"
	"    - matchUsers:\n"
	"      - {type: uid, operator: In, values: [\"0\"]}\n"
	"      matchActions: [{action: NoPost}]\n"
	"    - matchBinaries:\n"
	"      - {operator: In, values: [/bin/x]}\n"
	"      matchArgs:\n"
	"      - {index: 1, operator: SAddr, values: [\"10.0.0.0/8\"]}\n"
	"      - {index: 1, operator: SPort, values: [\"4444\", \"9001:9010\"]}\n"
	"      matchActions: [{action: Override, argError: -13}]\n";

static struct ruleset *compile_text(const struct ruleset_options *opts)
{
	const struct policy_options popts = {.offline = true};
	struct policy_set set = {};
	struct ruleset *rs = NULL;
	struct diag d = {};

	assert_int_equal(
		policy_load_text(policy_text, strlen(policy_text), "p.yaml", &popts, &d, &set), 0);
	assert_int_equal(ruleset_compile(&set, opts, NULL, &d, &rs), 0);
	diag_done(&d);
	return rs;
}

static struct sim_call call_of_x(uint16_t port)
{
	return (struct sim_call){
		.hook = REVSHELL_HOOK_CONNECT,
		.object = {.sk_family = 2,
			   .sk_type = 1,
			   .sk_protocol = 6,
			   .sa_family = 2,
			   .sa_port = port,
			   .sa_addr = {10, 1, 2, 3},
			   .sa_is_destination = true},
		.exe = {.path = "/bin/x", .same_file = true},
		.parent = {.path = "/bin/y", .same_file = true},
		.process.uid = 1000,
	};
}

static void assert_reason(const struct ruleset *rs, const struct sim_call *call, uint32_t selector,
			  enum sim_answer answer, uint32_t line, const char *text)
{
	const struct ruleset_options opts = {};
	struct sim_reason reason;

	assert_int_equal(sim_explain(rs, &opts, call, selector, &reason), 0);
	assert_int_equal(reason.answer, answer);
	assert_int_equal(reason.pos.line, line);
	if (text)
		assert_string_equal(reason.text, text);
	else
		assert_null(reason.text);
	sim_reason_done(&reason);
}

static void test_words(void **state)
{
	const struct ruleset_options opts = {};
	_cleanup_(ruleset_freep) struct ruleset *rs = compile_text(&opts);
	struct sim_call call = call_of_x(80);

	assert_reason(rs, &call, 0, SIM_NO, 13, "matchUsers[0] uid In 0: it is 1000");
	assert_reason(rs, &call, 1, SIM_NO, 19, "matchArgs[1] SPort 4444, 9001:9010: port is 80");
	call.object.sa_addr[0] = 192;
	assert_reason(rs, &call, 1, SIM_NO, 18,
		      "matchArgs[0] SAddr 10.0.0.0/8: address is 192.1.2.3");
	call.exe.path = "/bin/\nz";
	assert_reason(rs, &call, 1, SIM_NO, 16,
		      "matchBinaries[0] In /bin/x: executable is /bin/\\nz");
	call = call_of_x(9001);
	assert_reason(rs, &call, 1, SIM_YES, 15, NULL);
	call.unknown = SIM_DIM(SA_PORT) | SIM_DIM(EXE);
	assert_reason(rs, &call, 1, SIM_MAYBE, 16, "matchBinaries[0] In /bin/x");
}

/* What shields from a denial may or may not match: then the denial may or may not come. */
static void test_shield(void **state)
{
	const struct ruleset_options opts = {};
	_cleanup_(ruleset_freep) struct ruleset *rs = compile_text(&opts);
	struct sim_call call = call_of_x(4444);
	struct sim_decision d;

	sim_decide(rs, &call, true, &d);
	assert_int_equal(d.outcome.deny, 1);
	assert_int_equal(d.may.deny, 1);
	call.unknown = SIM_FACT(UID);
	sim_decide(rs, &call, true, &d);
	assert_int_equal(d.outcome.deny, -1);
	assert_int_equal(d.may.deny, 1);
	assert_false(d.outcome.report);
	assert_true(d.may.report);
	call.process.uid = 0;
	call.unknown = SIM_DIM(SA_PORT);
	sim_decide(rs, &call, true, &d);
	assert_int_equal(d.may.deny, -1);
	call.process.uid = 1;
	sim_decide(rs, &call, true, &d);
	assert_int_equal(d.outcome.deny, -1);
	assert_int_equal(d.may.deny, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_shield),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
