/* SPDX-License-Identifier: GPL-2.0-only */
/* listen(2) of every family. A socket that was never bound has no port here yet. */
#include "hook.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

DEFINE_DECIDE(listen_decide, REVSHELL_HOOK_LISTEN, RS_DIMS_SOCK | RS_DIM_BIT(REVSHELL_DIM_INT1),
	      true)

static __always_inline int listen_verdict(void *ctx, struct socket *sock, int backlog)
{
	struct sock *sk;

	if (selftest_hit(REVSHELL_HOOK_LISTEN))
		return -EPERM;
	sk = RS_GET(sock, sk);
	/* allow: no socket behind it, nothing can be accepted */
	if (!sk)
		return 0;
	return verdict_return(HOOK_RUN(REVSHELL_HOOK_LISTEN, RS_GET(sk, __sk_common.skc_family),
				       listen_decide, .ctx = ctx, .sk = sk, .ints[1] = backlog));
}

RS_VERDICT(listen, socket_listen, listen_verdict(ctx, sock, backlog), struct socket *sock,
	   int backlog)
