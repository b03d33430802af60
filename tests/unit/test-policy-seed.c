/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The seven policies that the project began with: every typed field of each. */
#include "policy-helpers.h"

/* What one selector must hold; NULL and 0 where it must hold nothing. */
struct expected_filter {
	unsigned int arg;
	enum policy_op op;
	const char *values; /* "2 10" or "10.0.0.0/8 ..." */
};

struct expected_selector {
	const char *binaries; /* In */
	struct expected_filter filters[4];
	enum policy_action_kind actions[3];
};

struct expected_entry {
	const char *call;
	struct policy_arg args[4];
	const char *labels[4];
	struct policy_arg return_arg;
	enum policy_action_kind return_action;
	struct expected_selector selectors[2];
};

static const char private[] = "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 127.0.0.0/8";

static const struct {
	const char *file;
	const char *name;
	bool can_deny;
	struct expected_entry entries[4];
} seed[] = {
	{"4.1-detect-reverse-shell-outbound",
	 "detect-reverse-shell-outbound",
	 false,
	 {{"tcp_connect",
	   {{.type = ARG_SOCK}},
	   .selectors = {{NULL,
			  {{0, OP_NOT_DADDR,
			    "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 127.0.0.0/8 169.254.0.0/16 "
			    "::1/128 fe80::/10 fc00::/7"}},
			  {ACTION_POST}}}}}},
	{"4.2-detect-bind-shell",
	 "detect-bind-shell",
	 false,
	 {{"sk_alloc",
	   {{.index = 1, .type = ARG_INT}},
	   {"family"},
	   {.type = ARG_SOCK},
	   ACTION_TRACK_SOCK,
	   {{NULL, {{0, OP_EQUAL, "2 10"}}, {ACTION_NOPOST}}}},
	  {"__sk_free",
	   {{.type = ARG_SOCK}},
	   .selectors = {{NULL, {{0, OP_FAMILY, "2 10"}}, {ACTION_UNTRACK_SOCK, ACTION_NOPOST}}}},
	  {"inet_csk_listen_start",
	   {{.type = ARG_SOCK}},
	   .selectors = {{NULL,
			  {{0, OP_SPORT, "4444 8888 1337 31337 9001 5555 6666"}},
			  {ACTION_POST}}}}}},
	{"4.3-detect-reverse-shell-all-protocols",
	 "detect-reverse-shell-all-protocols",
	 false,
	 {{"security_socket_connect",
	   {{.type = ARG_SOCKET},
	    {.index = 1, .type = ARG_SOCKADDR},
	    {.index = 2, .type = ARG_INT}},
	   .selectors =
		   {{NULL,
		     {{0, OP_PROTOCOL, "6 17"}, {1, OP_FAMILY, "2 10"}, {1, OP_NOT_SADDR, private}},
		     {ACTION_POST}}}}}},
	{"4.4-detect-encrypted-reverse-shell",
	 "detect-encrypted-reverse-shell",
	 false,
	 {{"tcp_connect",
	   {{.type = ARG_SOCK}},
	   .selectors = {{"/usr/bin/openssl /usr/bin/socat /usr/local/bin/socat /usr/bin/ncat",
			  {{0, OP_NOT_DADDR, private}},
			  {ACTION_POST}}}}}},
	{"4.5-enforce-no-reverse-shell",
	 "enforce-no-reverse-shell",
	 true,
	 {{"tcp_connect",
	   {{.type = ARG_SOCK}},
	   .selectors = {{"/usr/bin/bash /bin/bash /usr/bin/sh /bin/sh /usr/bin/nc /usr/bin/ncat "
			  "/usr/bin/python3 /usr/bin/perl",
			  {{0, OP_NOT_DADDR, private}},
			  {ACTION_SIGKILL}}}}}},
	{"5.2.2-all-protocols",
	 "monitor-all-protocols-outbound",
	 false,
	 {{"security_socket_connect",
	   {{.type = ARG_SOCKET}, {.index = 1, .type = ARG_SOCKADDR}},
	   .selectors =
		   {{NULL, {{1, OP_FAMILY, "2 10"}, {1, OP_NOT_SADDR, private}}, {ACTION_POST}}}}}},
	{"5.2.3-process-and-network",
	 "suspicious-process-outbound",
	 false,
	 {{"tcp_connect",
	   {{.type = ARG_SOCK}},
	   .selectors = {{"/usr/bin/bash /usr/bin/python3 /usr/bin/nc",
			  {{0, OP_NOT_DADDR, private}},
			  {ACTION_POST}}}}}},
};

static void format_cidr(const struct policy_cidr *c, char *buffer, size_t size)
{
	if (c->family == 4) {
		snprintf(buffer, size, "%u.%u.%u.%u/%u", c->addr[0], c->addr[1], c->addr[2],
			 c->addr[3], c->prefix);
		return;
	}
	/* the few that the files hold, without another formatter to trust */
	if (c->addr[15] == 1)
		snprintf(buffer, size, "::1/%u", c->prefix);
	else
		snprintf(buffer, size, "%02x%02x::/%u", c->addr[0], c->addr[1], c->prefix);
}

static void assert_values(const struct policy_values *v, const char *expected)
{
	char got[1024] = "", one[64];

	for (size_t i = 0; i < v->n_ranges; i++) {
		assert_int_equal(v->ranges[i].lo, v->ranges[i].hi);
		snprintf(one, sizeof(one), "%s%lld", got[0] ? " " : "", (long long)v->ranges[i].lo);
		strcat(got, one);
	}
	for (size_t i = 0; i < v->n_cidrs; i++) {
		format_cidr(&v->cidrs[i], one, sizeof(one));
		strcat(strcat(got, got[0] ? " " : ""), one);
	}
	for (size_t i = 0; i < v->n_strings; i++)
		strcat(strcat(got, got[0] ? " " : ""), v->strings[i].text);
	assert_string_equal(got, expected);
}

static void check_selector(const struct policy_selector *s, const struct expected_selector *e)
{
	size_t n = 0;

	assert_null(s->label);
	assert_int_equal(s->n_binaries, e->binaries ? 1 : 0);
	if (e->binaries) {
		assert_int_equal(s->binaries[0].op, OP_IN);
		assert_false(s->binaries[0].follow_children);
		assert_values(&s->binaries[0].values, e->binaries);
	}
	assert_int_equal(s->n_parent_binaries + s->n_pids + s->n_namespaces + s->n_caps +
				 s->n_users + s->n_units + s->n_stdio + s->n_return_args +
				 s->n_return_actions,
			 0);
	while (n < 4 && e->filters[n].op != OP_NONE)
		n++;
	assert_int_equal(s->n_args, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(s->args[i].arg, e->filters[i].arg);
		assert_int_equal(s->args[i].op, e->filters[i].op);
		assert_values(&s->args[i].values, e->filters[i].values);
	}
	for (n = 0; n < 3 && e->actions[n] != ACTION_NONE; n++)
		;
	assert_int_equal(s->n_actions, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(s->actions[i].kind, e->actions[i]);
		assert_int_equal(s->actions[i].error, 0);
		assert_int_equal(s->actions[i].signal, 0);
		assert_int_equal(s->actions[i].arg_sock, 0);
		assert_int_equal(s->actions[i].rate_limit_ms, 0);
		assert_false(s->actions[i].kernel_stack || s->actions[i].user_stack);
	}
}

static void check_entry(const struct policy_entry *entry, const struct expected_entry *e)
{
	size_t n = 0;

	assert_int_equal(entry->section, SECTION_KPROBES);
	assert_ptr_equal(entry->call, policy_call_find(e->call, SECTION_KPROBES));
	assert_null(entry->message);
	assert_int_equal(entry->n_tags, 0);
	while (n < 4 && e->args[n].type != ARG_NONE)
		n++;
	assert_int_equal(entry->n_args, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(entry->args[i].index, e->args[i].index);
		assert_int_equal(entry->args[i].type, e->args[i].type);
		if (e->labels[i])
			assert_string_equal(entry->args[i].label, e->labels[i]);
		else
			assert_null(entry->args[i].label);
	}
	assert_int_equal(entry->has_return, e->return_arg.type != ARG_NONE);
	assert_int_equal(entry->return_arg.type, e->return_arg.type);
	assert_int_equal(entry->return_action, e->return_action);
	assert_false(entry->ignore_not_found);
	assert_int_equal(entry->n_selectors, 1);
	check_selector(&entry->selectors[0], &e->selectors[0]);
}

static void test_seed(void **state)
{
	const char *root = getenv("REVSHELL_TEST_POLICIES");

	assert_non_null(root);
	for (size_t i = 0; i < ARRAY_SIZE(seed); i++) {
		_cleanup_free_ char *path = NULL;
		struct policy_set set = {};
		struct diag d = {};
		const struct policy *p;
		size_t n = 0;

		assert_true(asprintf(&path, "%s/seed/%s.yaml", root, seed[i].file) >= 0);
		assert_int_equal(policy_load_file(path, &offline, &d, &set), 0);
		assert_int_equal(d.n_items, 0);
		assert_int_equal(set.n, 1);
		p = set.policies[0];
		assert_string_equal(p->name, seed[i].name);
		assert_string_equal(p->origin, path);
		assert_int_equal(strncmp(p->source, "apiVersion: ", 12), 0);
		assert_int_equal(p->mode, POLICY_MODE_ENFORCE);
		assert_int_equal(p->can_deny, seed[i].can_deny);
		assert_false(p->namespaced || p->identity_by_path);
		assert_int_equal(p->fallback, FALLBACK_NONE);
		assert_null(p->description);
		while (n < 4 && seed[i].entries[n].call)
			n++;
		assert_int_equal(p->n_entries, n);
		for (size_t j = 0; j < n; j++)
			check_entry(&p->entries[j], &seed[i].entries[j]);
		policy_set_done(&set);
		diag_done(&d);
	}
}

/* The positions that events and errors name. */
static void test_positions(void **state)
{
	_cleanup_free_ char *path = NULL;
	struct policy_set set = {};
	struct diag d = {};
	const struct policy_entry *e;

	assert_true(asprintf(&path, "%s/seed/4.2-detect-bind-shell.yaml",
			     getenv("REVSHELL_TEST_POLICIES")) >= 0);
	assert_int_equal(policy_load_file(path, &offline, &d, &set), 0);
	e = &set.policies[0]->entries[1];
	assert_string_equal(e->pos.file, path);
	assert_int_equal(e->pos.line, 30);
	assert_int_equal(e->pos.column, 5);
	assert_int_equal(e->selectors[0].pos.line, 36);
	assert_int_equal(e->selectors[0].pos.column, 7);
	assert_int_equal(e->selectors[0].args[0].pos.line, 37);
	assert_int_equal(e->selectors[0].actions[1].pos.line, 45);
	assert_int_equal(e->selectors[0].actions[1].pos.column, 9);
	policy_set_done(&set);
	diag_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seed),
		cmocka_unit_test(test_positions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
