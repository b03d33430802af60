/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cases that are measured, the rule sets that make them, and the budgets they have to keep. */
#include <string.h>

#include "bench.h"

#define USUAL BENCH_USUAL
#define ALL   BENCH_ALL

/* The first that fails is the last that is asked, so everything is looked up. */
#define OURS(n, cidrs, what, failing)                                                 \
	.daemon = DAEMON_OURS, .n_policies = (n), .n_cidrs = (cidrs), .asks = (what), \
	.fails = (failing), .fails_odd = (failing)
#define OURS_MIXED(n, cidrs, what, failing, failing_odd)                              \
	.daemon = DAEMON_OURS, .n_policies = (n), .n_cidrs = (cidrs), .asks = (what), \
	.fails = (failing), .fails_odd = (failing_odd)

const struct bench_case bench_cases[] = {
	{"connect: no daemon", WORK_CONNECT, DAEMON_NONE},
	{"connect: empty program", WORK_CONNECT, DAEMON_EMPTY_PROGRAM},
	{"connect: empty rule set", WORK_CONNECT, OURS(0, 0, 0, -1)},
	{"connect: other family", WORK_CONNECT, OURS(1, 0, ASK(SA_FAMILY), ASK_SA_FAMILY)},
	{"connect: unconcerned", WORK_CONNECT, OURS(1, 10, USUAL, ASK_EXE)},
	{"connect: unconcerned, 512 policies", WORK_CONNECT, OURS(512, 10, USUAL, ASK_EXE)},
	{"connect: unconcerned, 512 policies, 100000 CIDRs", WORK_CONNECT,
	 OURS(512, 100000, USUAL, ASK_EXE)},
	{"connect: concerned, fails at protocol", WORK_CONNECT,
	 OURS(1, 0, ASK(EXE) | ASK(SK_PROTOCOL), ASK_SK_PROTOCOL)},
	{"connect: concerned, protocol, fails at family", WORK_CONNECT,
	 OURS(1, 0, ASK(EXE) | ASK(SK_PROTOCOL) | ASK(SK_FAMILY) | ASK(SK_STATE), ASK_SK_STATE)},
	{"connect: concerned, protocol, fails at port", WORK_CONNECT,
	 OURS(1, 0, ASK(EXE) | ASK(SK_PROTOCOL) | ASK(SA_PORT), ASK_SA_PORT)},
	{"connect: concerned, protocol, fails at address", WORK_CONNECT,
	 OURS(1, 10, ASK(EXE) | ASK(SK_PROTOCOL) | ASK(SA_ADDR), ASK_SA_ADDR)},
	{"connect: usual", WORK_CONNECT, OURS(1, 10, USUAL, ASK_SA_ADDR)},
	{"connect: usual, 64 policies", WORK_CONNECT, OURS(64, 10, USUAL, ASK_SA_ADDR)},
	{"connect: usual, 512 policies", WORK_CONNECT, OURS(512, 10, USUAL, ASK_SA_ADDR)},
	{"connect: usual, 10000 CIDRs", WORK_CONNECT, OURS(1, 10000, USUAL, ASK_SA_ADDR)},
	{"connect: usual, 100000 CIDRs", WORK_CONNECT, OURS(1, 100000, USUAL, ASK_SA_ADDR)},
	{"connect: usual, 512 policies, 10000 CIDRs", WORK_CONNECT,
	 OURS(512, 10000, USUAL, ASK_SA_ADDR)},
	{"connect: usual, 512 policies, 100000 CIDRs", WORK_CONNECT,
	 OURS(512, 100000, USUAL, ASK_SA_ADDR)},
	/* each dimension leaves half of the policies, none is left by all */
	{"connect: usual, 2 policies, mixed", WORK_CONNECT,
	 OURS_MIXED(2, 10, USUAL, ASK_SA_PORT, ASK_SA_ADDR)},
	{"connect: usual, 512 policies, mixed", WORK_CONNECT,
	 OURS_MIXED(512, 10, USUAL, ASK_SA_PORT, ASK_SA_ADDR)},
	{"connect: usual, 512 policies, mixed and apart", WORK_CONNECT,
	 OURS_MIXED(512, 10, USUAL, ASK_SA_PORT, ASK_SA_ADDR), .apart = true},
	/* the same where those that one leaves cannot be put side by side: no fold tells */
	{"connect: usual, 512 policies, scattered", WORK_CONNECT,
	 OURS_MIXED(512, 512, USUAL, ASK_SA_PORT, ASK_SA_ADDR), .apart = true, .scattered = true},
	{"connect: all", WORK_CONNECT, OURS(1, 10, ALL, ASK_SA_ADDR)},
	{"connect: all, 64 policies", WORK_CONNECT, OURS(64, 10, ALL, ASK_SA_ADDR)},
	{"connect: all, 512 policies", WORK_CONNECT, OURS(512, 10, ALL, ASK_SA_ADDR)},
	/* the sockets' own addresses are asked with a few more */
	{"connect: all, 100000 CIDRs", WORK_CONNECT, OURS(1, 99990, ALL, ASK_SA_ADDR)},
	{"connect: reported", WORK_CONNECT, OURS(1, 10, USUAL, -1), .outcome = OUTCOME_REPORT},
	{"connect: denied", WORK_CONNECT, OURS(1, 10, USUAL, -1), .outcome = OUTCOME_DENY},
	{"connect: denied, no event", WORK_CONNECT, OURS(1, 10, USUAL, -1),
	 .outcome = OUTCOME_DENY_SILENTLY},
	{"connect: denied, no event, 512 policies", WORK_CONNECT, OURS(512, 10, USUAL, -1),
	 .outcome = OUTCOME_DENY_SILENTLY},
	/* the other backends, each beside an empty program of its kind */
	{"fentry: empty program", WORK_CONNECT, DAEMON_EMPTY_PROGRAM, .kind = BACKEND_NONE},
	{"fmod-ret: empty program", WORK_CONNECT, DAEMON_EMPTY_PROGRAM, .kind = BACKEND_FMOD_RET},
	{"fmod-ret: unconcerned", WORK_CONNECT, OURS(1, 10, USUAL, ASK_EXE),
	 .kind = BACKEND_FMOD_RET},
	{"fmod-ret: usual", WORK_CONNECT, OURS(1, 10, USUAL, ASK_SA_ADDR),
	 .kind = BACKEND_FMOD_RET},
	{"fmod-ret: all", WORK_CONNECT, OURS(1, 10, ALL, ASK_SA_ADDR), .kind = BACKEND_FMOD_RET},
	{"kprobe: empty program", WORK_CONNECT, DAEMON_EMPTY_PROGRAM, .kind = BACKEND_KPROBE},
	{"kprobe: unconcerned", WORK_CONNECT, OURS(1, 10, USUAL, ASK_EXE), .kind = BACKEND_KPROBE},
	{"kprobe: usual", WORK_CONNECT, OURS(1, 10, USUAL, ASK_SA_ADDR), .kind = BACKEND_KPROBE},
	{"kprobe: all", WORK_CONNECT, OURS(1, 10, ALL, ASK_SA_ADDR), .kind = BACKEND_KPROBE},
	{"unix: no daemon", WORK_CONNECT_UNIX, DAEMON_NONE},
	{"unix: empty program", WORK_CONNECT_UNIX, DAEMON_EMPTY_PROGRAM},
	{"unix: ours", WORK_CONNECT_UNIX, OURS(1, 10, USUAL, ASK_SA_ADDR)},
	{"unix: ours, 512 policies", WORK_CONNECT_UNIX, OURS(512, 10000, USUAL, ASK_SA_ADDR)},
	{"send: no daemon", WORK_SEND, DAEMON_NONE},
	{"send: empty program", WORK_SEND, DAEMON_EMPTY_PROGRAM},
	{"send: ours", WORK_SEND, OURS(1, 10, USUAL, ASK_SA_ADDR)},
	{"fork: no daemon", WORK_FORK, DAEMON_NONE},
	{"fork: ours", WORK_FORK, OURS(1, 10, USUAL, ASK_SA_ADDR)},
	{"exec: no daemon", WORK_EXEC, DAEMON_NONE},
	{"exec: ours", WORK_EXEC, OURS(1, 10, USUAL, ASK_SA_ADDR)},
	{"process: no daemon", WORK_PROCESS, DAEMON_NONE},
	{"process: ours", WORK_PROCESS, OURS(1, 10, USUAL, ASK_SA_ADDR)},
};
const size_t n_bench_cases = sizeof(bench_cases) / sizeof(bench_cases[0]);

const struct bench_budget bench_budgets[] = {
	{"connect: unconcerned", LIMIT_ADDED_OF, 2, "connect: empty program"},
	{"connect: unconcerned, 512 policies", LIMIT_ADDED_OF, 2, "connect: empty program"},
	{"unix: ours", LIMIT_ADDED_OF, 1.5, "unix: empty program"},
	{"send: ours", LIMIT_ADDED_OF, 1.5, "send: empty program"},
	{"connect: usual", LIMIT_ADDED, 1000, NULL},
	{"connect: all", LIMIT_ADDED, 1000, NULL},
	{"connect: usual, 512 policies", LIMIT_ADDED_OF, 1.2, "connect: usual"},
	{"connect: usual, 512 policies, mixed", LIMIT_ADDED_OF, 1.2,
	 "connect: usual, 2 policies, mixed"},
	{"connect: usual, 512 policies, mixed and apart", LIMIT_ADDED_OF, 1.2,
	 "connect: usual, 2 policies, mixed"},
	{"connect: usual, 512 policies, scattered", LIMIT_ADDED_OF, 1.2,
	 "connect: usual, 2 policies, mixed"},
	{"connect: all, 512 policies", LIMIT_ADDED_OF, 1.2, "connect: all"},
	{"connect: usual, 100000 CIDRs", LIMIT_ADDED_OF, 1.4, "connect: usual"},
	{"connect: all, 100000 CIDRs", LIMIT_ADDED_OF, 1.4, "connect: all"},
	{"connect: denied, no event", LIMIT_TOTAL_OF, 1, "connect: usual"},
	{"connect: denied", LIMIT_TOTAL_OF, 1, "connect: usual"},
	{"exec: ours", LIMIT_ADDED_OF_ALL, 0.01, "exec: no daemon"},
	{"fork: ours", LIMIT_ADDED_OF_ALL, 0.01, "fork: no daemon"},
	{"process: ours", LIMIT_ADDED_OF_ALL, 0.01, "process: no daemon"},
};
const size_t n_bench_budgets = sizeof(bench_budgets) / sizeof(bench_budgets[0]);

enum part {
	PART_BINARIES,
	PART_PARENTS,
	PART_ARGS,
	PART_MAX,
};

static const char *const part_keys[PART_MAX] = {
	[PART_BINARIES] = "matchBinaries",
	[PART_PARENTS] = "matchParentBinaries",
	[PART_ARGS] = "matchArgs",
};

/* One line of YAML each: true of the measuring process, and not. @ stands for its path. */
static const struct {
	enum part part;
	const char *holds;
	const char *fails;
} filters[ASK_MAX] = {
	[ASK_EXE] = {PART_BINARIES, "operator: In, values: [\"@\"]",
		     "operator: In, values: [/usr/bin/nobody]"},
	[ASK_EXE_PREFIX] = {PART_BINARIES, "operator: Prefix, values: [/]",
			    "operator: Prefix, values: [/nowhere]"},
	[ASK_EXE_POSTFIX] = {PART_BINARIES, "operator: NotPostfix, values: [.sh]",
			     "operator: Postfix, values: [.sh]"},
	[ASK_PARENT] = {PART_PARENTS, "operator: In, values: [\"@\"]",
			"operator: In, values: [/usr/bin/nobody]"},
	[ASK_PARENT_PREFIX] = {PART_PARENTS, "operator: Prefix, values: [/]",
			       "operator: Prefix, values: [/nowhere]"},
	[ASK_PARENT_POSTFIX] = {PART_PARENTS, "operator: NotPostfix, values: [.sh]",
				"operator: Postfix, values: [.sh]"},
	[ASK_SK_FAMILY] = {PART_ARGS, "index: 0, operator: Family, values: [AF_INET]",
			   "index: 0, operator: Family, values: [AF_INET6]"},
	[ASK_SK_PROTOCOL] = {PART_ARGS, "index: 0, operator: Protocol, values: [IPPROTO_UDP]",
			     "index: 0, operator: Protocol, values: [IPPROTO_TCP]"},
	[ASK_SK_STATE] = {PART_ARGS,
			  "index: 0, operator: State, values: [TCP_ESTABLISHED, TCP_CLOSE]",
			  "index: 0, operator: State, values: [TCP_LISTEN]"},
	[ASK_SK_SPORT] = {PART_ARGS, "index: 0, operator: NotSPort, values: [\"1\"]",
			  "index: 0, operator: SPort, values: [\"1\"]"},
	[ASK_SK_DPORT] = {PART_ARGS, "index: 0, operator: NotDPort, values: [\"1\"]",
			  "index: 0, operator: DPort, values: [\"1\"]"},
	[ASK_SK_SADDR] = {PART_ARGS, "index: 0, operator: SAddr, values: [127.0.0.0/8, 0.0.0.0/32]",
			  "index: 0, operator: SAddr, values: [10.0.0.0/8]"},
	[ASK_SK_DADDR] = {PART_ARGS, "index: 0, operator: DAddr, values: [127.0.0.0/8, 0.0.0.0/32]",
			  "index: 0, operator: DAddr, values: [10.0.0.0/8]"},
	[ASK_SA_FAMILY] = {PART_ARGS, "index: 1, operator: Family, values: [AF_INET]",
			   "index: 1, operator: Family, values: [AF_INET6]"},
	[ASK_SA_PORT] = {PART_ARGS, "index: 1, operator: SPort, values: [\"7777\"]",
			 "index: 1, operator: SPort, values: [\"7778\"]"},
	/* the prefixes are put in later; always the last filter of arguments */
	[ASK_SA_ADDR] = {PART_ARGS, "index: 1, operator: NotSAddr, values: [10.0.0.0/8]",
			 "index: 1, operator: SAddr, values: [10.0.0.0/8]"},
	[ASK_OWN_ADDR] = {PART_ARGS, "index: 0, operator: NotSAddr, values: [10.0.0.0/8]",
			  "index: 0, operator: SAddr, values: [10.0.0.0/8]"},
};

static void write_filter(FILE *f, const char *text, const char *path)
{
	const char *at = strchr(text, '@');

	if (at)
		fprintf(f, "      - {%.*s%s%s}\n", (int)(at - text), text, path, at + 1);
	else
		fprintf(f, "      - {%s}\n", text);
}

/* The same with one more value at the end of its list. */
static void write_filter_more(FILE *f, const char *text, unsigned int value)
{
	fprintf(f, "      - {%.*s, \"%u\"]}\n", (int)strlen(text) - 1, text, value);
}

static const char *const actions[] = {
	[OUTCOME_PASS] = "      - action: Post\n",
	[OUTCOME_REPORT] = "      - action: Post\n",
	[OUTCOME_DENY] = "      - {action: Override, argError: -1}\n",
	[OUTCOME_DENY_SILENTLY] =
		"      - {action: Override, argError: -1}\n      - action: NoPost\n",
};

void bench_write_policy(FILE *f, const struct bench_case *c, unsigned int i, const char *self,
			const char *parent)
{
	const int fails = i % 2 ? c->fails_odd : c->fails;
	const char *indent = "    - ", *call = c->call ? c->call : "security_socket_connect";

	fprintf(f,
		"---\napiVersion: cilium.io/v1alpha1\nkind: TracingPolicy\nmetadata: {name: p%u}\n"
		"spec:\n  options:\n  - {name: policy-mode, value: enforce}\n  kprobes:\n"
		"  - call: %s\n    syscall: false\n    args:\n    - {index: 0, type: socket}\n%s"
		"    selectors:\n",
		i, call, c->call ? "" : "    - {index: 1, type: sockaddr}\n");
	for (int part = 0; part < PART_MAX; part++) {
		bool first = true;

		for (int ask = 0; ask < ASK_MAX; ask++) {
			const char *text = ask == fails ? filters[ask].fails : filters[ask].holds;

			if ((int)filters[ask].part != part || !(c->asks & 1U << ask))
				continue;
			if (first)
				fprintf(f, "%s%s:\n", indent, part_keys[part]);
			first = false;
			indent = "      ";
			if (ask == ASK_SA_PORT && c->scattered)
				write_filter_more(f, text, 10000 + i);
			else
				write_filter(f, text, part == PART_PARENTS ? parent : self);
			if (ask == ASK_EXE && c->apart)
				fprintf(f, "      - {operator: NotIn, values: [/usr/bin/p%u]}\n",
					i);
		}
	}
	fprintf(f, "%smatchActions:\n%s", indent, actions[c->outcome]);
}
