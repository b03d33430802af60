/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every limit of the compiler: at it, and one above. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <string.h>

#include "address-runs.h"
#include "macro.h"
#include "ruleset.h"

static const struct ruleset_options all_hooks = {.observe_tcp_connect = true,
						 .observe_listen_start = true};

/* Policies are put together by hand: as text they would be far above the size of a file. */

static struct policy *policy_new(struct policy_set *set)
{
	struct policy *p = calloc(1, sizeof(*p));

	set->policies = reallocarray(set->policies, set->n + 1, sizeof(*set->policies));
	assert_non_null(p);
	assert_non_null(set->policies);
	p->name = strdup("limits");
	p->can_deny = true;
	set->policies[set->n++] = p;
	return p;
}

static struct policy_entry *entry_add(struct policy *p, const char *call, size_t n_selectors)
{
	struct policy_entry *e;

	p->entries = reallocarray(p->entries, p->n_entries + 1, sizeof(*p->entries));
	assert_non_null(p->entries);
	e = &p->entries[p->n_entries++];
	*e = (struct policy_entry){.section = SECTION_KPROBES, .n_selectors = n_selectors};
	e->call =
		policy_call_find(call, SECTION_KPROBES) ?: policy_call_find(call, SECTION_LSMHOOKS);
	assert_non_null(e->call);
	e->n_args = MIN(e->call->n_args, 2U);
	e->args = calloc(2, sizeof(*e->args));
	for (unsigned int i = 0; i < e->n_args; i++)
		e->args[i] = (struct policy_arg){.index = i, .type = e->call->args[i]};
	e->selectors = calloc(n_selectors, sizeof(*e->selectors));
	assert_non_null(e->selectors);
	for (size_t i = 0; i < n_selectors; i++) {
		e->selectors[i].actions = calloc(1, sizeof(*e->selectors[i].actions));
		e->selectors[i].actions[0].kind = ACTION_POST;
		e->selectors[i].n_actions = 1;
	}
	return e;
}

static struct policy_values *arg_add(struct policy_selector *s, unsigned int arg, enum policy_op op,
				     size_t n)
{
	struct policy_arg_filter *f;

	s->args = reallocarray(s->args, s->n_args + 1, sizeof(*s->args));
	assert_non_null(s->args);
	f = &s->args[s->n_args++];
	*f = (struct policy_arg_filter){.arg = arg, .op = op};
	if (op == OP_SADDR || op == OP_DADDR)
		f->values.cidrs = calloc(n, sizeof(*f->values.cidrs));
	else
		f->values.ranges = calloc(n, sizeof(*f->values.ranges));
	return &f->values;
}

static struct policy_values *path_add(struct policy_selector *s, bool parent, enum policy_op op,
				      size_t n)
{
	struct policy_path_filter *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->op = op;
	f->values.strings = calloc(n, sizeof(*f->values.strings));
	if (parent) {
		s->parent_binaries = f;
		s->n_parent_binaries = 1;
	} else {
		s->binaries = f;
		s->n_binaries = 1;
	}
	return &f->values;
}

static void cidr_add(struct policy_values *v, uint32_t addr)
{
	struct policy_cidr *c = &v->cidrs[v->n_cidrs++];

	*c = (struct policy_cidr){.family = 4, .prefix = 32};
	addr = htonl(addr);
	memcpy(c->addr, &addr, sizeof(addr));
}

static void assert_fits(struct policy_set *set, struct ruleset **ret_rs)
{
	struct ruleset *rs = NULL;
	struct diag d = {};

	if (ruleset_compile(set, &all_hooks, NULL, &d, &rs) < 0)
		fail_msg("%s", d.n_items ? d.items[0].message : "?");
	assert_int_equal(set->n, 0);
	diag_done(&d);
	if (ret_rs)
		*ret_rs = rs;
	else
		ruleset_free(rs);
}

static void assert_too_big(struct policy_set *set, const char *limit)
{
	struct ruleset *rs = NULL;
	struct diag d = {};
	size_t n = set->n;

	assert_int_equal(ruleset_compile(set, &all_hooks, NULL, &d, &rs), -E2BIG);
	assert_null(rs);
	assert_int_equal(set->n, n);
	assert_int_equal(d.n_errors, 1);
	if (!strstr(d.items[0].message, limit))
		fail_msg("%s is not named: %s", limit, d.items[0].message);
	diag_done(&d);
	policy_set_done(set);
}

static void test_group_selectors(void **state)
{
	struct policy_set set = {};

	entry_add(policy_new(&set), "socket_connect", REVSHELL_GROUP_SELECTORS);
	assert_fits(&set, NULL);
	entry_add(policy_new(&set), "socket_connect", REVSHELL_GROUP_SELECTORS + 1);
	assert_too_big(&set, "REVSHELL_GROUP_SELECTORS");
}

static void test_selectors(void **state)
{
	struct policy_set set = {};
	struct ruleset *rs = NULL;

	for (size_t over = 0; over < 2; over++) {
		struct policy *p = policy_new(&set);

		for (size_t i = 0; i < REVSHELL_SELECTORS / REVSHELL_GROUP_SELECTORS; i++)
			entry_add(p, "socket_connect", REVSHELL_GROUP_SELECTORS);
		if (over) {
			entry_add(p, "socket_connect", 1);
			assert_too_big(&set, "REVSHELL_SELECTORS");
			continue;
		}
		assert_fits(&set, &rs);
		assert_int_equal(rs->hooks[REVSHELL_HOOK_CONNECT].n_selectors, REVSHELL_SELECTORS);
		assert_int_equal(rs->hooks[REVSHELL_HOOK_CONNECT].cfg.n_words, REVSHELL_WORDS);
		ruleset_free(rs);
	}
}

static void test_signals(void **state)
{
	for (int over = 0; over < 2; over++) {
		struct policy_set set = {};
		struct policy_entry *e =
			entry_add(policy_new(&set), "socket_connect", REVSHELL_SIGNALS + over);

		for (size_t i = 0; i < e->n_selectors; i++) {
			e->selectors[i].actions[0].kind = ACTION_SIGNAL;
			e->selectors[i].actions[0].signal = 1 + (int)i;
		}
		if (over)
			assert_too_big(&set, "REVSHELL_SIGNALS");
		else
			assert_fits(&set, NULL);
	}
}

/* Executables and parents count together. */
static void test_binaries(void **state)
{
	for (size_t over = 0; over < 2; over++) {
		struct policy_set set = {};
		struct policy_entry *e = entry_add(policy_new(&set), "socket_connect", 1);
		struct policy_values *exe, *parent;
		struct ruleset *rs = NULL;

		exe = path_add(&e->selectors[0], false, OP_IN, REVSHELL_MAX_BINARIES);
		parent = path_add(&e->selectors[0], true, OP_NOT_IN, REVSHELL_MAX_BINARIES);
		for (size_t i = 0; i < REVSHELL_MAX_BINARIES + over; i++) {
			struct policy_values *v = i < 10000 ? exe : parent;
			char text[32];

			/* the same value once more does not count */
			snprintf(text, sizeof(text), "/bin/%zu", i);
			v->strings[v->n_strings++].text = strdup(text);
			if (i == 0)
				v->strings[v->n_strings++].text = strdup(text);
		}
		if (over) {
			assert_too_big(&set, "REVSHELL_MAX_BINARIES");
			continue;
		}
		assert_fits(&set, &rs);
		assert_int_equal(rs->n_paths[0] + rs->n_paths[1], REVSHELL_MAX_BINARIES);
		for (size_t i = 1; i < rs->n_paths[0]; i++)
			assert_true(strcmp(rs->paths[0][i - 1].path, rs->paths[0][i].path) < 0);
		ruleset_free(rs);
	}
}

static void test_lengths(void **state)
{
	static const struct {
		enum policy_op op;
		size_t max;
	} rows[] = {
		{OP_IN, REVSHELL_PATH_MAX},
		{OP_PREFIX, REVSHELL_PREFIX_MAX},
		{OP_NOT_POSTFIX, REVSHELL_POSTFIX_MAX},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t over = 0; over < 2; over++) {
			struct policy_set set = {};
			struct policy_entry *e = entry_add(policy_new(&set), "socket_connect", 1);
			struct policy_values *v =
				path_add(&e->selectors[0], false, rows[i].op, 300);
			size_t n = rows[i].max + over;
			char number[16];

			/* for affixes each of them is the beginning or end of the next */
			for (size_t len = rows[i].op == OP_IN ? n : 1; len <= n; len++) {
				char *text = malloc(len + 1);

				memset(text, 'x', len);
				text[len] = '\0';
				v->strings[v->n_strings++].text = text;
			}
			snprintf(number, sizeof(number), "%zu", rows[i].max);
			if (over)
				assert_too_big(&set, number);
			else
				assert_fits(&set, NULL);
		}
}

/* A copy ahead of the call's own hook does not count. */
static void test_cidrs(void **state)
{
	for (size_t over = 0; over < 2; over++) {
		struct policy_set set = {};
		struct policy_entry *e = entry_add(policy_new(&set), "tcp_connect", 1);
		struct policy_values *v =
			arg_add(&e->selectors[0], 0, OP_DADDR, REVSHELL_MAX_CIDRS + over + 1);
		struct ruleset *rs = NULL;

		e->selectors[0].actions[0].kind = ACTION_SIGKILL;
		cidr_add(v, 0x0a000000);
		for (uint32_t i = 0; i < REVSHELL_MAX_CIDRS + over; i++)
			cidr_add(v, 0x0a000000 + i * 7);
		if (over) {
			assert_too_big(&set, "REVSHELL_MAX_CIDRS");
			continue;
		}
		assert_fits(&set, &rs);
		assert_int_equal(rs->tries[REVSHELL_HOOK_CONNECT][2].n_v4, REVSHELL_MAX_CIDRS);
		assert_int_equal(rs->tries[REVSHELL_HOOK_TCP_CONNECT][1].n_v4, REVSHELL_MAX_CIDRS);
		ruleset_free(rs);
	}
}

/* Address i is in the set of selector b where bit b of i is set: each has a row of its own. */
static void test_rows(void **state)
{
	const uint32_t n_already = 2; /* every selector, no selector */

	for (uint32_t over = 0; over < 2; over++) {
		struct policy_set set = {};
		struct policy_entry *e = entry_add(policy_new(&set), "socket_connect", 16);
		struct ruleset *rs = NULL;

		for (size_t b = 0; b < 16; b++) {
			struct policy_values *v =
				arg_add(&e->selectors[b], 1, OP_SADDR, REVSHELL_MAX_ROWS);

			for (uint32_t i = 1; i <= REVSHELL_MAX_ROWS - n_already + over; i++)
				if (i >> b & 1)
					cidr_add(v, 0x0a000000 + i);
		}
		if (over) {
			assert_too_big(&set, "REVSHELL_MAX_ROWS");
			continue;
		}
		assert_fits(&set, &rs);
		assert_int_equal(rs->n_rows, REVSHELL_MAX_ROWS);
		ruleset_free(rs);
	}
}

/* The ports of page i's set are the bits of a number that no other page has. */
static void fill_pages(struct policy_entry *e, enum policy_op op, unsigned int first)
{
	struct policy_values *v = arg_add(&e->selectors[0], 0, op, 256 * 16);

	for (unsigned int page = 0; page < 256; page++)
		for (unsigned int b = 0; b < 16; b++)
			if ((first + page) >> b & 1) {
				int64_t port = page * 256 + b;

				v->ranges[v->n_ranges++] = (struct policy_range){port, port};
			}
}

static void test_pages(void **state)
{
	static const char *const calls[] = {"socket_listen", "socket_sendmsg", "socket_accept",
					    "tcp_connect",   "tcp_close",      "tcp_sendmsg",
					    "tcp_set_state", "udp_sendmsg"};

	_Static_assert(REVSHELL_MAX_PAGES == 256 * 2 * ARRAY_SIZE(calls), "pages of this test");
	for (size_t over = 0; over < 2; over++) {
		struct policy_set set = {};
		struct policy *p = policy_new(&set);
		struct ruleset *rs = NULL;
		unsigned int n = 0;

		for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
			struct policy_entry *e = entry_add(p, calls[i], 1);

			fill_pages(e, OP_SPORT, n);
			fill_pages(e, OP_DPORT, n + 256);
			n += 512;
		}
		if (over) {
			struct policy_entry *e = entry_add(p, "inet_csk_listen_start", 1);
			struct policy_values *v = arg_add(&e->selectors[0], 0, OP_SPORT, 1);

			v->ranges[v->n_ranges++] = (struct policy_range){0, 65535};
			assert_too_big(&set, "REVSHELL_MAX_PAGES");
			continue;
		}
		assert_fits(&set, &rs);
		assert_int_equal(rs->n_pages, REVSHELL_MAX_PAGES);
		ruleset_free(rs);
	}
}

/* A name that differs from all others. */
static void string_add(struct policy_values *v, size_t number)
{
	v->strings = reallocarray(v->strings, v->n_strings + 1, sizeof(*v->strings));
	assert_non_null(v->strings);
	v->strings[v->n_strings] = (struct policy_value_string){};
	assert_true(asprintf(&v->strings[v->n_strings++].text, "/%zu", number) > 0);
}

static void range_add(struct policy_values *v, int64_t lo, int64_t hi)
{
	v->ranges = reallocarray(v->ranges, v->n_ranges + 1, sizeof(*v->ranges));
	assert_non_null(v->ranges);
	v->ranges[v->n_ranges++] = (struct policy_range){lo, hi};
}

/* Filters that ask the same do not count, on whatever hook they stand. */
static void test_predicates(void **state)
{
	static const char *const calls[] = {"socket_connect", "socket_listen"};

	for (int over = 0; over < 2; over++) {
		struct policy_set set = {};
		struct policy *p = policy_new(&set);
		struct ruleset *rs = NULL;

		for (size_t h = 0; h < ARRAY_SIZE(calls); h++)
			for (int i = 0; i < REVSHELL_PREDICATES + over; i++) {
				struct policy_entry *e = entry_add(p, calls[h], 1);
				struct policy_user_filter *f = calloc(1, sizeof(*f));

				f->op = i % 2 ? OP_IN : OP_NOT_IN;
				range_add(&f->values, i, i);
				e->selectors[0].users = f;
				e->selectors[0].n_users = 1;
			}
		if (over) {
			assert_too_big(&set, "REVSHELL_PREDICATES");
			continue;
		}
		assert_fits(&set, &rs);
		assert_int_equal(rs->n_predicates, REVSHELL_PREDICATES);
		assert_true(rs->hooks[REVSHELL_HOOK_CONNECT].cfg.predicates == ~0ULL);
		ruleset_free(rs);
	}
}

/* On one hook; another one has room of its own. */
static void test_masks(void **state)
{
	for (unsigned int over = 0; over < 2; over++) {
		struct policy_set set = {};
		struct policy *p = policy_new(&set);
		struct ruleset *rs = NULL;

		for (unsigned int i = 0; i <= REVSHELL_MASKS; i++) {
			bool last = i == REVSHELL_MASKS;
			struct policy_entry *e =
				entry_add(p, last && !over ? "socket_listen" : "socket_connect", 1);
			struct policy_cap_filter *f = calloc(1, sizeof(*f));

			*f = (struct policy_cap_filter){.op = OP_IN, .caps = 1ULL << i};
			e->selectors[0].caps = f;
			e->selectors[0].n_caps = 1;
		}
		if (over) {
			assert_too_big(&set, "REVSHELL_MASKS");
			continue;
		}
		assert_fits(&set, &rs);
		assert_int_equal(rs->hooks[REVSHELL_HOOK_CONNECT].cfg.n_masks, REVSHELL_MASKS);
		ruleset_free(rs);
	}
}

static void test_numbers(void **state)
{
	for (int64_t over = 0; over < 2; over++) {
		struct policy_set set = {};
		struct policy_entry *e = entry_add(policy_new(&set), "socket_listen", 1);
		struct policy_values *v =
			arg_add(&e->selectors[0], 1, OP_IN_MAP, REVSHELL_MAX_NUMBERS + 1);
		struct ruleset *rs = NULL;

		for (int64_t i = 0; i < REVSHELL_MAX_NUMBERS + over; i++)
			v->ranges[v->n_ranges++] = (struct policy_range){2 * i, 2 * i};
		if (over) {
			assert_too_big(&set, "REVSHELL_MAX_NUMBERS");
			continue;
		}
		assert_fits(&set, &rs);
		assert_int_equal(rs->n_numbers, REVSHELL_MAX_NUMBERS);
		ruleset_free(rs);
	}
}

static void test_unix(void **state)
{
	for (size_t over = 0; over < 2; over++) {
		struct policy_set set = {};
		struct policy_entry *e = entry_add(policy_new(&set), "socket_connect", 1);
		struct policy_arg_filter *f = calloc(1, sizeof(*f));
		struct ruleset *rs = NULL;

		e->args[1].type = ARG_SOCKADDR_UN;
		*f = (struct policy_arg_filter){.arg = 1, .op = OP_EQUAL};
		e->selectors[0].args = f;
		e->selectors[0].n_args = 1;
		for (size_t i = 0; i < REVSHELL_MAX_UNIX + over; i++)
			string_add(&f->values, i);
		string_add(&f->values, 0);
		if (over) {
			assert_too_big(&set, "REVSHELL_MAX_UNIX");
			continue;
		}
		assert_fits(&set, &rs);
		assert_int_equal(rs->n_unix_paths, REVSHELL_MAX_UNIX);
		ruleset_free(rs);
	}
}

/* The deepest nesting, and a path that fills the key. */
static void test_unix_lengths(void **state)
{
	for (size_t over = 0; over < 2; over++) {
		struct policy_set set = {};
		struct policy_entry *e = entry_add(policy_new(&set), "socket_connect", 1);
		struct policy_arg_filter *f = calloc(1, sizeof(*f));

		e->args[1].type = ARG_SOCKADDR_UN;
		*f = (struct policy_arg_filter){.arg = 1, .op = OP_PREFIX};
		e->selectors[0].args = f;
		e->selectors[0].n_args = 1;
		for (size_t len = 1; len <= 112 + over; len++) {
			string_add(&f->values, 0);
			free(f->values.strings[len - 1].text);
			assert_true(asprintf(&f->values.strings[len - 1].text, "%0*d", (int)len,
					     0) > 0);
		}
		if (over)
			assert_too_big(&set, "113 bytes");
		else
			assert_fits(&set, NULL);
	}
}

static void test_units(void **state)
{
	for (size_t over = 0; over < 3; over++) {
		struct policy_set set = {};
		struct policy_entry *e = entry_add(policy_new(&set), "socket_connect", 1);
		struct policy_unit_filter *f = calloc(1, sizeof(*f));
		struct ruleset *rs = NULL;

		f->op = OP_IN;
		e->selectors[0].units = f;
		e->selectors[0].n_units = 1;
		for (size_t i = 0; i < REVSHELL_MAX_UNITS + (over == 1); i++)
			string_add(&f->values, i);
		free(f->values.strings[0].text);
		assert_true(asprintf(&f->values.strings[0].text, "%0*d.slice",
				     REVSHELL_UNIT_NAME - 7 + (over == 2), 0) > 0);
		if (over == 1) {
			assert_too_big(&set, "REVSHELL_MAX_UNITS");
			continue;
		}
		if (over == 2) {
			assert_too_big(&set, "128 bytes, at most 127");
			continue;
		}
		assert_fits(&set, &rs);
		assert_int_equal(rs->n_units, REVSHELL_MAX_UNITS);
		ruleset_free(rs);
	}
}

static void test_lineage(void **state)
{
	for (size_t over = 0; over < 2; over++) {
		struct policy_set set = {};
		struct policy_entry *e = entry_add(policy_new(&set), "socket_connect", 1);
		struct policy_values *v = path_add(&e->selectors[0], false, OP_IN, 1);
		struct ruleset *rs = NULL;

		e->selectors[0].binaries->follow_children = true;
		for (size_t i = 0; i < REVSHELL_MAX_BINARIES + over; i++)
			string_add(v, i);
		if (over) {
			assert_too_big(&set, "REVSHELL_MAX_BINARIES");
			continue;
		}
		assert_fits(&set, &rs);
		assert_int_equal(rs->n_lineage, REVSHELL_MAX_BINARIES);
		assert_int_equal(rs->n_paths[0], 0);
		ruleset_free(rs);
	}
}

/* A prefix of nested and neighbouring ones. */
static void cidr_scatter(struct policy_values *v, uint32_t *x)
{
	struct policy_cidr *c = &v->cidrs[v->n_cidrs];

	*x = *x * 1664525U + 1013904223U;
	cidr_add(v, (*x & 0xf00f0ff0) >> (*x % 3));
	c->prefix = *x >> 8 & 31;
	for (unsigned int b = c->prefix; b < 32; b++)
		c->addr[b / 8] &= (uint8_t) ~(0x80U >> b % 8);
}

static uint32_t next_address(uint32_t *x)
{
	*x = *x * 1664525U + 1013904223U;
	return (*x & 0xf10f1ff1) >> (*x % 3);
}

static bool cidr_holds(const struct policy_cidr *c, uint32_t addr)
{
	uint32_t base;

	memcpy(&base, c->addr, sizeof(base));
	return c->prefix == 0 || (ntohl(base) ^ addr) >> (32 - c->prefix) == 0;
}

/* The look-up among IPv6 prefixes against looking at each. */
static void test_lookup(void **state)
{
	struct policy_set set = {};
	struct policy_entry *e = entry_add(policy_new(&set), "socket_connect", 1);
	struct policy_values *v = arg_add(&e->selectors[0], 1, OP_SADDR, 2000);
	const struct ruleset_trie *t;
	struct ruleset *rs = NULL;
	uint32_t x = 1;

	for (size_t i = 0; i < 2000; i++) {
		cidr_scatter(v, &x);
		v->cidrs[i].family = 6;
	}
	assert_fits(&set, &rs);
	t = &rs->tries[REVSHELL_HOOK_CONNECT][2];
	for (size_t i = 0; i < 20000; i++) {
		const struct ruleset_cidr *best = NULL;
		uint32_t addr = next_address(&x);
		uint32_t key[4] = {htonl(addr)};

		for (size_t k = 0; k < t->n_v6; k++) {
			struct policy_cidr c = {.prefix = t->v6[k].prefix};

			memcpy(c.addr, t->v6[k].addr, sizeof(c.addr));
			if (cidr_holds(&c, addr) && (!best || c.prefix > best->prefix))
				best = &t->v6[k];
		}
		assert_ptr_equal(ruleset_lookup_cidr(t->v6, t->n_v6, (uint8_t *)key), best);
		assert_null(ruleset_lookup_cidr(NULL, 0, (uint8_t *)key));
	}
	ruleset_free(rs);
}

/* As many prefixes as fill the root, one more than that, a level of nodes, one more; and many. */
static void test_address_tree(void **state)
{
	static const struct {
		size_t n;
		uint32_t below;
	} cases[] = {{1, 0}, {31, 0}, {32, 1}, {2047, 1}, {2048, 2}, {4000, 2}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct policy_set set = {};
		struct policy_entry *e = entry_add(policy_new(&set), "socket_connect", 1);
		struct policy_values *v = arg_add(&e->selectors[0], 1, OP_SADDR, cases[i].n);
		struct ruleset *rs = NULL;
		struct runs *runs = calloc(1, sizeof(*runs));

		assert_non_null(runs);
		/* two runs each, and what lies before the first */
		for (uint32_t k = 0; k < cases[i].n; k++)
			cidr_add(v, 0x0a000000 + k * 2);
		assert_fits(&set, &rs);
		ruleset_each_run(rs, REVSHELL_HOOK_CONNECT, REVSHELL_DIM_SA_ADDR, take_run, runs);
		assert_int_equal(runs->n, 2 * cases[i].n + 1);
		assert_int_equal(rs->hooks[REVSHELL_HOOK_CONNECT].cfg.addr4_below[2],
				 cases[i].below);
		for (size_t k = 0; k < runs->n; k++)
			assert_int_equal(rs->rows[runs->row[k]].words[0], k % 2);
		ruleset_free(rs);
		free(runs);
	}
}

/* Nested prefixes, those that end with the last address among them, against each of them. */
static void test_address_runs(void **state)
{
	for (uint32_t seed = 0; seed < 20; seed++) {
		struct policy_set set = {};
		struct policy_entry *e = entry_add(policy_new(&set), "socket_connect", 1);
		struct policy_values *v = arg_add(&e->selectors[0], 1, OP_SADDR, 202);
		struct runs *runs = calloc(1, sizeof(*runs));
		struct ruleset *rs = NULL;
		uint32_t x = seed;

		assert_non_null(runs);
		cidr_add(v, 0xffffffff);
		cidr_add(v, seed % 2 ? 0xff000000 : 0);
		v->cidrs[1].prefix = seed % 2 ? 8 : 32;
		for (size_t i = 0; i < 10 * seed; i++)
			cidr_scatter(v, &x);
		assert_fits(&set, &rs);
		ruleset_each_run(rs, REVSHELL_HOOK_CONNECT, REVSHELL_DIM_SA_ADDR, take_run, runs);
		v = &rs->policies.policies[0]->entries[0].selectors[0].args[0].values;
		for (size_t k = 0; k < runs->n; k++) {
			bool last = k + 1 == runs->n;
			uint32_t ends[] = {runs->first[k],
					   last ? UINT32_MAX : runs->first[k + 1] - 1};

			for (size_t end = 0; end < 2; end++) {
				bool held = false;

				for (size_t i = 0; i < v->n_cidrs; i++)
					held |= cidr_holds(&v->cidrs[i], ends[end]);
				assert_int_equal(rs->rows[runs->row[k]].words[0], held);
			}
		}
		ruleset_free(rs);
		free(runs);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_group_selectors),
		cmocka_unit_test(test_selectors),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_binaries),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_cidrs),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_predicates),
		cmocka_unit_test(test_masks),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_unix_lengths),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_lineage),
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_address_tree),
		cmocka_unit_test(test_address_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
