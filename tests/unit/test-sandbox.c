/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is left in the sandbox: each call is made by a child without it, where it must not fail as
 * it does with it, and by another one under the very filter that the daemon and its loader have.
 */
#include "sandbox.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "policy-helpers.h"

#define KILLED 1000 /* by SIGSYS */
#define TRIED  1001 /* the kernel looked at it and found a fault, another one than EPERM */

/* Each returns 0 or an errno. */
typedef int (*call_fn)(void);

static int result(long r)
{
	return r < 0 ? errno : 0;
}

static int call_bpf(int command, union bpf_attr *attr)
{
	return result(syscall(SYS_bpf, command, attr, sizeof(*attr)));
}

static int prog_load(void)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (uintptr_t)insns,
		.insn_cnt = ARRAY_SIZE(insns),
		.license = (uintptr_t) "GPL",
	};

	return call_bpf(BPF_PROG_LOAD, &attr);
}

/* A descriptor that is none: what is let through fails by that. */
static int link_create(void)
{
	union bpf_attr attr = {.link_create = {.prog_fd = 4000, .attach_type = BPF_LSM_MAC}};

	return call_bpf(BPF_LINK_CREATE, &attr);
}

static int obj_pin(void)
{
	union bpf_attr attr = {.pathname = (uintptr_t) "/tmp/test-sandbox.pin", .bpf_fd = 4000};

	return call_bpf(BPF_OBJ_PIN, &attr);
}

static int obj_get(void)
{
	union bpf_attr attr = {.pathname = (uintptr_t) "/tmp/test-sandbox.pin"};

	return call_bpf(BPF_OBJ_GET, &attr);
}

static int map_create(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = 4,
		.value_size = 8,
		.max_entries = 1,
	};

	return call_bpf(BPF_MAP_CREATE, &attr);
}

static int inet(void)
{
	return result(socket(AF_INET, SOCK_STREAM, 0));
}

static int netlink(void)
{
	return result(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int local(void)
{
	return result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int write_file(void)
{
	return result(open("/dev/null", O_WRONLY | O_CLOEXEC));
}

static int read_file(void)
{
	return result(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

static int map_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

static int fork_child(void)
{
	pid_t pid = (pid_t)syscall(SYS_fork);

	if (pid == 0)
		_exit(0);
	return result(pid);
}

static int signal_parent(void)
{
	return result(kill(getppid(), 0));
}

static int set_user(void)
{
	return result(syscall(SYS_setuid, 0));
}

static int unmount(void)
{
	return result(umount("/nonexistent"));
}

static int trace(void)
{
	return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int execute(void)
{
	static char *const argv[] = {(char *)"true", NULL};

	return result(execv("/bin/true", argv));
}

/* As abort() ends. */
static int own_end(void)
{
	return result(raise(SIGABRT));
}

/* Not by _exit(), on which sanitizers make a call of their own. */
static void end_child(int status)
{
	(void)syscall(SYS_exit_group, status);
}

/* -1: the sandbox could not be entered. */
static int in_child(enum sandbox_role role, enum sandbox_mode mode, call_fn fn)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		const char *step;

		if (sandbox_enter(role, mode, &step) < 0)
			end_child(255);
		end_child(fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		return KILLED;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
		return -SIGABRT;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status) == 255 ? -1 : WEXITSTATUS(status);
}

static const struct {
	const char *name;
	call_fn fn;
	int without; /* what comes of it */
	int daemon, loader;
} cases[] = {
	{"PROG_LOAD", prog_load, 0, EPERM, 0},
	{"LINK_CREATE", link_create, TRIED, EPERM, TRIED},
	{"OBJ_PIN", obj_pin, TRIED, EPERM, TRIED},
	{"OBJ_GET", obj_get, TRIED, EPERM, EPERM},
	{"MAP_CREATE", map_create, 0, 0, 0},
	{"AF_INET", inet, 0, EPERM, EPERM},
	{"AF_NETLINK", netlink, 0, EPERM, EPERM},
	{"AF_UNIX", local, 0, 0, EPERM},
	{"a file to write", write_file, 0, 0, EPERM},
	{"a file to read", read_file, 0, 0, 0},
	{"mmap of code", map_code, 0, EPERM, EPERM},
	{"fork", fork_child, 0, EPERM, EPERM},
	{"kill", signal_parent, 0, EPERM, EPERM},
	{"setuid", set_user, 0, EPERM, EPERM},
	{"umount", unmount, TRIED, EPERM, EPERM},
	{"ptrace", trace, 0, KILLED, KILLED},
	{"execve", execute, 0, KILLED, KILLED},
	{"raise", own_end, -SIGABRT, -SIGABRT, -SIGABRT},
};

static bool is_as(int expected, int found)
{
	return expected == TRIED ? found > 0 && found < KILLED && found != EPERM
				 : found == expected;
}

static void test_calls(void **state)
{
	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int without = in_child(SANDBOX_DAEMON, SANDBOX_OFF, cases[i].fn);
		int as_daemon = in_child(SANDBOX_DAEMON, SANDBOX_ENFORCE, cases[i].fn);
		int as_loader = in_child(SANDBOX_LOADER, SANDBOX_ENFORCE, cases[i].fn);
		int as_reader = in_child(SANDBOX_READER, SANDBOX_ENFORCE, cases[i].fn);
		bool ends = cases[i].daemon == KILLED || cases[i].daemon < 0;

		/* the reader has none of these at all */
		if (!is_as(cases[i].without, without) || !is_as(cases[i].daemon, as_daemon) ||
		    !is_as(cases[i].loader, as_loader) ||
		    !is_as(ends ? cases[i].daemon : EPERM, as_reader))
			fail_msg("%s: %d without, %d as daemon, %d as loader, %d as reader",
				 cases[i].name, without, as_daemon, as_loader, as_reader);
	}
}

static char *describe_in(enum sandbox_role role, enum sandbox_mode mode)
{
	static char text[2048];
	const char *step;
	int ends[2];
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char *found = sandbox_enter(role, mode, &step) == 0 ? sandbox_describe(0) : NULL;

		end_child(!found || write(ends[1], found, strlen(found)) < 0);
	}
	close(ends[1]);
	n = read(ends[0], text, sizeof(text) - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return text;
}

/* Root in a container may have fewer: what is not there is not shown either. */
static void test_state(void **state)
{
	cap_t caps = cap_get_proc();
	cap_flag_value_t perfmon = CAP_CLEAR, search = CAP_CLEAR;

	(void)cap_get_flag(caps, CAP_PERFMON, CAP_PERMITTED, &perfmon);
	(void)cap_get_flag(caps, CAP_DAC_READ_SEARCH, CAP_PERMITTED, &search);
	cap_free(caps);
	if (geteuid() != 0 || perfmon != CAP_SET || search != CAP_SET)
		skip();
	assert_string_equal(describe_in(SANDBOX_DAEMON, SANDBOX_ENFORCE),
			    "capabilities cap_dac_read_search,cap_bpf; seccomp filter; no new "
			    "privileges");
	assert_string_equal(describe_in(SANDBOX_LOADER, SANDBOX_ENFORCE),
			    "capabilities cap_perfmon,cap_bpf; seccomp filter; no new privileges");
	assert_non_null(strstr(describe_in(SANDBOX_DAEMON, SANDBOX_OFF), "no seccomp filter"));
	assert_null(strstr(describe_in(SANDBOX_DAEMON, SANDBOX_OFF), "no new privileges"));
}

/* In mode log the call is made, and told; what is allowed is not. */
static void test_log(void **state)
{
	char text[512];
	int ends[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe(ends), 0);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	assert_int_equal(in_child(SANDBOX_DAEMON, SANDBOX_LOG, local), 0);
	assert_int_equal(in_child(SANDBOX_DAEMON, SANDBOX_LOG, inet), 0);
	assert_int_equal(in_child(SANDBOX_LOADER, SANDBOX_LOG, execute), 0);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	close(ends[1]);
	/* until the watchers have ended */
	for (size_t used = 0;; used += (size_t)n) {
		n = read(ends[0], text + used, sizeof(text) - 1 - used);
		assert_true(n >= 0);
		text[used + (size_t)n] = '\0';
		if (n == 0)
			break;
	}
	close(ends[0]);
	assert_int_equal(strncmp(text, "Sandbox: socket(0x2, ", 21), 0);
	assert_non_null(strstr(text, "\nSandbox: execve("));
	assert_null(strstr(text, "socket(0x1, "));
}

static void test_names(void **state)
{
	for (enum sandbox_mode m = SANDBOX_ENFORCE; m < SANDBOX_MODE_MAX; m++)
		assert_int_equal(sandbox_mode_parse(sandbox_mode_name(m)), m);
	assert_int_equal(sandbox_mode_parse("on"), SANDBOX_MODE_MAX);
	assert_null(sandbox_describe(0x7fffffff));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
