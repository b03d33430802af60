/* SPDX-License-Identifier: GPL-2.0-only */
/* A new TUN or TAP device: packets without any socket. There is nothing to ask but who makes it. */
#include "hook.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

DEFINE_DECIDE(tun_decide, REVSHELL_HOOK_TUN_DEV_CREATE, 0, true)

static __always_inline int tun_verdict(void *ctx)
{
	return verdict_return(
		HOOK_RUN(REVSHELL_HOOK_TUN_DEV_CREATE, AF_UNSPEC, tun_decide, .ctx = ctx));
}

#ifdef RS_PROBING
SEC("?kprobe/security_tun_dev_create")
int BPF_KPROBE(rs_kprobe_tun)
{
	tun_verdict(ctx);
	return 0;
}
#else
SEC("?lsm/tun_dev_create")
int BPF_PROG(rs_lsm_tun)
{
	return tun_verdict(ctx);
}

SEC("?fmod_ret/security_tun_dev_create")
int BPF_PROG(rs_fmod_tun)
{
	return tun_verdict(ctx);
}
#endif
