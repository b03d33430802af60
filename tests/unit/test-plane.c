/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which policies are warned about for closing the ways by which a host is managed. */
#include "plane.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "macro.h"
#include "policy-helpers.h"

static char root[] = "/tmp/test-plane.XXXXXX";
static const char *const programs[] = {"/usr/lib/systemd/systemd", "/usr/bin/dbus-daemon",
				       "/usr/sbin/sshd"};

static struct ruleset_options opts = {.host_ns = {[NS_NET] = 7}};

static void path_below(const char *path, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s", root, path);
}

static int setup(void **state)
{
	assert_non_null(mkdtemp(root));
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		char path[128];
		FILE *f;

		path_below(programs[i], path, sizeof(path));
		for (char *s = strchr(path + sizeof(root), '/'); s; s = strchr(s + 1, '/')) {
			*s = '\0';
			(void)mkdir(path, 0755);
			*s = '/';
		}
		f = fopen(path, "w");
		assert_non_null(f);
		fclose(f);
	}
	return 0;
}

static int teardown(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r '%s'", root);
	return system(command);
}

#define POLICY(call, selectors)                                \
	POLICY_HEAD "spec:\n  lsmhooks:\n  - hook: " call "\n" \
		    "    args: [{index: 0, type: socket}]\n"   \
		    "    selectors:\n" selectors
#define DENY "matchActions: [{action: Override, argError: -13}]\n"

/* The warnings must hold these words, in this order; none: there is no warning. */
static void assert_warned(const char *text, const char *const *words, size_t n)
{
	struct policy_set set = {};
	struct ruleset *rs = NULL;
	struct diag d = {};

	load_one(text, &set);
	assert_int_equal(ruleset_compile(&set, &opts, NULL, &d, &rs), 0);
	diag_done(&d);
	d = (struct diag){};
	assert_int_equal(plane_check(rs, root, &d), 0);
	for (size_t i = 0; i < d.n_items; i++) {
		assert_int_equal(d.items[i].severity, DIAG_WARNING);
		if (i >= n || !strstr(d.items[i].message, words[i]))
			fail_msg("%s: %s", d.items[i].message, text);
	}
	assert_int_equal(d.n_items, n);
	diag_done(&d);
	ruleset_free(rs);
	policy_set_done(&set);
}

#define WARNED(text, ...)                                      \
	do {                                                   \
		const char *const words[] = {__VA_ARGS__};     \
		assert_warned(text, words, ARRAY_SIZE(words)); \
	} while (0)
#define OPEN(text) assert_warned(text, NULL, 0)

static void test_connect(void **state)
{
	WARNED(POLICY("socket_connect", "    - " DENY),
	       "under enforce /usr/lib/systemd/systemd could not connect to the bus: denied by "
	       "policy sample");
	/* the internet only, or whom it concerns is not known */
	OPEN(POLICY("socket_connect",
		    "    - matchArgs: [{index: 0, operator: Family, values: [AF_INET]}]\n"
		    "      " DENY));
	OPEN(POLICY(
		"socket_connect",
		"    - matchNamespaces: [{namespace: Net, operator: NotIn, values: [host_ns]}]\n"
		"      " DENY));
	/* an exemption before it, by path */
	OPEN(POLICY("socket_connect",
		    "    - matchBinaries: [{operator: In, values: [/usr/lib/systemd/systemd]}]\n"
		    "      matchActions: [{action: NoPost}]\n"
		    "    - " DENY));
	WARNED(POLICY("socket_connect", "    - matchActions: [{action: Sigkill}]\n"),
	       "systemd could not connect to the bus: denied by policy sample");
	OPEN(POLICY("socket_connect", "    - matchActions: [{action: Post}]\n"));
}

/* By a backend that cannot deny. */
static void test_kill(void **state)
{
	opts.cannot_deny = true;
	WARNED(POLICY("socket_connect", "    - matchActions: [{action: Sigkill}]\n"),
	       "systemd could not connect to the bus and would be killed");
	OPEN(POLICY("socket_connect", "    - " DENY));
	opts.cannot_deny = false;
}

static void test_others(void **state)
{
	WARNED(POLICY("socket_listen", "    - " DENY),
	       "systemd could not listen on the bus's socket", "sshd could not listen on port 22",
	       "sshd could not listen on port 22");
	WARNED(POLICY("socket_accept",
		      "    - matchArgs: [{index: 0, operator: Family, values: [AF_UNIX]}]\n"
		      "      " DENY),
	       "dbus-daemon could not accept on the bus's socket");
	WARNED(POLICY("socket_accept",
		      "    - matchArgs: [{index: 0, operator: SPort, values: [\"22\"]}]\n"
		      "      " DENY),
	       "sshd could not accept on port 22", "sshd could not accept on port 22");
	OPEN(POLICY("socket_accept",
		    "    - matchArgs: [{index: 0, operator: SPort, values: [\"23\"]}]\n"
		    "      " DENY));
}

/* A policy that only reports closes nothing. */
static void test_monitor(void **state)
{
	OPEN(POLICY_HEAD "spec:\n  options: [{name: policy-mode, value: monitor}]\n"
			 "  lsmhooks:\n  - hook: socket_connect\n    selectors:\n    - " DENY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_monitor),
	};

	return cmocka_run_group_tests_name("plane", tests, setup, teardown);
}
