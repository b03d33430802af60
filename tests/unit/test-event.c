/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events from made-up records: every key, hostile strings, records that lie, the printed lines. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>

#include "event.h"
#include "event-json.h"
#include "policy-helpers.h"

#define OFFSET 1700000000000000000LL

static const struct event_host host = {OFFSET, "host", NULL};

static const struct ruleset_options all_hooks = {.observe_tcp_connect = true,
						 .observe_listen_start = true};

static const char policies[] =
	POLICY_HEAD "spec:\n"
		    "  kprobes:\n"
		    "  - call: tcp_connect\n"
		    "    syscall: false\n"
		    "    message: no way\n"
		    "    tags: [network, reverse.shell]\n"
		    "    args: [{index: 0, type: sock, label: conn}]\n"
		    "    selectors:\n"
		    "    - matchArgs: [{index: 0, operator: DPort, values: [\"4444\"]}]\n"
		    "      label: four\n"
		    "      matchActions: [{action: Sigkill}, {action: Post}]\n"
		    "---\n"
		    "apiVersion: cilium.io/v1alpha1\n"
		    "kind: TracingPolicy\n"
		    "metadata: {name: lsm}\n"
		    "spec:\n"
		    "  options: [{name: policy-mode, value: monitor}]\n"
		    "  lsmhooks:\n"
		    "  - hook: socket_connect\n"
		    "    args:\n"
		    "    - {index: 2, type: int}\n"
		    "    - {index: 1, type: sockaddr}\n"
		    "    - {index: 1, type: sockaddr_un}\n"
		    "    - {index: 0, type: socket}\n"
		    "    selectors:\n"
		    "    - matchActions: [{action: Override, argError: -111}]\n"
		    "---\n"
		    "apiVersion: cilium.io/v1alpha1\n"
		    "kind: TracingPolicy\n"
		    "metadata: {name: enforced}\n"
		    "spec:\n"
		    "  kprobes:\n"
		    "  - call: security_socket_connect\n"
		    "    syscall: false\n"
		    "    args: [{index: 1, type: sockaddr}]\n"
		    "    selectors:\n"
		    "    - matchActions: [{action: Override, argError: -111}]\n"
		    "  - call: tcp_sendmsg\n"
		    "    syscall: false\n"
		    "    args: [{index: 0, type: sock}, {index: 2, type: size_t}]\n"
		    "    selectors:\n"
		    "    - matchActions: [{action: Post, kernelStackTrace: true, "
		    "userStackTrace: true}]\n"
		    "  - call: sk_alloc\n"
		    "    syscall: false\n"
		    "    return: true\n"
		    "    returnArg: {index: 0, type: sock, label: made}\n"
		    "    args:\n"
		    "    - {index: 1, type: int}\n"
		    "    - {index: 2, type: uint32}\n"
		    "    - {index: 4, type: int, label: kern}\n"
		    "    - {index: 4, type: long}\n"
		    "    - {index: 1, type: uint8}\n"
		    "    selectors:\n"
		    "    - matchReturnActions: [{action: Sigkill}]\n"
		    "---\n"
		    "apiVersion: cilium.io/v1alpha1\n"
		    "kind: TracingPolicy\n"
		    "metadata: {name: tracks}\n"
		    "spec:\n"
		    "  kprobes:\n"
		    "  - call: sk_alloc\n"
		    "    syscall: false\n"
		    "    return: true\n"
		    "    returnArg: {index: 0, type: sock}\n"
		    "    returnArgAction: TrackSock\n"
		    "    selectors: [{matchActions: [{action: NoPost}]}]\n"
		    "  - call: tcp_close\n"
		    "    syscall: false\n"
		    "    args: [{index: 0, type: sock}]\n";

/* Selectors of socket_connect, in the order of the policies. */
enum {
	AHEAD,
	LSM,
	ENFORCED,
};

struct fixture {
	struct ruleset *rs;
	union {
		struct revshell_event ev;
		struct revshell_event_more more;
	};
	json_t *event; /* the last one expanded */
	int n;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct policy_set set = {};
	struct diag d = {};

	assert_non_null(f);
	assert_int_equal(
		policy_load_text(policies, strlen(policies), "test.yaml", &offline, &d, &set), 0);
	assert_int_equal(ruleset_compile(&set, &all_hooks, NULL, &d, &f->rs), 0);
	diag_done(&d);
	f->ev = (struct revshell_event){
		.time_ns = 5000000001,
		.generation = 3,
		.hook = REVSHELL_HOOK_CONNECT,
		.verdict = REVSHELL_VERDICT_DENY | REVSHELL_VERDICT_SIGNAL,
		.error = -EPERM,
		.mode = REVSHELL_MODE_ENFORCE,
		.n_words = 1,
		.pid = 4211,
		.tid = 4212,
		.uid = 1000,
		.loginuid = UINT32_MAX,
		.label_flags = REVSHELL_LABEL_EXEC,
		.start_ns = 1234567890,
		.exec_ns = 2000000000,
		.parent_pid = 4200,
		.parent_start_ns = 1234500000,
		.sk = {.cookie = 1ULL << 63,
		       .family = AF_INET,
		       .type = SOCK_STREAM,
		       .protocol = IPPROTO_TCP,
		       .state = TCP_CLOSE,
		       .saddr = {10, 0, 0, 5},
		       .sport = 54321},
		.sa = {.family = AF_INET, .port = 4444, .len = 16, .addr = {203, 0, 113, 50}},
		.ints = {0, 0, 16},
		.args_len = 21,
		.cwd_len = 7,
		.exe = {.flags = REVSHELL_EXE_KNOWN, .path_len = 11, .path = "/usr/bin/nc"},
		.parent = {.flags = REVSHELL_EXE_KNOWN, .path_len = 9, .path = "/bin/bash"},
		.args = "nc\0-e\0/bin/sh -i\0x\"y\0",
		.cwd = "/home/u",
	};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	json_decref(f->event);
	ruleset_free(f->rs);
	free(f);
	return 0;
}

/* The text is what a JSON library would have written. */
static int keep(const struct event_line *event, const struct ruleset_selector *sel, void *userdata)
{
	struct fixture *f = userdata;
	_cleanup_free_ char *line = NULL;
	const char *exe;

	json_decref(f->event);
	f->event = json_loadb(event->text, event->len, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(f->event);
	line = event_format(f->event, EVENT_TETRAGON, false);
	assert_string_equal(event->text, line);
	exe = json_string_value(
		json_object_get(json_object_get(event_body(f->event), "process"), "binary"));
	assert_string_equal(event->exe, exe);
	f->n++;
	return 0;
}

static int expand(struct fixture *f)
{
	return event_expand(&f->ev, sizeof(f->more), f->rs, &host, NULL, keep, f);
}

/* The event of one selector, checked to survive every way of printing it. */
static json_t *expand_one(struct fixture *f, unsigned int selector)
{
	f->ev.match[0] = 1ULL << selector;
	assert_int_equal(expand(f), 1);
	for (enum event_format format = EVENT_JSON; format <= EVENT_COMPACT; format++) {
		_cleanup_free_ char *line = event_format(f->event, format, false);

		assert_non_null(line);
		for (const char *p = line; *p; p++)
			assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
		if (format != EVENT_COMPACT) {
			json_t *again = json_loads(line, 0, NULL);

			assert_non_null(again);
			if (format == EVENT_TETRAGON)
				assert_true(json_equal(again, f->event));
			json_decref(again);
		}
	}
	return f->event;
}

static const json_t *get(const json_t *obj, const char *path)
{
	char key[64];

	while (*path) {
		size_t n = strcspn(path, ".");

		snprintf(key, sizeof(key), "%.*s", (int)n, path);
		obj = json_is_array(obj) ? json_array_get(obj, strtoul(key, NULL, 10))
					 : json_object_get(obj, key);
		path += n + (path[n] == '.');
	}
	return obj;
}

#define assert_text(obj, path, text)                                   \
	do {                                                           \
		const char *text_ = json_string_value(get(obj, path)); \
		if (!text_)                                            \
			fail_msg("no %s", path);                       \
		assert_string_equal(text_, text);                      \
	} while (0)
#define assert_number(obj, path, number)                                      \
	do {                                                                  \
		assert_true(json_is_integer(get(obj, path)));                 \
		assert_int_equal(json_integer_value(get(obj, path)), number); \
	} while (0)

static void test_ahead(void **state)
{
	struct fixture *f = *state;
	const json_t *event = expand_one(f, AHEAD), *e = get(event, "process_kprobe");

	assert_text(event, "node_name", "host");
	assert_text(event, "time", "2023-11-14T22:13:25.000000001Z");
	assert_text(e, "function_name", "tcp_connect");
	assert_text(e, "policy_name", "sample");
	assert_text(e, "message", "no way");
	assert_text(e, "tags.1", "reverse.shell");
	assert_text(e, "action", "KPROBE_ACTION_POST");
	assert_text(e, "return_action", "KPROBE_ACTION_POST");
	assert_text(e, "verdict", "killed");
	assert_text(e, "errno", "EPERM");
	assert_text(e, "policy_mode", "enforce");
	assert_text(e, "mode", "enforce");
	assert_text(e, "hook", "socket_connect");
	assert_number(e, "generation", 3);
	assert_number(e, "selector", 0);
	assert_text(e, "selector_label", "four");

	/* the destination is only in the address yet */
	assert_text(e, "args.0.label", "conn");
	assert_text(e, "args.0.sock_arg.family", "AF_INET");
	assert_text(e, "args.0.sock_arg.type", "SOCK_STREAM");
	assert_text(e, "args.0.sock_arg.protocol", "IPPROTO_TCP");
	assert_text(e, "args.0.sock_arg.saddr", "10.0.0.5");
	assert_text(e, "args.0.sock_arg.daddr", "203.0.113.50");
	assert_number(e, "args.0.sock_arg.sport", 54321);
	assert_number(e, "args.0.sock_arg.dport", 4444);
	assert_text(e, "args.0.sock_arg.cookie", "9223372036854775808");
	assert_text(e, "args.0.sock_arg.state", "TCP_CLOSE");
	assert_null(get(e, "args.0.sock_arg.mark"));
}

/* What carried an address to the policies of connect; a number of a newer program is left out. */
static void test_via(void **state)
{
	static const char *const names[] = {NULL, "sendmsg", "sctp_bind_connect", NULL};
	struct fixture *f = *state;

	for (__u32 via = 0; via < ARRAY_SIZE(names); via++) {
		const json_t *found;

		f->ev.via = via;
		found = get(expand_one(f, AHEAD), "process_kprobe.via");
		if (names[via])
			assert_string_equal(json_string_value(found), names[via]);
		else
			assert_null(found);
	}
}

static void test_process(void **state)
{
	struct fixture *f = *state;
	const json_t *e = get(expand_one(f, AHEAD), "process_kprobe");

	/* host:1234567890:4211 */
	assert_text(e, "process.exec_id", "aG9zdDoxMjM0NTY3ODkwOjQyMTE=");
	assert_number(e, "process.pid", 4211);
	assert_number(e, "process.tid", 4212);
	assert_number(e, "process.uid", 1000);
	assert_number(e, "process.auid", 4294967295);
	assert_text(e, "process.cwd", "/home/u");
	assert_text(e, "process.binary", "/usr/bin/nc");
	assert_text(e, "process.arguments", "-e \"/bin/sh -i\" x\"y");
	assert_text(e, "process.flags", "execve");
	assert_text(e, "process.start_time", "2023-11-14T22:13:22.000000000Z");
	assert_true(json_is_false(get(e, "process.in_init_tree")));
	assert_null(get(e, "process.binary_identity"));
	assert_text(e, "process.parent_exec_id", "aG9zdDoxMjM0NTAwMDAwOjQyMDA=");
	assert_text(e, "parent.exec_id", "aG9zdDoxMjM0NTAwMDAwOjQyMDA=");
	assert_text(e, "parent.binary", "/bin/bash");
	assert_number(e, "parent.uid", 0);

	f->ev.exe = (struct revshell_exe){};
	f->ev.parent.flags |= REVSHELL_EXE_FOREIGN | REVSHELL_EXE_DELETED;
	f->ev.label_flags = 0;
	f->ev.cwd_len = 0;
	f->ev.args_len = 0;
	e = get(expand_one(f, AHEAD), "process_kprobe");
	assert_text(e, "process.binary", "");
	assert_text(e, "process.binary_identity.0", "path-unknown");
	assert_text(e, "process.flags", "procFS unknown nocwd");
	assert_null(get(e, "process.arguments"));
	assert_text(e, "parent.binary_identity.0", "foreign-mount-namespace");
	assert_text(e, "parent.binary_identity.1", "deleted");

	f->ev.parent_pid = 0;
	e = get(expand_one(f, AHEAD), "process_kprobe");
	assert_null(get(e, "parent"));
	assert_null(get(e, "process.parent_exec_id"));
}

static void test_lsm(void **state)
{
	struct fixture *f = *state;
	const json_t *e = get(expand_one(f, LSM), "process_lsm");

	assert_text(e, "function_name", "socket_connect");
	assert_null(get(e, "return_action"));
	assert_text(e, "action", "KPROBE_ACTION_OVERRIDE");
	/* its policy monitors; that the call was refused is another policy's doing */
	assert_text(e, "verdict", "would-deny");
	assert_text(e, "policy_mode", "monitor");
	assert_null(get(e, "errno"));
	assert_number(e, "args.0.int_arg", 16);
	assert_text(e, "args.1.sockaddr_arg.family", "AF_INET");
	assert_text(e, "args.1.sockaddr_arg.addr", "203.0.113.50");
	assert_number(e, "args.1.sockaddr_arg.port", 4444);
	assert_text(e, "args.3.sock_arg.daddr", "0.0.0.0");

	f->ev.sk.family = f->ev.sa.family = AF_UNIX;
	f->ev.sa.port = 0;
	f->ev.sa.path_len = 5;
	memcpy(f->ev.sa.path, "\0ab\0c", 5);
	e = get(expand_one(f, LSM), "process_lsm");
	assert_text(e, "args.1.sockaddr_arg.addr", "invalid IP");
	assert_null(get(e, "args.1.sockaddr_arg.port"));
	assert_text(e, "args.2.sockaddrun_arg.path",
		    "@ab\xef\xbf\xbd"
		    "c");
	memcpy(f->ev.sa.path, "/run\0", 5);
	assert_text(get(expand_one(f, LSM), "process_lsm"), "args.2.sockaddrun_arg.path", "/run");

	f->ev.sa.family = AF_INET6;
	memcpy(f->ev.sa.addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\1\2\3", 16);
	e = get(expand_one(f, LSM), "process_lsm");
	assert_text(e, "args.1.sockaddr_arg.family", "AF_INET6");
	assert_text(e, "args.1.sockaddr_arg.addr", "::ffff:10.1.2.3");
	f->ev.sa.family = 4000;
	assert_text(get(expand_one(f, LSM), "process_lsm"), "args.1.sockaddr_arg.family", "4000");
}

/* A call without a socket among its arguments, and with one that it returns. */
static void test_return(void **state)
{
	struct fixture *f = *state;
	const json_t *e;

	f->ev.hook = REVSHELL_HOOK_SK_ALLOC;
	memcpy(f->ev.ints, (__s64[REVSHELL_INTS]){-1, 258, UINT32_MAX, -1}, sizeof(f->ev.ints));
	e = get(expand_one(f, 0), "process_kprobe");
	assert_text(e, "function_name", "sk_alloc");
	assert_number(e, "args.0.int_arg", 258);
	assert_number(e, "args.1.uint_arg", 4294967295);
	assert_number(e, "args.2.int_arg", -1);
	assert_text(e, "args.2.label", "kern");
	assert_text(e, "args.3.long_arg", "-1");
	assert_number(e, "args.4.uint_arg", 2);
	assert_text(e, "return.sock_arg.family", "AF_INET");
	assert_text(e, "return.label", "made");
	assert_text(e, "action", "KPROBE_ACTION_POST");
	assert_text(e, "return_action", "KPROBE_ACTION_SIGKILL");
	assert_text(e, "verdict", "killed");
}

/* A socket that another process created: a policy that tracks names both. */
static void test_owner(void **state)
{
	struct fixture *f = *state;
	const json_t *e;

	f->more.owner = (struct revshell_owner){
		.pid = 77,
		.tid = 78,
		.uid = 5,
		.loginuid = 6,
		.start_ns = 1234567890,
		.parent_pid = 70,
		.exe = {.flags = REVSHELL_EXE_KNOWN, .path_len = 14, .path = "/usr/sbin/sshd"},
		.parent = {.flags = REVSHELL_EXE_KNOWN, .path_len = 10, .path = "/sbin/init"},
		.args_len = 8,
		.args = "sshd\0-D",
		.cwd_len = 4,
		.cwd = "/run",
	};
	f->ev.hook = REVSHELL_HOOK_TCP_CLOSE;
	e = get(expand_one(f, 0), "process_kprobe");
	assert_number(e, "process.pid", 77);
	assert_number(e, "process.tid", 78);
	assert_number(e, "process.uid", 5);
	assert_number(e, "process.auid", 6);
	assert_text(e, "process.binary", "/usr/sbin/sshd");
	assert_text(e, "parent.binary", "/sbin/init");
	assert_number(e, "parent.pid", 70);
	assert_number(e, "current.pid", 4211);
	assert_text(e, "current.binary", "/usr/bin/nc");

	assert_text(e, "process.arguments", "-D");
	assert_text(e, "process.cwd", "/run");

	/* one's own: all is known of it */
	f->more.owner.pid = f->ev.pid;
	e = get(expand_one(f, 0), "process_kprobe");
	assert_number(e, "process.pid", 4211);
	assert_text(e, "process.cwd", "/home/u");

	/* an unknown one, another policy's */
	f->more.owner.pid = 0;
	assert_null(get(expand_one(f, 0), "process_kprobe.current"));
	f->more.owner.pid = 77;
	f->ev.hook = REVSHELL_HOOK_CONNECT;
	e = get(expand_one(f, AHEAD), "process_kprobe");
	assert_number(e, "process.pid", 4211);
	assert_null(get(e, "current"));

	f->more.owner.exe.path_len = REVSHELL_PATH_MAX + 1;
	assert_int_equal(expand(f), -EBADMSG);
}

/* Frames as far as they are known; without symbols a kernel address stands for itself. */
static void test_stacks(void **state)
{
	struct fixture *f = *state;
	const json_t *e;

	f->ev.hook = REVSHELL_HOOK_TCP_SENDMSG;
	f->more.n_kernel_stack = 2;
	f->more.kernel_stack[0] = 0xffffffff81000010;
	f->more.kernel_stack[1] = 0xffffffff81000020;
	f->more.n_user_stack = 1;
	f->more.user_stack[0] = 0x1000;
	f->ev.pid = 0;
	e = get(expand_one(f, 0), "process_kprobe");
	assert_int_equal(json_array_size(get(e, "kernel_stack_trace")), 2);
	assert_text(json_array_get(get(e, "kernel_stack_trace"), 0), "address",
		    "18446744071578845200");
	assert_text(json_array_get(get(e, "user_stack_trace"), 0), "address", "4096");

	/* asked for by none of the others */
	f->ev.hook = REVSHELL_HOOK_CONNECT;
	e = get(expand_one(f, AHEAD), "process_kprobe");
	assert_null(get(e, "kernel_stack_trace"));

	f->more.n_user_stack = REVSHELL_STACK_FRAMES + 1;
	assert_int_equal(expand(f), -EBADMSG);
}

static bool refuse(const struct ruleset_selector *sel, void *userdata)
{
	return false;
}

static void test_unwanted(void **state)
{
	struct fixture *f = *state;

	f->ev.match[0] = 1 << AHEAD | 1 << LSM;
	assert_int_equal(event_expand(&f->ev, sizeof(f->more), f->rs, &host, refuse, keep, f), 0);
	assert_int_equal(f->n, 0);
}

static void test_verdicts(void **state)
{
	struct fixture *f = *state;
	const json_t *e;

	f->ev.error = -ECONNREFUSED;
	f->ev.verdict = REVSHELL_VERDICT_DENY;
	e = get(expand_one(f, ENFORCED), "process_kprobe");
	assert_text(e, "verdict", "denied");
	assert_text(e, "errno", "ECONNREFUSED");
	f->ev.error = 0;
	f->ev.verdict = 0;
	f->ev.mode = REVSHELL_MODE_MONITOR;
	e = get(expand_one(f, ENFORCED), "process_kprobe");
	assert_text(e, "verdict", "would-deny");
	assert_text(e, "policy_mode", "enforce");
	assert_text(e, "mode", "monitor");
	assert_null(get(e, "errno"));

	f->ev.hook = REVSHELL_HOOK_TCP_CONNECT;
	f->ev.verdict = REVSHELL_VERDICT_SIGNAL;
	f->ev.mode = REVSHELL_MODE_ENFORCE;
	e = get(expand_one(f, 0), "process_kprobe");
	assert_text(e, "verdict", "killed");
	assert_text(e, "hook", "tcp_connect");
	assert_text(e, "args.0.sock_arg.daddr", "0.0.0.0");

	f->ev.hook = REVSHELL_HOOK_TCP_SENDMSG;
	f->ev.ints[2] = -1;
	e = get(expand_one(f, 0), "process_kprobe");
	assert_text(e, "verdict", "allowed");
	assert_text(e, "args.1.size_arg", "18446744073709551615");
	assert_int_equal(event_get_verdict(&f->ev, f->rs, 0), EVENT_ALLOWED);
	assert_string_equal(event_verdict_name(EVENT_WOULD_DENY), "would-deny");
}

static int stop(const struct event_line *event, const struct ruleset_selector *sel, void *userdata)
{
	return -ECANCELED;
}

static void test_several(void **state)
{
	struct fixture *f = *state;

	f->ev.match[0] = 7;
	assert_int_equal(expand(f), 3);
	assert_int_equal(f->n, 3);
	assert_int_equal(event_expand(&f->ev, sizeof(f->more), f->rs, &host, NULL, stop, f),
			 -ECANCELED);
	f->ev.match[0] = 0;
	assert_int_equal(expand(f), 0);
}

static void test_refused(void **state)
{
	struct fixture *f = *state;
	struct revshell_event good;

#define REFUSED(change)                                \
	do {                                           \
		f->ev = good;                          \
		change;                                \
		assert_int_equal(expand(f), -EBADMSG); \
	} while (0)
	f->ev.match[0] = 1;
	good = f->ev;
	REFUSED(f->ev.hook = REVSHELL_HOOK_MAX);
	REFUSED(f->ev.n_words = REVSHELL_WORDS + 1);
	REFUSED(f->ev.match[0] = 8);
	REFUSED(f->ev.match[1] = 1);
	REFUSED(f->ev.match[1] = 1; f->ev.n_words = 2);
	REFUSED(f->ev.verdict = 4);
	REFUSED(f->ev.error = 1);
	REFUSED(f->ev.error = -4096);
	REFUSED(f->ev.mode = 2);
	REFUSED(f->ev.args_len = REVSHELL_ARGS_SIZE + 1);
	REFUSED(f->ev.cwd_len = REVSHELL_PATH_INLINE + 1);
	REFUSED(f->ev.sa.path_len = 109);
	REFUSED(f->ev.exe.path_len = REVSHELL_PATH_MAX + 1);
	REFUSED(f->ev.parent.path_len = UINT32_MAX);
	f->ev = good;
	assert_int_equal(event_expand(&f->ev, sizeof(f->ev) - 1, f->rs, &host, NULL, keep, f),
			 -EBADMSG);
	assert_int_equal(f->n, 0);
	/* at the limit */
	f->ev.args_len = REVSHELL_ARGS_SIZE;
	f->ev.cwd_len = REVSHELL_PATH_INLINE;
	f->ev.exe.path_len = REVSHELL_PATH_MAX;
	memset(f->ev.args, ' ', sizeof(f->ev.args));
	for (size_t i = 1; i < sizeof(f->ev.args); i += 2)
		f->ev.args[i] = '\0';
	memset(f->ev.cwd, 'c', sizeof(f->ev.cwd));
	memset(f->ev.exe.path, 'p', sizeof(f->ev.exe.path));
	expand_one(f, AHEAD);
	assert_text(get(f->event, "process_kprobe"), "process.binary_identity.0", "path-cut");
	assert_text(get(f->event, "process_kprobe"), "process.flags", "execve truncArgs");
}

static void test_hostile(void **state)
{
	static const char bytes[] = "\xff\xfe\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82";
	struct fixture *f = *state;
	_cleanup_free_ char *line = NULL, *compact = NULL;
	const json_t *e;

	memcpy(f->ev.exe.path, bytes, sizeof(bytes));
	f->ev.exe.path_len = sizeof(bytes) - 1;
	memcpy(f->ev.args, "a\0\033[31m\n\0\x7f\xc2\x9b\xe2\x80\xae\xe2\x82\xac", 18);
	f->ev.args_len = 18;
	e = get(expand_one(f, ENFORCED), "process_kprobe");
	/* thirteen bytes, none of them part of a character */
	assert_int_equal(json_string_length(get(e, "process.binary")), 13 * 3);
	assert_text(e, "process.arguments", "\033[31m\n \x7f\xc2\x9b\xe2\x80\xae\xe2\x82\xac");
	line = event_format(f->event, EVENT_JSON, false);
	assert_non_null(strstr(line, "\\u001B[31m\\n \\u007f\\u009b\xe2\x80\xae\xe2\x82\xac"));

	memcpy(f->ev.exe.path, "/a b\033\xc2\x9b\xe2\x80\xae\xe2\x82\xac\"\\", 15);
	f->ev.exe.path_len = 15;
	expand_one(f, ENFORCED);
	compact = event_format(f->event, EVENT_COMPACT, false);
	assert_non_null(strstr(compact, " \"/a b\\x1b\\u009b\\u202e\xe2\x82\xac\\\"\\\\\" "));
}

static void test_wrapped(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *line = NULL, *bare = NULL;

	expand_one(f, AHEAD);
	line = event_format(f->event, EVENT_JSON, false);
	bare = event_format(f->event, EVENT_TETRAGON, false);
	assert_non_null(strstr(line, "\"pid\":{\"value\":4211}"));
	assert_non_null(strstr(line, "\"pid\":{\"value\":4200}"));
	assert_non_null(strstr(line, "\"tid\":{\"value\":4212}"));
	assert_non_null(strstr(line, "\"uid\":{\"value\":1000}"));
	assert_non_null(strstr(line, "\"auid\":{\"value\":4294967295}"));
	assert_non_null(strstr(bare, "\"pid\":4211,"));
	assert_null(strstr(bare, "value"));
	/* the event itself stays as it is */
	assert_number(f->event, "process_kprobe.process.pid", 4211);
}

static void assert_line(struct fixture *f, unsigned int selector, bool color, const char *expected)
{
	_cleanup_free_ char *line = NULL;

	expand_one(f, selector);
	line = event_format(f->event, EVENT_COMPACT, color);
	assert_string_equal(line, expected);
}

static void test_compact(void **state)
{
	struct fixture *f = *state;

	assert_line(f, AHEAD, false,
		    "🔌 connect host /usr/bin/nc tcp 10.0.0.5:54321 -> 203.0.113.50:4444 "
		    "killed EPERM [sample]");
	assert_line(f, AHEAD, true,
		    "🔌 \033[34mconnect\033[0m host /usr/bin/nc tcp 10.0.0.5:54321 -> "
		    "203.0.113.50:4444 \033[1;31mkilled EPERM\033[0m [sample]");
	assert_line(f, LSM, false,
		    "🔒 LSM     host /usr/bin/nc socket_connect 203.0.113.50:4444 would-deny [lsm]");
	assert_line(f, ENFORCED, false,
		    "❓ syscall host /usr/bin/nc security_socket_connect 203.0.113.50:4444 "
		    "denied EPERM [enforced]");
	f->ev.sa.family = AF_INET6;
	f->ev.sa.addr[0] = 0x20;
	f->ev.exe.flags = 0;
	assert_line(f, ENFORCED, false,
		    "❓ syscall host <unknown> security_socket_connect [2000:7132::]:4444 "
		    "denied EPERM [enforced]");
	f->ev.sa.family = AF_NETLINK;
	assert_line(f, ENFORCED, false,
		    "❓ syscall host <unknown> security_socket_connect AF_NETLINK "
		    "denied EPERM [enforced]");
	f->ev.hook = REVSHELL_HOOK_TCP_SENDMSG;
	f->ev.verdict = 0;
	f->ev.error = 0;
	f->ev.ints[2] = 627;
	assert_line(f, 0, false,
		    "📤 sendmsg host <unknown> tcp 10.0.0.5:54321 -> 0.0.0.0:0 bytes 627 allowed "
		    "[enforced]");
}

/* Whatever JSON is read back is printed somehow. */
/* A rule set that is no longer current is not asked for more than this. */
static void test_shed(void **state)
{
	struct fixture *f = *state;

	for (unsigned int selector = AHEAD; selector <= ENFORCED; selector++) {
		json_t *before = json_incref(expand_one(f, selector));

		ruleset_shed(f->rs, NULL, selector == AHEAD);
		assert_int_equal(f->rs->n_rows, 0);
		assert_true(json_equal(expand_one(f, selector), before));
		json_decref(before);
	}
}

static void test_format_anything(void **state)
{
	static const char *const texts[] = {
		"{}",
		"[]",
		"{\"process_kprobe\": 1}",
		"{\"process_kprobe\": {\"process\": {\"pid\": {\"value\": 1}}, \"args\": 7}}",
		"{\"process_lsm\": {\"process\": {\"pid\": \"x\"}, \"parent\": [], \"args\": [1, "
		"{}]}}",
		"{\"process_kprobe\": {\"function_name\": \"tcp_connect\", \"args\": "
		"[{\"sock_arg\": {\"saddr\": 1, \"protocol\": \"IPPROTO_\\u001b\"}}]}}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		for (enum event_format format = EVENT_JSON; format <= EVENT_COMPACT; format++) {
			json_t *event = json_loads(texts[i], 0, NULL);
			_cleanup_free_ char *line = event_format(event, format, true);

			assert_non_null(line);
			json_decref(event);
		}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ahead),    TEST(test_via),
		TEST(test_process),  TEST(test_lsm),
		TEST(test_owner),    TEST(test_stacks),
		TEST(test_return),   TEST(test_unwanted),
		TEST(test_verdicts), TEST(test_several),
		TEST(test_refused),  TEST(test_hostile),
		TEST(test_wrapped),  TEST(test_compact),
		TEST(test_shed),     TEST(test_format_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
