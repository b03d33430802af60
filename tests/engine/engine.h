/* SPDX-License-Identifier: GPL-2.0-only */
/* What passes between the engine's test program and the test. */
#pragma once

#include "revshell-abi.h"

struct engine_vector {
	__u32 hook;
	__u32 enforcing;
	__u32 family; /* that cfg->families is asked about */
	__u32 sa_family;
	__u32 sa_port; /* host byte order */
	__u32 sa_is_destination;
	__u8 sa_addr[16];
	struct revshell_sock sk;
	__s64 ints[REVSHELL_INTS];
	__u64 predicates; /* answers, as a program finds them before it decides */
	__u32 unix_row;
	__u32 pad;
	struct revshell_exe exe;
	struct revshell_exe parent;
	/* the outcome */
	__u32 class_id[REVSHELL_PATH_DIMS];
	__s32 deny; /* selector, or -1 */
	__u32 report;
	__u64 signals;
	__u64 first[REVSHELL_WORDS]; /* first match of each group */
};
