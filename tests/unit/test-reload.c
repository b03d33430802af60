/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is read anew beside what was read before must come to what a start from nothing gives. */
#include <fcntl.h>
#include <unistd.h>

#include "maps.h"
#include "oom.h"
#include "policy-helpers.h"
#include "ranked-dirs.h"
#include "ruleset.h"

static const struct revshell_secret secret = {.key = {1, 2}, .host_mnt_ns = 3};

int __wrap_bpf_map_lookup_elem(int fd, const void *key, void *ret_value);
int __wrap_bpf_map_lookup_elem(int fd, const void *key, void *ret_value)
{
	memset(ret_value, 0, sizeof(uint32_t));
	return 0;
}

/* A file of policies by name; filter: one more line of their selectors, or NULL. */
static void write_policies(const struct ranked_dirs *f, const char *file, const char *const *names,
			   const char *filter, unsigned int port)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *out = NULL;

	assert_true(asprintf(&path, "%s/%s", f->dirs[0], file) > 0);
	out = fopen(path, "we");
	assert_non_null(out);
	assert_int_equal(fchmod(fileno(out), 0644), 0);
	for (size_t i = 0; names[i]; i++) {
		fprintf(out,
			"---\napiVersion: cilium.io/v1alpha1\nkind: TracingPolicy\n"
			"metadata: {name: %s}\nspec:\n  kprobes:\n"
			"  - call: security_socket_connect\n    syscall: false\n"
			"    args: [{index: 0, type: socket}, {index: 1, type: sockaddr}]\n"
			"    selectors:\n"
			"    - matchArgs:\n"
			"      - {index: 1, operator: SPort, values: [\"%u\"]}\n"
			"      - {index: 1, operator: SAddr, values: [10.0.%u.0/24, "
			"\"fd00::/8\"]}\n"
			"      matchActions: [{action: Override, argError: -13}]\n",
			names[i], port + (unsigned int)i, port % 256);
		if (filter)
			fprintf(out, "      %s\n", filter);
	}
}

#define WRITE(f, file, filter, port, ...) \
	write_policies(f, file, (const char *const[]){__VA_ARGS__, NULL}, filter, port)
#define NOT_IN(path) "matchBinaries: [{operator: NotIn, values: [" path "]}]"

struct loaded {
	struct ruleset *rs;
	struct diag d;
	uint64_t digest;
};

static void loaded_done(struct loaded *l)
{
	ruleset_free(l->rs);
	diag_done(&l->d);
}

static void load(const struct ranked_dirs *f, const struct policy_set *known, struct loaded *ret)
{
	static const struct maps_outer outer = {};
	const struct policy_options opts = {.known = known};
	const struct ruleset_options ropts = {};
	struct policy_set set = {};
	struct loaded l = {};

	assert_int_equal(policy_load_dirs(f->dirs, 2, &opts, &l.d, &set), 0);
	assert_int_equal(ruleset_compile(&set, &ropts, NULL, &l.d, &l.rs), 0);
	assert_int_equal(maps_digest(&outer, l.rs, 0, &secret, &l.digest), 0);
	*ret = l;
}

static void assert_diag_equal(const struct diag *a, const struct diag *b)
{
	assert_int_equal(a->n_warnings, b->n_warnings);
	assert_int_equal(a->n_items, b->n_items);
	for (size_t i = 0; i < a->n_items; i++) {
		assert_string_equal(a->items[i].message, b->items[i].message);
		assert_string_equal(a->items[i].file, b->items[i].file);
		assert_int_equal(a->items[i].line, b->items[i].line);
	}
}

/* Loads beside what l holds, which it then is; against a start from nothing. So many are shared. */
static void reload(const struct ranked_dirs *f, struct loaded *l, size_t n_shared)
{
	struct loaded next, fresh;
	size_t n = 0;

	load(f, &l->rs->policies, &next);
	load(f, NULL, &fresh);
	assert_int_equal(next.digest, fresh.digest);
	assert_diag_equal(&next.d, &fresh.d);
	for (size_t i = 0; i < next.rs->policies.n; i++) {
		assert_int_equal(next.rs->policies.policies[i]->pos.line,
				 fresh.rs->policies.policies[i]->pos.line);
		for (size_t k = 0; k < l->rs->policies.n; k++)
			n += next.rs->policies.policies[i] == l->rs->policies.policies[k];
	}
	assert_int_equal(n, n_shared);
	/* as if the older set were kept for its events */
	ruleset_shed(l->rs, next.rs, false);
	loaded_done(l);
	loaded_done(&fresh);
	*l = next;
}

static void test_changes(void **state)
{
	const struct ranked_dirs *f = *state;
	_cleanup_free_ char *path = NULL;
	struct loaded l;

	WRITE(f, "10.yaml", NOT_IN("/nowhere"), 1000, "a");
	WRITE(f, "20.yaml", NOT_IN("/bin/true"), 2000, "b", "c");
	WRITE(f, "30.yaml", NULL, 3000, "d");
	load(f, NULL, &l);
	reload(f, &l, 4);
	WRITE(f, "30.yaml", NULL, 3001, "d");
	reload(f, &l, 3);
	/* a file is shared as a whole or not at all, and where it has moved to another place */
	WRITE(f, "20.yaml", NOT_IN("/bin/true"), 2000, "b", "c", "e");
	reload(f, &l, 2);
	WRITE(f, "20.yaml", NOT_IN("/bin/true"), 2000, "b");
	reload(f, &l, 2);
	WRITE(f, "05.yaml", NULL, 500, "f");
	reload(f, &l, 3);
	assert_true(asprintf(&path, "%s/10.yaml", f->dirs[0]) > 0);
	assert_int_equal(unlink(path), 0);
	reload(f, &l, 3);
	/* the same text by another name is another origin */
	WRITE(f, "11.yaml", NULL, 500, "g");
	WRITE(f, "05.yaml", NULL, 500, "g2");
	reload(f, &l, 2);
	loaded_done(&l);
}

/* The text is the same, but not what it means here. */
static void test_host(void **state)
{
	const struct ranked_dirs *f = *state;
	_cleanup_free_ char *link = NULL, *filter = NULL;
	struct loaded l;

	assert_true(asprintf(&link, "%s/link", f->root) > 0);
	assert_true(asprintf(&filter, NOT_IN("%s"), link) > 0);
	WRITE(f, "10.yaml", filter, 1000, "a");
	WRITE(f, "20.yaml", NOT_IN("/"), 2000, "b");
	load(f, NULL, &l);
	reload(f, &l, 2);
	assert_int_equal(symlink("/", link), 0);
	reload(f, &l, 1);
	reload(f, &l, 2);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink("/dev", link), 0);
	reload(f, &l, 1);
	assert_int_equal(unlink(link), 0);
	reload(f, &l, 1);
	/* who a name is would have to be asked */
	WRITE(f, "30.yaml", "matchUsers: [{type: uid, operator: In, values: [daemon]}]", 3000, "c");
	WRITE(f, "40.yaml", "matchUsers: [{type: uid, operator: In, values: [root]}]", 4000, "d");
	reload(f, &l, 2);
	reload(f, &l, 3);
	loaded_done(&l);
}

/* What is shared outlives a set that was refused, and one that is shed. */
static void test_refused(void **state)
{
	const struct ranked_dirs *f = *state;
	struct policy_set set = {};
	struct diag d = {};
	struct loaded l;

	WRITE(f, "10.yaml", NOT_IN("/nowhere"), 1000, "a");
	WRITE(f, "20.yaml", NULL, 2000, "b");
	load(f, NULL, &l);
	WRITE(f, "30.yaml", NULL, 2000, "b");
	assert_int_equal(policy_load_dirs(f->dirs, 2,
					  &(struct policy_options){.known = &l.rs->policies}, &d,
					  &set),
			 -EINVAL);
	assert_true(diag_find(&d, DIAG_ERROR, 0, 0, "is already defined") != NULL);
	diag_done(&d);
	WRITE(f, "30.yaml", NULL, 2000, "c");
	reload(f, &l, 2);
	loaded_done(&l);
}

static void test_oom(void **state)
{
	const struct ranked_dirs *f = *state;
	struct loaded l;
	bool failed = true;

	WRITE(f, "10.yaml", NOT_IN("/nowhere"), 1000, "a");
	WRITE(f, "20.yaml", NOT_IN("/"), 2000, "b");
	load(f, NULL, &l);
	for (long n = 0; failed; n++) {
		const struct policy_options opts = {.known = &l.rs->policies};
		struct policy_set set = {};
		struct diag d = {};
		int r;

		oom_arm(n);
		r = policy_load_dirs(f->dirs, 2, &opts, &d, &set);
		failed = oom_disarm();
		assert_true(r == 0 || r == -ENOMEM || d.n_errors > 0);
		assert_int_equal(set.n, r == 0 ? 2 : 0);
		policy_set_done(&set);
		diag_done(&d);
	}
	reload(f, &l, 2);
	loaded_done(&l);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, ranked_dirs_setup, ranked_dirs_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_changes),
		TEST(test_host),
		TEST(test_refused),
		TEST(test_oom),
	};

	return cmocka_run_group_tests_name("reload", tests, NULL, NULL);
}
