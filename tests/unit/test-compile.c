/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the compiler makes of small policies: places, masks, tables, modes, identities. */
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "address-runs.h"
#include "policy-helpers.h"
#include "ruleset.h"

#define CONNECT	    REVSHELL_HOOK_CONNECT
#define LISTEN	    REVSHELL_HOOK_LISTEN
#define TCP_CONNECT REVSHELL_HOOK_TCP_CONNECT
#define FIRST	    1ULL

#define ENTRY(call)                      \
	"spec:\n"                        \
	"  kprobes:\n"                   \
	"  - call: " call "\n"           \
	"    syscall: false\n"           \
	"    args:\n"                    \
	"    - {index: 0, type: sock}\n" \
	"    selectors:\n"
#define TCP_POLICY    POLICY_HEAD ENTRY("tcp_connect")
#define LISTEN_POLICY POLICY_HEAD ENTRY("inet_csk_listen_start")

static const struct ruleset_options all_hooks = {.observe_tcp_connect = true,
						 .observe_listen_start = true};
static const struct ruleset_options verdicts_only = {};

static void print_items(const struct diag *d)
{
	for (size_t i = 0; i < d->n_items; i++)
		print_error("%u:%u: %s: %s\n", d->items[i].line, d->items[i].column,
			    d->items[i].code, d->items[i].message);
}

static struct ruleset *compile_with(const char *text, const struct ruleset_options *opts,
				    const struct ruleset_mode *modes, struct diag *d)
{
	struct policy_set set = {};
	struct ruleset *rs = NULL;
	int err;

	load_one(text, &set);
	err = ruleset_compile(&set, opts, modes, d, &rs);
	if (err < 0)
		print_items(d);
	assert_int_equal(err, 0);
	assert_int_equal(set.n, 0);
	return rs;
}

static struct ruleset *compile_text(const char *text)
{
	struct diag d = {};
	struct ruleset *rs = compile_with(text, &all_hooks, NULL, &d);

	diag_done(&d);
	return rs;
}

/* The policies load but do not compile: with this code, and the set is left as it was. */
static void assert_not_compiled(const char *text, const struct ruleset_options *opts, int error,
				const char *code, const char *message)
{
	struct policy_set set = {};
	struct ruleset *rs = NULL;
	struct diag d = {};

	load_one(text, &set);
	assert_int_equal(ruleset_compile(&set, opts, NULL, &d, &rs), error);
	assert_null(rs);
	assert_int_equal(set.n, 1);
	if (!diag_find(&d, DIAG_ERROR, 0, 0, message) || strcmp(d.items[0].code, code) != 0) {
		print_items(&d);
		fail_msg("no error %s, %s", code, message);
	}
	assert_true(d.items[0].line > 0);
	policy_set_done(&set);
	diag_done(&d);
}

static const struct revshell_hook_cfg *cfg_of(const struct ruleset *rs, enum revshell_hook hook)
{
	return &rs->hooks[hook].cfg;
}

static __u64 row_word(const struct ruleset *rs, __u32 row)
{
	assert_true(row < rs->n_rows);
	return rs->rows[row].words[0];
}

static __u64 port_word(const struct ruleset *rs, enum revshell_hook hook, enum revshell_dim dim,
		       unsigned int port)
{
	const struct revshell_hook_cfg *cfg = cfg_of(rs, hook);

	return row_word(rs, ruleset_page(rs, cfg,
					 cfg->port_page[dim - REVSHELL_DIM_SK_SPORT][port >> 8])
				    ->row[port & 255]);
}

static const struct ruleset_path *path_of(const struct ruleset *rs, const char *path)
{
	for (size_t i = 0; i < rs->n_paths[0]; i++)
		if (!strcmp(rs->paths[0][i].path, path))
			return &rs->paths[0][i];
	fail_msg("no path %s", path);
	return NULL;
}

static __u64 class_word(const struct ruleset *rs, enum revshell_hook hook, enum revshell_dim dim,
			struct revshell_class class)
{
	return row_word(rs, cfg_of(rs, hook)->path_rows[dim] + class.id);
}

static void test_empty(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = NULL, *compiled = NULL;
	struct policy_set set = {};
	struct diag d = {};

	assert_int_equal(ruleset_new_empty(&rs), 0);
	assert_int_equal(ruleset_compile(&set, &all_hooks, NULL, &d, &compiled), 0);
	for (size_t i = 0; i < REVSHELL_HOOK_MAX; i++) {
		assert_int_equal(rs->hooks[i].cfg.n_words, 0);
		assert_int_equal(compiled->hooks[i].cfg.n_words, 0);
	}
	assert_int_equal(compiled->n_rows, 1);
	assert_true(compiled->rows[0].fold == ~0ULL);
	assert_true(compiled->digest == rs->digest);
	ruleset_free(NULL);
}

#define KILL_FAR                                                              \
	"    - matchArgs:\n"                                                  \
	"      - {index: 0, operator: NotDAddr, values: [\"127.0.0.0/8\"]}\n" \
	"      - {index: 0, operator: DPort, values: [\"4444\"]}\n"           \
	"      matchActions:\n"                                               \
	"      - {action: Sigkill}\n"

static void test_early_copy(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = compile_text(TCP_POLICY KILL_FAR);
	const struct revshell_hook_cfg *early = cfg_of(rs, CONNECT), *own = cfg_of(rs, TCP_CONNECT);

	assert_int_equal(rs->hooks[CONNECT].n_selectors, 1);
	assert_true(rs->hooks[CONNECT].selectors[0].early);
	assert_int_equal(early->n_words, 1);
	assert_true(early->early[0] == FIRST && early->deny[0] == FIRST);
	assert_true(early->report[0] == FIRST && early->signal[0][0] == FIRST);
	assert_int_equal(early->signals[0], SIGKILL);
	assert_int_equal(rs->hooks[CONNECT].denials[0].error, -EPERM);
	assert_true(early->used ==
		    (1ULL << REVSHELL_DIM_SK_TYPE | 1ULL << REVSHELL_DIM_SK_PROTOCOL |
		     1ULL << REVSHELL_DIM_SA_FAMILY | 1ULL << REVSHELL_DIM_SA_PORT |
		     1ULL << REVSHELL_DIM_SA_ADDR));
	assert_true(early->families == (1ULL << AF_INET | 1ULL << AF_INET6));
	assert_true(row_word(rs, early->sk_protocol[IPPROTO_TCP]) == FIRST);
	assert_true(row_word(rs, early->sk_protocol[IPPROTO_MPTCP]) == FIRST);
	assert_true(row_word(rs, early->sk_protocol[IPPROTO_UDP]) == 0);
	assert_true(row_word(rs, early->sk_type[SOCK_STREAM]) == FIRST);
	assert_true(port_word(rs, CONNECT, REVSHELL_DIM_SA_PORT, 4444) == FIRST);
	assert_true(port_word(rs, CONNECT, REVSHELL_DIM_SA_PORT, 4445) == 0);
	assert_true(row_word(rs, early->dim_default[REVSHELL_DIM_SA_ADDR]) == FIRST);
	assert_true(row_word(rs, early->no_address[2]) == 0);

	/* the backstop cannot refuse */
	assert_false(rs->hooks[TCP_CONNECT].selectors[0].early);
	assert_true(own->deny[0] == 0 && own->early[0] == 0);
	assert_true(own->report[0] == FIRST && own->signal[0][0] == FIRST);
	assert_true(own->used == (1ULL << REVSHELL_DIM_SK_DPORT | 1ULL << REVSHELL_DIM_SK_DADDR));
}

static void test_early_not_for_what_is_later(void **state)
{
	static const char *const filters[] = {
		"{index: 0, operator: SPort, values: [\"1\"]}",
		"{index: 0, operator: NotSAddr, values: [\"10.0.0.0/8\"]}",
		"{index: 0, operator: State, values: [\"2\"]}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
		_cleanup_(ruleset_freep) struct ruleset *rs = NULL;
		_cleanup_free_ char *text = NULL;

		assert_true(asprintf(&text,
				     TCP_POLICY "    - matchArgs: [%s]\n"
						"      matchActions: [{action: Sigkill}]\n",
				     filters[i]) > 0);
		rs = compile_text(text);
		assert_int_equal(rs->hooks[CONNECT].n_selectors, 0);
		assert_int_equal(rs->hooks[TCP_CONNECT].n_selectors, 1);
		assert_not_compiled(text, &verdicts_only, -EINVAL, "backend-cannot",
				    "this backend does not see");
	}
}

/* What comes after the last denial needs no copy, whatever it asks. */
static void test_early_up_to_last_denial(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = compile_text(
		TCP_POLICY "    - matchBinaries: [{operator: In, values: [/usr/bin/curl]}]\n"
			   "      matchActions: [{action: NoPost}]\n"
			   "    - matchArgs: [{index: 0, operator: DPort, values: [\"1\"]}]\n"
			   "      matchActions: [{action: Sigkill}, {action: NoPost}]\n"
			   "    - matchArgs: [{index: 0, operator: State, values: [\"2\"]}]\n");

	assert_int_equal(rs->hooks[CONNECT].n_selectors, 2);
	assert_true(cfg_of(rs, CONNECT)->early[0] == 3 && cfg_of(rs, CONNECT)->deny[0] == 2);
	assert_true(cfg_of(rs, CONNECT)->report[0] == 0);
	assert_int_equal(rs->hooks[TCP_CONNECT].n_selectors, 3);
	assert_true(cfg_of(rs, TCP_CONNECT)->report[0] == 4);
}

static void test_moved(void **state)
{
	struct diag d = {};
	_cleanup_(ruleset_freep) struct ruleset *rs =
		compile_with(TCP_POLICY KILL_FAR
			     "    - matchActions: [{action: Post}]\n"
			     "    - matchArgs: [{index: 0, operator: SPort, values: [\"9\"]}]\n",
			     &verdicts_only, NULL, &d);

	assert_int_equal(rs->hooks[TCP_CONNECT].n_selectors, 0);
	assert_int_equal(rs->hooks[CONNECT].n_selectors, 2);
	assert_true(cfg_of(rs, CONNECT)->early[0] == 0 && cfg_of(rs, CONNECT)->deny[0] == 1);
	assert_true(cfg_of(rs, CONNECT)->report[0] == 3);
	assert_int_equal(d.n_warnings, 1);
	diag_done(&d);
}

static void test_listen_unbound(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *rs =
		compile_text(LISTEN_POLICY
			     "    - matchArgs: [{index: 0, operator: SPort, values: [\"22\"]}]\n"
			     "      matchActions: [{action: NoPost}]\n"
			     "    - matchArgs: [{index: 0, operator: NotSPort, values: [\"80\"]}]\n"
			     "      matchActions: [{action: Sigkill}]\n");
	const struct revshell_hook_cfg *cfg = cfg_of(rs, LISTEN);

	assert_true(cfg->early[0] == 3 && cfg->deny[0] == 2 && cfg->report[0] == 2);
	/* port 0 is not chosen yet: the shield holds, the denial does not */
	assert_true(port_word(rs, LISTEN, REVSHELL_DIM_SK_SPORT, 0) == 1);
	assert_true(port_word(rs, LISTEN, REVSHELL_DIM_SK_SPORT, 22) == 3);
	assert_true(port_word(rs, LISTEN, REVSHELL_DIM_SK_SPORT, 80) == 0);
	assert_true(port_word(rs, LISTEN, REVSHELL_DIM_SK_SPORT, 81) == 2);
	assert_true(cfg->families == (1ULL << AF_INET | 1ULL << AF_INET6));
}

static void test_modes(void **state)
{
	const struct ruleset_mode monitor[] = {
		{"other", POLICY_MODE_ENFORCE}, {"sample", POLICY_MODE_MONITOR}, {}};
	const struct ruleset_mode enforce[] = {{"sample", POLICY_MODE_ENFORCE}, {}};
	const char *text = POLICY_HEAD
		"spec:\n"
		"  options: [{name: policy-mode, value: monitor}]\n"
		"  kprobes:\n"
		"  - call: security_socket_connect\n"
		"    syscall: false\n"
		"    args: [{index: 1, type: sockaddr}]\n"
		"    selectors:\n"
		"    - matchActions: [{action: Override, argError: -111}, {action: Sigkill}]\n";
	struct diag d = {};
	struct ruleset *rs;

	rs = compile_with(text, &all_hooks, NULL, &d);
	assert_int_equal(rs->effective[0].mode, POLICY_MODE_MONITOR);
	assert_true(cfg_of(rs, CONNECT)->deny[0] == 0 && cfg_of(rs, CONNECT)->n_signals == 0);
	assert_true(cfg_of(rs, CONNECT)->report[0] == 1);
	ruleset_free(rs);

	rs = compile_with(text, &all_hooks, enforce, &d);
	assert_int_equal(rs->effective[0].mode, POLICY_MODE_ENFORCE);
	assert_true(cfg_of(rs, CONNECT)->deny[0] == 1 && cfg_of(rs, CONNECT)->signal[0][0] == 1);
	assert_int_equal(rs->hooks[CONNECT].denials[0].error, -111);
	ruleset_free(rs);

	rs = compile_with(TCP_POLICY KILL_FAR, &all_hooks, monitor, &d);
	assert_int_equal(rs->hooks[CONNECT].n_selectors, 0);
	assert_int_equal(cfg_of(rs, TCP_CONNECT)->n_signals, 0);
	ruleset_free(rs);

	/* nothing to enforce */
	rs = compile_with(TCP_POLICY "    - matchActions: [{action: Post}]\n", &all_hooks, enforce,
			  &d);
	assert_int_equal(rs->effective[0].mode, POLICY_MODE_MONITOR);
	ruleset_free(rs);
	diag_done(&d);
}

#define OVERRIDE_POLICY(option)                                \
	POLICY_HEAD "spec:\n"                                  \
		    "  options: [" option "]\n"                \
		    "  kprobes:\n"                             \
		    "  - call: security_socket_connect\n"      \
		    "    syscall: false\n"                     \
		    "    args: [{index: 1, type: sockaddr}]\n" \
		    "    selectors:\n"                         \
		    "    - matchActions: [{action: Override, argError: -13}]\n"
#define FALLBACK(action) "{name: override-fallback, value: " action "}"

/* A backend that cannot deny: who wants to is degraded, unless a substitute is named. */
static void test_cannot_deny(void **state)
{
	static const struct {
		const char *text;
		enum policy_fallback fallback;
		enum policy_mode mode;
		bool degraded;
		bool kills;
	} cases[] = {
		{OVERRIDE_POLICY(""), FALLBACK_NONE, POLICY_MODE_MONITOR, true, false},
		{OVERRIDE_POLICY(""), FALLBACK_SIGKILL, POLICY_MODE_ENFORCE, false, true},
		{OVERRIDE_POLICY(""), FALLBACK_MONITOR, POLICY_MODE_MONITOR, false, false},
		{OVERRIDE_POLICY(FALLBACK("sigkill")), FALLBACK_MONITOR, POLICY_MODE_ENFORCE, false,
		 true},
		{OVERRIDE_POLICY(FALLBACK("monitor")), FALLBACK_SIGKILL, POLICY_MODE_MONITOR, false,
		 false},
		/* nothing of it is to be carried out */
		{OVERRIDE_POLICY("{name: policy-mode, value: monitor}"), FALLBACK_NONE,
		 POLICY_MODE_MONITOR, false, false},
		/* a signal is all it wants */
		{TCP_POLICY KILL_FAR, FALLBACK_NONE, POLICY_MODE_ENFORCE, false, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct ruleset_options opts = {.observe_tcp_connect = true,
						     .cannot_deny = true,
						     .fallback = cases[i].fallback};
		struct diag d = {};
		struct ruleset *rs = compile_with(cases[i].text, &opts, NULL, &d);
		const struct revshell_hook_cfg *cfg = cfg_of(rs, CONNECT);

		assert_int_equal(rs->effective[0].mode, cases[i].mode);
		assert_int_equal(rs->effective[0].degraded, cases[i].degraded);
		assert_int_equal(cfg->deny[0], 0);
		assert_int_equal(cfg->n_signals, cases[i].kills);
		if (cases[i].kills) {
			assert_int_equal(cfg->signals[0], SIGKILL);
			assert_int_equal(cfg->signal[0][0], 1);
		}
		assert_int_equal(d.n_items, cases[i].degraded || i == 2 || i == 4);
		ruleset_free(rs);
		diag_done(&d);
	}
}

#define SOCKADDR_POLICY                      \
	POLICY_HEAD                          \
	"spec:\n"                            \
	"  lsmhooks:\n"                      \
	"  - hook: socket_connect\n"         \
	"    args:\n"                        \
	"    - {index: 0, type: socket}\n"   \
	"    - {index: 1, type: sockaddr}\n" \
	"    selectors:\n"

static struct ruleset *compile_filters(const char *filters)
{
	_cleanup_free_ char *text = NULL;

	assert_true(asprintf(&text, SOCKADDR_POLICY "    - matchArgs: [%s]\n", filters) > 0);
	return compile_text(text);
}

static uint64_t families_of(const char *filters)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = compile_filters(filters);

	return cfg_of(rs, CONNECT)->families;
}

static void test_families(void **state)
{
	const uint64_t inet = 1ULL << AF_INET | 1ULL << AF_INET6;

	assert_true(families_of("{index: 1, operator: SAddr, values: [10.0.0.0/8]}") == inet);
	assert_true(families_of("{index: 1, operator: NotSAddr, values: [10.0.0.0/8]}") == inet);
	assert_true(families_of("{index: 1, operator: SPort, values: [\"1\"]}") == inet);
	assert_true(families_of("{index: 1, operator: NotSPort, values: [\"1\"]}") == ~0ULL);
	assert_true(families_of("{index: 1, operator: Family, values: [AF_UNIX]}") ==
		    1ULL << AF_UNIX);
	assert_true(families_of("{index: 0, operator: Protocol, values: [\"6\"]}") == ~0ULL);
	/* sockets of SMC and AF_INET6 take addresses of other families */
	assert_true(families_of("{index: 0, operator: Family, values: [AF_SMC]}") ==
		    (inet | 1ULL << AF_SMC | 1));
	assert_true(families_of("{index: 0, operator: Family, values: [AF_INET6]}") == (inet | 1));
	assert_true(families_of("{index: 0, operator: Family, values: [AF_UNIX]}") ==
		    (1ULL << AF_UNIX | 1));
	/* a port below 1024 is not what a UNIX socket has */
	assert_true(families_of("{index: 1, operator: SPortPriv}") == inet);
}

static void test_mptcp(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *plain = compile_text(
		SOCKADDR_POLICY
		"    - matchArgs: [{index: 0, operator: Protocol, values: [\"6\"]}]\n");
	_cleanup_(ruleset_freep) struct ruleset *named =
		compile_text(SOCKADDR_POLICY
			     "    - matchArgs: [{index: 0, operator: Protocol, values: [\"6\"]}]\n"
			     "    - matchArgs:\n"
			     "      - {index: 0, operator: Protocol, values: [IPPROTO_MPTCP]}\n");

	assert_true(row_word(plain, cfg_of(plain, CONNECT)->sk_protocol[IPPROTO_MPTCP]) == 1);
	assert_true(row_word(named, cfg_of(named, CONNECT)->sk_protocol[IPPROTO_MPTCP]) == 2);
	assert_true(row_word(named, cfg_of(named, CONNECT)->sk_protocol[IPPROTO_TCP]) == 1);
}

/* What decides whether programs are loaded that a protocol alone needs. */
static void test_admitted_protocols(void **state)
{
	static const struct {
		const char *filter;
		bool sctp;
	} cases[] = {
		{"{index: 1, operator: SPort, values: [\"4444\"]}", true},
		{"{index: 0, operator: Protocol, values: [\"6\", \"132\"]}", true},
		{"{index: 0, operator: Protocol, values: [\"6\", \"17\"]}", false},
	};
	_cleanup_(ruleset_freep) struct ruleset *empty = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(ruleset_freep) struct ruleset *rs = compile_filters(cases[i].filter);

		assert_int_equal(ruleset_admits_protocol(rs, CONNECT, IPPROTO_SCTP), cases[i].sctp);
		assert_false(ruleset_admits_protocol(rs, REVSHELL_HOOK_LISTEN, IPPROTO_SCTP));
	}
	assert_int_equal(ruleset_new_empty(&empty), 0);
	assert_false(ruleset_admits_protocol(empty, CONNECT, IPPROTO_SCTP));
}

static void test_exemption(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *rs =
		compile_text(SOCKADDR_POLICY
			     "    - matchBinaries: [{operator: In, values: [/usr/sbin/sshd]}]\n"
			     "      matchActions: [{action: NoPost}]\n"
			     "    - matchBinaries: [{operator: In, values: [/usr/bin/nc]}]\n"
			     "      matchActions: [{action: Override, argError: -1}]\n"
			     "    - matchBinaries: [{operator: NotIn, values: [/usr/bin/curl]}]\n"
			     "      matchActions: [{action: Sigkill}]\n"
			     "    - matchBinaries: [{operator: In, values: [/usr/bin/wget]}]\n");
	const struct ruleset_path *sshd = path_of(rs, "/usr/sbin/sshd");
	const struct ruleset_path *curl = path_of(rs, "/usr/bin/curl");
	const struct ruleset_path *nc = path_of(rs, "/usr/bin/nc");
	const struct ruleset_path *wget = path_of(rs, "/usr/bin/wget");
	const struct revshell_hook_cfg *cfg = cfg_of(rs, CONNECT);
#define WORD(class) class_word(rs, CONNECT, REVSHELL_DIM_EXE, class)

	assert_true(sshd->exempts && !sshd->value.any);
	assert_true(WORD(sshd->value.same) == 5 && WORD(sshd->value.other) == 4);
	assert_true(curl->exempts && !curl->value.any);
	assert_true(WORD(curl->value.same) == 0 && WORD(curl->value.other) == 4);
	assert_int_equal(curl->value.same.hooks & 1U << CONNECT, 0);
	assert_false(nc->exempts);
	assert_int_equal(nc->value.any, 1);
	assert_true(WORD(nc->value.same) == 6 && WORD(nc->value.other) == 6);
	assert_false(wget->exempts);
	assert_true(WORD(wget->value.same) == 12);
	assert_true(WORD(cfg->path_default[REVSHELL_DIM_EXE]) == 4);
	/* all that denies, nothing that shields, nobody's report */
	assert_true(WORD(cfg->path_unknown[REVSHELL_DIM_EXE]) == 6);
#undef WORD
}

static void test_identity_by_path(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = compile_text(
		POLICY_HEAD "spec:\n"
			    "  options: [{name: binary-identity, value: path}]\n"
			    "  lsmhooks:\n"
			    "  - hook: socket_connect\n"
			    "    selectors:\n"
			    "    - matchBinaries: [{operator: NotIn, values: [/usr/bin/curl]}]\n"
			    "      matchActions: [{action: Sigkill}]\n");

	assert_false(path_of(rs, "/usr/bin/curl")->exempts);
}

static void test_affixes(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *rs =
		compile_text(SOCKADDR_POLICY
			     "    - matchBinaries: [{operator: Prefix, values: [/usr/]}]\n"
			     "      matchActions: [{action: NoPost}]\n"
			     "    - matchBinaries: [{operator: NotPrefix, values: [/usr/bin/]}]\n"
			     "      matchActions: [{action: Sigkill}]\n"
			     "    - matchBinaries: [{operator: Postfix, values: [c, nc, /nc]}]\n");
	const struct ruleset_affix *p = rs->prefixes[0], *q = rs->postfixes[0];
	const struct revshell_hook_cfg *cfg = cfg_of(rs, CONNECT);
#define WORD(class) class_word(rs, CONNECT, REVSHELL_DIM_EXE_PREFIX, class)

	assert_int_equal(rs->n_prefixes[0], 2);
	assert_string_equal(p[0].text, "/usr/");
	assert_true(WORD(p[0].value.host) == 7 && WORD(p[0].value.foreign) == 6);
	assert_string_equal(p[1].text, "/usr/bin/");
	assert_true(WORD(p[1].value.host) == 5 && WORD(p[1].value.foreign) == 6);
	assert_true(WORD(cfg->path_default[REVSHELL_DIM_EXE_PREFIX]) == 6);
	assert_true(WORD(cfg->path_unknown[REVSHELL_DIM_EXE_PREFIX]) == 6);
#undef WORD
	assert_int_equal(rs->n_postfixes[0], 3);
	assert_string_equal(q[0].text, "/nc");
	for (size_t i = 0; i < 3; i++)
		assert_true(class_word(rs, CONNECT, REVSHELL_DIM_EXE_POSTFIX, q[i].value.host) ==
			    7);
	/* not asked on any hook: one class, all hooks that have selectors */
	assert_int_equal(cfg->path_default[REVSHELL_DIM_PARENT].hooks, 1U << CONNECT);
}

/* Rows hold what all prefixes around an address add up to. */
static void test_nested_prefixes(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = compile_text(
		SOCKADDR_POLICY
		"    - matchArgs: [{index: 1, operator: SAddr, values: [10.0.0.0/8, 10.1.2.3]}]\n"
		"    - matchArgs: [{index: 1, operator: NotSAddr, values: [10.1.0.0/16, "
		"\"::/0\"]}]\n"
		"    - matchArgs: [{index: 1, operator: SAddr, values: [\"2001:db8::/32\"]}]\n");
	static const struct {
		uint32_t first;
		__u64 word;
	} expected[] = {{0, 2}, {0x0a000000, 3}, {0x0a010000, 1}, {0x0a020000, 3}, {0x0b000000, 2}};
	const struct ruleset_trie *t = &rs->tries[CONNECT][2];
	static const __u64 v6[] = {0, 4};
	struct runs runs = {};

	ruleset_each_run(rs, CONNECT, REVSHELL_DIM_SA_ADDR, take_run, &runs);
	assert_int_equal(t->n_v4, 3);
	assert_int_equal(t->n_v6, 2);
	assert_int_equal(runs.n, ARRAY_SIZE(expected));
	for (size_t i = 0; i < runs.n; i++) {
		assert_int_equal(runs.first[i], expected[i].first);
		assert_true(row_word(rs, runs.row[i]) == expected[i].word);
	}
	for (size_t i = 0; i < t->n_v6; i++)
		assert_true(row_word(rs, t->v6[i].row) == v6[i]);
	assert_true(row_word(rs, cfg_of(rs, CONNECT)->dim_default[REVSHELL_DIM_SA_ADDR]) == 2);
}

#define N_ORDERED 200

/*
 * Entries of one selector each, every other of which asks for port 2 and has another error. apart:
 * each leaves out a program of its own.
 */
static struct ruleset *compile_alternating(int error, int other_error, bool apart)
{
	_cleanup_free_ char *text = NULL;
	struct ruleset *rs;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	fputs(POLICY_HEAD "spec:\n  lsmhooks:\n", f);
	for (int i = 0; i < N_ORDERED; i++) {
		fprintf(f,
			"  - hook: socket_connect\n    args: [{index: 1, type: sockaddr}]\n"
			"    selectors:\n"
			"    - matchArgs: [{args: [0], operator: SPort, values: [\"%d\"]}]\n"
			"      matchActions: [{action: Override, argError: %d}]\n",
			i % 2 + 1, i % 2 ? other_error : error);
		if (apart)
			fprintf(f, "      matchBinaries: [{operator: NotIn, values: [/p%d]}]\n", i);
	}
	fclose(f);
	rs = compile_text(text);
	assert_int_equal(rs->hooks[CONNECT].n_selectors, N_ORDERED);
	return rs;
}

static __u64 port_fold(const struct ruleset *rs, unsigned int port)
{
	const struct revshell_hook_cfg *cfg = cfg_of(rs, CONNECT);

	return rs->rows[ruleset_page(rs, cfg, cfg->port_page[2][0])->row[port]].fold;
}

/* At most one bit of a fold stands for selectors of both ports. */
static void assert_ports_apart(const struct ruleset *rs)
{
	__u64 both = port_fold(rs, 1) & port_fold(rs, 2);

	assert_int_equal(cfg_of(rs, CONNECT)->fold_bits, 16);
	assert_true(port_fold(rs, 1) && port_fold(rs, 2) && !(both & (both - 1)));
	assert_true(!port_fold(rs, 3));
}

/* Of a hook with many words, selectors that ask alike stand together, unless an error hangs on it.
 */
static void test_order(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = compile_alternating(-1, -1, false);

	assert_ports_apart(rs);
	/* alike, they are in the order of the text */
	for (size_t i = 1; i < N_ORDERED; i++)
		assert_true(rs->hooks[CONNECT].selectors[i].entry ==
				    rs->hooks[CONNECT].selectors[i - 1].entry + 2 ||
			    i == N_ORDERED / 2);
	ruleset_free(rs);

	/* what each has for itself does not keep them from it */
	rs = compile_alternating(-1, -1, true);
	assert_ports_apart(rs);
	ruleset_free(rs);

	rs = compile_alternating(-1, -13, false);
	for (size_t i = 0; i < N_ORDERED; i++) {
		assert_int_equal(rs->hooks[CONNECT].selectors[i].entry, i);
		assert_int_equal(rs->hooks[CONNECT].denials[i].error, i % 2 ? -13 : -1);
	}
}

static void put_ports(FILE *f, const char *hook, const char *arg, int n)
{
	fprintf(f, "  - hook: %s\n    args: [%s]\n    selectors:\n", hook, arg);
	for (int i = 1; i <= n; i++)
		fprintf(f, "    - matchArgs: [{args: [0], operator: SPort, values: [\"%d\"]}]\n",
			i);
}

/* Hooks share rows of equal content, but not across what the fold means. */
static void test_fold(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = NULL;
	_cleanup_free_ char *text = NULL;
	size_t size = 0, two = 0, one = 0;
	FILE *f = open_memstream(&text, &size);

	fputs(POLICY_HEAD "spec:\n  lsmhooks:\n", f);
	put_ports(f, "socket_connect", "{index: 1, type: sockaddr}", 40);
	put_ports(f, "socket_connect", "{index: 1, type: sockaddr}", 40);
	put_ports(f, "socket_listen", "{index: 0, type: socket}", 40);
	put_ports(f, "socket_accept", "{index: 0, type: socket}", 40);
	fclose(f);
	rs = compile_text(text);

	assert_int_equal(rs->hooks[CONNECT].n_selectors, 104);
	assert_int_equal(rs->hooks[CONNECT].selectors[40].selector, UINT32_MAX);
	assert_int_equal(rs->hooks[CONNECT].selectors[64].selector, 0);
	assert_true(cfg_of(rs, CONNECT)->start[0] == 1 && cfg_of(rs, CONNECT)->start[1] == 1);
	assert_true(cfg_of(rs, CONNECT)->high[0] == 1ULL << 63);
	assert_true(cfg_of(rs, CONNECT)->high[1] == 1ULL << 63);
	for (size_t i = 1; i < rs->n_rows; i++) {
		const struct revshell_row *row = &rs->rows[i];

		assert_true(!(row->words[0] >> 40) && !(row->words[1] >> 40));
		/* a bit for two selectors */
		for (size_t k = 0; row->words[1] && k < 64; k++)
			assert_int_equal(row->fold >> k & 1,
					 (row->words[k / 32] >> k % 32 * 2 & 3) != 0);
		two += row->words[1] != 0;
		one += row->words[0] && !row->words[1] && row->fold == row->words[0];
	}
	/* one for each port, and the empty row, which folds to 0 either way */
	assert_int_equal(two, 40);
	assert_int_equal(one, 40);
	assert_int_equal(rs->n_rows, 1 + 40 + 40 + 1);
	assert_true(port_word(rs, LISTEN, REVSHELL_DIM_SK_SPORT, 3) == 4);
}

static void test_segments(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *rs =
		compile_text(POLICY_HEAD "spec:\n"
					 "  lsmhooks:\n"
					 "  - hook: socket_connect\n"
					 "    selectors: [{}, {}, {}]\n"
					 "  - hook: socket_connect\n"
					 "  - hook: socket_connect\n"
					 "    selectors: [{}, {}]\n");
	const struct revshell_hook_cfg *cfg = cfg_of(rs, CONNECT);

	assert_true(cfg->start[0] == (1 | 8 | 16));
	assert_true(cfg->high[0] == (4 | 8 | 1ULL << 63));
	/* nothing to look up: every selector matches, and each group's first is a real one */
	assert_true(cfg->used == 0);
	assert_true(cfg->families == ~0ULL);
}

static const char track_policy[] =
	POLICY_HEAD "spec:\n"
		    "  kprobes:\n"
		    "  - call: sk_alloc\n"
		    "    syscall: false\n"
		    "    return: true\n"
		    "    args: [{index: 1, type: int, label: family}]\n"
		    "    returnArg: {index: 0, type: sock}\n"
		    "    returnArgAction: TrackSock\n"
		    "    selectors:\n"
		    "    - matchArgs: [{index: 1, operator: Equal, values: [\"2\", \"10\"]}]\n"
		    "      matchActions: [{action: NoPost}]\n"
		    "  - call: __sk_free\n"
		    "    syscall: false\n"
		    "    args: [{index: 0, type: sock}]\n"
		    "    selectors:\n"
		    "    - matchArgs: [{index: 0, operator: Family, values: [\"2\"]}]\n"
		    "      matchActions: [{action: UntrackSock, argSock: 0}, {action: NoPost}]\n"
		    "  - call: inet_csk_listen_start\n"
		    "    syscall: false\n"
		    "    args: [{index: 0, type: sock}]\n";

static void test_track_sock(void **state)
{
	struct diag d = {};
	_cleanup_(ruleset_freep) struct ruleset *rs =
		compile_with(track_policy, &all_hooks, NULL, &d);

	assert_int_equal(d.n_warnings, 0);
	assert_int_equal(rs->hooks[REVSHELL_HOOK_SK_ALLOC].n_selectors, 0);
	assert_int_equal(rs->hooks[REVSHELL_HOOK_UNDER_SK_FREE].n_selectors, 0);
	assert_int_equal(rs->hooks[REVSHELL_HOOK_LISTEN_START].n_selectors, 1);
	assert_true(rs->track_sock && rs->effective[0].track_sock);
	for (size_t i = 0; i < REVSHELL_HOOK_MAX; i++)
		assert_int_equal(cfg_of(rs, i)->track_sock, 1);
	diag_done(&d);
}

static void test_track_sock_impossible(void **state)
{
	const struct ruleset_options opts = {.observe_listen_start = true, .no_track_sock = true};
	struct diag d = {};
	_cleanup_(ruleset_freep) struct ruleset *rs = compile_with(track_policy, &opts, NULL, &d);

	assert_int_equal(d.n_warnings, 2);
	assert_string_equal(d.items[0].code, "no-effect");
	assert_false(rs->track_sock || rs->effective[0].track_sock);
	assert_int_equal(cfg_of(rs, REVSHELL_HOOK_LISTEN_START)->track_sock, 0);
	assert_int_equal(rs->hooks[REVSHELL_HOOK_SK_ALLOC].n_selectors, 0);
	diag_done(&d);
}

/* What reports besides is placed all the same. */
static void test_track_sock_and_report(void **state)
{
	struct diag d = {};
	_cleanup_(ruleset_freep) struct ruleset *rs =
		compile_with(TCP_POLICY "    - matchActions: [{action: TrackSock, argSock: 0}]\n",
			     &all_hooks, NULL, &d);

	assert_int_equal(d.n_warnings, 0);
	assert_true(rs->track_sock);
	assert_true(cfg_of(rs, TCP_CONNECT)->report[0] == FIRST);
	diag_done(&d);
}

static void test_not_supported(void **state)
{
	assert_not_compiled(POLICY_HEAD
			    "spec:\n"
			    "  kprobes:\n"
			    "  - call: tcp_connect\n"
			    "    syscall: false\n"
			    "    return: true\n"
			    "    returnArg: {index: 0, type: int}\n"
			    "    args: [{index: 0, type: sock}]\n"
			    "    selectors:\n"
			    "    - matchReturnArgs: [{operator: Equal, values: [\"0\"]}]\n",
			    &all_hooks, -EINVAL, "not-supported", "matchReturnArgs");
	assert_not_compiled(POLICY_HEAD
			    "spec:\n"
			    "  lsmhooks:\n"
			    "  - hook: socket_accept\n"
			    "    args: [{index: 1, type: socket}]\n"
			    "    selectors:\n"
			    "    - matchArgs: [{index: 1, operator: SPort, values: [\"1\"]}]\n",
			    &all_hooks, -EINVAL, "not-supported", "second socket");
}

static void test_deterministic(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *a = compile_text(TCP_POLICY KILL_FAR);
	_cleanup_(ruleset_freep) struct ruleset *b = compile_text(TCP_POLICY KILL_FAR);
	_cleanup_(ruleset_freep) struct ruleset *c =
		compile_text(TCP_POLICY KILL_FAR "# changed\n");

	assert_int_equal(a->n_rows, b->n_rows);
	assert_memory_equal(a->rows, b->rows, a->n_rows * sizeof(*a->rows));
	for (size_t i = 0; i < REVSHELL_HOOK_MAX; i++)
		assert_memory_equal(&a->hooks[i].cfg, &b->hooks[i].cfg, sizeof(a->hooks[i].cfg));
	assert_true(a->digest == b->digest);
	assert_true(a->digest != c->digest);
}

static void test_out_of_range(void **state)
{
	struct diag d = {};
	_cleanup_(ruleset_freep) struct ruleset *rs = compile_with(
		TCP_POLICY "    - matchArgs: [{index: 0, operator: Protocol, values: [\"264\"]}]\n",
		&all_hooks, NULL, &d);

	assert_int_equal(d.n_warnings, 1);
	assert_string_equal(d.items[0].code, "value-out-of-range");
	assert_true(row_word(rs, cfg_of(rs, TCP_CONNECT)->dim_default[REVSHELL_DIM_SK_PROTOCOL]) ==
		    0);
	diag_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_early_copy),
		cmocka_unit_test(test_early_not_for_what_is_later),
		cmocka_unit_test(test_early_up_to_last_denial),
		cmocka_unit_test(test_moved),
		cmocka_unit_test(test_listen_unbound),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_cannot_deny),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_mptcp),
		cmocka_unit_test(test_admitted_protocols),
		cmocka_unit_test(test_exemption),
		cmocka_unit_test(test_identity_by_path),
		cmocka_unit_test(test_affixes),
		cmocka_unit_test(test_nested_prefixes),
		cmocka_unit_test(test_fold),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_track_sock),
		cmocka_unit_test(test_track_sock_impossible),
		cmocka_unit_test(test_track_sock_and_report),
		cmocka_unit_test(test_not_supported),
		cmocka_unit_test(test_deterministic),
		cmocka_unit_test(test_out_of_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
