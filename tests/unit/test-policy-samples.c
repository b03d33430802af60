/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every file below tests/policies says in its first line what loading it must tell, and where. */
#include <dirent.h>
#include <fcntl.h>

#include "policy-helpers.h"

struct expectation {
	char kind[16];
	unsigned int line;
	unsigned int column;
	char text[256];
};

static char *sample_path(const char *dir, const char *name)
{
	const char *root = getenv("REVSHELL_TEST_POLICIES");
	char *path;

	assert_non_null(root);
	assert_true(asprintf(&path, "%s/%s/%s", root, dir, name) >= 0);
	return path;
}

static void read_expectation(const char *path, struct expectation *ret)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");

	assert_non_null(f);
	if (fscanf(f, "# %15[a-z]: %u:%u: %255[^\n]", ret->kind, &ret->line, &ret->column,
		   ret->text) != 4)
		fail_msg("%s: bad first line", path);
}

static void print_diag(const struct diag *d)
{
	for (size_t i = 0; i < d->n_items; i++) {
		_cleanup_free_ char *line = diag_format(&d->items[i]);

		print_error("  %s\n", line);
	}
}

static void check_sample(const char *path)
{
	struct expectation e;
	struct policy_set set = {};
	struct diag d = {};
	enum diag_severity severity;
	int err;

	read_expectation(path, &e);
	severity = strcmp(e.kind, "expect") == 0 ? DIAG_ERROR : DIAG_WARNING;
	err = policy_load_file(path, strcmp(e.kind, "tetragon") == 0 ? &portable : &offline, &d,
			       &set);
	if (!diag_find(&d, severity, e.line, e.column, e.text)) {
		print_diag(&d);
		fail_msg("%s: no such diagnostic", path);
	}
	/* the first thing said must be the matter itself, not a consequence of it */
	if (severity == DIAG_ERROR &&
	    strcmp(diag_find(&d, DIAG_ERROR, 0, 0, "")->message,
		   diag_find(&d, DIAG_ERROR, e.line, e.column, e.text)->message) != 0) {
		print_diag(&d);
		fail_msg("%s: another error comes first", path);
	}
	if ((severity == DIAG_ERROR) != (err == -EINVAL) || (err == 0) != (set.n > 0))
		fail_msg("%s: returned %d with %zu policies", path, err, set.n);
	policy_set_done(&set);
	diag_done(&d);
}

static size_t check_samples(const char *dir, void (*check)(const char *path))
{
	char *path = sample_path(dir, "");
	DIR *stream = opendir(path);
	struct dirent *entry;
	size_t n = 0;

	assert_non_null(stream);
	free(path);
	while ((entry = readdir(stream))) {
		if (entry->d_name[0] == '.')
			continue;
		path = sample_path(dir, entry->d_name);
		check(path);
		free(path);
		n++;
	}
	closedir(stream);
	return n;
}

/* A good sample loads without a word, there and here. */
static void check_good(const char *path)
{
	struct policy_set set = {};
	struct diag d = {};
	int err = policy_load_file(path, &offline, &d, &set);

	if (err < 0 || d.n_items > 0) {
		print_diag(&d);
		fail_msg("%s: returned %d", path, err);
	}
	policy_set_done(&set);
	diag_done(&d);
}

static void check_seed(const char *path)
{
	struct policy_set set = {};
	struct diag d = {};
	int err = policy_load_file(path, &portable, &d, &set);

	if (err < 0 || d.n_items > 0) {
		print_diag(&d);
		fail_msg("%s: returned %d", path, err);
	}
	policy_set_done(&set);
	diag_done(&d);
}

static void test_bad(void **state)
{
	assert_true(check_samples("bad", check_sample) > 200);
}

static void test_warn(void **state)
{
	assert_true(check_samples("warn", check_sample) > 40);
}

static void test_good(void **state)
{
	assert_true(check_samples("good", check_good) > 0);
}

static void test_seed(void **state)
{
	assert_int_equal(check_samples("seed", check_seed), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_warn),
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
