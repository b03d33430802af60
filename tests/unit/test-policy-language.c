/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What each part of a policy becomes: the sample that has everything, defaults, macros, lists. */
#include <signal.h>

#include "policy-helpers.h"

struct everything {
	struct policy_set set;
	const struct policy *p;
};

static int load_everything(void **state)
{
	struct everything *e = calloc(1, sizeof(*e));
	const char *root = getenv("REVSHELL_TEST_POLICIES");
	_cleanup_free_ char *path = NULL;
	struct diag d = {};

	if (!e || !root || asprintf(&path, "%s/good/everything.yaml", root) < 0 ||
	    policy_load_file(path, &offline, &d, &e->set) < 0)
		return -1;
	diag_done(&d);
	e->p = e->set.policies[0];
	*state = e;
	return 0;
}

static int free_everything(void **state)
{
	struct everything *e = *state;

	policy_set_done(&e->set);
	free(e);
	return 0;
}

static void test_policy(void **state)
{
	const struct policy *p = ((struct everything *)*state)->p;

	assert_string_equal(p->name, "everything");
	assert_string_equal(p->description, "every part of the language once");
	assert_int_equal(p->mode, POLICY_MODE_ENFORCE);
	assert_true(p->can_deny);
	assert_true(p->identity_by_path);
	assert_int_equal(p->fallback, FALLBACK_SIGKILL);
	assert_int_equal(strncmp(p->source, "# Every part", 12), 0);
	assert_int_equal(p->pos.line, 2);
}

/* kprobes, then fentries, then lsmhooks; a list of calls is one entry each. */
static void test_entries(void **state)
{
	static const struct {
		const char *call;
		enum policy_section section;
	} expected[] = {
		{"security_socket_connect", SECTION_KPROBES},
		{"security_socket_listen", SECTION_KPROBES},
		{"inet_csk_listen_start", SECTION_KPROBES},
		{"sk_alloc", SECTION_KPROBES},
		{"tcp_sendmsg", SECTION_FENTRIES},
		{"socket_connect", SECTION_LSMHOOKS},
		{"tun_dev_create", SECTION_LSMHOOKS},
		{"ptrace_access_check", SECTION_LSMHOOKS},
		{"ptrace_traceme", SECTION_LSMHOOKS},
	};
	const struct policy *p = ((struct everything *)*state)->p;

	assert_int_equal(p->n_entries, ARRAY_SIZE(expected));
	for (size_t i = 0; i < p->n_entries; i++) {
		assert_string_equal(p->entries[i].call->name, expected[i].call);
		assert_int_equal(p->entries[i].section, expected[i].section);
		assert_int_equal(p->entries[i].ignore_not_found, i == 1 || i == 2);
	}
	assert_int_equal(p->entries[1].selectors[0].actions[0].kind, ACTION_SIGNAL);
	assert_int_equal(p->entries[1].selectors[0].actions[0].signal, SIGSTOP);
	assert_int_equal(p->entries[2].selectors[0].actions[0].signal, SIGSTOP);
	assert_int_equal(p->entries[3].return_action, ACTION_TRACK_SOCK);
	assert_int_equal(p->entries[3].return_arg.type, ARG_SOCK);
	assert_int_equal(p->entries[4].args[1].type, ARG_SIZE);
}

static void test_entry(void **state)
{
	const struct policy_entry *e = &((struct everything *)*state)->p->entries[0];

	assert_string_equal(e->message, "outbound connection of a shell");
	assert_int_equal(e->n_tags, 2);
	assert_string_equal(e->tags[1], "reverse.shell");
	assert_int_equal(e->n_args, 4);
	assert_string_equal(e->args[1].label, "destination");
	assert_int_equal(e->args[1].type, ARG_SOCKADDR);
	assert_int_equal(e->args[2].type, ARG_SOCKADDR_UN);
	assert_int_equal(e->args[2].index, 1);
	assert_null(e->args[3].label);
	assert_true(e->has_return);
	assert_int_equal(e->return_arg.type, ARG_INT);
	assert_int_equal(e->n_selectors, 4);
	assert_string_equal(e->selectors[1].label, "shells of strangers");
}

static void test_process_filters(void **state)
{
	const struct policy_selector *s =
		&((struct everything *)*state)->p->entries[0].selectors[1];

	/* from the macros */
	assert_int_equal(s->n_binaries, 1);
	assert_int_equal(s->binaries[0].op, OP_POSTFIX);
	assert_int_equal(s->binaries[0].values.n_strings, 3);
	assert_string_equal(s->binaries[0].values.strings[2].text, "/zsh");
	assert_int_equal(s->n_users, 1);
	assert_int_equal(s->users[0].op, OP_NOT_IN);
	assert_int_equal(s->users[0].values.n_ranges, 3);
	assert_int_equal(s->users[0].values.ranges[0].lo, 0);
	assert_int_equal(s->users[0].values.ranges[1].lo, 1000);
	assert_int_equal(s->users[0].values.ranges[1].hi, 1999);
	assert_int_equal(s->users[0].values.ranges[2].hi, UINT32_MAX);
	assert_int_equal(s->n_units, 1);
	assert_string_equal(s->units[0].values.strings[1].text, "system.slice");
	/* its own */
	assert_int_equal(s->n_parent_binaries, 1);
	assert_int_equal(s->parent_binaries[0].op, OP_NOT_IN);
	assert_true(s->parent_binaries[0].follow_children);
	assert_int_equal(s->n_stdio, 1);
	assert_int_equal(s->stdio[0].fds, 7);
	assert_int_equal(s->n_pids, 1);
	assert_true(s->pids[0].follow_forks && s->pids[0].is_namespace_pid);
	assert_int_equal(s->pids[0].values.ranges[1].lo, 1);
	assert_int_equal(s->n_namespaces, 1);
	assert_int_equal(s->namespaces[0].ns, NS_NET);
	assert_true(s->namespaces[0].host);
	assert_int_equal(s->namespaces[0].values.n_ranges, 1);
	assert_int_equal(s->namespaces[0].values.ranges[0].lo, 4026531840);
	assert_int_equal(s->n_caps, 1);
	assert_int_equal(s->caps[0].set, CAP_SET_PERMITTED);
	assert_true(s->caps[0].caps == (UINT64_C(1) << 12 | UINT64_C(1) << 21));
	assert_false(s->caps[0].is_namespace_capability);
}

static void test_arg_filters(void **state)
{
	const struct policy_selector *s = ((struct everything *)*state)->p->entries[0].selectors;
	static const struct {
		unsigned int arg;
		enum policy_op op;
		size_t n;
	} expected[] = {{0, OP_PROTOCOL, 3},
			{0, OP_FAMILY, 2},
			{0, OP_STATE, 1},
			{1, OP_NOT_SPORT, 3},
			{3, OP_IN_MAP, 4}};

	assert_int_equal(s[0].args[0].values.n_cidrs, 4);
	assert_int_equal(s[1].n_args, 5);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(s[1].args[i].arg, expected[i].arg);
		assert_int_equal(s[1].args[i].op, expected[i].op);
		assert_int_equal(s[1].args[i].values.n_ranges, expected[i].n);
	}
	assert_int_equal(s[2].args[0].arg, 2);
	assert_int_equal(s[2].args[0].op, OP_PREFIX);
	assert_string_equal(s[2].args[0].values.strings[0].text, "@/tmp/");
	assert_int_equal(s[2].n_return_args, 1);
	assert_int_equal(s[2].return_args[0].op, OP_NOT_EQUAL);
	assert_int_equal(s[2].return_args[0].values.ranges[1].lo, -115);
	assert_int_equal(s[2].n_return_actions, 1);
}

static void test_actions(void **state)
{
	const struct policy_selector *s = ((struct everything *)*state)->p->entries[0].selectors;
	const struct policy_action *a = s[1].actions;

	assert_int_equal(s[0].n_actions, 1);
	assert_int_equal(s[0].actions[0].kind, ACTION_NOPOST);
	assert_int_equal(s[1].n_actions, 3);
	assert_int_equal(a[0].kind, ACTION_OVERRIDE);
	assert_int_equal(a[0].error, -EPERM);
	assert_int_equal(a[1].kind, ACTION_SIGKILL);
	assert_int_equal(a[2].kind, ACTION_POST);
	assert_int_equal(a[2].rate_limit_ms, 300000);
	assert_int_equal(a[2].rate_scope, RATE_PROCESS);
	assert_true(a[2].kernel_stack && a[2].user_stack);
	/* none given: Post */
	assert_int_equal(s[2].n_actions, 1);
	assert_int_equal(s[2].actions[0].kind, ACTION_POST);
	assert_int_equal(s[3].actions[0].kind, ACTION_NOTIFY_ENFORCER);
	assert_int_equal(s[3].actions[0].error, -13);
	assert_int_equal(s[3].actions[0].signal, SIGTERM);
}

static void test_defaults(void **state)
{
	struct policy_set set = {};
	const struct policy *p = load_one(POLICY_HEAD "spec:\n"
						      "  kprobes:\n"
						      "  - {call: tcp_close, syscall: false}\n",
					  &set);

	assert_int_equal(p->entries[0].n_selectors, 1);
	assert_int_equal(p->entries[0].selectors[0].n_actions, 1);
	assert_int_equal(p->entries[0].selectors[0].actions[0].kind, ACTION_POST);
	assert_int_equal(p->entries[0].selectors[0].pos.line, p->entries[0].pos.line);
	assert_int_equal(p->mode, POLICY_MODE_ENFORCE);
	assert_false(p->can_deny || p->identity_by_path || p->namespaced);
	assert_null(p->description);
	policy_set_done(&set);
}

/* Null values are as good as missing ones, as in Kubernetes. */
static void test_nulls(void **state)
{
	struct policy_set set = {};
	const struct policy *p = load_one(POLICY_HEAD "  labels: ~\n"
						      "spec:\n"
						      "  options:\n"
						      "  lists: null\n"
						      "  podSelector: ~\n"
						      "  lsmhooks:\n"
						      "  - hook: socket_connect\n"
						      "    message:\n"
						      "    tags: ~\n"
						      "    args:\n"
						      "    selectors:\n",
					  &set);

	assert_int_equal(p->entries[0].n_selectors, 1);
	assert_null(p->entries[0].message);
	policy_set_done(&set);
}

static void test_errors_of_override(void **state)
{
	static const struct {
		const char *given;
		int error;
	} cases[] = {{", argError: -1", -1},
		     {", argError: -4095", -4095},
		     {", argError: 1", -1},
		     {", argError: 4095", -4095},
		     {", argError: 111", -111},
		     {", argError: 0", -EPERM},
		     {"", -EPERM},
		     {", argError: '-13'", -13},
		     {", argError: ~", -EPERM},
		     {", argError: -0x0d", -13}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = NULL;
		struct policy_set set = {};
		const struct policy *p;

		assert_true(asprintf(&text,
				     KPROBE_CONNECT "    - matchActions:\n"
						    "      - {action: Override%s}\n",
				     cases[i].given) >= 0);
		p = load_one(text, &set);
		assert_int_equal(p->entries[0].selectors[0].actions[0].error, cases[i].error);
		assert_true(p->can_deny);
		policy_set_done(&set);
	}
}

static void test_can_deny(void **state)
{
	static const struct {
		const char *action;
		bool can_deny;
	} cases[] = {{"action: Post", false},	   {"action: NoPost", false},
		     {"action: Sigkill", true},	   {"action: sigkill", true},
		     {"action: Signal", false},	   {"action: Signal, argSig: 9", true},
		     {"action: GetUrl", false},	   {"action: DnsLookup", false},
		     {"action: TrackSock", false}, {"action: Override", true}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = NULL;
		struct policy_set set = {};

		assert_true(asprintf(&text,
				     KPROBE_CONNECT "    - matchActions:\n"
						    "      - {%s}\n",
				     cases[i].action) >= 0);
		assert_int_equal(load_one(text, &set)->can_deny, cases[i].can_deny);
		policy_set_done(&set);
	}
}

static void test_rate_limits(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} cases[] = {{"5", 5000},
		     {"5s", 5000},
		     {"'5m'", 300000},
		     {"1h", 3600000},
		     {"1H", 3600000},
		     {"0", 0},
		     {"''", 0},
		     {"4294967", 4294967000},
		     {"4294968", UINT32_MAX},
		     {"99999999h", UINT32_MAX}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = NULL;
		struct policy_set set = {};
		const struct policy *p;

		assert_true(asprintf(&text,
				     KPROBE_CONNECT "    - matchActions:\n"
						    "      - {action: Post, rateLimit: %s}\n",
				     cases[i].text) >= 0);
		p = load_one(text, &set);
		assert_true(p->entries[0].selectors[0].actions[0].rate_limit_ms == cases[i].ms);
		policy_set_done(&set);
	}
}

/* index means the prototype and finds the first of several; args means the list and wins. */
static void test_arg_positions(void **state)
{
	static const char text[] =
		POLICY_HEAD "spec:\n"
			    "  lsmhooks:\n"
			    "  - hook: socket_connect\n"
			    "    args:\n"
			    "    - {index: 2, type: int}\n"
			    "    - {index: 1, type: sockaddr_un}\n"
			    "    - {index: 1, type: sockaddr}\n"
			    "    selectors:\n"
			    "    - matchArgs:\n"
			    "      - {index: 1, operator: Equal, values: [/run/x]}\n"
			    "      - {args: [2], index: 2, operator: SPort, values: [1]}\n"
			    "      - {args: [], index: 2, operator: Equal, values: [16]}\n";
	struct policy_set set = {};
	const struct policy_selector *s = load_one(text, &set)->entries[0].selectors;

	assert_int_equal(s->args[0].arg, 1);
	assert_int_equal(s->args[1].arg, 2);
	assert_int_equal(s->args[2].arg, 0);
	policy_set_done(&set);
}

static void test_modes(void **state)
{
	static const char text[] = POLICY_HEAD "spec:\n"
					       "  options:\n"
					       "  - {name: policy-mode, value: enforce}\n"
					       "  - {name: policy-mode, value: monitor}\n"
					       "  - {name: override-fallback, value: monitor}\n"
					       "  - {name: binary-identity, value: file}\n";
	struct policy_set set = {};
	const struct policy *p = load_one(text, &set);

	assert_int_equal(p->mode, POLICY_MODE_MONITOR);
	assert_int_equal(p->fallback, FALLBACK_MONITOR);
	assert_false(p->identity_by_path);
	policy_set_done(&set);
}

/* Errors of one document do not hide those of the next, and none of them loads. */
static void test_all_errors(void **state)
{
	static const char text[] = POLICY_HEAD "spec: {kprobe: []}\n"
					       "---\n"
					       "apiVersion: cilium.io/v1alpha1\n"
					       "kind: TracingPolicy\n"
					       "metadata: {name: good}\n"
					       "spec: {}\n"
					       "---\n"
					       "apiVersion: cilium.io/v1alpha1\n"
					       "kind: TracingPolicy\n"
					       "metadata: {name: Bad}\n"
					       "spec: {lsmhooks: [{hook: x, tag: []}]}\n";
	struct policy_set set = {};
	struct diag d = {};

	assert_int_equal(policy_load_text(text, strlen(text), NULL, &offline, &d, &set), -EINVAL);
	assert_int_equal(set.n, 0);
	assert_int_equal(d.n_errors, 4);
	assert_non_null(diag_find(&d, DIAG_ERROR, 5, 8, "unknown key \"kprobe\""));
	assert_non_null(diag_find(&d, DIAG_ERROR, 14, 18, "\"Bad\" is not a policy's name"));
	assert_non_null(diag_find(&d, DIAG_ERROR, 15, 29, "unknown key \"tag\""));
	assert_non_null(diag_find(&d, DIAG_ERROR, 15, 26, "\"x\" cannot be hooked"));
	policy_set_done(&set);
	diag_done(&d);
}

/* Hostile text in a message is cut, and escaped where it is printed. */
static void test_hostile_text(void **state)
{
	static const char text[] = POLICY_HEAD "spec:\n  \"\\e[2J\\nfake: line\": 1\n";
	struct policy_set set = {};
	struct diag d = {};
	_cleanup_free_ char *line = NULL;

	assert_int_equal(policy_load_text(text, strlen(text), "a\nb", &offline, &d, &set), -EINVAL);
	line = diag_format(&d.items[0]);
	assert_string_equal(line, "a\\x0ab:6:3: error: unknown key \"\\x1b[2J\\x0afake: line\" "
				  "in spec");
	policy_set_done(&set);
	diag_done(&d);
}

static void test_freeing_nothing(void **state)
{
	struct policy_set set = {};

	policy_free(NULL);
	policy_set_done(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policy),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_entry),
		cmocka_unit_test(test_process_filters),
		cmocka_unit_test(test_arg_filters),
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_nulls),
		cmocka_unit_test(test_errors_of_override),
		cmocka_unit_test(test_can_deny),
		cmocka_unit_test(test_rate_limits),
		cmocka_unit_test(test_arg_positions),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_all_errors),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_freeing_nothing),
	};

	return cmocka_run_group_tests(tests, load_everything, free_everything);
}
