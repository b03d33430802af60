/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * accept(2): judged by the listening socket, so that one from before the policy, inherited or
 * received, is caught here. The socket to be has nothing to show yet.
 */
#include "hook.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

DEFINE_DECIDE(accept_decide, REVSHELL_HOOK_ACCEPT, RS_DIMS_SOCK, true)

static __always_inline int accept_verdict(void *ctx, struct socket *sock)
{
	struct sock *sk;

	sk = RS_GET(sock, sk);
	/* allow: no socket behind it, nothing can be accepted */
	if (!sk)
		return 0;
	return verdict_return(HOOK_RUN(REVSHELL_HOOK_ACCEPT, RS_GET(sk, __sk_common.skc_family),
				       accept_decide, .ctx = ctx, .sk = sk));
}

RS_VERDICT(accept, socket_accept, accept_verdict(ctx, sock), struct socket *sock,
	   struct socket *newsock)
