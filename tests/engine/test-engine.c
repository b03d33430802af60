/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random policies and calls: the engine in this kernel, the native one and the policies literally.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "engine.h"
#include "engine.skel.h"
#include "expect.h"
#include "macro.h"
#include "maps.h"
#include "simulate.h"
#include "random-policy.h"

#define DEFAULT_SEED 20260830U

/* The engine in the kernel, and the generations it has seen. */
struct engine {
	struct engine_bpf *skel;
	struct maps_outer outer;
	struct maps_slot slots[REVSHELL_SLOTS];
	struct revshell_secret secret;
	uint64_t generation;
	uint64_t seed;
	size_t by_hook[REVSHELL_HOOK_MAX];
	size_t n_v6; /* vectors that have an IPv6 address */
};

static struct engine engine;

struct statistics {
	size_t vectors;
	size_t matches;
	size_t denials;
	size_t prefixes;
};

/* Files of paths that exempt: what the backend would have learned from the host. */
static void learn_files(struct ruleset *rs)
{
	for (size_t parent = 0; parent < 2; parent++)
		for (size_t i = 0; i < rs->n_paths[parent]; i++)
			if (rs->paths[parent][i].exempts) {
				rs->paths[parent][i].value.ino = 1000 + i;
				rs->paths[parent][i].value.dev = 7;
			}
}

static void publish(struct engine *e, struct ruleset *rs)
{
	_cleanup_close_ int active = -EBADF;
	uint32_t slot = ++e->generation % REVSHELL_SLOTS;
	struct diag d = {};
	uint64_t digest;

	learn_files(rs);
	if (maps_build(&e->outer, rs, slot, e->generation, &e->secret, e->slots, &d, &active,
		       &digest) < 0)
		fail_msg("%s", d.n_items ? d.items[0].message : "no memory");
	diag_done(&d);
	assert_int_equal(maps_activate(&e->outer, active), 0);
}

/* The executable as the process label would describe it. */
static void put_exe(const struct engine *e, const struct ruleset *rs, const struct sim_exe *from,
		    unsigned int parent, struct revshell_exe *exe)
{
	struct revshell_path_key key;

	memset(exe, 0, sizeof(*exe));
	exe->ino = 999;
	exe->dev = 7;
	if (from->foreign)
		exe->flags |= REVSHELL_EXE_FOREIGN;
	if (!from->path)
		return;
	exe->flags |= REVSHELL_EXE_KNOWN;
	maps_path_key(from->path, strlen(from->path), &e->secret, &key);
	memcpy(&exe->path_len, &key, sizeof(key));
	for (size_t i = 0; from->same_file && i < rs->n_paths[parent]; i++)
		if (strcmp(rs->paths[parent][i].path, from->path) == 0)
			exe->ino = rs->paths[parent][i].value.ino;
}

static void put_call(const struct engine *e, const struct ruleset *rs, const struct sim_call *call,
		     bool enforcing, struct engine_vector *v)
{
	const struct sim_object *o = &call->object;
	bool by_address = call->hook == REVSHELL_HOOK_CONNECT ||
			  call->hook == REVSHELL_HOOK_SENDMSG || call->hook == REVSHELL_HOOK_BIND;

	*v = (struct engine_vector){
		.hook = call->hook,
		.enforcing = enforcing,
		.family = by_address ? o->sa_family : o->sk_family,
		.sa_family = o->sa_family,
		.sa_port = o->sa_port,
		.sa_is_destination = o->sa_is_destination,
		.sk.family = o->sk_family,
		.sk.type = o->sk_type,
		.sk.protocol = o->sk_protocol,
		.sk.state = o->sk_state,
		.sk.sport = o->sport,
		.sk.dport = o->dport,
		.deny = -1,
	};
	memcpy(v->sa_addr, o->sa_addr, sizeof(v->sa_addr));
	memcpy(v->sk.saddr, o->saddr, sizeof(v->sk.saddr));
	memcpy(v->sk.daddr, o->daddr, sizeof(v->sk.daddr));
	memcpy(v->ints, o->ints, sizeof(v->ints));
	v->predicates = sim_predicates(rs, call);
	v->unix_row = sim_unix_row(rs, call);
	put_exe(e, rs, &call->exe, 0, &v->exe);
	put_exe(e, rs, &call->parent, 1, &v->parent);
}

static void run_program(const struct engine *e)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(e->skel->progs.engine_run), &opts),
			 0);
}

static void fail_at(const struct engine *e, const struct ruleset *rs, const struct sim_call *call,
		    bool enforcing, const char *what)
{
	char text[1024];

	random_call_describe(call, text, sizeof(text));
	for (size_t i = 0; i < rs->policies.n && i < 3; i++)
		random_policy_print(rs->policies.policies[i]);
	fail_msg("seed %llu: %s differs%s for %s", (unsigned long long)e->seed, what,
		 enforcing ? " under enforce" : "", text);
}

static uint64_t signal_set(const struct revshell_hook_cfg *cfg, uint64_t signals)
{
	uint64_t set = 0;

	for (uint32_t i = 0; i < cfg->n_signals; i++)
		if (signals & 1ULL << i)
			set |= 1ULL << cfg->signals[i];
	return set;
}

/* Three opinions on one call. */
static void check_call(struct engine *e, const struct ruleset *rs,
		       const struct ruleset_options *opts, const struct sim_call *call,
		       bool enforcing, struct statistics *st)
{
	const struct revshell_hook_cfg *cfg = &rs->hooks[call->hook].cfg;
	struct engine_vector *v = &e->skel->bss->engine_vector;
	struct sim_decision native;
	struct expected x;
	bool report = false;

	assert_int_equal(expect_call(rs, opts, call, enforcing, &x), 0);
	sim_decide(rs, call, enforcing, &native);
	put_call(e, rs, call, enforcing, v);
	run_program(e);

	if (memcmp(v->first, x.first, sizeof(x.first)) != 0)
		fail_at(e, rs, call, enforcing, "the first match");
	if (memcmp(v->first, native.first, sizeof(x.first)) != 0)
		fail_at(e, rs, call, enforcing, "the native engine's first match");
	for (size_t w = 0; w < REVSHELL_WORDS; w++) {
		if ((v->first[w] & cfg->report[w]) != x.report[w])
			fail_at(e, rs, call, enforcing, "what is reported");
		report |= x.report[w] != 0;
	}
	if (v->report != report || v->report != native.outcome.report)
		fail_at(e, rs, call, enforcing, "whether anything is reported");
	if (v->deny != x.deny || v->deny != native.outcome.deny)
		fail_at(e, rs, call, enforcing, "the denial");
	if (signal_set(cfg, v->signals) != x.signals || v->signals != native.outcome.signals)
		fail_at(e, rs, call, enforcing, "the signals");

	st->vectors++;
	st->matches += x.n_matches;
	st->denials += x.deny >= 0;
	e->by_hook[call->hook]++;
	e->n_v6 += call->object.sk_family == 10 || call->object.sa_family == 10;
}

struct round {
	size_t n_sets;
	size_t n_policies; /* at most, in one set */
	size_t n_calls;
	size_t n_cidrs; /* in one filter */
	bool exactly;	/* n_policies in each set */
};

static size_t count_prefixes(const struct ruleset *rs)
{
	size_t n = 0;

	for (size_t hook = 0; hook < REVSHELL_HOOK_MAX; hook++)
		for (size_t dim = 0; dim < REVSHELL_ADDR_DIMS; dim++)
			n += rs->tries[hook][dim].n_v4 + rs->tries[hook][dim].n_v6;
	return n;
}

static void run(const struct round *round)
{
	struct statistics st = {};
	uint64_t seed = engine.seed;

	for (size_t i = 0; i < round->n_sets; i++, engine.seed++) {
		struct ruleset_options opts = {.observe_tcp_connect = true,
					       .observe_listen_start = true};
		_cleanup_(ruleset_freep) struct ruleset *rs = NULL;
		struct policy_set set = {};
		struct diag d = {};
		struct random_source r;

		random_seed(&r, engine.seed);
		r.cidrs_left = REVSHELL_MAX_CIDRS - round->n_policies * 2;
		if (random_below(&r, 4) == 0)
			opts.observe_tcp_connect = opts.observe_listen_start = false;
		random_host(&r, &opts);
		random_policy_set(&r, &opts,
				  round->exactly ? round->n_policies
						 : 1 + random_below(&r, round->n_policies),
				  round->n_cidrs, &set);
		if (ruleset_compile(&set, &opts, NULL, &d, &rs) < 0)
			fail_msg("seed %llu: %s", (unsigned long long)engine.seed,
				 d.n_items ? d.items[0].message : "");
		diag_done(&d);
		st.prefixes = MAX(st.prefixes, count_prefixes(rs));
		publish(&engine, rs);
		for (size_t k = 0; k < round->n_calls; k++) {
			struct sim_call call;

			random_call(&r, rs, &call);
			check_call(&engine, rs, &opts, &call, false, &st);
			check_call(&engine, rs, &opts, &call, true, &st);
		}
	}
	engine.seed = seed;
	print_message("# %zu vectors, %zu matches, %zu denials, up to %zu prefixes in the tries\n",
		      st.vectors, st.matches, st.denials, st.prefixes);
	assert_true(st.matches > st.vectors / 50);
}

static void test_small_sets(void **state)
{
	run(&(struct round){.n_sets = 40, .n_policies = 8, .n_calls = 80, .n_cidrs = 4});
}

static void test_many_policies(void **state)
{
	run(&(struct round){
		.n_sets = 2, .n_policies = 512, .n_calls = 200, .n_cidrs = 190, .exactly = true});
}

static void test_many_cidrs(void **state)
{
	run(&(struct round){
		.n_sets = 1, .n_policies = 24, .n_calls = 400, .n_cidrs = 33300, .exactly = true});
}

/* Nothing is asked of a hook without selectors, whatever the slot held before. */
static void test_empty_set(void **state)
{
	struct ruleset_options opts = {true, true};
	_cleanup_(ruleset_freep) struct ruleset *rs = NULL;
	struct statistics st = {};
	struct random_source r;

	random_seed(&r, engine.seed);
	assert_int_equal(ruleset_new_empty(&rs), 0);
	for (size_t i = 0; i < REVSHELL_SLOTS; i++) {
		publish(&engine, rs);
		for (size_t k = 0; k < 50; k++) {
			struct sim_call call;

			random_call(&r, rs, &call);
			check_call(&engine, rs, &opts, &call, true, &st);
		}
	}
	assert_int_equal(st.matches, 0);
}

/* Every hook had its share, and both IP versions. */
static void test_coverage(void **state)
{
	size_t n = 0;

	for (size_t i = 0; i < REVSHELL_HOOK_MAX; i++)
		n += engine.by_hook[i];
	print_message("# %zu vectors in all, %zu of them with IPv6\n", n, engine.n_v6);
	assert_true(n >= 2000);
	assert_true(engine.n_v6 > n / 10);
	for (size_t i = 0; i < REVSHELL_HOOK_MAX; i++)
		if (engine.by_hook[i] == 0)
			fail_msg("no vector for hook %zu", i);
}

static int load(struct engine *e)
{
	bool have_task_storage = libbpf_probe_bpf_map_type(BPF_MAP_TYPE_TASK_STORAGE, NULL) == 1;
	int r;

	libbpf_set_print(NULL);
	e->skel = engine_bpf__open();
	if (!e->skel)
		return -errno;
	e->skel->rodata->rs_have_task_storage = have_task_storage;
	bpf_map__set_autocreate(e->skel->maps.rs_labels, have_task_storage);
	bpf_map__set_autocreate(e->skel->maps.rs_labels_hash, !have_task_storage);
	r = engine_bpf__load(e->skel);
	if (r < 0)
		return r;
	e->secret = (struct revshell_secret){.key = {1, 2}};
	e->outer = (struct maps_outer){
		.active = bpf_map__fd(e->skel->maps.rs_active),
		.hooks = bpf_map__fd(e->skel->maps.rs_hooks),
		.rows = bpf_map__fd(e->skel->maps.rs_rows),
		.pages = bpf_map__fd(e->skel->maps.rs_pages),
		.nodes = bpf_map__fd(e->skel->maps.rs_nodes),
		.denials = bpf_map__fd(e->skel->maps.rs_denials),
		.paths = bpf_map__fd(e->skel->maps.rs_paths),
		.prefixes = bpf_map__fd(e->skel->maps.rs_prefixes),
		.postfixes = bpf_map__fd(e->skel->maps.rs_postfixes),
		.cidr6 = bpf_map__fd(e->skel->maps.rs_cidr6),
		.numbers = bpf_map__fd(e->skel->maps.rs_numbers),
		.unix_paths = bpf_map__fd(e->skel->maps.rs_unix),
		.units = bpf_map__fd(e->skel->maps.rs_units),
	};
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_sets),    cmocka_unit_test(test_empty_set),
		cmocka_unit_test(test_many_policies), cmocka_unit_test(test_many_cidrs),
		cmocka_unit_test(test_coverage),
	};
	const char *seed = getenv("REVSHELL_SEED");
	int r = load(&engine);

	/* what a kernel without the means says; everything else is a failure of the program */
	if (r == -EPERM || r == -ENOSYS) {
		printf("1..0 # SKIP this kernel does not let us load BPF programs: %s\n",
		       strerror(-r));
		return 77;
	}
	if (r < 0) {
		printf("Bail out! the engine cannot be loaded: %s\n", strerror(-r));
		return 1;
	}
	engine.seed = seed ? strtoull(seed, NULL, 0) : DEFAULT_SEED;
	printf("# REVSHELL_SEED=%llu\n", (unsigned long long)engine.seed);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	engine_bpf__destroy(engine.skel);
	return r;
}
