/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What becomes of integers, UNIX paths and process filters: tables, numbers, keys, refusals. */
#include <endian.h>
#include <sys/socket.h>

#include "macro.h"
#include "maps.h"
#include "policy-helpers.h"
#include "ruleset.h"
#include "siphash.h"

static const struct ruleset_options all_hooks = {
	.observe_tcp_connect = true,
	.observe_listen_start = true,
	.host_ns = {[0 ... NS_MAX - 1] = 4026531837},
};

static void print_items(const struct diag *d)
{
	for (size_t i = 0; i < d->n_items; i++)
		print_error("%s: %s\n", d->items[i].code, d->items[i].message);
}

static struct ruleset *compile_with(const char *text, const struct ruleset_options *opts,
				    struct diag *d)
{
	struct policy_set set = {};
	struct ruleset *rs = NULL;

	load_one(text, &set);
	if (ruleset_compile(&set, opts, NULL, d, &rs) < 0) {
		print_items(d);
		fail();
	}
	return rs;
}

static struct ruleset *compile_text(const char *text)
{
	struct diag d = {};
	struct ruleset *rs = compile_with(text, &all_hooks, &d);

	diag_done(&d);
	return rs;
}

static void assert_not_compiled(const char *text, const struct ruleset_options *opts,
				const char *code, const char *message)
{
	struct policy_set set = {};
	struct ruleset *rs = NULL;
	struct diag d = {};

	load_one(text, &set);
	assert_int_equal(ruleset_compile(&set, opts, NULL, &d, &rs), -EINVAL);
	assert_null(rs);
	if (!diag_find(&d, DIAG_ERROR, 0, 0, message) || strcmp(d.items[0].code, code) != 0) {
		print_items(&d);
		fail_msg("no error %s, %s", code, message);
	}
	policy_set_done(&set);
	diag_done(&d);
}

/* A policy with selectors of one filter each, from "  - " on. */
static char *kprobe(const char *call, const char *args, const char *selectors)
{
	char *text;

	assert_true(asprintf(&text,
			     POLICY_HEAD "spec:\n  kprobes:\n  - call: %s\n    syscall: false\n"
					 "    args: [%s]\n    selectors: [%s]\n",
			     call, args, selectors) > 0);
	return text;
}

static struct ruleset *compile_kprobe(const char *call, const char *args, const char *selectors)
{
	_cleanup_free_ char *text = kprobe(call, args, selectors);

	return compile_text(text);
}

static __u64 row_of(const struct ruleset *rs, enum revshell_hook hook, uint32_t slot, uint64_t key)
{
	const struct ruleset_number *n =
		ruleset_lookup_number(rs, REVSHELL_SPACE_INT(hook, slot), key);
	__u64 row = n ? n->result : rs->hooks[hook].cfg.dim_default[REVSHELL_DIM_INT0 + slot];

	assert_true(row < rs->n_rows);
	return rs->rows[row].words[0];
}

#define FLIP (1ULL << 63)

static void test_signed(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = compile_kprobe(
		"security_socket_listen", "{index: 1, type: int}",
		"{matchArgs: [{index: 1, operator: GT, values: [\"-2\"]}]},"
		"{matchArgs: [{index: 1, operator: NotInRange, values: [\"-5:5\"]}]},"
		"{matchArgs: [{index: 1, operator: InMap, values: [\"4294967295\"]}]}");
	const struct revshell_hook_cfg *cfg = &rs->hooks[REVSHELL_HOOK_LISTEN].cfg;
	static const struct {
		int64_t value;
		__u64 word;
	} rows[] = {{INT32_MIN, 2}, {-6, 2}, {-5, 0}, {-2, 0},	     {-1, 5},
		    {0, 1},	    {5, 1},  {6, 3},  {INT32_MAX, 3}};

	assert_int_equal(cfg->ints_signed, 2);
	assert_int_equal(cfg->ints_low32, 0);
	assert_true(cfg->used == 1ULL << REVSHELL_DIM_INT1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_true(row_of(rs, REVSHELL_HOOK_LISTEN, 1, (uint64_t)rows[i].value ^ FLIP) ==
			    rows[i].word);
}

static void test_size(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *rs =
		compile_kprobe("tcp_sendmsg", "{index: 2, type: size_t}, {index: 2, type: int}",
			       "{matchArgs: [{args: [0], operator: Equal, values: [\"-1\"]}]},"
			       "{matchArgs: [{args: [1], operator: LT, values: [\"0\"]}]}");
	const struct revshell_hook_cfg *cfg = &rs->hooks[REVSHELL_HOOK_TCP_SENDMSG].cfg;

	assert_int_equal(cfg->ints_signed, 0);
	assert_int_equal(cfg->ints_low32, 4);
	assert_true(row_of(rs, REVSHELL_HOOK_TCP_SENDMSG, 2, UINT32_MAX) == 3);
	assert_true(row_of(rs, REVSHELL_HOOK_TCP_SENDMSG, 2, 1U << 31) == 2);
	assert_true(row_of(rs, REVSHELL_HOOK_TCP_SENDMSG, 2, INT32_MAX) == 0);
}

/* The fifth argument goes into the fourth slot. */
static void test_last_slot(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = compile_kprobe(
		"sk_alloc",
		"{index: 1, type: int}, {index: 2, type: uint32}, {index: 4, type: int}",
		"{matchArgs: [{index: 1, operator: Equal, values: [\"2\"]}]},"
		"{matchArgs: [{index: 2, operator: Mask, values: [\"0x10\", \"0x2\"]}]},"
		"{matchArgs: [{index: 4, operator: NotEqual, values: [\"1\"]}]}");
	const struct revshell_hook_cfg *cfg = &rs->hooks[REVSHELL_HOOK_SK_ALLOC].cfg;

	assert_true(cfg->used == (1ULL << REVSHELL_DIM_INT1 | 1ULL << REVSHELL_DIM_INT3 |
				  1ULL << REVSHELL_DIM_PREDICATE));
	assert_int_equal(cfg->ints_signed, 1 << 1 | 1 << 3);
	assert_true(row_of(rs, REVSHELL_HOOK_SK_ALLOC, 3, 1 | FLIP) == 3);
	assert_true(row_of(rs, REVSHELL_HOOK_SK_ALLOC, 3, 0 | FLIP) == 7);
	assert_int_equal(cfg->n_masks, 1);
	assert_int_equal(cfg->masks[0].fact, REVSHELL_FACT_INT2);
	assert_true(cfg->masks[0].mask == 0x12);
}

static void test_out_of_range(void **state)
{
	_cleanup_free_ char *text = kprobe("security_socket_listen", "{index: 1, type: uint64}",
					   "{matchArgs: [{index: 1, operator: InRange, values: "
					   "[\"0x80000000:0xfffffffff\"]}]}");
	struct diag d = {};
	_cleanup_(ruleset_freep) struct ruleset *rs = compile_with(text, &all_hooks, &d);

	assert_non_null(diag_find(&d, DIAG_WARNING, 0, 0, "the filter never matches"));
	assert_int_equal(rs->n_numbers, 0);
	diag_done(&d);
}

static void test_narrow(void **state)
{
	_cleanup_free_ char *text = kprobe("security_socket_listen", "{index: 1, type: int8}",
					   "{matchArgs: [{index: 1, operator: Equal, values: "
					   "[\"1\"]}]}");
	_cleanup_free_ char *mask = kprobe("security_socket_listen", "{index: 1, type: int8}",
					   "{matchArgs: [{index: 1, operator: Mask, values: "
					   "[\"-1\"]}]}");
	_cleanup_(ruleset_freep) struct ruleset *rs = compile_text(mask);

	assert_not_compiled(text, &all_hooks, "bad-type", "cannot be compared as int8");
	assert_true(rs->hooks[REVSHELL_HOOK_LISTEN].cfg.masks[0].mask == 0xff);
}

#define UN_ARGS "{index: 1, type: sockaddr_un}"

static void test_unix(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *rs =
		compile_kprobe("security_socket_connect", UN_ARGS,
			       "{matchArgs: [{index: 1, operator: Equal, values: [/run, \"@a\"]}]},"
			       "{matchArgs: [{index: 1, operator: NotPrefix, values: [/run]}]}");
	const struct revshell_hook_cfg *cfg = &rs->hooks[REVSHELL_HOOK_CONNECT].cfg;
	static const struct {
		const char *data;
		uint8_t len;
		__u64 word;
	} entries[] = {{"/run", 4, 0}, {"/run", 5, 1}, {"@a", 3, 3}};

	assert_true(cfg->families == 1ULL << AF_UNIX);
	assert_int_equal(rs->n_unix_paths, 3);
	/* the longest entry that holds a path has all that shorter ones say */
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		const struct ruleset_unix *u = &rs->unix_paths[i];

		assert_int_equal(u->len, entries[i].len);
		assert_memory_equal(u->data, entries[i].data, u->len);
		assert_true(rs->rows[u->row].words[0] == entries[i].word);
	}
	assert_true(rs->rows[cfg->dim_default[REVSHELL_DIM_UN_PATH]].words[0] == 2);
}

static const char unknown_policy[] =
	POLICY_HEAD "spec:\n"
		    "  lsmhooks:\n"
		    "  - hook: socket_connect\n"
		    "    selectors:\n"
		    "    - matchBinaries: [{operator: In, values: [/a], followChildren: true}]\n"
		    "      matchActions: [{action: NoPost}]\n"
		    "    - matchBinaries: [{operator: In, values: [/a], followChildren: true}]\n"
		    "      matchActions: [{action: Sigkill}]\n"
		    "    - matchUnits: [{operator: NotIn, values: [cpu.slice, ssh.service]}]\n"
		    "      matchActions: [{action: Sigkill}]\n";

/* One for the exemption, one for the denial; each falls on its side where not all is known. */
static void test_lineage(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = compile_text(unknown_policy);
	const struct revshell_secret secret = {.key = {1, 2}};
	const struct ruleset_number *unknown =
		ruleset_lookup_number(rs, REVSHELL_SPACE_UNKNOWN(REVSHELL_FACT_LINEAGE), 0);
	_cleanup_free_ struct revshell_number_key *keys = NULL;
	_cleanup_free_ uint64_t *values = NULL;
	uint64_t hash = siphash13("/a", 2, (const uint64_t *)secret.key), big;
	size_t n = 0;

	assert_int_equal(rs->n_predicates, 3);
	assert_int_equal(rs->n_lineage, 1);
	assert_true(rs->lineage[0].host == 3 && rs->lineage[0].foreign == 2);
	assert_non_null(unknown);
	assert_true(unknown->result == 2);
	assert_null(ruleset_lookup_number(rs, REVSHELL_SPACE_UNKNOWN(REVSHELL_FACT_UNIT), 0));
	assert_int_equal(rs->hooks[REVSHELL_HOOK_CONNECT].cfg.label_facts,
			 1U << REVSHELL_FACT_LINEAGE);
	assert_int_equal(rs->n_units, 2);
	assert_string_equal(rs->units[0].name, "_cpu.slice");
	assert_string_equal(rs->units[1].name, "ssh.service");

	assert_int_equal(maps_numbers(rs, &secret, &keys, &values, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(keys[1].prefixlen, 96);
	assert_int_equal(be32toh(keys[1].space), REVSHELL_SPACE_FACT(REVSHELL_FACT_LINEAGE));
	memcpy(&big, keys[1].value, sizeof(big));
	assert_true(be64toh(big) == (hash & ~1ULL) && values[1] == 3);
	memcpy(&big, keys[2].value, sizeof(big));
	assert_true(be64toh(big) == (hash | 1) && values[2] == 2);
}

/* Where no exemption hangs on it, one entry does for both. */
static void test_lineage_plain(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *rs =
		compile_kprobe("tcp_connect", "{index: 0, type: sock}",
			       "{matchBinaries: [{operator: In, values: [/a, /b], followChildren: "
			       "true}]}");
	const struct revshell_secret secret = {};
	_cleanup_free_ struct revshell_number_key *keys = NULL;
	_cleanup_free_ uint64_t *values = NULL;
	size_t n = 0;

	assert_int_equal(maps_numbers(rs, &secret, &keys, &values, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(keys[0].prefixlen, 32 + 63);
}

/* Sets that say the same in other words are one predicate, on whatever hook. */
static void test_same_predicate(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = compile_text(
		POLICY_HEAD "spec:\n"
			    "  lsmhooks:\n"
			    "  - hook: socket_connect\n"
			    "    selectors:\n"
			    "    - matchUsers: [{operator: In, values: [\"1:3\", \"4\", \"9\"]}]\n"
			    "    - matchUsers: [{operator: NotIn, values: [\"9\", \"1:4\"]}]\n"
			    "  - hook: socket_listen\n"
			    "    selectors:\n"
			    "    - matchUsers: [{operator: In, values: [\"2:4\", \"1\", \"9\"]}]\n"
			    "    - matchUsers: [{type: gid, operator: In, values: [\"1:4\"]}]\n");
	const struct revshell_hook_cfg *connect = &rs->hooks[REVSHELL_HOOK_CONNECT].cfg;
	const struct revshell_hook_cfg *listen = &rs->hooks[REVSHELL_HOOK_LISTEN].cfg;

	assert_int_equal(rs->n_predicates, 2);
	assert_true(connect->predicates == 1 && listen->predicates == 3);
	assert_int_equal(connect->facts, 1U << REVSHELL_FACT_UID);
	assert_int_equal(listen->facts, 1U << REVSHELL_FACT_UID | 1U << REVSHELL_FACT_GID);
	assert_true(rs->rows[connect->predicate_row[0][0]].words[0] == 2);
	assert_true(rs->rows[connect->predicate_row[0][1]].words[0] == 1);
	assert_true(rs->rows[listen->predicate_row[1][0]].words[0] == 1);
	assert_true(rs->rows[listen->predicate_row[1][1]].words[0] == 3);
}

/* Prefixes of a space are sorted and never overlap, so that the longest match is the only one. */
static void test_numbers_apart(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = compile_text(
		POLICY_HEAD
		"spec:\n"
		"  lsmhooks:\n"
		"  - hook: socket_create\n"
		"    args: [{index: 0, type: int}, {index: 3, type: int}]\n"
		"    selectors:\n"
		"    - matchUsers: [{operator: In, values: [\"3:1000\", \"77\"]}]\n"
		"    - matchUsers: [{operator: In, values: [\"50:90\", \"999:4294967295\"]}]\n"
		"    - matchArgs: [{index: 0, operator: GT, values: [\"-100\"]}]\n"
		"    - matchArgs: [{index: 0, operator: LT, values: [\"1000\"]}]\n"
		"    - matchArgs: [{index: 3, operator: NotInRange, values: "
		"[\"-3:8\"]}]\n");

	assert_true(rs->n_numbers > 50);
	for (size_t i = 1; i < rs->n_numbers; i++) {
		const struct ruleset_number *a = &rs->numbers[i - 1], *b = &rs->numbers[i];
		uint64_t last = a->value | (a->bits == 64 ? 0 : ~0ULL >> a->bits);

		assert_true(a->space < b->space || (a->space == b->space && last < b->value));
		assert_true(b->bits == 64 || !(b->value & ~0ULL >> b->bits));
	}
}

static void test_hooks(void **state)
{
	struct ruleset_options opts = all_hooks;
	_cleanup_(ruleset_freep) struct ruleset *rs = NULL;
	_cleanup_free_ char *bind = kprobe("security_socket_bind", UN_ARGS, "{}");
	_cleanup_free_ char *connect = kprobe("tcp_connect", "{index: 0, type: sock}", "{}");
	struct diag d = {};

	opts.hooks = 1ULL << REVSHELL_HOOK_CONNECT;
	assert_not_compiled(bind, &opts, "no-hook", "no program for security_socket_bind");
	/* decided ahead where its own hook has no program */
	rs = compile_with(connect, &opts, &d);
	assert_int_equal(rs->hooks[REVSHELL_HOOK_TCP_CONNECT].n_selectors, 0);
	assert_int_equal(rs->hooks[REVSHELL_HOOK_CONNECT].n_selectors, 1);
	ruleset_free(rs);

	rs = compile_with(POLICY_HEAD "spec:\n"
				      "  kprobes:\n"
				      "  - call: tcp_close\n"
				      "    syscall: false\n"
				      "    ignore: {callNotFound: true}\n",
			  &opts, &d);
	assert_non_null(diag_find(&d, DIAG_WARNING, 0, 0, "no program for tcp_close"));
	assert_int_equal(rs->hooks[REVSHELL_HOOK_TCP_CLOSE].n_selectors, 0);
	diag_done(&d);
}

static void test_host_unknown(void **state)
{
	static const struct ruleset_options opts = {.observe_tcp_connect = true};
	_cleanup_free_ char *ns =
		kprobe("tcp_connect", "{index: 0, type: sock}",
		       "{matchNamespaces: [{namespace: Net, operator: NotIn, values: [host_ns]}]}");
	_cleanup_free_ char *cap = kprobe("tcp_connect", "{index: 0, type: sock}",
					  "{matchCapabilities: [{operator: In, values: [CAP_BPF], "
					  "isNamespaceCapability: true}]}");

	assert_not_compiled(ns, &opts, "no-host-ns", "the host's namespace");
	assert_not_compiled(cap, &opts, "no-host-ns", "the host's user namespace");
}

static const char return_policy[] =
	POLICY_HEAD "spec:\n"
		    "  kprobes:\n"
		    "  - call: sk_alloc\n"
		    "    syscall: false\n"
		    "    return: true\n"
		    "    returnArg: {index: 0, type: sock}\n"
		    "    args: [{index: 1, type: int}]\n"
		    "    selectors:\n"
		    "    - matchReturnArgs:\n"
		    "      - {operator: Protocol, values: [IPPROTO_TCP]}\n"
		    "      - {operator: Family, values: [AF_INET]}\n"
		    "    - matchReturnActions: [{action: NoPost}, {action: Sigkill}]\n";

static void test_return(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = compile_text(return_policy);
	const struct revshell_hook_cfg *cfg = &rs->hooks[REVSHELL_HOOK_SK_ALLOC].cfg;

	assert_true(cfg->used ==
		    (1ULL << REVSHELL_DIM_SK_FAMILY | 1ULL << REVSHELL_DIM_SK_PROTOCOL));
	assert_true(cfg->report[0] == 1);
	assert_true(cfg->deny[0] == 0);
	assert_true(cfg->signal[0][0] == 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signed),	       cmocka_unit_test(test_size),
		cmocka_unit_test(test_last_slot),      cmocka_unit_test(test_out_of_range),
		cmocka_unit_test(test_narrow),	       cmocka_unit_test(test_unix),
		cmocka_unit_test(test_lineage),	       cmocka_unit_test(test_lineage_plain),
		cmocka_unit_test(test_same_predicate), cmocka_unit_test(test_numbers_apart),
		cmocka_unit_test(test_hooks),	       cmocka_unit_test(test_host_unknown),
		cmocka_unit_test(test_return),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
