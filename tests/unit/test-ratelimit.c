/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rateLimit: which events are alike, for how long, and what is forgotten. */
#include <netinet/in.h>
#include <sys/socket.h>

#include "policy-helpers.h"
#include "ratelimit.h"

#define SECOND 1000000000ULL

static const char policies[] =
	POLICY_HEAD "spec:\n"
		    "  lsmhooks:\n"
		    "  - hook: socket_connect\n"
		    "    args: [{index: 1, type: sockaddr}, {index: 2, type: int}]\n"
		    "    selectors:\n"
		    "    - matchUsers: [{operator: In, values: [\"1\"]}]\n"
		    "      matchActions: [{action: Post, rateLimit: 5s}]\n"
		    "    - matchUsers: [{operator: In, values: [\"2\"]}]\n"
		    "      matchActions:\n"
		    "      - {action: Post, rateLimit: 5s, rateLimitScope: process}\n"
		    "      - {action: Sigkill}\n"
		    "    - matchUsers: [{operator: In, values: [\"3\"]}]\n"
		    "      matchActions: [{action: Post, rateLimit: 1h, rateLimitScope: global}]\n"
		    "    - matchActions: [{action: Post, rateLimit: 5s}, {action: Post}]\n"
		    "---\n"
		    "apiVersion: cilium.io/v1alpha1\n"
		    "kind: TracingPolicy\n"
		    "metadata: {name: tcp}\n"
		    "spec:\n"
		    "  kprobes:\n"
		    "  - call: tcp_connect\n"
		    "    syscall: false\n"
		    "    args: [{index: 0, type: sock}]\n"
		    "    selectors:\n"
		    "    - matchActions: [{action: Post, rateLimit: 5s}, {action: Sigkill}]\n";

struct fixture {
	struct ruleset *rs;
	struct ratelimit *limit;
	struct revshell_event ev;
};

static int setup(void **state)
{
	static const struct ruleset_options opts = {.observe_tcp_connect = true};
	struct fixture *f = calloc(1, sizeof(*f));
	struct policy_set set = {};
	struct diag d = {};

	assert_non_null(f);
	assert_int_equal(
		policy_load_text(policies, strlen(policies), "test.yaml", &offline, &d, &set), 0);
	assert_int_equal(ruleset_compile(&set, &opts, NULL, &d, &f->rs), 0);
	diag_done(&d);
	assert_int_equal(ratelimit_new(&f->limit), 0);
	f->ev = (struct revshell_event){
		.time_ns = 1000 * SECOND,
		.hook = REVSHELL_HOOK_CONNECT,
		.pid = 10,
		.tid = 11,
		.sk = {.family = AF_INET, .protocol = IPPROTO_TCP},
		.sa = {.family = AF_INET, .port = 4444, .addr = {203, 0, 113, 50}},
		.ints = {0, 0, 16},
	};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ratelimit_free(f->limit);
	ruleset_free(f->rs);
	free(f);
	return 0;
}

static bool allows(struct fixture *f, unsigned int selector)
{
	return ratelimit_allows(f->limit, &f->ev, f->rs,
				&f->rs->hooks[f->ev.hook].selectors[selector]);
}

static void test_period(void **state)
{
	struct fixture *f = *state;
	unsigned int n = 0;

	for (int i = 0; i < 10000; i++)
		n += allows(f, 0);
	assert_int_equal(n, 1);
	f->ev.time_ns += 5 * SECOND - 1;
	assert_false(allows(f, 0));
	f->ev.time_ns -= 100 * SECOND;
	assert_false(allows(f, 0));
	f->ev.time_ns += 100 * SECOND + 1;
	assert_true(allows(f, 0));
	/* a period begins with the event that was sent */
	f->ev.time_ns += 4 * SECOND;
	assert_false(allows(f, 0));
	f->ev.time_ns += SECOND;
	assert_true(allows(f, 0));
}

static void test_alike(void **state)
{
	struct fixture *f = *state;

	assert_true(allows(f, 0));
	f->ev.sa.port++;
	assert_true(allows(f, 0));
	f->ev.sa.addr[3]++;
	assert_true(allows(f, 0));
	f->ev.ints[2]++;
	assert_true(allows(f, 0));
	f->ev.ints[1]++; /* not among the arguments */
	f->ev.sk.sport++;
	assert_false(allows(f, 0));
	assert_true(allows(f, 1));
}

static void test_scopes(void **state)
{
	struct fixture *f = *state;

	for (unsigned int i = 0; i < 3; i++) {
		assert_true(allows(f, i));
		assert_false(allows(f, i));
	}
	f->ev.tid++;
	assert_true(allows(f, 0));
	assert_false(allows(f, 1));
	assert_false(allows(f, 2));
	f->ev.pid++;
	assert_true(allows(f, 1));
	assert_false(allows(f, 2));
}

/* A Post without a limit is one without a limit, whatever stands beside it. */
static void test_no_limit(void **state)
{
	struct fixture *f = *state;

	assert_true(allows(f, 3));
	assert_true(allows(f, 3));
}

/* Seen ahead or on its own hook, whatever its source port: the same attempt to connect. */
static void test_tcp_connect(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->rs->hooks[REVSHELL_HOOK_CONNECT].n_selectors, 5);
	assert_true(allows(f, 4));
	f->ev.hook = REVSHELL_HOOK_TCP_CONNECT;
	f->ev.sk.dport = 4444;
	f->ev.sk.sport = 54321;
	memcpy(f->ev.sk.daddr, f->ev.sa.addr, 16);
	memcpy(f->ev.sk.saddr, "\x0a\0\0\1", 4);
	assert_false(allows(f, 0));
	f->ev.sk.dport++;
	assert_true(allows(f, 0));
}

/* What was seen longest ago is forgotten when there are too many. */
static void test_forgets(void **state)
{
	struct fixture *f = *state;

	f->ev.tid = 1;
	assert_true(allows(f, 0));
	for (uint32_t tid = 2; tid <= RATELIMIT_ENTRIES; tid++) {
		f->ev.tid = tid;
		assert_true(allows(f, 0));
	}
	f->ev.tid = 1;
	assert_false(allows(f, 0));
	f->ev.tid = RATELIMIT_ENTRIES + 1;
	assert_true(allows(f, 0));
	f->ev.tid = 1; /* seen since */
	assert_false(allows(f, 0));
	f->ev.tid = 2; /* the oldest */
	assert_true(allows(f, 0));
	for (uint32_t tid = 0; tid < 3 * RATELIMIT_ENTRIES; tid++) {
		f->ev.tid = 1000000 + tid;
		assert_true(allows(f, 0));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_period),   TEST(test_alike),	     TEST(test_scopes),
		TEST(test_no_limit), TEST(test_tcp_connect), TEST(test_forgets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
