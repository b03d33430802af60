/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The digest by which a daemon knows that what it took over is what it would publish. */
#include "maps.h"

#include <stdlib.h>

#include "macro.h"
#include "policy-helpers.h"
#include "ruleset.h"

static const struct revshell_secret secret = {.key = {1, 2}, .host_mnt_ns = 3};

static struct ruleset *compile(const char *selectors, const struct ruleset_options *opts)
{
	_cleanup_free_ char *text = NULL;
	struct policy_set set = {};
	struct ruleset *rs = NULL;
	struct diag d = {};

	assert_true(asprintf(&text, KPROBE_CONNECT "%s", selectors) > 0);
	load_one(text, &set);
	assert_int_equal(ruleset_compile(&set, opts, NULL, &d, &rs), 0);
	policy_set_done(&set);
	diag_done(&d);
	return rs;
}

/* An element of an outer map, by descriptor and index, has the map of this number. */
static uint32_t replaced_fd, replaced_index = UINT32_MAX;

int __wrap_bpf_map_lookup_elem(int fd, const void *key, void *ret_value);
int __wrap_bpf_map_lookup_elem(int fd, const void *key, void *ret_value)
{
	uint32_t index, id;

	memcpy(&index, key, sizeof(index));
	id = 1000 * (uint32_t)fd + index;
	if ((uint32_t)fd == replaced_fd && index == replaced_index)
		id = 77;
	memcpy(ret_value, &id, sizeof(id));
	return 0;
}

static const struct maps_outer outer = {.active = 1,
					.hooks = 2,
					.rows = 3,
					.pages = 4,
					.denials = 5,
					.paths = 6,
					.prefixes = 7,
					.postfixes = 8,
					.nodes = 9,
					.cidr6 = 10,
					.numbers = 11,
					.unix_paths = 12,
					.units = 13};

static uint64_t digest_in(const struct ruleset *rs, const struct revshell_secret *s, uint32_t slot)
{
	uint64_t value = 0;

	assert_int_equal(maps_digest(&outer, rs, slot, s, &value), 0);
	return value;
}

static uint64_t digest(const struct ruleset *rs, const struct revshell_secret *s)
{
	return digest_in(rs, s, 0);
}

#define DENY "      matchActions: [{action: Override, argError: -13}]\n"
#define NOT_IN                                                       \
	"    - matchBinaries: [{operator: NotIn, values: [/a/b]}]\n" \
	"      matchArgs: [{index: 1, operator: SPort, values: [\"4444\"]}]\n" DENY

static void test_same(void **state)
{
	const struct ruleset_options opts = {};
	struct ruleset *a = compile(NOT_IN, &opts), *b = compile(NOT_IN, &opts);

	assert_int_equal(digest(a, &secret), digest(b, &secret));
	ruleset_free(a);
	ruleset_free(b);
}

/* Sets of one selector that differ in one table each; their names and texts are left out. */
static void test_tables(void **state)
{
	static const char *const sets[] = {
		"    - matchActions: [{action: Override, argError: -13}]\n",
		"    - matchActions: [{action: Override, argError: -1}]\n",
		"    - matchActions: [{action: Post}]\n",
		"    - matchArgs: [{index: 1, operator: SPort, values: [\"4444\"]}]\n" DENY,
		"    - matchArgs: [{index: 1, operator: SPort, values: [\"4445\"]}]\n" DENY,
		"    - matchArgs: [{index: 1, operator: SAddr, values: [10.0.0.0/8]}]\n" DENY,
		"    - matchArgs: [{index: 1, operator: SAddr, values: [10.0.0.0/9]}]\n" DENY,
		"    - matchArgs: [{index: 1, operator: SAddr, values: [\"fd00::/8\"]}]\n" DENY,
		"    - matchBinaries: [{operator: In, values: [/a/b]}]\n" DENY,
		"    - matchBinaries: [{operator: In, values: [/a/c]}]\n" DENY,
		"    - matchBinaries: [{operator: Prefix, values: [/a/b]}]\n" DENY,
		"    - matchBinaries: [{operator: Postfix, values: [/a/b]}]\n" DENY,
		"    - matchParentBinaries: [{operator: In, values: [/a/b]}]\n" DENY,
		"    - matchParentBinaries: [{operator: In, values: [/a/b], followChildren: true}]"
		"\n" DENY,
		"    - matchUnits: [{operator: In, values: [a.service]}]\n" DENY,
		"    - matchUnits: [{operator: In, values: [b.service]}]\n" DENY,
		"    - matchPIDs: [{operator: In, values: [7]}]\n" DENY,
		NOT_IN,
	};
	const struct ruleset_options opts = {};
	uint64_t digests[ARRAY_SIZE(sets)];

	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		struct ruleset *rs = compile(sets[i], &opts);

		rs->digest = 0;
		digests[i] = digest(rs, &secret);
		ruleset_free(rs);
		for (size_t k = 0; k < i; k++)
			if (digests[k] == digests[i])
				fail_msg("the same digest for:\n%s%s", sets[k], sets[i]);
	}
}

/* What a generation's number stands for is told by names and texts, too. */
static void test_text(void **state)
{
	const struct ruleset_options opts = {};
	struct ruleset *a = compile(NOT_IN, &opts);
	struct ruleset *b = compile(NOT_IN "# other words\n", &opts);

	assert_int_not_equal(digest(a, &secret), digest(b, &secret));
	a->digest = b->digest;
	assert_int_equal(digest(a, &secret), digest(b, &secret));
	ruleset_free(a);
	ruleset_free(b);
}

/* What was learnt of the host, and may have changed since. */
static void test_host(void **state)
{
	const struct revshell_secret other_key = {.key = {1, 3}, .host_mnt_ns = 3};
	const struct revshell_secret other_ns = {.key = {1, 2}, .host_mnt_ns = 4};
	const char *by_ns =
		"    - matchNamespaces: [{namespace: Net, operator: In, values: [host_ns]}]\n" DENY;
	struct ruleset_options opts = {.host_ns = {[NS_NET] = 7}};
	struct ruleset *rs = compile(NOT_IN, &opts), *here, *there;
	uint64_t before = digest(rs, &secret), inode;

	assert_int_not_equal(before, digest(rs, &other_key));
	assert_int_not_equal(before, digest(rs, &other_ns));
	assert_int_equal(rs->n_paths[0], 1);
	assert_true(rs->paths[0][0].exempts);
	rs->paths[0][0].value.ino++;
	inode = digest(rs, &secret);
	assert_int_not_equal(before, inode);
	rs->paths[0][0].value.dev++;
	assert_int_not_equal(inode, digest(rs, &secret));
	ruleset_free(rs);

	here = compile(by_ns, &opts);
	opts.host_ns[NS_NET] = 8;
	there = compile(by_ns, &opts);
	assert_int_not_equal(digest(here, &secret), digest(there, &secret));
	ruleset_free(here);
	ruleset_free(there);
}

/* Somebody hung another map into an outer one, or another slot is in force. */
static void test_maps(void **state)
{
	const struct ruleset_options opts = {};
	struct ruleset *rs = compile(NOT_IN, &opts);
	const int used[] = {outer.active, outer.hooks,	 outer.rows,
			    outer.pages,  outer.denials, outer.paths};
	uint64_t before = digest(rs, &secret);

	assert_int_not_equal(before, digest_in(rs, &secret, 1));
	for (size_t i = 0; i < ARRAY_SIZE(used); i++) {
		replaced_fd = (uint32_t)used[i];
		replaced_index = 0;
		assert_int_not_equal(before, digest(rs, &secret));
		/* of the other slot */
		replaced_index = 1;
		if (used[i] != outer.paths)
			assert_int_equal(before, digest(rs, &secret));
	}
	replaced_index = UINT32_MAX;
	assert_int_equal(before, digest(rs, &secret));
	ruleset_free(rs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same), cmocka_unit_test(test_tables),
		cmocka_unit_test(test_text), cmocka_unit_test(test_host),
		cmocka_unit_test(test_maps),
	};

	return cmocka_run_group_tests_name("maps", tests, NULL, NULL);
}
