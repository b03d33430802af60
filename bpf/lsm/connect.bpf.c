/* SPDX-License-Identifier: GPL-2.0-only */
/* connect(2) of every family, before the protocol sees it: kernel's copy of the address. */
#include "hook.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

DEFINE_DECIDE(connect_decide, REVSHELL_HOOK_CONNECT,
	      RS_DIMS_SOCK | RS_DIMS_SOCKADDR | RS_DIM_BIT(REVSHELL_DIM_INT2), true)

/* Most calls are over before socket and length are asked for, so they are fetched late. */
static __always_inline int connect_verdict(void *ctx, struct sockaddr *address)
{
	__u32 family;

	if (selftest_hit(REVSHELL_HOOK_CONNECT))
		return -EPERM;
	family = RS_GET(address, sa_family);
	return verdict_return(HOOK_RUN(REVSHELL_HOOK_CONNECT, family, connect_decide, .ctx = ctx,
				       .sk = RS_GET(RS_ARGUMENT(ctx, 1, struct socket *), sk),
				       RS_CALL_ADDRESS(address, RS_ARGUMENT(ctx, 3, int), family),
				       .is_destination = true,
				       .ints[2] = RS_ARGUMENT(ctx, 3, int)));
}

RS_VERDICT(connect, socket_connect, connect_verdict(ctx, address), struct socket *sock,
	   struct sockaddr *address)
