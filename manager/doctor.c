/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of this host revshelld needs, as far as it can be seen without a daemon and without root. */
#include "doctor.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "macro.h"
#include "policy.h"

struct doctor {
	const struct doctor_options *opts;
	doctor_fn fn;
	void *userdata;
	char lsm[512];	    /* the kernel's list, or "" */
	char cmdline[4096]; /* the kernel's */
};

static const char *const state_names[DOCTOR_STATE_MAX] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_WARN] = "warn",
	[DOCTOR_FAIL] = "fail",
	[DOCTOR_SKIP] = "skip",
};

const char *doctor_state_name(enum doctor_state state)
{
	return (unsigned int)state < DOCTOR_STATE_MAX ? state_names[state] : "unknown";
}

static int tell(const struct doctor *d, enum doctor_state state, const char *name, const char *hint,
		const char *fmt, ...) _printf_(5, 6);

static int tell(const struct doctor *d, enum doctor_state state, const char *name, const char *hint,
		const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (r < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return d->fn(&(struct doctor_finding){state, name, text, hint ? hint : ""}, d->userdata);
}

/* The first line of a file without its newline. Returns 0 or -errno. */
static int read_line(const struct doctor *d, const char *path, char *buf, size_t size)
{
	_cleanup_free_ char *full = NULL;
	_cleanup_fclose_ FILE *f = NULL;

	buf[0] = '\0';
	if (asprintf(&full, "%s%s", d->opts->root, path) < 0) {
		full = NULL;
		return -ENOMEM;
	}
	f = fopen(full, "re");
	if (!f)
		return -errno;
	if (!fgets(buf, (int)size, f))
		return ferror(f) ? -EIO : 0;
	buf[strcspn(buf, "\n")] = '\0';
	return 0;
}

static bool has_word(const char *list, const char *word, const char *separators)
{
	size_t len = strlen(word);

	for (const char *s = list; *s; s += strspn(s, separators)) {
		size_t n = strcspn(s, separators);

		if (n == len && strncmp(s, word, n) == 0)
			return true;
		s += n;
	}
	return false;
}

static int check_kernel(struct doctor *d)
{
	struct utsname u;

	if (uname(&u) < 0)
		return -errno;
	return tell(d, DOCTOR_OK, "kernel", NULL, "%s %s", u.release, u.machine);
}

static int check_btf(struct doctor *d)
{
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, "%s/sys/kernel/btf/vmlinux", d->opts->root) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	if (access(path, R_OK) == 0)
		return tell(d, DOCTOR_OK, "btf", NULL, "the kernel describes its types");
	return tell(d, DOCTOR_FAIL, "btf", "a kernel built with CONFIG_DEBUG_INFO_BTF is needed",
		    "/sys/kernel/btf/vmlinux: %s", strerror(errno));
}

/* How the distribution at hand sets the kernel's command line. */
static const char *bootloader_hint(const struct doctor *d)
{
	char line[256];

	if (read_line(d, "/etc/debian_version", line, sizeof(line)) == 0)
		return "add it to GRUB_CMDLINE_LINUX in /etc/default/grub, then run update-grub "
		       "and "
		       "reboot";
	if (read_line(d, "/etc/redhat-release", line, sizeof(line)) == 0)
		return "run grubby --update-kernel=ALL --args=\"lsm=...\", and reboot";
	return "add it to the boot loader's kernel command line and reboot (Debian, Ubuntu: "
	       "/etc/default/grub and update-grub; Fedora, RHEL: grubby --update-kernel=ALL "
	       "--args=...)";
}

static int check_lsm(struct doctor *d)
{
	_cleanup_free_ char *hint = NULL;
	int r = read_line(d, "/sys/kernel/security/lsm", d->lsm, sizeof(d->lsm));

	if (r < 0)
		return tell(d, DOCTOR_SKIP, "lsm-list", "mount securityfs, or ask as root",
			    "/sys/kernel/security/lsm: %s", strerror(-r));
	if (has_word(d->lsm, "bpf", ","))
		return tell(d, DOCTOR_OK, "lsm-list", NULL, "bpf is in %s: the lsm backend can run",
			    d->lsm);
	if (asprintf(&hint, "boot with lsm=%s,bpf: %s", d->lsm, bootloader_hint(d)) < 0) {
		hint = NULL;
		return -ENOMEM;
	}
	return tell(d, DOCTOR_WARN, "lsm-list", hint,
		    "bpf is not in %s: the fmod-ret and kprobe backends are left", d->lsm);
}

/* What leaves fmod_ret programs out at times; it matters where they are all there is. */
static int check_preemption(struct doctor *d)
{
	char text[256];
	int r;

	if (has_word(d->lsm, "bpf", ","))
		return tell(d, DOCTOR_OK, "preemption", NULL, "does not matter to the lsm backend");
	r = read_line(d, "/sys/kernel/debug/sched/preempt", text, sizeof(text));
	if (r < 0)
		return tell(d, DOCTOR_SKIP, "preemption", "mount debugfs, or ask as root",
			    "/sys/kernel/debug/sched/preempt: %s", strerror(-r));
	if (strstr(text, "(full)") || strstr(text, "(lazy)"))
		return tell(d, DOCTOR_FAIL, "preemption",
			    "boot with bpf in lsm=, or with preempt=voluntary",
			    "%s: the kernel leaves fmod_ret programs out at times", text);
	return tell(d, DOCTOR_OK, "preemption", NULL, "%s", text);
}

/* The last resort, which reports and kills after the fact. */
static int check_kprobes(struct doctor *d)
{
	char text[16];
	int r = read_line(d, "/sys/bus/event_source/devices/kprobe/type", text, sizeof(text));

	if (r == 0)
		return tell(d, DOCTOR_OK, "kprobes", NULL,
			    "the kprobe backend could run, which cannot deny");
	return tell(d, has_word(d->lsm, "bpf", ",") ? DOCTOR_OK : DOCTOR_WARN, "kprobes", NULL,
		    "no kprobes: %s", strerror(-r));
}

static int check_lockdown(struct doctor *d)
{
	char text[128];
	int r = read_line(d, "/sys/kernel/security/lockdown", text, sizeof(text));

	if (r < 0)
		return tell(d, DOCTOR_SKIP, "lockdown", NULL, "%s", strerror(-r));
	if (strstr(text, "[confidentiality]"))
		return tell(d, DOCTOR_FAIL, "lockdown",
			    "lockdown=integrity leaves BPF programs what they have to read",
			    "confidentiality: BPF programs may not read kernel memory");
	return tell(d, DOCTOR_OK, "lockdown", NULL, "%s", text);
}

/* Whether a string of that name is in the kernel's BTF: 1, 0 or -errno. */
static int btf_has(const struct doctor *d, const char *name)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *f = NULL;
	size_t len = strlen(name) + 1, have = 0, n;
	char buf[16384];

	if (asprintf(&path, "%s/sys/kernel/btf/vmlinux", d->opts->root) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while ((n = fread(buf + have, 1, sizeof(buf) - have, f)) > 0) {
		have += n;
		if (memmem(buf, have, name, len))
			return 1;
		/* it may lie across two pieces */
		n = MIN(have, len - 1);
		memmove(buf, buf + have - n, n);
		have = n;
	}
	return ferror(f) ? -EIO : 0;
}

/* The soft limit as the kernel writes it: a number of bytes, or "unlimited". */
static int read_memlock(const struct doctor *d, char *buf, size_t size)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *f = NULL;
	char line[256], value[32];

	if (asprintf(&path, "%s/proc/self/limits", d->opts->root) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Max locked memory %31s", value) == 1) {
			snprintf(buf, size, "%s", value);
			return 0;
		}
	return f ? -ENODATA : -errno;
}

/* Since 5.11 maps are charged to control groups; the function that is looked for came with that. */
static int check_memlock(struct doctor *d)
{
	char value[32];
	int r;

	if (!d->opts->daemon)
		return 0;
	r = btf_has(d, "bpf_ktime_get_coarse_ns");
	if (r > 0)
		return tell(d, DOCTOR_OK, "memlock", NULL,
			    "maps are not charged to RLIMIT_MEMLOCK");
	if (r == 0)
		r = read_memlock(d, value, sizeof(value));
	if (r < 0)
		return tell(d, DOCTOR_SKIP, "memlock", NULL, "%s", strerror(-r));
	if (strcmp(value, "unlimited") == 0)
		return tell(d, DOCTOR_OK, "memlock", NULL, "RLIMIT_MEMLOCK is unlimited");
	return tell(d, DOCTOR_WARN, "memlock",
		    "LimitMEMLOCK=infinity in the unit, or ulimit -l unlimited",
		    "RLIMIT_MEMLOCK is %s bytes, and this kernel charges maps to it", value);
}

static int check_bpffs(struct doctor *d)
{
	_cleanup_free_ char *path = NULL;
	struct statfs fs;

	if (asprintf(&path, "%s/sys/fs/bpf", d->opts->root) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	if (statfs(path, &fs) < 0)
		return tell(d, DOCTOR_SKIP, "bpffs", NULL, "/sys/fs/bpf: %s", strerror(errno));
	if (fs.f_type == BPF_FS_MAGIC)
		return tell(d, DOCTOR_OK, "bpffs", NULL, "enforcement can outlive the daemon");
	return tell(d, DOCTOR_WARN, "bpffs", "mount -t bpf bpf /sys/fs/bpf",
		    "no BPF file system at /sys/fs/bpf: enforcement ends with the daemon");
}

static int check_ptrace(struct doctor *d)
{
	char text[16];
	int r = read_line(d, "/proc/sys/kernel/yama/ptrace_scope", text, sizeof(text));

	if (r < 0)
		return tell(d, DOCTOR_SKIP, "ptrace", NULL, "ptrace_scope: %s", strerror(-r));
	if (strcmp(text, "0") == 0)
		return tell(d, DOCTOR_WARN, "ptrace", "sysctl kernel.yama.ptrace_scope=1",
			    "a program can put its code into another one of the same user, an "
			    "exempted one too");
	return tell(d, DOCTOR_OK, "ptrace", NULL, "kernel.yama.ptrace_scope is %s", text);
}

static int check_cmdline(struct doctor *d)
{
	int r = read_line(d, "/proc/cmdline", d->cmdline, sizeof(d->cmdline));
	const char *mode;

	if (r < 0)
		return tell(d, DOCTOR_SKIP, "command-line", NULL, "%s", strerror(-r));
	mode = strstr(d->cmdline, "revshell.mode=");
	if (!mode)
		return tell(d, DOCTOR_OK, "command-line", NULL, "no revshell.mode= is set");
	return tell(d, DOCTOR_WARN, "command-line", "it stands above all options; boot without it",
		    "%.*s is set", (int)strcspn(mode, " "), mode);
}

/* Says what is wrong with the policies; d's own directories and the files in them. */
static int check_policies(struct doctor *d)
{
	const struct policy_options opts = {};
	struct policy_set set = {};
	struct diag diag = {};
	_cleanup_free_ char *first = NULL;
	bool empty = false;
	size_t n;
	int r;

	r = policy_load_dirs(d->opts->dirs, d->opts->n_dirs, &opts, &diag, &set);
	n = set.n;
	for (size_t i = 0; i < diag.n_items && !first; i++)
		if (diag.items[i].severity == DIAG_ERROR) {
			first = diag_format(&diag.items[i]);
			empty = diag.n_errors == 1 && strcmp(diag.items[i].code, "no-files") == 0;
		}
	policy_set_done(&set);
	diag_done(&diag);
	if (r >= 0 && n == 0)
		empty = true;
	if (empty)
		return tell(d, DOCTOR_WARN, "policies", "put one into /etc/revshell/policies.d",
			    "there is none: nothing is watched");
	if (r == -EACCES || r == -EPERM)
		return tell(d, DOCTOR_SKIP, "policies", "ask as root", "%s",
			    first ? first : strerror(-r));
	if (r < 0)
		return tell(d, DOCTOR_FAIL, "policies", "revshellctl policy check tells the rest",
			    "%s", first ? first : strerror(-r));
	return tell(d, DOCTOR_OK, "policies", NULL, "%zu load without an error", n);
}

static int check_pins(struct doctor *d)
{
	const char *dir = d->opts->pin_dir ? d->opts->pin_dir : "/sys/fs/bpf/revshell";
	_cleanup_free_ char *path = NULL;
	struct stat st;

	if (asprintf(&path, "%s%s", d->opts->root, dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	if (stat(path, &st) < 0)
		return tell(d, errno == ENOENT ? DOCTOR_OK : DOCTOR_SKIP, "pins", NULL,
			    errno == ENOENT ? "nothing is pinned" : "cannot be seen from here");
	if (st.st_uid != 0 || st.st_mode & (S_IWGRP | S_IWOTH))
		return tell(d, DOCTOR_FAIL, "pins", "chown root: and chmod 700 it",
			    "%s may be written by others than root", dir);
	return tell(d, DOCTOR_OK, "pins", NULL, "%s is root's alone", dir);
}

int doctor_judge_sandbox(const char *text, doctor_fn fn, void *userdata)
{
	struct doctor_finding f = {DOCTOR_OK, "sandbox", text, ""};

	if (strstr(text, "loader: gone")) {
		f.state = DOCTOR_FAIL;
		f.hint = "systemctl restart revshelld";
	} else if (strncmp(text, "enforce;", 8) != 0 || !strstr(text, "; seccomp filter")) {
		f.state = DOCTOR_WARN;
		f.hint = "start revshelld with --sandbox=enforce, which is the default";
	}
	return fn(&f, userdata);
}

int doctor_judge_lock(bool locked, const char *why, doctor_fn fn, void *userdata)
{
	_cleanup_free_ char *text = NULL;

	if (asprintf(&text, "%s%s",
		     locked ? "on until the next boot"
		     : why  ? "cannot be switched on: "
			    : "off, and can be switched on",
		     !locked && why ? why : "") < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return fn(&(struct doctor_finding){locked || !why ? DOCTOR_OK : DOCTOR_SKIP, "lock", text,
					   ""},
		  userdata);
}

int doctor_judge_plane(const struct diag *d, doctor_fn fn, void *userdata)
{
	struct doctor_finding f = {DOCTOR_OK, "management",
				   "the ways to the bus and to ssh are open", ""};
	int r = 0;

	if (!d->n_items)
		return fn(&f, userdata);
	f.state = DOCTOR_WARN;
	f.hint = "let a selector before that one match it, with NoPost alone as its action";
	for (size_t i = 0; i < d->n_items && r >= 0; i++) {
		f.text = d->items[i].message;
		r = fn(&f, userdata);
	}
	return r;
}

typedef int (*check_fn)(struct doctor *d);

static int run_checks(struct doctor *d, const check_fn *checks, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++)
		r = checks[i](d);
	return r < 0 ? r : 0;
}

static int pass_on_cause(const struct doctor_finding *f, void *userdata)
{
	const struct doctor *asked = userdata;

	return f->state == DOCTOR_WARN || f->state == DOCTOR_FAIL ? asked->fn(f, asked->userdata)
								  : 0;
}

int doctor_causes(const char *root, doctor_fn fn, void *userdata)
{
	static const check_fn checks[] = {check_btf, check_lockdown, check_memlock};
	const struct doctor_options opts = {.root = root, .daemon = true};
	struct doctor asked = {.fn = fn, .userdata = userdata};
	struct doctor d = {.opts = &opts, .fn = pass_on_cause, .userdata = &asked};

	return run_checks(&d, checks, ARRAY_SIZE(checks));
}

int doctor_run(const struct doctor_options *opts, doctor_fn fn, void *userdata)
{
	static const check_fn checks[] = {
		check_kernel,  check_btf,      check_lsm,      check_preemption,
		check_kprobes, check_lockdown, check_memlock,  check_bpffs,
		check_ptrace,  check_cmdline,  check_policies, check_pins,
	};
	struct doctor d = {.opts = opts, .fn = fn, .userdata = userdata};

	return run_checks(&d, checks, ARRAY_SIZE(checks));
}
