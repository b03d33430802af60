/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What doctor says of made-up hosts: each finding in each of its states. */
#include "doctor.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy-helpers.h"

struct host {
	char root[64];
	char *dirs[1];
	char dir[96];
	struct {
		char name[32];
		enum doctor_state state;
		char text[512];
		char hint[512];
	} found[32];
	size_t n;
};

static void put_bytes(const struct host *h, const char *path, const char *bytes, size_t n)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", h->root, path);
	for (char *s = strchr(full + 1, '/'); s; s = strchr(s + 1, '/')) {
		*s = '\0';
		(void)mkdir(full, 0755);
		*s = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	fclose(f);
	(void)chmod(full, 0644);
}

static void put(const struct host *h, const char *path, const char *text)
{
	put_bytes(h, path, text, strlen(text));
}

static int setup(void **state)
{
	struct host *h = calloc(1, sizeof(*h));

	strcpy(h->root, "/tmp/test-doctor.XXXXXX");
	assert_non_null(mkdtemp(h->root));
	snprintf(h->dir, sizeof(h->dir), "%s/policies", h->root);
	h->dirs[0] = h->dir;
	put(h, "/policies/.keep", "");
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	struct host *h = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -r '%s'", h->root);
	assert_int_equal(system(command), 0);
	free(h);
	return 0;
}

static int keep(const struct doctor_finding *f, void *userdata)
{
	struct host *h = userdata;

	assert_true(h->n < ARRAY_SIZE(h->found));
	h->found[h->n].state = f->state;
	snprintf(h->found[h->n].name, sizeof(h->found[0].name), "%s", f->name);
	snprintf(h->found[h->n].text, sizeof(h->found[0].text), "%s", f->text);
	snprintf(h->found[h->n].hint, sizeof(h->found[0].hint), "%s", f->hint);
	h->n++;
	return 0;
}

/* The finding of that name, which must have this state and such words. */
static void assert_found(struct host *h, const char *name, enum doctor_state state,
			 const char *words, const char *hint)
{
	h->n = 0;
	assert_int_equal(
		doctor_run(&(struct doctor_options){h->root, h->dirs, 1, "/pins"}, keep, h), 0);
	for (size_t i = 0; i < h->n; i++) {
		if (strcmp(h->found[i].name, name) != 0)
			continue;
		if (h->found[i].state != state)
			fail_msg("%s: %s: %s", name, doctor_state_name(h->found[i].state),
				 h->found[i].text);
		assert_non_null(strstr(h->found[i].text, words));
		assert_non_null(strstr(h->found[i].hint, hint));
		return;
	}
	fail_msg("no finding %s", name);
}

static void test_kernel(void **state)
{
	struct host *h = *state;

	assert_found(h, "kernel", DOCTOR_OK, "", "");
	assert_found(h, "btf", DOCTOR_FAIL, "No such file", "CONFIG_DEBUG_INFO_BTF");
	put(h, "/sys/kernel/btf/vmlinux", "x");
	assert_found(h, "btf", DOCTOR_OK, "", "");
	assert_found(h, "lockdown", DOCTOR_SKIP, "", "");
	put(h, "/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
	assert_found(h, "lockdown", DOCTOR_OK, "[integrity]", "");
	put(h, "/sys/kernel/security/lockdown", "none integrity [confidentiality]\n");
	assert_found(h, "lockdown", DOCTOR_FAIL, "confidentiality", "integrity");
	assert_found(h, "kprobes", DOCTOR_WARN, "no kprobes", "");
	put(h, "/sys/bus/event_source/devices/kprobe/type", "6\n");
	assert_found(h, "kprobes", DOCTOR_OK, "cannot deny", "");
}

static void test_lsm(void **state)
{
	struct host *h = *state;

	assert_found(h, "lsm-list", DOCTOR_SKIP, "No such file", "securityfs");
	put(h, "/sys/kernel/security/lsm", "lockdown,yama,bpfx,apparmor\n");
	assert_found(h, "lsm-list", DOCTOR_WARN, "fmod-ret and kprobe",
		     "lsm=lockdown,yama,bpfx,apparmor,bpf");
	put(h, "/etc/debian_version", "12\n");
	assert_found(h, "lsm-list", DOCTOR_WARN, "", "update-grub and reboot");
	assert_found(h, "preemption", DOCTOR_SKIP, "", "debugfs");
	put(h, "/sys/kernel/debug/sched/preempt", "none voluntary full (lazy)\n");
	assert_found(h, "preemption", DOCTOR_FAIL, "(lazy)", "preempt=voluntary");
	put(h, "/sys/kernel/debug/sched/preempt", "none (voluntary) full\n");
	assert_found(h, "preemption", DOCTOR_OK, "(voluntary)", "");
	put(h, "/sys/kernel/debug/sched/preempt", "none voluntary (full)\n");
	put(h, "/sys/kernel/security/lsm", "lockdown,bpf\n");
	assert_found(h, "lsm-list", DOCTOR_OK, "the lsm backend can run", "");
	assert_found(h, "preemption", DOCTOR_OK, "does not matter", "");
}

static void test_rest(void **state)
{
	struct host *h = *state;

	assert_found(h, "bpffs", DOCTOR_SKIP, "", "");
	put(h, "/sys/fs/bpf/x", "");
	assert_found(h, "bpffs", DOCTOR_WARN, "ends with the daemon", "mount -t bpf");
	assert_found(h, "ptrace", DOCTOR_SKIP, "", "");
	put(h, "/proc/sys/kernel/yama/ptrace_scope", "0\n");
	assert_found(h, "ptrace", DOCTOR_WARN, "same user", "ptrace_scope=1");
	put(h, "/proc/sys/kernel/yama/ptrace_scope", "1\n");
	assert_found(h, "ptrace", DOCTOR_OK, "is 1", "");
	put(h, "/proc/cmdline", "root=/dev/sda revshell.mode=off quiet\n");
	assert_found(h, "command-line", DOCTOR_WARN, "revshell.mode=off is set", "boot without");
	put(h, "/proc/cmdline", "quiet\n");
	assert_found(h, "command-line", DOCTOR_OK, "", "");
}

static void test_policies(void **state)
{
	struct host *h = *state;
	char path[160];

	assert_found(h, "policies", DOCTOR_WARN, "nothing is watched", "policies.d");
	put(h, "/policies/a.yaml", POLICY_HEAD "spec: {}\n");
	assert_found(h, "policies", DOCTOR_OK, "1 load", "");
	put(h, "/policies/b.yaml", "nonsense\n");
	assert_found(h, "policies", DOCTOR_FAIL, "b.yaml:1", "policy check");
	assert_found(h, "pins", DOCTOR_OK, "nothing is pinned", "");
	put(h, "/pins/x", "");
	snprintf(path, sizeof(path), "%s/pins", h->root);
	assert_int_equal(chmod(path, 0777), 0);
	assert_found(h, "pins", DOCTOR_FAIL, "may be written", "700");
	if (geteuid() != 0)
		return;
	assert_int_equal(chmod(path, 0700), 0);
	assert_found(h, "pins", DOCTOR_OK, "root's alone", "");
}

/* A finding of those that tell why nothing could be loaded: its state, or -1 without one. */
static int cause(struct host *h, const char *name)
{
	h->n = 0;
	assert_int_equal(doctor_causes(h->root, keep, h), 0);
	for (size_t i = 0; i < h->n; i++)
		if (strcmp(h->found[i].name, name) == 0)
			return (int)h->found[i].state;
	return -1;
}

#define LIMITS                                                                        \
	"Limit                     Soft Limit           Hard Limit           Units\n" \
	"Max locked memory         "

static void test_causes(void **state)
{
	static const char function[] = "bpf_ktime_get_coarse_ns";
	char btf[3 * 16384] = "bpf_ktime_get_coarse_nsx";
	struct host *h = *state;

	assert_int_equal(cause(h, "btf"), DOCTOR_FAIL);
	assert_int_equal(cause(h, "memlock"), -1);
	put(h, "/sys/kernel/btf/vmlinux", btf);
	assert_int_equal(cause(h, "btf"), -1);
	assert_int_equal(cause(h, "lockdown"), -1);
	put(h, "/sys/kernel/security/lockdown", "none integrity [confidentiality]\n");
	assert_int_equal(cause(h, "lockdown"), DOCTOR_FAIL);

	/* charged to the limit */
	put(h, "/proc/self/limits", "nothing\n");
	assert_int_equal(cause(h, "memlock"), -1);
	put(h, "/proc/self/limits", LIMITS "65536                65536                bytes\n");
	assert_int_equal(cause(h, "memlock"), DOCTOR_WARN);
	assert_string_equal(h->found[h->n - 1].text,
			    "RLIMIT_MEMLOCK is 65536 bytes, and this kernel charges maps to it");
	put(h, "/proc/self/limits", LIMITS "unlimited            unlimited            bytes\n");
	assert_int_equal(cause(h, "memlock"), -1);

	/* or not, wherever in the file that stands */
	put(h, "/proc/self/limits", LIMITS "65536                65536                bytes\n");
	for (size_t at = 16384 - sizeof(function) - 1; at <= 16384; at++) {
		memset(btf, 'x', sizeof(btf));
		memcpy(btf + at, function, sizeof(function));
		put_bytes(h, "/sys/kernel/btf/vmlinux", btf, sizeof(btf));
		assert_int_equal(cause(h, "memlock"), -1);
	}
}

static int stop(const struct doctor_finding *f, void *userdata)
{
	return -ECANCELED;
}

static void test_stop(void **state)
{
	struct host *h = *state;

	assert_int_equal(doctor_run(&(struct doctor_options){h->root, h->dirs, 1, NULL}, stop, h),
			 -ECANCELED);
	assert_string_equal(doctor_state_name(DOCTOR_STATE_MAX), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kernel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lsm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_policies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_causes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
