/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Capabilities by libcap, system calls by libseccomp. The lists name what is allowed: all else
 * fails with EPERM, and execve and ptrace end the process.
 */
#include "sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>

#include "macro.h"
#include "sandbox-internal.h"

#define DAEMON (1U << SANDBOX_DAEMON)
#define PROBER (1U << SANDBOX_PROBER)
#define LOADER (1U << SANDBOX_LOADER | PROBER)
#define READER (1U << SANDBOX_READER)
#define BOTH   (DAEMON | LOADER)
#define ALL    (BOTH | READER)

static const char *const mode_names[SANDBOX_MODE_MAX] = {
	[SANDBOX_ENFORCE] = "enforce",
	[SANDBOX_LOG] = "log",
	[SANDBOX_OFF] = "off",
};

const char *sandbox_mode_name(enum sandbox_mode mode)
{
	return (unsigned int)mode < SANDBOX_MODE_MAX ? mode_names[mode] : "unknown";
}

enum sandbox_mode sandbox_mode_parse(const char *s)
{
	enum sandbox_mode mode = SANDBOX_ENFORCE;

	while (mode < SANDBOX_MODE_MAX && strcmp(mode_names[mode], s) != 0)
		mode++;
	return mode;
}

/*
 * CAP_BPF: rule sets are maps, of kinds that ask for it, and before 5.11 every bpf() call may.
 * CAP_PERFMON: programs that read the kernel's memory, and perf events for kprobes.
 * CAP_SYS_ADMIN, where it was given: Debian's kernels take it for perf events while
 * kernel.perf_event_paranoid is 3, as it is there.
 * CAP_DAC_READ_SEARCH, where it was given: a reload looks for exempted executables in folders that
 * may be closed to all but their owner, as the start did.
 */
static const struct {
	cap_value_t cap;
	unsigned int roles;
} kept_capabilities[] = {
	{CAP_BPF, BOTH},
	{CAP_PERFMON, LOADER},
	{CAP_SYS_ADMIN, PROBER},
	{CAP_DAC_READ_SEARCH, DAEMON},
};

/* Calls that are allowed whatever their arguments. */
static const struct {
	int call;
	unsigned int roles;
} calls[] = {
	/* memory, the C library's own needs, the end */
	{SCMP_SYS(brk), ALL},
	{SCMP_SYS(munmap), ALL},
	{SCMP_SYS(mremap), BOTH},
	{SCMP_SYS(madvise), ALL},
	{SCMP_SYS(futex), ALL},
	{SCMP_SYS(getrandom), BOTH},
	{SCMP_SYS(rt_sigreturn), ALL},
	{SCMP_SYS(rt_sigprocmask), ALL},
	{SCMP_SYS(rt_sigaction), BOTH},
	{SCMP_SYS(restart_syscall), ALL},
	{SCMP_SYS(exit), ALL},
	{SCMP_SYS(exit_group), ALL},
	{SCMP_SYS(getpid), ALL},
	{SCMP_SYS(getppid), BOTH},
	{SCMP_SYS(gettid), ALL},
	{SCMP_SYS(getuid), BOTH},
	{SCMP_SYS(geteuid), BOTH},
	{SCMP_SYS(getgid), BOTH},
	{SCMP_SYS(getegid), BOTH},
	{SCMP_SYS(uname), BOTH},
	{SCMP_SYS(sysinfo), BOTH}, /* qsort() asks for the size of memory */
	{SCMP_SYS(sched_getaffinity), DAEMON},
	{SCMP_SYS(wait4), DAEMON}, /* for the loader's end */
	{SCMP_SYS(waitid), DAEMON},
	/* time */
	{SCMP_SYS(clock_gettime), ALL},
	{SCMP_SYS(clock_getres), BOTH},
	{SCMP_SYS(gettimeofday), BOTH},
	{SCMP_SYS(time), BOTH},
	{SCMP_SYS(nanosleep), DAEMON | READER},
	{SCMP_SYS(clock_nanosleep), DAEMON | READER},
	/* descriptors */
	{SCMP_SYS(read), ALL},
	{SCMP_SYS(readv), DAEMON},
	{SCMP_SYS(pread64), BOTH},
	{SCMP_SYS(write), ALL},
	{SCMP_SYS(writev), DAEMON},
	{SCMP_SYS(pwrite64), DAEMON},
	{SCMP_SYS(lseek), BOTH},
	{SCMP_SYS(close), BOTH},
	{SCMP_SYS(dup), DAEMON},
	{SCMP_SYS(dup3), LOADER}, /* a map in the place of one's own */
	{SCMP_SYS(fcntl), BOTH},
	{SCMP_SYS(pipe2), DAEMON},
	{SCMP_SYS(memfd_create), DAEMON}, /* journal entries too large for a datagram */
	/* looking at files */
	{SCMP_SYS(fstat), BOTH},
	{SCMP_SYS(stat), BOTH},
	{SCMP_SYS(lstat), BOTH},
	{SCMP_SYS(newfstatat), BOTH},
	{SCMP_SYS(statx), BOTH},
	{SCMP_SYS(statfs), BOTH},
	{SCMP_SYS(fstatfs), BOTH},
	{SCMP_SYS(access), BOTH},
	{SCMP_SYS(faccessat), BOTH},
	{SCMP_SYS(faccessat2), BOTH},
	{SCMP_SYS(readlink), BOTH},
	{SCMP_SYS(readlinkat), BOTH},
	{SCMP_SYS(getcwd), DAEMON},
	{SCMP_SYS(getdents64), BOTH},
	/* changing them: policies by D-Bus, what is exported, pins */
	{SCMP_SYS(open), DAEMON},
	{SCMP_SYS(openat), DAEMON},
	{SCMP_SYS(rename), BOTH},
	{SCMP_SYS(renameat), BOTH},
	{SCMP_SYS(renameat2), BOTH},
	{SCMP_SYS(unlink), BOTH},
	{SCMP_SYS(unlinkat), BOTH},
	{SCMP_SYS(link), DAEMON},
	{SCMP_SYS(linkat), DAEMON},
	{SCMP_SYS(symlink), DAEMON},
	{SCMP_SYS(symlinkat), DAEMON},
	{SCMP_SYS(mkdir), BOTH},
	{SCMP_SYS(mkdirat), BOTH},
	{SCMP_SYS(rmdir), DAEMON},
	{SCMP_SYS(fchmod), DAEMON},
	{SCMP_SYS(ftruncate), DAEMON},
	{SCMP_SYS(fallocate), DAEMON},
	{SCMP_SYS(fsync), DAEMON},
	{SCMP_SYS(fdatasync), DAEMON},
	{SCMP_SYS(umask), DAEMON},
	/* the event loop and sockets; which ones may be made is below */
	{SCMP_SYS(poll), DAEMON},
	{SCMP_SYS(ppoll), DAEMON},
	{SCMP_SYS(epoll_create1), DAEMON},
	{SCMP_SYS(epoll_ctl), DAEMON},
	{SCMP_SYS(epoll_wait), DAEMON | READER},
	{SCMP_SYS(epoll_pwait), DAEMON | READER},
	{SCMP_SYS(epoll_pwait2), DAEMON},
	{SCMP_SYS(timerfd_create), DAEMON},
	{SCMP_SYS(timerfd_settime), DAEMON},
	{SCMP_SYS(timerfd_gettime), DAEMON},
	{SCMP_SYS(signalfd4), DAEMON},
	{SCMP_SYS(eventfd2), DAEMON},
	{SCMP_SYS(connect), DAEMON},
	{SCMP_SYS(shutdown), DAEMON},
	{SCMP_SYS(sendto), BOTH},
	{SCMP_SYS(recvfrom), BOTH},
	{SCMP_SYS(sendmsg), DAEMON},
	{SCMP_SYS(recvmsg), DAEMON},
	{SCMP_SYS(getsockname), DAEMON},
	{SCMP_SYS(getpeername), DAEMON},
	{SCMP_SYS(getsockopt), DAEMON},
	{SCMP_SYS(setsockopt), DAEMON},
	{SCMP_SYS(perf_event_open), PROBER},
};

/* Calls that are allowed if (argument & mask) is value. */
static const struct {
	int call;
	unsigned int roles;
	unsigned int argument;
	uint64_t mask, value;
} calls_with[] = {
	/* no code but what was mapped at the start */
	{SCMP_SYS(mmap), ALL, 2, PROT_EXEC, 0},
	{SCMP_SYS(mprotect), BOTH, 2, PROT_EXEC, 0},
	{SCMP_SYS(socket), DAEMON, 0, UINT64_MAX, AF_UNIX},
	{SCMP_SYS(socketpair), DAEMON, 0, UINT64_MAX, AF_UNIX},
	/* limits may be read */
	{SCMP_SYS(prlimit64), BOTH, 2, UINT64_MAX, 0},
	{SCMP_SYS(ioctl), BOTH, 1, UINT64_MAX, TCGETS},
	{SCMP_SYS(ioctl), DAEMON, 1, UINT64_MAX, FIONREAD},
	{SCMP_SYS(ioctl), PROBER, 1, UINT64_MAX, PERF_EVENT_IOC_SET_BPF},
	{SCMP_SYS(ioctl), PROBER, 1, UINT64_MAX, PERF_EVENT_IOC_ENABLE},
	{SCMP_SYS(ioctl), DAEMON | PROBER, 1, UINT64_MAX, PERF_EVENT_IOC_DISABLE},
	/* the loader reads what the kernel says of itself, and writes no file */
	{SCMP_SYS(open), LOADER, 1, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY},
	{SCMP_SYS(openat), LOADER, 2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY},
	/* rule sets, modes, counters; the iterator over the daemon's descriptors is attached before
	 */
	{SCMP_SYS(bpf), BOTH, 0, UINT64_MAX, BPF_MAP_CREATE},
	{SCMP_SYS(bpf), BOTH, 0, UINT64_MAX, BPF_MAP_LOOKUP_ELEM},
	{SCMP_SYS(bpf), BOTH, 0, UINT64_MAX, BPF_MAP_UPDATE_ELEM},
	{SCMP_SYS(bpf), DAEMON, 0, UINT64_MAX, BPF_MAP_DELETE_ELEM},
	{SCMP_SYS(bpf), DAEMON, 0, UINT64_MAX, BPF_MAP_GET_NEXT_KEY},
	{SCMP_SYS(bpf), DAEMON, 0, UINT64_MAX, BPF_MAP_UPDATE_BATCH},
	{SCMP_SYS(bpf), BOTH, 0, UINT64_MAX, BPF_OBJ_GET_INFO_BY_FD},
	{SCMP_SYS(bpf), DAEMON, 0, UINT64_MAX, BPF_ITER_CREATE},
	{SCMP_SYS(bpf), LOADER, 0, UINT64_MAX, BPF_MAP_FREEZE},
	{SCMP_SYS(bpf), LOADER, 0, UINT64_MAX, BPF_BTF_LOAD},
	{SCMP_SYS(bpf), LOADER, 0, UINT64_MAX, BPF_PROG_LOAD},
	{SCMP_SYS(bpf), LOADER, 0, UINT64_MAX, BPF_PROG_BIND_MAP},
	{SCMP_SYS(bpf), LOADER, 0, UINT64_MAX, BPF_RAW_TRACEPOINT_OPEN},
	{SCMP_SYS(bpf), LOADER, 0, UINT64_MAX, BPF_LINK_CREATE},
	{SCMP_SYS(bpf), LOADER, 0, UINT64_MAX, BPF_OBJ_PIN},
};

/* Whoever tries one of these is not this program any more. */
static const int deadly[] = {SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace)};

static bool keeps(enum sandbox_role role, cap_value_t cap)
{
	for (size_t i = 0; i < ARRAY_SIZE(kept_capabilities); i++)
		if (kept_capabilities[i].cap == cap)
			return kept_capabilities[i].roles >> role & 1;
	return false;
}

/* Keeps of a role's capabilities those that are there; a service manager may give fewer. */
static int drop_capabilities(enum sandbox_role role)
{
	cap_t now = cap_get_proc(), next = cap_init();
	int r = now && next ? 0 : -errno;

	for (cap_value_t cap = 0; r == 0 && cap <= CAP_LAST_CAP && CAP_IS_SUPPORTED(cap); cap++) {
		cap_flag_value_t held = CAP_CLEAR;

		/* without CAP_SETPCAP the bounding set stays; no_new_privs makes it idle */
		if (!keeps(role, cap))
			(void)cap_drop_bound(cap);
		(void)cap_get_flag(now, cap, CAP_PERMITTED, &held);
		if (held == CAP_CLEAR || !keeps(role, cap))
			continue;
		if (cap_set_flag(next, CAP_PERMITTED, 1, &cap, CAP_SET) < 0 ||
		    cap_set_flag(next, CAP_EFFECTIVE, 1, &cap, CAP_SET) < 0)
			r = -errno;
	}
	if (r == 0 && CAP_AMBIENT_SUPPORTED() && cap_reset_ambient() < 0)
		r = -errno;
	if (r == 0 && cap_set_proc(next) < 0)
		r = -errno;
	cap_free(now);
	cap_free(next);
	return r;
}

static int add_rules(scmp_filter_ctx filter, enum sandbox_role role, enum sandbox_mode mode)
{
	const struct scmp_arg_cmp own_group =
		SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)(unsigned int)getpid());
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(calls); i++)
		if (calls[i].roles >> role & 1)
			r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i].call, 0);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(calls_with); i++) {
		const struct scmp_arg_cmp argument =
			SCMP_CMP(calls_with[i].argument, SCMP_CMP_MASKED_EQ, calls_with[i].mask,
				 calls_with[i].value);

		if (calls_with[i].roles >> role & 1)
			r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, calls_with[i].call, 1,
						   &argument);
	}
	for (size_t i = 0; r == 0 && mode == SANDBOX_ENFORCE && i < ARRAY_SIZE(deadly); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
	/* by which the watcher gets what it watches by */
	if (r == 0 && mode == SANDBOX_LOG)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sendmsg), 0);
	/* for abort() */
	if (r == 0)
		r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &own_group);
	return r;
}

static int filter_calls(enum sandbox_role role, enum sandbox_mode mode)
{
	scmp_filter_ctx filter =
		seccomp_init(mode == SANDBOX_LOG ? SCMP_ACT_NOTIFY : SCMP_ACT_ERRNO(EPERM));
	_cleanup_close_ int watcher = -EBADF;
	int r;

	if (!filter)
		return -ENOMEM;
	r = add_rules(filter, role, mode);
	/* before the filter, under which there is no fork */
	if (r == 0 && mode == SANDBOX_LOG)
		r = sandbox_watch_begin(&watcher);
	/* the library has one such descriptor: the reader's calls are told by the daemon's */
	if (r == 0 && mode == SANDBOX_LOG)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = seccomp_load(filter);
	if (r == 0 && mode == SANDBOX_LOG)
		r = sandbox_watch_hand_over(watcher, seccomp_notify_fd(filter));
	seccomp_release(filter);
	return r;
}

int sandbox_enter(enum sandbox_role role, enum sandbox_mode mode, const char **ret_step)
{
	int r = 0;

	if (mode == SANDBOX_OFF)
		return 0;
	*ret_step = "drop capabilities";
	r = drop_capabilities(role);
	if (r < 0)
		return r;
	*ret_step = "forgo new privileges";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	*ret_step = "filter system calls";
	return role == SANDBOX_READER && mode == SANDBOX_LOG ? 0 : filter_calls(role, mode);
}

struct status {
	uint64_t permitted;
	unsigned int seccomp, no_new_privs;
};

static int read_status(pid_t pid, struct status *ret_status)
{
	_cleanup_fclose_ FILE *f = NULL;
	struct status s = {};
	char path[48], line[256];
	int found = 0;

	if (pid > 0)
		snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	else
		snprintf(path, sizeof(path), "/proc/self/status");
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		unsigned long long caps;

		if (sscanf(line, "CapPrm: %llx", &caps) == 1) {
			s.permitted = caps;
			found++;
		}
		found += sscanf(line, "Seccomp: %u", &s.seccomp) == 1;
		found += sscanf(line, "NoNewPrivs: %u", &s.no_new_privs) == 1;
	}
	if (found < 3)
		return -ENODATA;
	*ret_status = s;
	return 0;
}

/* "cap_bpf,cap_perfmon", "none", or "all 41". */
static char *describe_capabilities(uint64_t set)
{
	_cleanup_free_ char *text = NULL;
	size_t size, n = 0;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	for (cap_value_t cap = 0; cap < 64; cap++) {
		char *name = set >> cap & 1 ? cap_to_name(cap) : NULL;

		if (name)
			fprintf(f, "%s%s", n++ > 0 ? "," : "", name);
		cap_free(name);
	}
	if (n == 0)
		fputs("none", f);
	return fclose(f) == 0 ? TAKE_PTR(text) : NULL;
}

char *sandbox_describe(pid_t pid)
{
	static const char *const seccomp[] = {"no seccomp filter", "strict seccomp",
					      "seccomp filter"};
	_cleanup_free_ char *capabilities = NULL;
	struct status s = {};
	char *text;

	if (read_status(pid, &s) < 0)
		return NULL;
	capabilities = describe_capabilities(s.permitted);
	if (!capabilities ||
	    asprintf(&text, "capabilities %s; %s%s", capabilities,
		     s.seccomp < ARRAY_SIZE(seccomp) ? seccomp[s.seccomp] : "unknown seccomp",
		     s.no_new_privs ? "; no new privileges" : "") < 0)
		return NULL;
	return text;
}

void sandbox_close_others(int keep, const char *prefix)
{
	DIR *d = opendir("/proc/self/fd");
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		char target[64] = "";
		int fd = atoi(e->d_name);

		if (fd <= STDERR_FILENO || fd == keep || fd == dirfd(d))
			continue;
		if (readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1) < 0 || !prefix ||
		    strncmp(target, prefix, strlen(prefix)) != 0)
			close(fd);
	}
	if (d)
		closedir(d);
}
