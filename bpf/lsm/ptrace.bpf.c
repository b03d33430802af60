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

#ifdef RS_PROBING
SEC("?kprobe/security_ptrace_access_check")
int BPF_KPROBE(rs_kprobe_ptrace, struct task_struct *child, unsigned int mode)
{
	ptrace_verdict(ctx, mode);
	return 0;
}

SEC("?kprobe/security_ptrace_traceme")
int BPF_KPROBE(rs_kprobe_traceme)
{
	traceme_verdict(ctx);
	return 0;
}
#else
SEC("?lsm/ptrace_access_check")
int BPF_PROG(rs_lsm_ptrace, struct task_struct *child, unsigned int mode)
{
	return ptrace_verdict(ctx, mode);
}

SEC("?fmod_ret/security_ptrace_access_check")
int BPF_PROG(rs_fmod_ptrace, struct task_struct *child, unsigned int mode)
{
	return ptrace_verdict(ctx, mode);
}

SEC("?lsm/ptrace_traceme")
int BPF_PROG(rs_lsm_traceme, struct task_struct *parent)
{
	return traceme_verdict(ctx);
}

SEC("?fmod_ret/security_ptrace_traceme")
int BPF_PROG(rs_fmod_traceme, struct task_struct *parent)
{
	return traceme_verdict(ctx);
}
#endif
