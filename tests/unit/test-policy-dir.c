/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Policy files and directories: order, masks, trust, and that a failure changes nothing. */
#include <fcntl.h>
#include <sys/stat.h>

#include "policy-helpers.h"
#include "ranked-dirs.h"

/* What the daemon uses: files must be trusted, values are looked up. */
static const struct policy_options strict = {};

static char *join(const char *dir, const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", dir, name) >= 0);
	return path;
}

static void write_file(const char *dir, const char *name, const void *data, size_t size)
{
	_cleanup_free_ char *path = join(dir, name);
	_cleanup_fclose_ FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
	assert_int_equal(fchmod(fileno(file), 0644), 0);
}

static void write_policy(const char *dir, const char *name, const char *policy)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "apiVersion: cilium.io/v1alpha1\n"
		 "kind: TracingPolicy\n"
		 "metadata: {name: %s}\n"
		 "spec: {lsmhooks: [{hook: socket_accept}]}\n",
		 policy);
	write_file(dir, name, text, strlen(text));
}

static void link_file(const char *target, const char *dir, const char *name)
{
	_cleanup_free_ char *path = join(dir, name);

	assert_int_equal(symlink(target, path), 0);
}

/* Loads n directories; expected: the names in order, or NULL with the error's text. */
static void check_dirs(char *const *dirs, size_t n, const struct policy_options *opts,
		       const char *expected, const char *message)
{
	struct policy_set set = {};
	struct diag d = {};
	char got[256] = "";
	int err = policy_load_dirs(dirs, n, opts, &d, &set);

	for (size_t i = 0; i < set.n; i++)
		strcat(strcat(got, i > 0 ? " " : ""), set.policies[i]->name);
	if (message && !diag_find(&d, expected ? DIAG_WARNING : DIAG_ERROR, 0, 0, message))
		fail_msg("no \"%s\"; got: %s", message,
			 d.n_items > 0 ? d.items[0].message : "nothing");
	if (err != (expected ? 0 : -EINVAL))
		fail_msg("returned %d: %s", err, d.n_items > 0 ? d.items[0].message : "");
	assert_string_equal(got, expected ? expected : "");
	policy_set_done(&set);
	diag_done(&d);
}

static void test_order(void **state)
{
	struct ranked_dirs *f = *state;

	write_policy(f->dirs[1], "10-a.yaml", "one");
	write_policy(f->dirs[0], "20-b.yml", "two");
	write_policy(f->dirs[1], "30-c.yaml", "hidden");
	write_policy(f->dirs[0], "30-c.yaml", "three");
	write_policy(f->dirs[0], "notes.txt", "not-a-policy");
	write_policy(f->dirs[0], ".40-d.yaml", "dotted");
	write_policy(f->dirs[0], "yaml", "no-suffix");
	check_dirs(f->dirs, 2, &strict, "one two three", NULL);
	check_dirs(f->dirs, 3, &strict, "one two three", NULL);
	check_dirs(f->dirs + 1, 1, &strict, "one hidden", NULL);
}

static void test_masks(void **state)
{
	struct ranked_dirs *f = *state;
	_cleanup_free_ char *alias = join(f->dirs[0], "05-link.yaml");

	write_policy(f->dirs[1], "10-a.yaml", "one");
	write_policy(f->dirs[1], "20-b.yaml", "two");
	link_file("/dev/null", f->dirs[0], "20-b.yaml");
	link_file("../1/10-a.yaml", f->dirs[0], "05-link.yaml");
	check_dirs(f->dirs, 2, &strict, NULL, "policy \"one\" is already defined at");
	link_file("/dev/null", f->dirs[0], "10-a.yaml");
	check_dirs(f->dirs, 2, &strict, "one", NULL);
	/* all masked is what was asked for, not an empty directory */
	unlink(alias);
	check_dirs(f->dirs, 1, &strict, "", NULL);
}

static void test_missing(void **state)
{
	struct ranked_dirs *f = *state;
	_cleanup_free_ char *file = join(f->dirs[0], "10-a.yaml");
	char *const file_as_dir[] = {file};

	check_dirs(f->dirs, 1, &strict, NULL, "no policy files in ");
	check_dirs(f->dirs + 2, 1, &strict, NULL, "cannot be read: No such file or directory");
	check_dirs(f->dirs, 3, &strict, "", "no policy files in any of 3 directories");
	write_policy(f->dirs[0], "10-a.yaml", "one");
	check_dirs(file_as_dir, 1, &strict, NULL, "cannot be read: Not a directory");
}

static void test_bad_files(void **state)
{
	struct ranked_dirs *f = *state;
	_cleanup_free_ char *path = join(f->dirs[0], "50-bad.yaml");
	_cleanup_free_ char *big = malloc(2 * 1024 * 1024);

	write_policy(f->dirs[0], "10-a.yaml", "one");
	write_policy(f->dirs[0], "90-z.yaml", "two");
	check_dirs(f->dirs, 1, &strict, "one two", NULL);

	write_file(f->dirs[0], "50-bad.yaml", "", 0);
	check_dirs(f->dirs, 1, &strict, NULL, "the file is empty");
	write_file(f->dirs[0], "50-bad.yaml", "a: \0b\n", 6);
	check_dirs(f->dirs, 1, &strict, NULL, "the file holds a NUL byte");
	memset(big, '#', 2 * 1024 * 1024);
	write_file(f->dirs[0], "50-bad.yaml", big, 2 * 1024 * 1024);
	check_dirs(f->dirs, 1, &strict, NULL, "has 2097152 bytes; at most 1048576 are allowed");
	write_file(f->dirs[0], "50-bad.yaml", big, YAML_MAX_SIZE + 1);
	check_dirs(f->dirs, 1, &strict, NULL, "has 1048577 bytes; at most 1048576 are allowed");
	write_file(f->dirs[0], "50-bad.yaml", big, YAML_MAX_SIZE);
	check_dirs(f->dirs, 1, &strict, NULL, "the file holds no YAML document");
	write_policy(f->dirs[0], "50-bad.yaml", "two");
	check_dirs(f->dirs, 1, &strict, NULL, "policy \"two\" is already defined at");

	unlink(path);
	assert_int_equal(mkdir(path, 0755), 0);
	check_dirs(f->dirs, 1, &strict, NULL, "is not a regular file");
	rmdir(path);
	assert_int_equal(mkfifo(path, 0644), 0);
	check_dirs(f->dirs, 1, &strict, NULL, "is not a regular file");
	unlink(path);
	assert_int_equal(symlink("/dev/zero", path), 0);
	check_dirs(f->dirs, 1, &strict, NULL, "is not a regular file");
	unlink(path);
	assert_int_equal(symlink("nowhere", path), 0);
	check_dirs(f->dirs, 1, &strict, NULL, "cannot be read: No such file or directory");
	unlink(path);
	assert_int_equal(symlink("50-bad.yaml", path), 0);
	check_dirs(f->dirs, 1, &strict, NULL, "cannot be read: Too many levels");
	unlink(path);
	check_dirs(f->dirs, 1, &strict, "one two", NULL);
}

static void test_trust(void **state)
{
	struct ranked_dirs *f = *state;
	_cleanup_free_ char *path = join(f->dirs[0], "10-a.yaml");

	write_policy(f->dirs[0], "10-a.yaml", "one");
	assert_int_equal(chmod(path, 0664), 0);
	check_dirs(f->dirs, 1, &strict, NULL, "is writable by group or others (mode 0664)");
	check_dirs(f->dirs, 1, &offline, "one", "is writable by group or others (mode 0664)");
	assert_int_equal(chmod(path, 0646), 0);
	check_dirs(f->dirs, 1, &strict, NULL, "is writable by group or others (mode 0646)");
	assert_int_equal(chmod(path, 0600), 0);
	check_dirs(f->dirs, 1, &strict, "one", NULL);
	assert_int_equal(chmod(f->dirs[0], 0777), 0);
	check_dirs(f->dirs, 1, &strict, NULL, "is writable by group or others (mode 0777)");
	assert_int_equal(chmod(f->dirs[0], 0755), 0);
	if (geteuid() != 0)
		return;
	assert_int_equal(chown(path, 1, 1), 0);
	check_dirs(f->dirs, 1, &strict, NULL, "is owned by uid 1, not by root or the caller");
	assert_int_equal(chown(path, 0, 0), 0);
	assert_int_equal(chown(f->dirs[0], 1, 0), 0);
	check_dirs(f->dirs, 1, &strict, NULL, "is owned by uid 1, not by root or the caller");
}

static void test_file_count(void **state)
{
	struct ranked_dirs *f = *state;
	char name[32];

	for (unsigned int i = 0; i < POLICY_MAX_FILES; i++) {
		snprintf(name, sizeof(name), "%04u.yaml", i);
		link_file("/dev/null", f->dirs[i & 1], name);
	}
	check_dirs(f->dirs, 2, &strict, "", NULL);
	link_file("/dev/null", f->dirs[0], "last.yaml");
	check_dirs(f->dirs, 2, &strict, NULL, "more than 1024 policy files");
	/* what is hidden does not count */
	for (unsigned int i = 0; i < POLICY_MAX_FILES; i++) {
		snprintf(name, sizeof(name), "%04u.yaml", i);
		if (!(i & 1))
			link_file("/dev/null", f->dirs[1], name);
	}
	check_dirs(f->dirs + 1, 1, &strict, "", NULL);
	link_file("/dev/null", f->dirs[1], "last.yaml");
	check_dirs(f->dirs + 1, 1, &strict, NULL, "more than 1024 policy files");
}

static void test_load_file(void **state)
{
	struct ranked_dirs *f = *state;
	_cleanup_free_ char *path = join(f->dirs[0], "a");
	struct policy_set set = {};
	struct diag d = {};

	write_policy(f->dirs[0], "a", "one");
	assert_int_equal(policy_load_file(path, &strict, &d, &set), 0);
	assert_int_equal(set.n, 1);
	assert_string_equal(set.policies[0]->origin, path);
	assert_int_equal(policy_load_file(path, &strict, &d, &set), -EINVAL);
	assert_int_equal(set.n, 1);
	assert_non_null(diag_find(&d, DIAG_ERROR, 1, 1, "policy \"one\" is already defined at"));
	assert_int_equal(policy_load_file("/dev/null", &strict, &d, &set), -EINVAL);
	assert_non_null(diag_find(&d, DIAG_ERROR, 0, 0, "is not a regular file"));
	assert_int_equal(policy_load_file("/nowhere", &strict, &d, &set), -EINVAL);
	assert_int_equal(set.n, 1);
	policy_set_done(&set);
	diag_done(&d);
}

/* A failed load leaves the set as it was, whatever was good in it. */
static void test_transaction(void **state)
{
	struct ranked_dirs *f = *state;
	struct policy_set set = {};
	struct diag d = {};

	write_policy(f->dirs[0], "10-a.yaml", "one");
	assert_int_equal(policy_load_dirs(f->dirs, 1, &strict, &d, &set), 0);
	write_policy(f->dirs[1], "10-b.yaml", "two");
	write_policy(f->dirs[1], "20-c.yaml", "Three");
	write_policy(f->dirs[1], "30-d.yaml", "four");
	assert_int_equal(policy_load_dirs(f->dirs + 1, 1, &strict, &d, &set), -EINVAL);
	assert_int_equal(set.n, 1);
	assert_string_equal(set.policies[0]->name, "one");
	write_policy(f->dirs[1], "20-c.yaml", "one");
	assert_int_equal(policy_load_dirs(f->dirs + 1, 1, &strict, &d, &set), -EINVAL);
	assert_int_equal(set.n, 1);
	assert_non_null(diag_find(&d, DIAG_ERROR, 0, 0, "10-a.yaml:1:1"));
	write_policy(f->dirs[1], "20-c.yaml", "three");
	assert_int_equal(policy_load_dirs(f->dirs + 1, 1, &strict, &d, &set), 0);
	assert_int_equal(set.n, 4);
	policy_set_done(&set);
	diag_done(&d);
}

/* Values of matchBinaries that are links match what they lead to as well. */
static void test_symlinks(void **state)
{
	struct ranked_dirs *f = *state;
	_cleanup_free_ char *target = join(f->dirs[0], "dash");
	_cleanup_free_ char *shell = join(f->dirs[0], "sh");
	_cleanup_free_ char *second = join(f->dirs[0], "ash");
	_cleanup_free_ char *missing = join(f->dirs[0], "zsh");
	_cleanup_free_ char *text = NULL;
	const struct policy_values *v;
	struct policy_set set = {};
	struct diag d = {};
	char message[256];

	write_file(f->dirs[0], "dash", "", 0);
	link_file("dash", f->dirs[0], "sh");
	link_file("dash", f->dirs[0], "ash");
	assert_true(asprintf(&text,
			     KPROBE_CONNECT "    - matchBinaries:\n"
					    "      - operator: NotIn\n"
					    "        values:\n"
					    "        - %s\n"
					    "        - %s\n"
					    "        - %s\n"
					    "      - operator: Prefix\n"
					    "        values: [%s]\n"
					    "      matchParentBinaries:\n"
					    "      - operator: In\n"
					    "        values: [%s, %s]\n",
			     shell, missing, second, shell, shell, target) >= 0);
	assert_int_equal(policy_load_text(text, strlen(text), "t", &strict, &d, &set), 0);
	v = &set.policies[0]->entries[0].selectors[0].binaries[0].values;
	assert_int_equal(v->n_strings, 4);
	assert_string_equal(v->strings[3].text, target);
	assert_int_equal(v->strings[3].pos.line, 17);
	assert_int_equal(d.n_warnings, 2);
	snprintf(message, sizeof(message), "\"%s\" is a symlink to %s: matching both", shell,
		 target);
	assert_non_null(diag_find(&d, DIAG_WARNING, 17, 11, message));
	snprintf(message, sizeof(message), "\"%s\" does not exist here", missing);
	assert_non_null(diag_find(&d, DIAG_WARNING, 18, 11, message));
	/* no path is added to a Prefix, nor one that is there already */
	assert_int_equal(set.policies[0]->entries[0].selectors[0].binaries[1].values.n_strings, 1);
	assert_int_equal(
		set.policies[0]->entries[0].selectors[0].parent_binaries[0].values.n_strings, 2);
	policy_set_done(&set);
	diag_done(&d);
}

static void test_users(void **state)
{
	static const char text[] = KPROBE_CONNECT "    - matchUsers:\n"
						  "      - operator: In\n"
						  "        values: [daemon, root, 7, '9:8']\n"
						  "      - type: gid\n"
						  "        operator: NotIn\n"
						  "        values: [daemon]\n"
						  "      - type: auid\n"
						  "        operator: In\n"
						  "        values: [unset]\n";
	static const char unknown[] = KPROBE_CONNECT "    - matchUsers:\n"
						     "      - operator: In\n"
						     "        values: [no-such-user]\n";
	const struct policy_user_filter *u;
	struct policy_set set = {};
	struct diag d = {};

	assert_int_equal(policy_load_text(text, strlen(text), "t", &strict, &d, &set), 0);
	u = set.policies[0]->entries[0].selectors[0].users;
	assert_int_equal(set.policies[0]->entries[0].selectors[0].n_users, 3);
	assert_int_equal(u[0].kind, USER_UID);
	assert_int_equal(u[0].values.n_ranges, 4);
	assert_int_equal(u[0].values.ranges[0].lo, 1);
	assert_int_equal(u[0].values.ranges[1].lo, 0);
	assert_int_equal(u[0].values.ranges[3].lo, 8);
	assert_int_equal(u[0].values.ranges[3].hi, 9);
	assert_int_equal(u[1].kind, USER_GID);
	assert_int_equal(u[1].values.ranges[0].lo, 1);
	assert_int_equal(u[2].kind, USER_LOGINUID);
	assert_int_equal(u[2].values.ranges[0].hi, UINT32_MAX);
	assert_int_equal(policy_load_text(unknown, strlen(unknown), "t", &strict, &d, &set),
			 -EINVAL);
	assert_non_null(diag_find(&d, DIAG_ERROR, 16, 18, "no user \"no-such-user\" on this host"));
	policy_set_done(&set);
	diag_done(&d);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, ranked_dirs_setup, ranked_dirs_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_order),     TEST(test_masks),	      TEST(test_missing),
		TEST(test_bad_files), TEST(test_trust),	      TEST(test_file_count),
		TEST(test_load_file), TEST(test_transaction), TEST(test_symlinks),
		TEST(test_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
