/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is built of a rule set, and the digest by which a daemon knows what it took over again. */
#include "maps.h"

#include <bpf/bpf.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fnv.h"
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

#define OUTER 101 /* descriptors of outer maps, far from real ones */

static const struct maps_outer outer = {.active = OUTER,
					.hooks = OUTER + 1,
					.rows = OUTER + 2,
					.pages = OUTER + 3,
					.denials = OUTER + 4,
					.paths = OUTER + 5,
					.prefixes = OUTER + 6,
					.postfixes = OUTER + 7,
					.nodes = OUTER + 8,
					.cidr6 = OUTER + 9,
					.numbers = OUTER + 10,
					.unix_paths = OUTER + 11,
					.units = OUTER + 12};

#define N_OUTERS   13
#define N_ELEMENTS 256
#define N_INNERS   512

/* A kernel's maps: files whose inode is the map's number. */
static struct world {
	struct inner {
		uint32_t id;
		uint64_t content;
	} inners[N_INNERS];
	size_t n_inners;
	uint32_t hung[N_OUTERS][N_ELEMENTS]; /* numbers */
	unsigned int n_hung;
	int fails_at; /* this hanging in does; 0: none */
} world;

static uint32_t id_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint32_t)st.st_ino;
}

static struct inner *find_inner(uint32_t id)
{
	for (size_t i = 0; i < world.n_inners; i++)
		if (world.inners[i].id == id)
			return &world.inners[i];
	fail_msg("no map %u", id);
	return NULL;
}

/* The number of an element that is written is in its key, but of the rule set's in force. */
static void write_inner(int fd, const void *data, size_t size)
{
	struct inner *inner = find_inner(id_of(fd));

	inner->content = fnv1a_bytes(inner->content, data, size);
}

static size_t inner_sizes[2]; /* key and value of the map made last */

int __wrap_bpf_map_create(enum bpf_map_type type, const char *name, uint32_t key_size,
			  uint32_t value_size, uint32_t max_entries,
			  const struct bpf_map_create_opts *opts);
int __wrap_bpf_map_create(enum bpf_map_type type, const char *name, uint32_t key_size,
			  uint32_t value_size, uint32_t max_entries,
			  const struct bpf_map_create_opts *opts)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	assert_in_range(fd, 0, OUTER - 1);
	assert_true(world.n_inners < N_INNERS);
	world.inners[world.n_inners++] = (struct inner){.id = id_of(fd), .content = max_entries};
	inner_sizes[0] = key_size;
	inner_sizes[1] = value_size;
	return fd;
}

int __wrap_bpf_map_update_batch(int fd, const void *keys, const void *values, uint32_t *count,
				const struct bpf_map_batch_opts *opts);
int __wrap_bpf_map_update_batch(int fd, const void *keys, const void *values, uint32_t *count,
				const struct bpf_map_batch_opts *opts)
{
	write_inner(fd, keys, *count * inner_sizes[0]);
	write_inner(fd, values, *count * inner_sizes[1]);
	return 0;
}

int __wrap_bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags);
int __wrap_bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags)
{
	uint32_t index;
	int inner;

	if (fd < OUTER) { /* of rs_hooks, which no two generations share */
		write_inner(fd, key, sizeof(index));
		return 0;
	}
	memcpy(&index, key, sizeof(index));
	memcpy(&inner, value, sizeof(inner));
	assert_true(index < N_ELEMENTS);
	if (++world.n_hung == (unsigned int)world.fails_at)
		return -ENOMEM;
	world.hung[fd - OUTER][index] = id_of(inner);
	return 0;
}

int __wrap_bpf_map_delete_elem(int fd, const void *key);
int __wrap_bpf_map_delete_elem(int fd, const void *key)
{
	uint32_t index;

	memcpy(&index, key, sizeof(index));
	world.hung[fd - OUTER][index] = 0;
	return 0;
}

int __wrap_bpf_obj_get_info_by_fd(int fd, void *info, uint32_t *size);
int __wrap_bpf_obj_get_info_by_fd(int fd, void *info, uint32_t *size)
{
	((struct bpf_map_info *)info)->id = id_of(fd);
	return 0;
}

/* An element of an outer map, by descriptor and index, has the map of this number. */
static uint32_t replaced_fd, replaced_index = UINT32_MAX;

int __wrap_bpf_map_lookup_elem(int fd, const void *key, void *ret_value);
int __wrap_bpf_map_lookup_elem(int fd, const void *key, void *ret_value)
{
	uint32_t index, id;

	memcpy(&index, key, sizeof(index));
	id = world.n_inners ? world.hung[fd - OUTER][index] : 1000 * (uint32_t)fd + index;
	if ((uint32_t)fd == replaced_fd && index == replaced_index)
		id = 77;
	memcpy(ret_value, &id, sizeof(id));
	return 0;
}

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

static void slots_forget(struct maps_slot *slots)
{
	for (size_t i = 0; i < REVSHELL_SLOTS; i++)
		maps_slot_forget(&slots[i], false);
}

/* Makes rs current as the next generation: in how many steps, of how many new maps. */
static void publish(struct maps_slot *slots, const struct ruleset *rs, uint64_t generation,
		    unsigned int n_steps, size_t n_new)
{
	uint32_t slot = generation % REVSHELL_SLOTS;
	unsigned int n_hung = world.n_hung;
	size_t n_inners = world.n_inners;
	struct diag d = {};
	uint64_t value;
	int active;

	assert_int_equal(
		maps_build(&outer, rs, slot, generation, &secret, slots, &d, &active, &value), 0);
	assert_int_equal(maps_activate(&outer, active), 0);
	close(active);
	assert_int_equal(world.n_hung - n_hung, n_steps);
	assert_int_equal(world.n_inners - n_inners, n_new);
	assert_int_equal(value, digest_in(rs, &secret, slot));
}

/* How many elements of an outer map a slot has. */
static size_t slot_size(size_t i)
{
	const int fd = OUTER + (int)i;

	if (fd == outer.cidr6)
		return REVSHELL_TRIES / REVSHELL_SLOTS;
	return fd == outer.paths || fd == outer.prefixes || fd == outer.postfixes ? 2 : 1;
}

static uint64_t content_of(const struct world *w, size_t i, size_t k)
{
	world = *w;
	return w->hung[i][k] ? find_inner(w->hung[i][k])->content : 0;
}

/* Both worlds hold the same in a slot, but for the maps that name the generation. */
static void assert_slot_equal(const struct world *a, const struct world *b, uint32_t slot)
{
	for (size_t i = 0; i < N_OUTERS; i++)
		for (size_t k = slot * slot_size(i); k < (slot + 1) * slot_size(i); k++)
			if (OUTER + (int)i != outer.active && OUTER + (int)i != outer.hooks)
				assert_int_equal(content_of(a, i, k), content_of(b, i, k));
}

/* The slot of this generation is what a start from nothing would have made it. */
static void check_slot(const struct ruleset *rs, uint64_t generation)
{
	struct maps_slot alone[REVSHELL_SLOTS] = {};
	const struct world shared = world;
	struct world fresh;
	struct diag d = {};
	uint64_t value;
	int active;

	world = (struct world){};
	assert_int_equal(maps_build(&outer, rs, generation % REVSHELL_SLOTS, generation, &secret,
				    alone, &d, &active, &value),
			 0);
	close(active);
	fresh = world;
	assert_slot_equal(&shared, &fresh, generation % REVSHELL_SLOTS);
	world = shared;
	slots_forget(alone);
}

/* What generations published one after another have in their slots is what each alone has. */
static void test_shared(void **state)
{
	static const char *const sets[] = {
		NOT_IN,
		NOT_IN,
		NOT_IN "# other words\n",
		"    - matchBinaries: [{operator: NotIn, values: [/a/b]}]\n"
		"      matchArgs: [{index: 1, operator: SPort, values: [\"4444\"]}]\n"
		"      matchActions: [{action: Override, argError: -1}]\n",
		NOT_IN,
		"    - matchArgs: [{index: 1, operator: SAddr, values: [\"fd00::/8\"]}]\n" DENY,
		NOT_IN,
		NOT_IN,
	};
	/* always hooks and what is current; then of rows, pages, nodes, denials, paths, cidr6 */
	static const unsigned int n_steps[] = {2 + 5, 2 + 5, 2, 2 + 1, 2, 2 + 4, 2, 2 + 3};
	static const size_t n_new[] = {1 + 5, 1, 1, 1 + 1, 1, 1 + 3, 1, 1};
	const struct ruleset_options opts = {};
	struct maps_slot slots[REVSHELL_SLOTS] = {};

	world = (struct world){};
	for (uint64_t i = 0; i < ARRAY_SIZE(sets); i++) {
		struct ruleset *rs = compile(sets[i], &opts);

		publish(slots, rs, i, n_steps[i], n_new[i]);
		check_slot(rs, i);
		ruleset_free(rs);
	}
	slots_forget(slots);
	world = (struct world){};
}

/* A map that somebody took out of its slot is put there again. */
static void test_taken_out(void **state)
{
	const struct ruleset_options opts = {};
	struct maps_slot slots[REVSHELL_SLOTS] = {};
	struct ruleset *rs = compile(NOT_IN, &opts);

	world = (struct world){};
	publish(slots, rs, 0, 2 + 5, 1 + 5);
	publish(slots, rs, 1, 2 + 5, 1);
	world.hung[outer.rows - OUTER][0] = 0;
	publish(slots, rs, 2, 2 + 1, 1);
	check_slot(rs, 2);
	ruleset_free(rs);
	slots_forget(slots);
	world = (struct world){};
}

/* One that could not be published leaves nothing that the next takes for its own. */
static void test_failed(void **state)
{
	const struct ruleset_options opts = {};
	struct ruleset *a = compile(NOT_IN, &opts);
	struct ruleset *b = compile("    - matchArgs:\n      - {index: 1, operator: SAddr, "
				    "values: [\"fd00::/8\", 10.0.0.0/8]}\n" DENY,
				    &opts);
	bool failed = true;

	for (unsigned int n = 1; failed; n++) {
		struct maps_slot slots[REVSHELL_SLOTS] = {};
		struct diag d = {};
		uint64_t value;
		int active;

		world = (struct world){};
		publish(slots, a, 0, 2 + 5, 1 + 5);
		publish(slots, a, 1, 2 + 5, 1);
		world.fails_at = (int)(world.n_hung + n);
		failed = maps_build(&outer, b, 0, 2, &secret, slots, &d, &active, &value) < 0;
		assert_int_equal(failed, d.n_errors > 0);
		diag_done(&d);
		world.fails_at = 0;
		if (!failed)
			close(active);
		check_slot(a, 1);
		assert_int_equal(maps_build(&outer, n % 2 ? a : b, 0, 2, &secret, slots, &d,
					    &active, &value),
				 0);
		close(active);
		check_slot(n % 2 ? a : b, 2);
		slots_forget(slots);
	}
	world = (struct world){};
	ruleset_free(a);
	ruleset_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),	  cmocka_unit_test(test_tables),
		cmocka_unit_test(test_text),	  cmocka_unit_test(test_host),
		cmocka_unit_test(test_maps),	  cmocka_unit_test(test_shared),
		cmocka_unit_test(test_taken_out), cmocka_unit_test(test_failed),
	};

	return cmocka_run_group_tests_name("maps", tests, NULL, NULL);
}
