/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A cgroup's path by its number, on a tree of plain directories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "macro.h"

static const char *const dirs[] = {"a.slice", "a.slice/b.service", "a.slice/b.service/inner",
				   "c.slice", ".hidden"};

static int setup(void **state)
{
	char root[] = "/tmp/revshell-cgroup-XXXXXX";

	if (!mkdtemp(root))
		return -1;
	*state = strdup(root);
	if (chdir(root) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		if (mkdir(dirs[i], 0700) < 0)
			return -1;
	return symlink("a.slice", "link");
}

static int teardown(void **state)
{
	unlink("link");
	for (size_t i = ARRAY_SIZE(dirs); i-- > 0;)
		rmdir(dirs[i]);
	rmdir(*state);
	free(*state);
	return 0;
}

static uint64_t number_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_ino;
}

static void expect_path(const char *root, const char *dir, const char *expected)
{
	_cleanup_free_ char *path = NULL;

	assert_int_equal(cgroup_find(root, number_of(dir), &path), 0);
	assert_string_equal(path, expected);
}

static void test_find(void **state)
{
	const char *root = *state;

	expect_path(root, root, "/");
	expect_path(root, "a.slice", "/a.slice");
	expect_path(root, "c.slice", "/c.slice");
	expect_path(root, "a.slice/b.service/inner", "/a.slice/b.service/inner");
}

static void test_what_is_not_there(void **state)
{
	char *path = (char *)"untouched";
	uint64_t gone = number_of("c.slice");

	/* links and files are no cgroups */
	assert_int_equal(cgroup_find(*state, number_of("link"), &path), -ENOENT);
	assert_int_equal(rmdir("c.slice"), 0);
	assert_int_equal(cgroup_find(*state, gone, &path), -ENOENT);
	assert_int_equal(cgroup_find("/nowhere", 1, &path), -ENOENT);
	assert_string_equal(path, "untouched");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_what_is_not_there),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
