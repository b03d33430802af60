/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the daemon gives away once it runs: capabilities, and system calls that it does not need. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum sandbox_mode {
	SANDBOX_ENFORCE,
	SANDBOX_LOG, /* capabilities go, but a call outside of the filter is only told; the reader
			is under the daemon's */
	SANDBOX_OFF,
	SANDBOX_MODE_MAX,
};

const char *sandbox_mode_name(enum sandbox_mode mode); /* "enforce" */
enum sandbox_mode sandbox_mode_parse(const char *s);   /* SANDBOX_MODE_MAX if unknown */

/* Who is to live with it. */
enum sandbox_role {
	SANDBOX_DAEMON, /* all that others may talk to: no program is loaded, attached or pinned */
	SANDBOX_LOADER, /* loads, attaches and pins, and talks to the daemon alone */
	SANDBOX_PROBER, /* the same, by kprobes */
	SANDBOX_READER, /* a thread of the daemon's, which copies records out of memory that it has
			 */
	SANDBOX_ROLE_MAX,
};

/*
 * Leaves this thread, and those that it begins, what its role needs, for good. With SANDBOX_OFF it
 * does nothing. Returns 0 or -errno, and which step failed; what went before it stays done.
 */
int sandbox_enter(enum sandbox_role role, enum sandbox_mode mode, const char **ret_step);

/*
 * What the kernel says of a process (0: this one), as a new string: "capabilities cap_bpf; seccomp
 * filter; no new privileges". NULL if it cannot be had.
 */
char *sandbox_describe(pid_t pid);

/* Closes all descriptors but the standard ones, keep, and those whose link in /proc begins so. */
void sandbox_close_others(int keep, const char *prefix);
