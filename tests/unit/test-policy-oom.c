/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every single allocation fails once: nothing leaks, nothing is half there, the next try works. */
#include "policy-helpers.h"

/* Set by the linker's --wrap: the code under test calls these, they call the real ones. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
int __real_vasprintf(char **ret, const char *fmt, va_list ap);
FILE *__real_open_memstream(char **text, size_t *size);
char *__real_realpath(const char *path, char *resolved);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_vasprintf(char **ret, const char *fmt, va_list ap);
FILE *__wrap_open_memstream(char **text, size_t *size);
char *__wrap_realpath(const char *path, char *resolved);

static long countdown = -1; /* allocations until one fails; below 0: none does */
static bool failed;

static bool fails(void)
{
	if (countdown < 0)
		return false;
	if (countdown-- > 0)
		return false;
	failed = true;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
	return fails() ? NULL : __real_strndup(s, n);
}

int __wrap_vasprintf(char **ret, const char *fmt, va_list ap)
{
	return fails() ? -1 : __real_vasprintf(ret, fmt, ap);
}

FILE *__wrap_open_memstream(char **text, size_t *size)
{
	return fails() ? NULL : __real_open_memstream(text, size);
}

char *__wrap_realpath(const char *path, char *resolved)
{
	return fails() ? NULL : __real_realpath(path, resolved);
}

/* Loads path with the n-th allocation failing. Returns false once there is no n-th. */
static bool try_load(const char *path, const struct policy_options *opts, long n, bool valid)
{
	struct policy_set set = {};
	struct diag d = {};
	int err;

	failed = false;
	countdown = n;
	err = policy_load_file(path, opts, &d, &set);
	countdown = -1;
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
	int err;

	check_file("good/everything.yaml", &portable, true);
	check_file("good/stream.yaml", &offline, true);
	check_file("seed/4.5-enforce-no-reverse-shell.yaml", &offline, true);

	/* with the host's files looked up */
	failed = true;
	for (long n = 0; failed; n++) {
		failed = false;
		countdown = n;
		err = policy_load_text(text, strlen(text), "t", &online, &d, &set);
		countdown = -1;
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
