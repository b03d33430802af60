/* SPDX-License-Identifier: GPL-2.0-only */
/* Every message sent on a socket, whether or not it carries an address. */
#include "hook.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

DEFINE_DECIDE(send_decide, REVSHELL_HOOK_SENDMSG, RS_DIMS_SOCK | RS_DIM_BIT(REVSHELL_DIM_INT2),
	      true)

static __always_inline int send_verdict(void *ctx, struct socket *sock, int size)
{
	struct sock *sk;

	sk = RS_GET(sock, sk);
	/* allow: no socket behind it, nothing can be sent */
	if (!sk)
		return 0;
	return verdict_return(HOOK_RUN(REVSHELL_HOOK_SENDMSG, RS_GET(sk, __sk_common.skc_family),
				       send_decide, .ctx = ctx, .sk = sk, .ints[2] = size));
}

RS_VERDICT(send, socket_sendmsg, send_verdict(ctx, sock, size), struct socket *sock,
	   struct msghdr *msg, int size)
