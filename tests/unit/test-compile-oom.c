/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory that runs out at every single allocation: nothing leaks, nothing half-done is returned. */
#include <sys/socket.h>

#include "event.h"
#include "oom.h"
#include "policy-helpers.h"

static const struct event_host host = {0, "host", NULL};

static const char text[] = POLICY_HEAD
	"spec:\n"
	"  kprobes:\n"
	"  - call: tcp_connect\n"
	"    syscall: false\n"
	"    message: text\n"
	"    tags: [one, two]\n"
	"    args: [{index: 0, type: sock, label: conn}]\n"
	"    selectors:\n"
	"    - matchBinaries: [{operator: In, values: [/usr/bin/curl, /usr/bin/wget]}]\n"
	"      matchActions: [{action: NoPost}]\n"
	"    - matchBinaries: [{operator: NotPrefix, values: [/usr/, /usr/bin/]}]\n"
	"      matchParentBinaries: [{operator: Postfix, values: [sh, /bash]}]\n"
	"      matchArgs:\n"
	"      - {index: 0, operator: NotDAddr, values: [10.0.0.0/8, \"fe80::/10\"]}\n"
	"      - {index: 0, operator: DPort, values: [\"1:9\", \"4444\"]}\n"
	"      - {index: 0, operator: Protocol, values: [IPPROTO_TCP]}\n"
	"      matchActions: [{action: Sigkill}]\n"
	"    - matchBinaries: [{operator: NotIn, values: [/b, /a, /b], followChildren: true}]\n"
	"      matchPIDs: [{operator: In, values: [1, 5]}]\n"
	"      matchNamespaces: [{namespace: Net, operator: In, values: [host_ns, \"7\"]}]\n"
	"      matchCapabilities:\n"
	"      - {operator: In, values: [CAP_BPF], isNamespaceCapability: true}\n"
	"      matchUsers: [{operator: NotIn, values: [\"7:9\", \"3\"]}]\n"
	"      matchUnits: [{operator: In, values: [b.service, a.slice]}]\n"
	"      matchStdio: [{operator: In, values: [0]}]\n"
	"      matchActions: [{action: Sigkill}]\n"
	"  - call: sk_alloc\n"
	"    syscall: false\n"
	"    return: true\n"
	"    returnArg: {index: 0, type: sock}\n"
	"    args: [{index: 1, type: int}, {index: 2, type: uint32}, {index: 4, type: int}]\n"
	"    selectors:\n"
	"    - matchArgs:\n"
	"      - {index: 1, operator: InRange, values: [\"1:9\"]}\n"
	"      - {index: 2, operator: Mask, values: [\"7\"]}\n"
	"      matchReturnArgs: [{operator: Family, values: [AF_INET]}]\n"
	"  - call: security_socket_bind\n"
	"    syscall: false\n"
	"    args: [{index: 1, type: sockaddr_un}]\n"
	"    selectors:\n"
	"    - matchArgs: [{index: 1, operator: NotEqual, values: [/run, /tmp]}]\n"
	"  - call: security_socket_connect\n"
	"    syscall: false\n"
	"    args: [{index: 1, type: sockaddr}, {index: 1, type: sockaddr_un}, {index: 2, type: "
	"int}]\n";

static const struct ruleset_options all_hooks = {.observe_tcp_connect = true,
						 .observe_listen_start = true,
						 .host_ns = {[0 ... NS_MAX - 1] = 1}};

static void test_compile(void **state)
{
	struct policy_set set = {};
	struct diag d = {};
	bool failed;
	long n = 0;

	do {
		struct ruleset *rs = NULL;
		int err;

		if (!set.n)
			load_one(text, &set);
		oom_arm(n++);
		err = ruleset_compile(&set, &all_hooks, NULL, &d, &rs);
		failed = oom_disarm();
		assert_true(err == 0 || (failed && err == -ENOMEM));
		assert_true(err == 0 ? rs && !set.n : !rs && set.n);
		ruleset_free(rs);
	} while (failed);
	assert_true(n > 50);
	diag_done(&d);
}

/* Of an event the JSON. */
static int keep(const struct event_line *event, const struct ruleset_selector *sel, void *userdata)
{
	char **kept = userdata;

	free(*kept);
	*kept = strndup(event->text, event->len);
	return *kept ? 0 : -ENOMEM;
}

/* A line that lacks something must not pass for a complete one. */
static void check_formats(const char *json)
{
	json_t *event = json_loads(json, 0, NULL);

	for (enum event_format f = EVENT_JSON; f <= EVENT_COMPACT; f++) {
		_cleanup_free_ char *good = event_format(event, f, true);
		bool failed;
		long n = 0;

		assert_non_null(good);
		do {
			_cleanup_free_ char *line = NULL;

			oom_arm(n++);
			line = event_format(event, f, true);
			failed = oom_disarm();
			assert_true(line || failed);
			if (line)
				assert_string_equal(line, good);
		} while (failed);
		assert_true(n > 1);
	}
	json_decref(event);
}

static void test_event(void **state)
{
	struct revshell_event ev = {
		.hook = REVSHELL_HOOK_CONNECT,
		.n_words = 1,
		.match = {1 | 4},
		.parent_pid = 1,
		.sk = {.family = AF_INET, .cookie = 1, .sport = 1},
		.sa = {.family = AF_UNIX,
		       .path_len = 3,
		       .path = "\0\x7f"
			       "a"},
		.args_len = sizeof(ev.args),
		.args = "a",
		.cwd_len = 1,
		.cwd = "/",
	};
	struct policy_set set = {};
	_cleanup_free_ char *good = NULL, *text_now = NULL;
	struct ruleset *rs = NULL;
	struct diag d = {};
	bool failed;
	long n = 0;

	load_one(text, &set);
	assert_int_equal(ruleset_compile(&set, &all_hooks, NULL, &d, &rs), 0);
	diag_done(&d);
	memset(ev.args + 2, 0xff, sizeof(ev.args) - 2); /* so that the text has to grow */
	assert_int_equal(event_expand(&ev, sizeof(ev), rs, &host, NULL, keep, &good), 2);
	do {
		int r;

		oom_arm(n++);
		r = event_expand(&ev, sizeof(ev), rs, &host, NULL, keep, &text_now);
		failed = oom_disarm();
		assert_true(r == 2 || (failed && r == -ENOMEM));
		if (r == 2)
			assert_string_equal(text_now, good);
	} while (failed);
	assert_true(n > 4);
	check_formats(good);
	ruleset_free(rs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compile),
		cmocka_unit_test(test_event),
	};

	json_set_alloc_funcs(oom_malloc, free);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
