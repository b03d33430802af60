/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every operator on every type of every argument of every call, and every process filter on every
 * call: through check, compile, the engine and the event. Goes through the tables of the code
 * itself: what is added there and not here fails.
 */
#include <sys/socket.h>

#include "event.h"
#include "macro.h"
#include "simulate.h"
#include "policy-helpers.h"
#include "random-policy.h"

#define MAX_CALLS 4000

static const struct event_host host = {0, "host", NULL};

static const struct ruleset_options all_hooks = {
	.observe_tcp_connect = true,
	.observe_listen_start = true,
	.host_ns = {[0 ... NS_MAX - 1] = 4026531837},
};

/* Values that the random calls hit and miss; NULL: the operator takes none. */
static const char *values_of(enum policy_op op, enum policy_arg_type type)
{
	switch (op) {
	case OP_SADDR:
	case OP_DADDR:
	case OP_NOT_SADDR:
	case OP_NOT_DADDR:
		return "\"10.0.0.0/8\", \"2001:db8::/32\"";
	case OP_SPORT:
	case OP_DPORT:
	case OP_NOT_SPORT:
	case OP_NOT_DPORT:
		return "\"0:80\", \"4444\"";
	case OP_SPORT_PRIV:
	case OP_DPORT_PRIV:
	case OP_NOT_SPORT_PRIV:
	case OP_NOT_DPORT_PRIV:
		return NULL;
	case OP_PROTOCOL:
		return "IPPROTO_TCP, \"17\"";
	case OP_FAMILY:
		return type == ARG_SOCKADDR_UN ? "AF_UNIX" : "AF_INET, \"10\"";
	case OP_STATE:
		return "TCP_LISTEN, \"1\"";
	case OP_EQUAL:
	case OP_NOT_EQUAL:
		return type == ARG_SOCKADDR_UN ? "/run/a, \"@abstr\"" : "\"0x2\", \"10\"";
	case OP_GT:
	case OP_LT:
		return "\"10\"";
	case OP_MASK:
		return "\"1\", \"8\"";
	case OP_IN_RANGE:
	case OP_NOT_IN_RANGE:
		return "\"1:10\"";
	case OP_IN_MAP:
	case OP_NOT_IN_MAP:
		return "\"2\", \"9:11\"";
	case OP_PREFIX:
	case OP_NOT_PREFIX:
	case OP_POSTFIX:
	case OP_NOT_POSTFIX:
	case OP_IN:
	case OP_NOT_IN:
		return "/run";
	case OP_NONE:
	case OP_MAX:
		break;
	}
	fail_msg("operator %d has no values in this test", op);
	return NULL;
}

/* Whether check takes an argument as a type, said in another way than the code does. */
static bool may_be_read(enum policy_arg_type natural, enum policy_arg_type type)
{
	if (natural == ARG_SOCKADDR && type == ARG_SOCKADDR_UN)
		return true;
	return policy_arg_type_is_integer(natural) ? policy_arg_type_is_integer(type)
						   : natural == type;
}

static unsigned int bits_of(enum policy_arg_type type)
{
	switch (type) {
	case ARG_INT8:
	case ARG_UINT8:
		return 8;
	case ARG_INT16:
	case ARG_UINT16:
		return 16;
	case ARG_LONG:
	case ARG_UINT64:
		return 64;
	default:
		return 32;
	}
}

/* The event's member for a type. */
static const char *member_of(enum policy_arg_type type)
{
	switch (type) {
	case ARG_SOCK:
	case ARG_SOCKET:
		return "sock_arg";
	case ARG_SOCKADDR:
		return "sockaddr_arg";
	case ARG_SOCKADDR_UN:
		return "sockaddrun_arg";
	case ARG_INT:
	case ARG_INT8:
	case ARG_INT16:
		return "int_arg";
	case ARG_UINT32:
	case ARG_UINT8:
	case ARG_UINT16:
		return "uint_arg";
	case ARG_SIZE:
	case ARG_UINT64:
		return "size_arg";
	case ARG_LONG:
		return "long_arg";
	case ARG_NONE:
	case ARG_NOP:
	case ARG_TYPE_MAX:
		break;
	}
	return NULL;
}

static enum policy_section section_of(const struct policy_call *call)
{
	return call->sections & SECTION_KPROBES ? SECTION_KPROBES : SECTION_LSMHOOKS;
}

static void put_head(FILE *f, const struct policy_call *call)
{
	if (section_of(call) == SECTION_KPROBES)
		fprintf(f, POLICY_HEAD "spec:\n  kprobes:\n  - call: %s\n    syscall: false\n",
			call->name);
	else
		fprintf(f, POLICY_HEAD "spec:\n  lsmhooks:\n  - hook: %s\n", call->name);
}

struct sample {
	const char *name; /* for messages */
	const struct ruleset *rs;
	bool matched;
	bool missed;
};

static int keep(const struct event_line *event, const struct ruleset_selector *sel, void *userdata)
{
	*(json_t **)userdata = json_loadb(event->text, event->len, 0, NULL);
	return 0;
}

/* The event of a call that matched has every argument in its member. */
static void check_event(const struct sample *s, const struct sim_call *call)
{
	const struct policy_entry *e = &s->rs->policies.policies[0]->entries[0];
	struct revshell_event ev = {
		.hook = call->hook,
		.n_words = 1,
		.match = {1},
		.sk = {.family = call->object.sk_family, .state = call->object.sk_state},
		.sa = {.family = call->object.sa_family},
	};
	const json_t *body, *args;
	json_t *event = NULL;

	memcpy(ev.ints, call->object.ints, sizeof(ev.ints));
	if (call->object.un_path) {
		ev.sa.path_len = strlen(call->object.un_path);
		memcpy(ev.sa.path, call->object.un_path, ev.sa.path_len);
	}
	assert_int_equal(event_expand(&ev, sizeof(ev), s->rs, &host, NULL, keep, &event), 1);
	body = json_object_get(event,
			       e->section == SECTION_LSMHOOKS ? "process_lsm" : "process_kprobe");
	assert_string_equal(json_string_value(json_object_get(body, "function_name")),
			    e->call->name);
	args = json_object_get(body, "args");
	assert_int_equal(json_array_size(args), e->n_args);
	for (size_t i = 0; i < e->n_args; i++)
		if (!json_object_get(json_array_get(args, i), member_of(e->args[i].type)))
			fail_msg("%s: no %s", s->name, member_of(e->args[i].type));
	if (e->has_return)
		assert_non_null(json_object_get(json_object_get(body, "return"), "sock_arg"));
	json_decref(event);
}

/* Asks the engine and the policy itself until both answers have been seen, and they agree. */
static void check_answers(struct sample *s)
{
	const struct policy *p = s->rs->policies.policies[0];
	struct random_source r;

	random_seed(&r, 1);
	for (int i = 0; i < MAX_CALLS && !(s->matched && s->missed); i++) {
		struct sim_decision d;
		struct sim_call call;
		bool expected;

		random_call(&r, s->rs, &call);
		expected = call.hook == p->entries[0].call->hook &&
			   naive_match(p, &p->entries[0], NAIVE_OWN, &call, &all_hooks) == 0;
		sim_decide(s->rs, &call, true, &d);
		if ((d.first[0] & 1) != expected)
			fail_msg("%s: the engine says %d", s->name, !expected);
		if (expected && !s->matched)
			check_event(s, &call);
		if (expected)
			s->matched = true;
		else
			s->missed = true;
	}
	if (!s->matched || !s->missed)
		fail_msg("%s: never %s", s->name, s->matched ? "missed" : "matched");
}

/* check says valid; compile says compiled or this code. */
static void check_text(const char *name, const char *text, bool valid, const char *code)
{
	struct policy_set set = {};
	struct ruleset *rs = NULL;
	struct diag d = {};
	int err;

	err = policy_load_text(text, strlen(text), "table.yaml", &offline, &d, &set);
	if ((err == 0) != valid)
		fail_msg("%s: check says %d\n%s%s", name, err, d.n_items ? d.items[0].message : "",
			 text);
	if (err == 0) {
		err = ruleset_compile(&set, &all_hooks, NULL, &d, &rs);
		if ((err < 0) != (code != NULL))
			fail_msg("%s: compile says %d\n%s%s", name, err,
				 d.n_items ? d.items[0].message : "", text);
		if (code)
			assert_string_equal(d.items[d.n_items - 1].code, code);
	}
	if (rs) {
		struct sample s = {.name = name, .rs = rs};

		check_answers(&s);
	}
	ruleset_free(rs);
	policy_set_done(&set);
	diag_done(&d);
}

static void check_arg(const struct policy_call *call, unsigned int index, enum policy_arg_type type,
		      enum policy_op op, bool on_return)
{
	enum policy_arg_type natural = on_return ? call->ret : call->args[index];
	const char *values = values_of(op, type), *code = NULL;
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	char name[128];

	snprintf(name, sizeof(name), "%s %s%u as %s %s", call->name, on_return ? "return " : "arg ",
		 index, policy_arg_type_name(type), policy_op_name(op));
	put_head(f, call);
	if (on_return)
		fprintf(f,
			"    return: true\n    returnArg: {index: 0, type: %s}\n"
			"    selectors:\n    - matchReturnArgs: [{operator: %s",
			policy_arg_type_name(type), policy_op_name(op));
	else
		fprintf(f,
			"    args: [{index: %u, type: %s}]\n    selectors:\n"
			"    - matchArgs: [{index: %u, operator: %s",
			index, policy_arg_type_name(type), index, policy_op_name(op));
	if (values)
		fprintf(f, ", values: [%s]", values);
	fputs("}]\n", f);
	fclose(f);

	if ((on_return && call->hook != REVSHELL_HOOK_SK_ALLOC) ||
	    (call->hook == REVSHELL_HOOK_ACCEPT && index == 1))
		code = "not-supported";
	else if (policy_arg_type_is_integer(type) && op != OP_MASK &&
		 bits_of(type) < bits_of(natural))
		code = "bad-type";
	check_text(name, text, may_be_read(natural, type) && policy_op_allowed(op, type), code);
}

static void test_args(void **state)
{
	for (size_t i = 0; i < n_policy_calls; i++)
		for (unsigned int index = 0; index < policy_calls[i].n_args; index++)
			for (enum policy_arg_type type = ARG_NONE + 1; type < ARG_NOP; type++)
				for (enum policy_op op = OP_NONE + 1; op < OP_MAX; op++)
					check_arg(&policy_calls[i], index, type, op, false);
}

static void test_returns(void **state)
{
	for (size_t i = 0; i < n_policy_calls; i++) {
		const struct policy_call *call = &policy_calls[i];

		if (section_of(call) != SECTION_KPROBES || call->ret == ARG_NONE)
			continue;
		for (enum policy_op op = OP_NONE + 1; op < OP_MAX; op++)
			check_arg(call, 0, call->ret, op, true);
	}
}

/* Every process filter, with In and NotIn in place of %s. */
static const char *const filters[] = {
	"matchBinaries: [{operator: %s, values: [/usr/bin/nc, /bin/sh]}]",
	"matchBinaries: [{operator: %s, values: [/usr/bin/bash], followChildren: true}]",
	"matchParentBinaries: [{operator: %s, values: [/usr/bin/nc, /bin/sh]}]",
	"matchParentBinaries: [{operator: %s, values: [/usr/bin/bash], followChildren: true}]",
	"matchPIDs: [{operator: %s, values: [2, 5, 11]}]",
	"matchPIDs: [{operator: %s, values: [2, 5, 11], followForks: true}]",
	"matchPIDs: [{operator: %s, values: [2, 5, 11], isNamespacePID: true}]",
	"matchPIDs: [{operator: %s, values: [2, 5], followForks: true, isNamespacePID: true}]",
	"matchNamespaces: [{namespace: Uts, operator: %s, values: [host_ns]}]",
	"matchNamespaces: [{namespace: Ipc, operator: %s, values: [\"4026531838\"]}]",
	"matchNamespaces: [{namespace: Mnt, operator: %s, values: [host_ns, \"4026531838\"]}]",
	"matchNamespaces: [{namespace: Pid, operator: %s, values: [host_ns]}]",
	"matchNamespaces: [{namespace: PidForChildren, operator: %s, values: [host_ns]}]",
	"matchNamespaces: [{namespace: Net, operator: %s, values: [host_ns]}]",
	"matchNamespaces: [{namespace: Time, operator: %s, values: [host_ns]}]",
	"matchNamespaces: [{namespace: TimeForChildren, operator: %s, values: [host_ns]}]",
	"matchNamespaces: [{namespace: Cgroup, operator: %s, values: [host_ns]}]",
	"matchNamespaces: [{namespace: User, operator: %s, values: [host_ns]}]",
	"matchCapabilities: [{operator: %s, values: [CAP_NET_RAW, CAP_BPF]}]",
	"matchCapabilities: [{type: Permitted, operator: %s, values: [CAP_SYS_ADMIN]}]",
	"matchCapabilities: [{type: Inheritable, operator: %s, values: [CAP_CHOWN]}]",
	"matchCapabilities: [{operator: %s, values: [CAP_BPF], isNamespaceCapability: true}]",
	"matchUsers: [{operator: %s, values: [root, \"3:5\"]}]",
	"matchUsers: [{type: gid, operator: %s, values: [\"2\"]}]",
	"matchUsers: [{type: auid, operator: %s, values: [unset]}]",
	"matchUnits: [{operator: %s, values: [ssh.service, user.slice]}]",
	"matchStdio: [{operator: %s, values: [0, 1]}]",
};

static void test_process_filters(void **state)
{
	static const char *const operators[] = {"In", "NotIn"};

	for (size_t i = 0; i < n_policy_calls; i++)
		for (size_t k = 0; k < ARRAY_SIZE(filters); k++)
			for (size_t n = 0; n < ARRAY_SIZE(operators); n++) {
				_cleanup_free_ char *text = NULL;
				size_t size = 0;
				FILE *f = open_memstream(&text, &size);
				char name[256];

				snprintf(name, sizeof(name), "%s %s %s", policy_calls[i].name,
					 filters[k], operators[n]);
				put_head(f, &policy_calls[i]);
				fputs("    selectors:\n    - ", f);
				fprintf(f, filters[k], operators[n]);
				fputs("\n", f);
				fclose(f);
				check_text(name, text, true, NULL);
			}
}

/* Every fact is asked by some filter of the table above, but those of integer arguments. */
static void test_facts(void **state)
{
	uint32_t facts = 0;

	for (size_t k = 0; k < ARRAY_SIZE(filters); k++) {
		_cleanup_(ruleset_freep) struct ruleset *rs = NULL;
		_cleanup_free_ char *text = NULL;
		struct policy_set set = {};
		struct diag d = {};
		size_t size = 0;
		FILE *f = open_memstream(&text, &size);

		put_head(f, &policy_calls[0]);
		fputs("    selectors:\n    - ", f);
		fprintf(f, filters[k], "In");
		fclose(f);
		load_one(text, &set);
		assert_int_equal(ruleset_compile(&set, &all_hooks, NULL, &d, &rs), 0);
		facts |= rs->hooks[policy_calls[0].hook].cfg.facts;
		diag_done(&d);
	}
	assert_int_equal(facts, (1U << REVSHELL_FACT_INT0) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_args),
		cmocka_unit_test(test_returns),
		cmocka_unit_test(test_process_filters),
		cmocka_unit_test(test_facts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
