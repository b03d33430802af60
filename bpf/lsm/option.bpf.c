/* SPDX-License-Identifier: GPL-2.0-only */
/* setsockopt(2): level and name of the option, such as source routes; not its value. */
#include "hook.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

DEFINE_DECIDE(option_decide, REVSHELL_HOOK_SETSOCKOPT,
	      RS_DIMS_SOCK | RS_DIM_BIT(REVSHELL_DIM_INT1) | RS_DIM_BIT(REVSHELL_DIM_INT2), true)

static __always_inline int option_verdict(void *ctx, struct socket *sock, int level, int name)
{
	struct sock *sk;

	sk = RS_GET(sock, sk);
	/* allow: no socket behind it, no option takes effect */
	if (!sk)
		return 0;
	return verdict_return(HOOK_RUN(REVSHELL_HOOK_SETSOCKOPT, RS_GET(sk, __sk_common.skc_family),
				       option_decide, .ctx = ctx, .sk = sk, .ints[1] = level,
				       .ints[2] = name));
}

RS_VERDICT(option, socket_setsockopt, option_verdict(ctx, sock, level, optname),
	   struct socket *sock, int level, int optname)
