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

#ifdef RS_PROBING
SEC("?kprobe/security_socket_accept")
int BPF_KPROBE(rs_kprobe_accept, struct socket *sock, struct socket *newsock)
{
	accept_verdict(ctx, sock);
	return 0;
}
#else
SEC("?lsm/socket_accept")
int BPF_PROG(rs_lsm_accept, struct socket *sock, struct socket *newsock)
{
	return accept_verdict(ctx, sock);
}

SEC("?fmod_ret/security_socket_accept")
int BPF_PROG(rs_fmod_accept, struct socket *sock, struct socket *newsock)
{
	return accept_verdict(ctx, sock);
}
#endif
