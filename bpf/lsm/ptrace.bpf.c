/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Taking hold of another process: ptrace(2), /proc/PID/mem, process_vm_writev(2), pidfd_getfd(2)
 * ask about access, with bit 1 of the mode (PTRACE_MODE_ATTACH) where it is more than a look. A
 * process that offers itself to its parent asks for itself: what it then runs is the parent's to
 * change.
 */
#include "hook.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

DEFINE_DECIDE(ptrace_decide, REVSHELL_HOOK_PTRACE_ACCESS, RS_DIM_BIT(REVSHELL_DIM_INT1), true)
DEFINE_DECIDE(traceme_decide, REVSHELL_HOOK_PTRACE_TRACEME, 0, true)

static __always_inline int ptrace_verdict(void *ctx, unsigned int mode)
{
	return verdict_return(HOOK_RUN(REVSHELL_HOOK_PTRACE_ACCESS, AF_UNSPEC, ptrace_decide,
				       .ctx = ctx, .ints[1] = mode));
}

static __always_inline int traceme_verdict(void *ctx)
{
	return verdict_return(
		HOOK_RUN(REVSHELL_HOOK_PTRACE_TRACEME, AF_UNSPEC, traceme_decide, .ctx = ctx));
}

RS_VERDICT(ptrace, ptrace_access_check, ptrace_verdict(ctx, mode), struct task_struct *child,
	   unsigned int mode)
RS_VERDICT(traceme, ptrace_traceme, traceme_verdict(ctx), struct task_struct *parent)
