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

RS_VERDICT(tun, tun_dev_create, tun_verdict(ctx))
