/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers, ranges, names and addresses: what each text becomes, at the edges of each type. */
#include "policy-helpers.h"
#include "policy-internal.h"

/* Loads a selector with one filter; returns its error or 0. */
static int load_filter(const char *call, unsigned int index, const char *type, const char *op,
		       const char *value, struct policy_set *set)
{
	_cleanup_free_ char *text = NULL;

	assert_true(asprintf(&text,
			     POLICY_HEAD "spec:\n"
					 "  lists:\n"
					 "  - {name: sizes, values: ['1', '5:7', '2']}\n"
					 "  kprobes:\n"
					 "  - call: %s\n"
					 "    syscall: false\n"
					 "    args: [{index: %u, type: %s}]\n"
					 "    selectors:\n"
					 "    - matchArgs:\n"
					 "      - {index: %u, operator: %s, values: ['%s']}\n",
			     call, index, type, index, op, value) >= 0);
	return load_quietly(text, set);
}

/* expected: "lo:hi lo:hi", or NULL where the value must be refused. */
static void assert_ranges(const char *call, unsigned int index, const char *type, const char *op,
			  const char *value, const char *expected)
{
	struct policy_set set = {};
	int err = load_filter(call, index, type, op, value, &set);
	char got[256] = "", one[64];

	if (err != (expected ? 0 : -EINVAL))
		fail_msg("%s %s on %s: %d", op, value, type, err);
	if (expected) {
		const struct policy_values *v =
			&set.policies[0]->entries[0].selectors[0].args[0].values;

		for (size_t i = 0; i < v->n_ranges; i++) {
			snprintf(one, sizeof(one), "%s%lld:%lld", i > 0 ? " " : "",
				 (long long)v->ranges[i].lo, (long long)v->ranges[i].hi);
			strcat(got, one);
		}
		if (strcmp(got, expected) != 0)
			fail_msg("%s %s on %s: %s", op, value, type, got);
	}
	policy_set_done(&set);
}

static void assert_tuple(const char *op, const char *value, const char *expected)
{
	assert_ranges("tcp_connect", 0, "sock", op, value, expected);
}

static void test_ports(void **state)
{
	assert_tuple("DPort", "0", "0:0");
	assert_tuple("DPort", "65535", "65535:65535");
	assert_tuple("DPort", "65536", NULL);
	assert_tuple("DPort", "0080", "80:80");
	assert_tuple("DPort", "0:65535", "0:65535");
	assert_tuple("DPort", "443:80", "80:443");
	assert_tuple("DPort", "80:65536", NULL);
	assert_tuple("DPort", "+80", NULL);
	assert_tuple("DPort", "8_0", NULL);
	assert_tuple("DPort", "http", NULL);
	assert_tuple("DPort", "18446744073709551696", NULL); /* 2^64 + 80 */
	assert_tuple("SPort", "80:80", "80:80");
	assert_tuple("NotDPort", "80", "80:80");
}

static void test_names(void **state)
{
	static const struct {
		const char *name;
		const char *value;
	} protocols[] = {
		{"IP", "0:0"},		 {"ICMP", "1:1"},	 {"IGMP", "2:2"},
		{"IPIP", "4:4"},	 {"TCP", "6:6"},	 {"EGP", "8:8"},
		{"PUP", "12:12"},	 {"UDP", "17:17"},	 {"IDP", "22:22"},
		{"TP", "29:29"},	 {"DCCP", "33:33"},	 {"IPV6", "41:41"},
		{"RSVP", "46:46"},	 {"GRE", "47:47"},	 {"ESP", "50:50"},
		{"AH", "51:51"},	 {"MTP", "92:92"},	 {"BEETPH", "94:94"},
		{"ENCAP", "98:98"},	 {"PIM", "103:103"},	 {"COMP", "108:108"},
		{"SCTP", "132:132"},	 {"UDPLITE", "136:136"}, {"MPLS", "137:137"},
		{"ETHERNET", "143:143"}, {"RAW", "255:255"},	 {"MPTCP", "262:262"},
	};
	static const char *const states[] = {"ESTABLISHED", "SYN_SENT",	  "SYN_RECV",
					     "FIN_WAIT1",   "FIN_WAIT2",  "TIME_WAIT",
					     "CLOSE",	    "CLOSE_WAIT", "LAST_ACK",
					     "LISTEN",	    "CLOSING",	  "NEW_SYN_RECV"};
	char name[32], value[16];

	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		snprintf(name, sizeof(name), "IPPROTO_%s", protocols[i].name);
		assert_tuple("Protocol", name, protocols[i].value);
	}
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		snprintf(name, sizeof(name), "TCP_%s", states[i]);
		snprintf(value, sizeof(value), "%zu:%zu", i + 1, i + 1);
		assert_tuple("State", name, value);
	}
	assert_tuple("Protocol", "58", "58:58");
	assert_tuple("Protocol", "1:300", "1:300");
	assert_tuple("Protocol", "IPPROTO_", NULL);
	assert_tuple("Protocol", "65536", NULL);
	assert_tuple("Family", "AF_UNSPEC", "0:0");
	assert_tuple("Family", "AF_UNIX", "1:1");
	assert_tuple("Family", "AF_INET", "2:2");
	assert_tuple("Family", "AF_INET6", "10:10");
	assert_tuple("Family", "AF_NETLINK", "16:16");
	assert_tuple("Family", "AF_PACKET", "17:17");
	assert_tuple("Family", "AF_VSOCK", "40:40");
	assert_tuple("Family", "AF_XDP", "44:44");
	assert_tuple("Family", "AF_LOCAL", NULL);
	assert_tuple("Family", "AF_inet", NULL);
	assert_tuple("Family", "inet", NULL);
	assert_tuple("State", "255", "255:255");
	assert_tuple("State", "256", NULL);
	assert_tuple("State", "LISTEN", NULL);
}

static void test_literals(void **state)
{
	static const struct {
		const char *text;
		bool is_signed;
		bool valid;
		int64_t value;
	} literals[] = {
		{"0", false, true, 0},
		{"10", false, true, 10},
		{"-10", true, true, -10},
		{"+10", true, true, 10},
		{"-10", false, false, 0},
		{"+10", false, false, 0},
		{"0x1F", false, true, 31},
		{"0Xff", false, true, 255},
		{"017", false, true, 15},
		{"0o17", false, true, 15},
		{"0O17", false, true, 15},
		{"0b101", false, true, 5},
		{"0B1", false, true, 1},
		{"1_000", false, true, 1000},
		{"0x_ff", false, true, 255},
		{"0_17", false, true, 15},
		{"-0x10", true, true, -16},
		{"00", false, true, 0},
		{"", false, false, 0},
		{"-", true, false, 0},
		{"0x", false, false, 0},
		{"0b2", false, false, 0},
		{"08", false, false, 0},
		{"_1", false, false, 0},
		{"1_", false, false, 0},
		{"1__0", false, false, 0},
		{"0x_", false, false, 0},
		{"--1", true, false, 0},
		{" 1", false, false, 0},
		{"1 ", false, false, 0},
		{"1.0", false, false, 0},
		{"0xg", false, false, 0},
		{"9223372036854775807", true, true, INT64_MAX},
		{"9223372036854775808", true, false, 0},
		{"-9223372036854775808", true, true, INT64_MIN},
		{"-9223372036854775809", true, false, 0},
		{"18446744073709551615", false, true, -1},
		{"18446744073709551616", false, false, 0},
		{"0xffffffffffffffff", false, true, -1},
		{"0x1ffffffffffffffff", false, false, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(literals); i++) {
		int64_t value = 4711;
		bool valid = number_parse_literal(literals[i].text, literals[i].is_signed, &value);

		if (valid != literals[i].valid || (valid && value != literals[i].value))
			fail_msg("%s: %lld", literals[i].text, (long long)value);
		if (!valid)
			assert_int_equal(value, 4711);
	}
}

static void test_widths(void **state)
{
	static const struct {
		const char *call;
		unsigned int index;
		const char *type;
		const char *least;
		const char *below;
		const char *most;
		const char *above;
	} widths[] = {
		{"tcp_set_state", 1, "int8", "-128", "-129", "127", "128"},
		{"tcp_set_state", 1, "int16", "-32768", "-32769", "32767", "32768"},
		{"tcp_set_state", 1, "int", "-2147483648", "-2147483649", "2147483647",
		 "2147483648"},
		{"tcp_close", 1, "long", "-9223372036854775808", "-9223372036854775809",
		 "9223372036854775807", "9223372036854775808"},
		{"tcp_set_state", 1, "uint8", "0", "-1", "255", "256"},
		{"tcp_set_state", 1, "uint16", "0", "-1", "65535", "65536"},
		{"tcp_set_state", 1, "uint32", "0", "-1", "4294967295", "4294967296"},
		{"tcp_sendmsg", 2, "size_t", "0", "-2147483649", "4294967295", "4294967296"},
	};
	char expected[64];

	for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
		snprintf(expected, sizeof(expected), "%s:%s", widths[i].least, widths[i].least);
		assert_ranges(widths[i].call, widths[i].index, widths[i].type, "Equal",
			      widths[i].least, expected);
		snprintf(expected, sizeof(expected), "%s:%s", widths[i].most, widths[i].most);
		assert_ranges(widths[i].call, widths[i].index, widths[i].type, "Equal",
			      widths[i].most, expected);
		assert_ranges(widths[i].call, widths[i].index, widths[i].type, "Equal",
			      widths[i].below, NULL);
		assert_ranges(widths[i].call, widths[i].index, widths[i].type, "Equal",
			      widths[i].above, NULL);
	}
	/* the bits of a uint64, and the low half of a size_t */
	assert_ranges("tcp_sendmsg", 2, "uint64", "Equal", "18446744073709551615", "-1:-1");
	assert_ranges("tcp_sendmsg", 2, "uint64", "Equal", "-1", NULL);
	assert_ranges("tcp_sendmsg", 2, "size_t", "Equal", "-1", "4294967295:4294967295");
	assert_ranges("tcp_sendmsg", 2, "size_t", "GT", "0x400", "1024:1024");
}

static void test_ranges(void **state)
{
	assert_ranges("tcp_set_state", 1, "int", "InRange", "-5:5", "-5:5");
	assert_ranges("tcp_set_state", 1, "int", "InRange", "5:-5", "-5:5");
	assert_ranges("tcp_set_state", 1, "int", "InRange", "0x10:0b11111", "16:31");
	assert_ranges("tcp_set_state", 1, "int", "InRange", "0:4294967295", "0:4294967295");
	assert_ranges("tcp_set_state", 1, "int", "InRange", "0:4294967296", NULL);
	assert_ranges("tcp_set_state", 1, "int", "NotInRange", "7", NULL);
	assert_ranges("tcp_set_state", 1, "int", "InRange", "1:2:3", NULL);
	assert_ranges("tcp_set_state", 1, "uint8", "InRange", "0:256", NULL);
	assert_ranges("tcp_sendmsg", 2, "size_t", "InRange", "-1:1", NULL);
	/* uint64 is ordered without a sign: the greater half is negative here */
	assert_ranges("tcp_sendmsg", 2, "uint64", "InRange", "1:18446744073709551615", "1:-1");
	assert_ranges("tcp_sendmsg", 2, "uint64", "InRange", "18446744073709551615:1", "1:-1");
}

static void test_maps(void **state)
{
	assert_ranges("tcp_set_state", 1, "int", "InMap", "7", "7:7");
	assert_ranges("tcp_set_state", 1, "int", "InMap", "-7", "-7:-7");
	assert_ranges("tcp_set_state", 1, "int", "InMap", "+7", "7:7");
	assert_ranges("tcp_set_state", 1, "int", "InMap", "9:7", "7:9");
	assert_ranges("tcp_set_state", 1, "int", "InMap", "0x7", NULL);
	assert_ranges("tcp_set_state", 1, "int", "InMap", "010", "10:10");
	assert_ranges("tcp_set_state", 1, "int", "NotInMap", "1_0", NULL);
	/* keys are 32 bits: those above the greatest int are the negative ones */
	assert_ranges("tcp_set_state", 1, "int", "InMap", "4294967295", "-1:-1");
	assert_ranges("tcp_set_state", 1, "int", "InMap", "2147483647:2147483648",
		      "2147483647:2147483647 -2147483648:-2147483648");
	assert_ranges("tcp_set_state", 1, "int", "InMap", "4294967290:4294967295", "-6:-1");
	assert_ranges("tcp_set_state", 1, "int", "InMap", "4294967296", NULL);
	assert_ranges("tcp_set_state", 1, "uint32", "InMap", "4294967295", "4294967295:4294967295");
	assert_ranges("tcp_set_state", 1, "uint32", "InMap", "-1", NULL);
	assert_ranges("tcp_sendmsg", 2, "size_t", "InMap", "-1:1", "4294967295:4294967295 0:1");
	assert_ranges("tcp_sendmsg", 2, "uint64", "InMap", "18446744073709551615", "-1:-1");
	assert_ranges("tcp_close", 1, "long", "InMap", "-9223372036854775808",
		      "-9223372036854775808:-9223372036854775808");
	assert_ranges("tcp_close", 1, "long", "InMap", "9223372036854775808", NULL);
	assert_ranges("tcp_set_state", 1, "int", "InMap", "list:sizes", "1:1 5:7 2:2");
	assert_ranges("tcp_set_state", 1, "int", "InMap", "list:", NULL);
	assert_ranges("tcp_set_state", 1, "int", "Equal", "list:sizes", NULL);
}

static void assert_cidr(const char *text, int family, int prefix, const char *bytes)
{
	struct policy_cidr c = {};
	const char *reason = NULL;

	if (!cidr_parse(text, &c, &reason))
		fail_msg("%s: %s", text, reason);
	assert_int_equal(c.family, family);
	assert_int_equal(c.prefix, prefix);
	assert_memory_equal(c.addr, bytes, family == 4 ? 4 : 16);
	for (size_t i = 4; family == 4 && i < 16; i++)
		assert_int_equal(c.addr[i], 0);
}

static void test_cidrs(void **state)
{
	static const char zero[16];

	assert_cidr("1.2.3.4", 4, 32, "\x01\x02\x03\x04");
	assert_cidr("127.0.0.1/8", 4, 8, "\x7f\0\0\0");
	assert_cidr("255.255.255.255/31", 4, 31, "\xff\xff\xff\xfe");
	assert_cidr("10.255.3.4/12", 4, 12, "\x0a\xf0\0\0");
	assert_cidr("1.2.3.4/0", 4, 0, zero);
	assert_cidr("::", 6, 128, zero);
	assert_cidr("::/0", 6, 0, zero);
	assert_cidr("2001:db8::ffff/33", 6, 33, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\0");
	assert_cidr("fe80::1/10", 6, 10, "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
	assert_cidr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/127", 6, 127,
		    "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe");
	/* mapped: IPv4 where the prefix leaves nothing else */
	assert_cidr("::ffff:1.2.3.4", 4, 32, "\x01\x02\x03\x04");
	assert_cidr("::ffff:10.0.0.0/104", 4, 8, "\x0a\0\0\0");
	assert_cidr("::ffff:0:0/96", 4, 0, zero);
	assert_cidr("::ffff:102:304/128", 4, 32, "\x01\x02\x03\x04");
	assert_cidr("::ffff:10.0.0.0/95", 6, 95, "\0\0\0\0\0\0\0\0\0\0\xff\xfe\0\0\0\0");
	assert_cidr("::1.2.3.4", 6, 128, "\0\0\0\0\0\0\0\0\0\0\0\0\x01\x02\x03\x04");
}

static void test_bad_cidrs(void **state)
{
	static const char *const bad[] = {
		"",
		"/",
		"/8",
		"10",
		"10.0.0",
		"10.0.0.0.0",
		"256.0.0.0",
		"1.2.3.04",
		"0x7f.0.0.1",
		"10.0.0.0/33",
		"10.0.0.0/-1",
		"10.0.0.0/+8",
		"10.0.0.0/8/8",
		"10.0.0.0/",
		"10.0.0.0/0x8",
		"10.0.0.0/08",
		"10.0.0.0/00",
		"10.0.0.0 /8",
		"::/129",
		"::1::",
		":::",
		"1:2:3:4:5:6:7:8:9",
		"::10000",
		"::ffff:1.2.3",
		"fe80::1%lo",
		"fe80::%1/64",
		"[::1]",
		"::1/",
		"localhost",
		"10.0.0.1-10.0.0.2",
		"1111111111111111111111111111111111111111111111111111",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct policy_cidr c = {.prefix = 77};
		const char *reason = NULL;

		if (cidr_parse(bad[i], &c, &reason))
			fail_msg("%s is taken", bad[i]);
		assert_non_null(reason);
		assert_int_equal(c.prefix, 77);
	}
}

/* Messages and tags as strconv.Quote leaves them, without its quotes. */
static void test_quoting(void **state)
{
	static const char text[] =
		POLICY_HEAD "spec:\n  lsmhooks:\n  - hook: socket_accept\n"
			    "    message: \"a \\\"shell\\\" of C:\\\\ \\n\\t\\e \\u00e9 \\u200b\"\n"
			    "    tags: ['\"quoted\"', 'caf\303\251']\n";
	struct policy_set set = {};
	const struct policy_entry *e = &load_one(text, &set)->entries[0];

	assert_string_equal(e->message, "a \\\"shell\\\" of C:\\\\ \\n\\t\\x1b \303\251 \\u200b");
	assert_string_equal(e->tags[0], "\\\"quoted\\\"");
	assert_string_equal(e->tags[1], "caf\303\251");
	policy_set_done(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports),	 cmocka_unit_test(test_names),
		cmocka_unit_test(test_literals), cmocka_unit_test(test_widths),
		cmocka_unit_test(test_ranges),	 cmocka_unit_test(test_maps),
		cmocka_unit_test(test_cidrs),	 cmocka_unit_test(test_bad_cidrs),
		cmocka_unit_test(test_quoting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
