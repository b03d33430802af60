/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every single allocation fails once: nothing leaks, nothing is half there, the next try works. */
#include "oom.h"
#include "policy-helpers.h"

/* Loads path with the n-th allocation failing. Returns false once there is no n-th. */
static bool try_load(const char *path, const struct policy_options *opts, long n, bool valid)
{
	struct policy_set set = {};
	struct diag d = {};
	bool failed;
	int err;

	oom_arm(n);
	err = policy_load_file(path, opts, &d, &set);
	failed = oom_disarm();
	/* where only a diagnostic was lost, the answer is what it would have been */
	if (failed && err != -ENOMEM)
		assert_true(d.oom || !valid);
	if (err != -ENOMEM)
		assert_int_equal(err, valid ? 0 : -EINVAL);
	assert_int_equal(err == 0, set.n > 0);
	if (err == -EINVAL)
		assert_true(d.n_errors > 0);
	policy_set_done(&set);
	diag_done(&d);
	return failed;
}

static void check_file(const char *name, const struct policy_options *opts, bool valid)
{
	const char *root = getenv("REVSHELL_TEST_POLICIES");
	_cleanup_free_ char *path = NULL;
	long n = 0;

	assert_non_null(root);
	assert_true(asprintf(&path, "%s/%s", root, name) >= 0);
	while (try_load(path, opts, n, valid))
		n++;
	assert_true(n > 5);
}

static const struct policy_options online = {};

static void test_good(void **state)
{
	static const char text[] =
		KPROBE_CONNECT "    - matchBinaries:\n"
			       "      - {operator: In, values: [/bin, /proc/self]}\n";
	struct policy_set set = {};
	struct diag d = {};
	bool failed = true;
	int err;

	check_file("good/everything.yaml", &portable, true);
	check_file("good/stream.yaml", &offline, true);
	check_file("seed/4.5-enforce-no-reverse-shell.yaml", &offline, true);

	/* with the host's files looked up */
	for (long n = 0; failed; n++) {
		oom_arm(n);
		err = policy_load_text(text, strlen(text), "t", &online, &d, &set);
		failed = oom_disarm();
		assert_true(err == 0 || err == -ENOMEM);
		policy_set_done(&set);
		diag_done(&d);
	}
}

static void test_bad(void **state)
{
	check_file("bad/equal-on-sock.yaml", &offline, false);
	check_file("bad/call-unknown.yaml", &offline, false);
	check_file("bad/duplicate-policy.yaml", &offline, false);
	check_file("bad/yaml-duplicate-key.yaml", &offline, false);
	check_file("warn/selector-unreachable.yaml", &offline, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
