/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every operator on every type: what the tables allow loads, all else is refused by name. */
#include "policy-helpers.h"

/* A call whose argument can be read as each type. */
static const struct {
	enum policy_arg_type type;
	const char *call;
	unsigned int index;
} places[] = {
	{ARG_SOCK, "tcp_connect", 0},
	{ARG_SOCKET, "security_socket_connect", 0},
	{ARG_SOCKADDR, "security_socket_connect", 1},
	{ARG_SOCKADDR_UN, "security_socket_connect", 1},
	{ARG_INT, "security_socket_connect", 2},
	{ARG_UINT32, "sk_alloc", 2},
	{ARG_SIZE, "tcp_sendmsg", 2},
	{ARG_UINT64, "tcp_sendmsg", 2},
	{ARG_LONG, "tcp_close", 1},
	{ARG_INT8, "tcp_set_state", 1},
	{ARG_INT16, "tcp_set_state", 1},
	{ARG_UINT8, "tcp_set_state", 1},
	{ARG_UINT16, "tcp_set_state", 1},
	{ARG_NOP, "tcp_sendmsg", 1},
};

/* Written out from the specification, not taken from the tables under test. */
enum group {
	TUPLE,	/* sock, socket */
	SOURCE, /* sockaddr too */
	FAMILY, /* sockaddr_un too */
	NUMBER, /* integers */
	EQUAL,	/* integers and sockaddr_un */
	PREFIX, /* sockaddr_un */
	PATH,	/* no argument at all */
};

static const struct {
	const char *name;
	enum policy_op op;
	enum group group;
	const char *values;
	bool negative;
	const char *aliases[3];
} ops[] = {
	{"SAddr", OP_SADDR, SOURCE, "[10.0.0.0/8]", false, {"Saddr", "saddr"}},
	{"DAddr", OP_DADDR, TUPLE, "[10.0.0.0/8]", false, {"Daddr", "daddr"}},
	{"NotSAddr", OP_NOT_SADDR, SOURCE, "['::1']", true, {"NotSaddr", "notsaddr"}},
	{"NotDAddr", OP_NOT_DADDR, TUPLE, "['::1']", true, {"NotDaddr", "notdaddr"}},
	{"SPort", OP_SPORT, SOURCE, "['80', '1:9']", false, {"Sport", "sport"}},
	{"DPort", OP_DPORT, TUPLE, "['80', '1:9']", false, {"Dport", "dport"}},
	{"NotSPort", OP_NOT_SPORT, SOURCE, "['80']", true, {"NotSport", "notsport"}},
	{"NotDPort", OP_NOT_DPORT, TUPLE, "['80']", true, {"NotDport", "notdport"}},
	{"SPortPriv", OP_SPORT_PRIV, SOURCE, NULL, false, {"SportPriv", "sportpriv"}},
	{"DPortPriv", OP_DPORT_PRIV, TUPLE, NULL, false, {"DportPriv", "dportpriv"}},
	{"NotSportPriv", OP_NOT_SPORT_PRIV, SOURCE, NULL, true, {"NotSPortPriv", "notsportpriv"}},
	{"NotDPortPriv", OP_NOT_DPORT_PRIV, TUPLE, NULL, true, {"NotDportPriv", "notdportpriv"}},
	{"Protocol", OP_PROTOCOL, TUPLE, "[IPPROTO_TCP, '17']", false, {"protocol"}},
	{"Family", OP_FAMILY, FAMILY, "[AF_UNIX, '2']", false, {"family"}},
	{"State", OP_STATE, TUPLE, "[TCP_LISTEN, '1']", false, {"state"}},
	{"Equal", OP_EQUAL, EQUAL, "['1', '0x2']", false, {"eq"}},
	{"NotEqual", OP_NOT_EQUAL, EQUAL, "['1']", true, {"neq"}},
	{"GT", OP_GT, NUMBER, "['1']", false, {"GreaterThan", "gt"}},
	{"LT", OP_LT, NUMBER, "['1']", false, {"LessThan", "lt"}},
	{"Mask", OP_MASK, NUMBER, "['1']", false, {"mask"}},
	{"InRange", OP_IN_RANGE, NUMBER, "['1:2']", false},
	{"NotInRange", OP_NOT_IN_RANGE, NUMBER, "['1:2']", true},
	{"InMap", OP_IN_MAP, NUMBER, "['1', '2:3']", false},
	{"NotInMap", OP_NOT_IN_MAP, NUMBER, "['1']", true},
	{"In", OP_IN, PATH, "['1']", false},
	{"NotIn", OP_NOT_IN, PATH, "['1']", true},
	{"Prefix", OP_PREFIX, PREFIX, "['/run']", false, {"prefix"}},
	{"NotPrefix", OP_NOT_PREFIX, PREFIX, "['/run']", true, {"notprefix"}},
	{"Postfix", OP_POSTFIX, PATH, "['sh']", false, {"postfix"}},
	{"NotPostfix", OP_NOT_POSTFIX, PATH, "['sh']", true, {"notpostfix"}},
};

static bool is_allowed(enum group group, enum policy_arg_type type)
{
	bool tuple = type == ARG_SOCK || type == ARG_SOCKET;
	bool number = type >= ARG_INT && type <= ARG_UINT16;

	switch (group) {
	case TUPLE:
		return tuple;
	case SOURCE:
		return tuple || type == ARG_SOCKADDR;
	case FAMILY:
		return tuple || type == ARG_SOCKADDR || type == ARG_SOCKADDR_UN;
	case NUMBER:
		return number;
	case EQUAL:
		return number || type == ARG_SOCKADDR_UN;
	case PREFIX:
		return type == ARG_SOCKADDR_UN;
	case PATH:
		return false;
	}
	return false;
}

static int try_op(size_t place, const char *op, const char *values, struct diag *d,
		  struct policy_set *set)
{
	_cleanup_free_ char *text = NULL;
	const char *type = policy_arg_type_name(places[place].type);

	assert_true(asprintf(&text,
			     POLICY_HEAD "spec:\n"
					 "  kprobes:\n"
					 "  - call: %s\n"
					 "    syscall: false\n"
					 "    args:\n"
					 "    - {index: %u, type: %s}\n"
					 "    selectors:\n"
					 "    - matchArgs:\n"
					 "      - {index: %u, operator: %s%s%s}\n",
			     places[place].call, places[place].index, type, places[place].index, op,
			     values ? ", values: " : "", values ? values : "") >= 0);
	return policy_load_text(text, strlen(text), "test.yaml", &offline, d, set);
}

static void check_pair(size_t place, size_t op)
{
	enum policy_arg_type type = places[place].type;
	bool allowed = is_allowed(ops[op].group, type);
	struct policy_set set = {};
	struct diag d = {};
	char expected[128];
	int err = try_op(place, ops[op].name, ops[op].values, &d, &set);

	assert_int_equal(policy_op_allowed(ops[op].op, type), allowed);
	if (allowed) {
		if (err < 0)
			print_error("%s on %s: %s\n", ops[op].name, policy_arg_type_name(type),
				    d.items[0].message);
		assert_int_equal(err, 0);
		assert_int_equal(set.policies[0]->entries[0].selectors[0].args[0].op, ops[op].op);
	} else {
		assert_int_equal(err, -EINVAL);
		assert_int_equal(set.n, 0);
		snprintf(expected, sizeof(expected), "operator %s is not for type %s, which takes ",
			 ops[op].name, policy_arg_type_name(type));
		if (!diag_find(&d, DIAG_ERROR, 13, 30, expected))
			fail_msg("%s on %s: %s", ops[op].name, policy_arg_type_name(type),
				 d.items[0].message);
	}
	policy_set_done(&set);
	diag_done(&d);
}

static void test_pairs(void **state)
{
	assert_int_equal(ARRAY_SIZE(ops), OP_MAX - 1);
	assert_int_equal(ARRAY_SIZE(places), ARG_TYPE_MAX - 1);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		for (size_t j = 0; j < ARRAY_SIZE(ops); j++)
			check_pair(i, j);
}

static void test_names(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		assert_string_equal(policy_op_name(ops[i].op), ops[i].name);
		assert_int_equal(policy_op_parse(ops[i].name), ops[i].op);
		assert_int_equal(policy_op_negative(ops[i].op), ops[i].negative);
		for (size_t j = 0; j < 3 && ops[i].aliases[j]; j++)
			assert_int_equal(policy_op_parse(ops[i].aliases[j]), ops[i].op);
	}
	assert_int_equal(policy_op_parse(""), OP_NONE);
	assert_int_equal(policy_op_parse("SADDR"), OP_NONE);
	assert_int_equal(policy_op_parse("none"), OP_NONE);
	assert_string_equal(policy_op_name(OP_NONE), "none");
	assert_string_equal(policy_op_name(OP_MAX), "none");
	assert_false(policy_op_allowed(OP_NONE, ARG_SOCK));
}

/* Whatever values an operator gets that belong to others, it must not take them silently. */
static void test_foreign_values(void **state)
{
	static const char *const values[] = {"['x']",
					     "['']",
					     "[' 1']",
					     "['1 ']",
					     "['1:']",
					     "[':1']",
					     "[':']",
					     "['1:2:3']",
					     "['-']",
					     "['+']",
					     "['0x']",
					     "['_1']",
					     "['1_']",
					     "['1e3']",
					     "['1.0']",
					     "[~]",
					     "['99999999999999999999']",
					     "[[1]]",
					     "[{a: b}]",
					     "{}",
					     "x",
					     "[]",
					     "['١']"};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(ops); j++) {
			if (!ops[j].values || !is_allowed(ops[j].group, places[i].type))
				continue;
			for (size_t k = 0; k < ARRAY_SIZE(values); k++) {
				bool string = places[i].type == ARG_SOCKADDR_UN &&
					      ops[j].group != FAMILY && values[k][0] == '[' &&
					      !strchr("[{]~", values[k][1]) &&
					      strcmp(values[k], "['']") != 0;
				struct policy_set set = {};
				struct diag d = {};
				int err = try_op(i, ops[j].name, values[k], &d, &set);

				if (err != (string ? 0 : -EINVAL))
					fail_msg("%s %s on %s: %d", ops[j].name, values[k],
						 policy_arg_type_name(places[i].type), err);
				policy_set_done(&set);
				diag_done(&d);
			}
		}
	}
}

static void test_types(void **state)
{
	static const struct {
		const char *name;
		enum policy_arg_type type;
	} names[] = {
		{"sock", ARG_SOCK},	    {"socket", ARG_SOCKET},
		{"sockaddr", ARG_SOCKADDR}, {"sockaddr_un", ARG_SOCKADDR_UN},
		{"int", ARG_INT},	    {"int32", ARG_INT},
		{"sint32", ARG_INT},	    {"uint32", ARG_UINT32},
		{"size_t", ARG_SIZE},	    {"uint64", ARG_UINT64},
		{"ulong", ARG_UINT64},	    {"long", ARG_LONG},
		{"int64", ARG_LONG},	    {"sint64", ARG_LONG},
		{"int8", ARG_INT8},	    {"int16", ARG_INT16},
		{"uint8", ARG_UINT8},	    {"uint16", ARG_UINT16},
		{"nop", ARG_NOP},	    {"auto", ARG_NONE},
		{"Sock", ARG_NONE},	    {"", ARG_NONE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(policy_arg_type_parse(names[i].name), names[i].type);
	for (enum policy_arg_type t = ARG_NONE + 1; t < ARG_TYPE_MAX; t++)
		assert_int_equal(policy_arg_type_parse(policy_arg_type_name(t)), t);
}

/* The calls of the specification, each where it may stand and nowhere else. */
static void test_calls(void **state)
{
	static const char *const functions[] = {"tcp_connect",
						"tcp_close",
						"tcp_sendmsg",
						"inet_csk_listen_start",
						"tcp_set_state",
						"security_socket_connect",
						"security_socket_listen",
						"security_socket_bind",
						"security_socket_sendmsg",
						"security_socket_create",
						"sk_alloc",
						"sk_free",
						"__sk_free",
						"udp_sendmsg"};
	static const char *const hooks[] = {
		"socket_connect", "socket_listen",  "socket_bind",	   "socket_sendmsg",
		"socket_create",  "socket_accept",  "socket_setsockopt",   "sctp_bind_connect",
		"file_receive",	  "tun_dev_create", "ptrace_access_check", "ptrace_traceme"};

	assert_int_equal(n_policy_calls, ARRAY_SIZE(functions) + ARRAY_SIZE(hooks));
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		const struct policy_call *c = policy_call_find(functions[i], SECTION_KPROBES);
		bool lsm = strncmp(functions[i], "security_", 9) == 0;

		assert_non_null(c);
		assert_ptr_equal(policy_call_find(functions[i], SECTION_FENTRIES), c);
		assert_null(policy_call_find(functions[i], SECTION_LSMHOOKS));
		assert_int_equal(c->can_override, lsm);
		if (lsm)
			assert_int_equal(
				c->hook,
				policy_call_find(functions[i] + 9, SECTION_LSMHOOKS)->hook);
	}
	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
		const struct policy_call *c = policy_call_find(hooks[i], SECTION_LSMHOOKS);

		assert_non_null(c);
		assert_null(policy_call_find(hooks[i], SECTION_KPROBES));
		assert_true(c->can_override);
		assert_int_equal(c->early, REVSHELL_HOOK_MAX);
	}
	assert_int_equal(policy_call_find("tcp_connect", SECTION_KPROBES)->early,
			 REVSHELL_HOOK_CONNECT);
	assert_int_equal(policy_call_find("inet_csk_listen_start", SECTION_KPROBES)->early,
			 REVSHELL_HOOK_LISTEN);
	for (size_t i = 0; i < n_policy_calls; i++)
		for (size_t j = 0; j < 5; j++)
			assert_int_equal(policy_calls[i].args[j] != ARG_NONE,
					 j < policy_calls[i].n_args);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs),	       cmocka_unit_test(test_names),
		cmocka_unit_test(test_foreign_values), cmocka_unit_test(test_types),
		cmocka_unit_test(test_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
