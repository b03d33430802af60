/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Policy files are replaced together or not at all, whichever system call fails or is the last. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "store.h"

/* The call that fails, counted from 1 over all that are wrapped; 0: none. */
static unsigned int fail_at, n_calls;
static bool die; /* end the process there instead, as a crash would */
static unsigned int n_failures = 1;

static bool fails(void)
{
	n_calls++;
	if (fail_at == 0 || n_calls < fail_at || n_calls >= fail_at + n_failures)
		return false;
	if (die)
		_exit(42);
	errno = EIO;
	return true;
}

ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size)
{
	return fails() ? -1 : __real_write(fd, data, size);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	return fails() ? -1 : __real_fsync(fd);
}

int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return fails() ? -1 : __real_renameat(from_dir, from, to_dir, to);
}

int __real_unlinkat(int dir, const char *name, int flags);
int __wrap_unlinkat(int dir, const char *name, int flags);
int __wrap_unlinkat(int dir, const char *name, int flags)
{
	return fails() ? -1 : __real_unlinkat(dir, name, flags);
}

int __real_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags);
int __wrap_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags);
int __wrap_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	return fails() ? -1 : __real_linkat(from_dir, from, to_dir, to, flags);
}

struct place {
	char top[64];
	char dir[96];
};

static void write_text(const struct place *p, const char *name, const char *text)
{
	_cleanup_free_ char *path = NULL;
	FILE *f;

	assert_true(asprintf(&path, "%s/%s", p->dir, name) > 0);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	strcpy(p->top, "/tmp/revshell-store-XXXXXX");
	assert_non_null(mkdtemp(p->top));
	snprintf(p->dir, sizeof(p->dir), "%s/policies.d", p->top);
	assert_int_equal(mkdir(p->dir, 0755), 0);
	write_text(p, "a.yaml", "old a");
	write_text(p, "b.yaml", "old b");
	write_text(p, "c.yaml", "old c");
	fail_at = n_calls = 0;
	die = false;
	n_failures = 1;
	*state = p;
	return 0;
}

static void remove_all(const char *dir)
{
	DIR *stream = opendir(dir);
	struct dirent *e;

	assert_non_null(stream);
	while ((e = readdir(stream)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			(void)__real_unlinkat(dirfd(stream), e->d_name, 0);
	closedir(stream);
	rmdir(dir);
}

static int teardown(void **state)
{
	struct place *p = *state;

	fail_at = 0;
	remove_all(p->dir);
	rmdir(p->top);
	free(p);
	return 0;
}

/* What the directory holds, as one sorted-enough string: the names are known. */
static void describe(const struct place *p, char *ret_text, size_t size)
{
	static const char *const names[] = {"a.yaml", "b.yaml", "c.yaml", "d.yaml"};
	size_t len = 0;

	ret_text[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[160], text[64] = "";
		struct stat st;
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", p->dir, names[i]);
		if (lstat(path, &st) < 0)
			continue;
		if (S_ISLNK(st.st_mode)) {
			strcpy(text, "masked");
		} else {
			f = fopen(path, "r");
			assert_non_null(f);
			assert_non_null(fgets(text, sizeof(text), f));
			fclose(f);
		}
		len += (size_t)snprintf(ret_text + len, size - len, "%c: %s; ", names[i][0], text);
	}
}

#define OLD "a: old a; b: old b; c: old c; "
#define NEW "a: new a; c: masked; d: new d; "

static void assert_holds(const struct place *p, const char *expected)
{
	char text[256];

	describe(p, text, sizeof(text));
	assert_string_equal(text, expected);
}

/* Beside the policies nothing of ours is left. */
static void assert_clean(const struct place *p)
{
	DIR *stream = opendir(p->dir);
	const struct dirent *e;

	assert_non_null(stream);
	while ((e = readdir(stream)))
		assert_int_not_equal(strncmp(e->d_name, ".revshell", 9), 0);
	closedir(stream);
}

static const struct store_change changes[] = {
	{(char *)"a.yaml", STORE_WRITE, (char *)"new a"},
	{(char *)"b.yaml", STORE_REMOVE, NULL},
	{(char *)"c.yaml", STORE_MASK, NULL},
	{(char *)"d.yaml", STORE_WRITE, (char *)"new d"},
};

static int transact(const struct place *p)
{
	_cleanup_(store_freep) struct store *s = NULL;
	int r;

	r = store_begin(p->dir, changes, ARRAY_SIZE(changes), &s);
	return r < 0 ? r : store_commit(s);
}

static void test_commit(void **state)
{
	assert_int_equal(transact(*state), 0);
	assert_holds(*state, NEW);
	assert_clean(*state);
	assert_int_equal(store_recover(((struct place *)*state)->dir), 0);
	assert_holds(*state, NEW);
}

static void test_rollback(void **state)
{
	const struct place *p = *state;
	_cleanup_(store_freep) struct store *s = NULL;

	assert_int_equal(store_begin(p->dir, changes, ARRAY_SIZE(changes), &s), 0);
	assert_holds(p, NEW);
	assert_int_equal(store_rollback(s), 0);
	assert_holds(p, OLD);
	assert_clean(p);
}

/* Every call in turn fails once. */
static void test_failures(void **state)
{
	const struct place *p = *state;
	bool done = false;

	for (unsigned int i = 1; !done; i++) {
		_cleanup_(store_freep) struct store *s = NULL;
		int r;

		assert_true(i < 1000);
		n_calls = 0;
		fail_at = i;
		r = store_begin(p->dir, changes, ARRAY_SIZE(changes), &s);
		done = n_calls < i;
		fail_at = 0;
		if (done) {
			assert_true(i > 20);
			assert_int_equal(r, 0);
			assert_int_equal(store_rollback(s), 0);
		}
		if (!done && r == 0) /* a call whose failure does no harm */
			assert_int_equal(store_rollback(s), 0);
		assert_holds(p, OLD);
	}
}

/* From some call on all fail, the way back included: the next start settles it. */
static void test_disk_gone(void **state)
{
	const struct place *p = *state;
	bool done = false;

	for (unsigned int i = 1; !done; i++) {
		_cleanup_(store_freep) struct store *s = NULL;

		n_calls = 0;
		fail_at = i;
		n_failures = 10000;
		if (store_begin(p->dir, changes, ARRAY_SIZE(changes), &s) == 0)
			(void)store_rollback(s);
		done = n_calls < i;
		fail_at = 0;
		assert_true(store_recover(p->dir) >= 0);
		assert_holds(p, OLD);
		assert_clean(p);
	}
}

/* The process dies before every call in turn: after recovery all is old or all is new. */
static void test_crashes(void **state)
{
	const struct place *p = *state;
	unsigned int n_old = 0, n_new = 0;

	for (unsigned int i = 1;; i++) {
		char text[256];
		int status;
		pid_t pid = fork();

		assert_true(pid >= 0 && i < 1000);
		if (pid == 0) {
			n_calls = 0;
			fail_at = i;
			die = true;
			_exit(transact(p) < 0 ? 1 : 0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == 0)
			break;
		assert_int_equal(WEXITSTATUS(status), 42);
		assert_true(store_recover(p->dir) >= 0);
		assert_clean(p);
		describe(p, text, sizeof(text));
		if (strcmp(text, OLD) == 0) {
			n_old++;
			continue;
		}
		assert_string_equal(text, NEW);
		n_new++;
		/* Back to the beginning. */
		remove_all(p->dir);
		assert_int_equal(mkdir(p->dir, 0755), 0);
		write_text(p, "a.yaml", "old a");
		write_text(p, "b.yaml", "old b");
		write_text(p, "c.yaml", "old c");
	}
	assert_true(n_old > 10);
	assert_true(n_new > 0);
}

static void test_names(void **state)
{
	const struct place *p = *state;
	static const char *const bad[] = {"", "../a.yaml", ".a.yaml", "a\nb.yaml", "/tmp/a.yaml"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const struct store_change c = {(char *)bad[i], STORE_WRITE, (char *)"x"};
		struct store *s;

		assert_int_equal(store_begin(p->dir, &c, 1, &s), -EINVAL);
	}
	assert_holds(p, OLD);
	assert_clean(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rollback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
		cmocka_unit_test_setup_teardown(test_disk_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_crashes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
