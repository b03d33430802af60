/* SPDX-License-Identifier: GPL-2.0-only */
/* bind(2) of every family: the address a socket will be reached at. */
#include "hook.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

DEFINE_DECIDE(bind_decide, REVSHELL_HOOK_BIND,
	      RS_DIMS_SOCK | RS_DIMS_SOCKADDR | RS_DIM_BIT(REVSHELL_DIM_INT2), true)

static __always_inline int bind_verdict(void *ctx, struct socket *sock, struct sockaddr *address,
					int addrlen)
{
	struct sock *sk;
	__u32 family;

	sk = RS_GET(sock, sk);
	/* allow: no socket behind it, nothing can be bound */
	if (!sk)
		return 0;
	family = RS_GET(address, sa_family);
	/* an AF_INET socket takes AF_UNSPEC for its own family */
	if (family == AF_UNSPEC && RS_GET(sk, __sk_common.skc_family) == AF_INET)
		family = AF_INET;
	return verdict_return(HOOK_RUN(REVSHELL_HOOK_BIND, family, bind_decide, .ctx = ctx,
				       .sk = sk, RS_CALL_ADDRESS(address, addrlen, family),
				       .ints[2] = addrlen));
}

RS_VERDICT(bind, socket_bind, bind_verdict(ctx, sock, address, addrlen), struct socket *sock,
	   struct sockaddr *address, int addrlen)
