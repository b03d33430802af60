/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fmod_ret backend: programs that replace what security_*() return, with no boot parameter. */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend-internal.h"
#include "macro.h"

/* The first line of a file. Returns false if it cannot be read. */
static bool first_line(const char *path, char *buf, size_t size)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");

	return f && fgets(buf, (int)size, f);
}

#define PREEMPT_FILE "/sys/kernel/debug/sched/preempt"

/* In a child: mounts debugfs for itself alone and passes the line on. */
static void read_in_mount_of_its_own(int fd)
{
	char line[256];

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL) < 0 ||
	    !first_line(PREEMPT_FILE, line, sizeof(line)) || write(fd, line, strlen(line)) < 0)
		_exit(1);
	_exit(0);
}

/* "none voluntary (full) lazy": the one in force in brackets; "" if it cannot be had. */
static void read_preemption(char *buf, size_t size)
{
	int fds[2];
	ssize_t n;
	pid_t pid;

	if (first_line(PREEMPT_FILE, buf, size))
		return;
	buf[0] = '\0';
	if (pipe2(fds, O_CLOEXEC) < 0)
		return;
	pid = fork();
	if (pid == 0)
		read_in_mount_of_its_own(fds[1]);
	close(fds[1]);
	if (pid > 0) {
		n = read(fds[0], buf, size - 1);
		buf[n > 0 ? n : 0] = '\0';
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close(fds[0]);
}

/*
 * Whether a task may be preempted anywhere in the kernel by any other. The kernel then leaves out a
 * tracing program, fmod_ret ones included, while another task that was preempted on the same
 * processor is in it (the recursion check of kernel/bpf/trampoline.c); LSM programs always run.
 * Measured with preempt=full: of four processes that connect at once, hundreds of calls pass. What
 * cannot be found out of a kernel that may change is taken for the worse.
 */
static bool kernel_is_preemptible(void)
{
	char line[4096];
	struct utsname u;

	if (uname(&u) < 0 || strstr(u.version, "PREEMPT_RT"))
		return true;
	if (!strstr(u.version, "PREEMPT_DYNAMIC"))
		return strstr(u.version, " PREEMPT ");
	read_preemption(line, 256);
	if (line[0])
		return strstr(line, "(full)") || strstr(line, "(lazy)");
	return !first_line("/proc/cmdline", line, sizeof(line)) ||
	       !(strstr(line, "preempt=none") || strstr(line, "preempt=voluntary"));
}

static int check(bool forced, char **reason)
{
	if (!kernel_is_preemptible())
		return 0;
	backend_reason(reason, "on a preemptible kernel its programs are left out at times, and "
			       "this one is, or does not say; boot with lsm=...,bpf, or with "
			       "preempt=voluntary");
	return -EOPNOTSUPP;
}

const struct backend_ops backend_ops_fmod_ret = {
	.name = "fmod-ret",
	.can_deny = true,
	.check = check,
};
