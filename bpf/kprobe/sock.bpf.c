/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The life of a socket and what passes over it. These only observe; some of them also run where the
 * task at hand has nothing to do with the socket (timers, packets that arrive).
 */
#include "hook.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

#define INT(n) RS_DIM_BIT(REVSHELL_DIM_INT##n)

DEFINE_DECIDE(tcp_close_decide, REVSHELL_HOOK_TCP_CLOSE, RS_DIMS_SOCK | INT(1), false)
DEFINE_DECIDE(tcp_sendmsg_decide, REVSHELL_HOOK_TCP_SENDMSG, RS_DIMS_SOCK | INT(2), false)
DEFINE_DECIDE(tcp_set_state_decide, REVSHELL_HOOK_TCP_SET_STATE, RS_DIMS_SOCK | INT(1), false)
DEFINE_DECIDE(udp_sendmsg_decide, REVSHELL_HOOK_UDP_SENDMSG, RS_DIMS_SOCK | INT(2), false)
DEFINE_DECIDE(sk_alloc_decide, REVSHELL_HOOK_SK_ALLOC, RS_DIMS_SOCK | INT(1) | INT(2) | INT(3),
	      false)
DEFINE_DECIDE(sk_free_decide, REVSHELL_HOOK_SK_FREE, RS_DIMS_SOCK, false)
DEFINE_DECIDE(under_sk_free_decide, REVSHELL_HOOK_UNDER_SK_FREE, RS_DIMS_SOCK, false)

SEC("?fentry/tcp_close")
int BPF_PROG(rs_fentry_tcp_close, struct sock *sk, long timeout)
{
	struct rs_call call = {};

	call.sk = sk;
	call.family = sk->__sk_common.skc_family;
	call.ints[1] = timeout;
	call.ctx = ctx;
	HOOK_RUN(REVSHELL_HOOK_TCP_CLOSE, tcp_close_decide, &call);
	return 0;
}

SEC("?fentry/tcp_sendmsg")
int BPF_PROG(rs_fentry_tcp_sendmsg, struct sock *sk, struct msghdr *msg, unsigned long size)
{
	struct rs_call call = {};

	call.sk = sk;
	call.family = sk->__sk_common.skc_family;
	call.ints[2] = size;
	call.ctx = ctx;
	HOOK_RUN(REVSHELL_HOOK_TCP_SENDMSG, tcp_sendmsg_decide, &call);
	return 0;
}

SEC("?fentry/tcp_set_state")
int BPF_PROG(rs_fentry_tcp_set_state, struct sock *sk, int state)
{
	struct rs_call call = {};

	call.sk = sk;
	call.family = sk->__sk_common.skc_family;
	call.ints[1] = state;
	call.ctx = ctx;
	HOOK_RUN(REVSHELL_HOOK_TCP_SET_STATE, tcp_set_state_decide, &call);
	return 0;
}

SEC("?fentry/udp_sendmsg")
int BPF_PROG(rs_fentry_udp_sendmsg, struct sock *sk, struct msghdr *msg, unsigned long size)
{
	struct rs_call call = {};

	call.sk = sk;
	call.family = sk->__sk_common.skc_family;
	call.ints[2] = size;
	call.ctx = ctx;
	HOOK_RUN(REVSHELL_HOOK_UDP_SENDMSG, udp_sendmsg_decide, &call);
	return 0;
}

/* At exit, where both the arguments and the socket that came of them are known. */
SEC("?fexit/sk_alloc")
int BPF_PROG(rs_fexit_sk_alloc, struct net *net, int family, unsigned int priority, void *proto,
	     int kern, struct sock *ret)
{
	struct rs_call call = {};

	/* allow: no memory, no socket */
	if (!ret)
		return 0;
	call.sk = ret;
	call.family = family;
	call.ints[1] = family;
	call.ints[2] = priority;
	call.ints[REVSHELL_INT_SLOT(4)] = kern;
	call.ctx = ctx;
	HOOK_RUN(REVSHELL_HOOK_SK_ALLOC, sk_alloc_decide, &call);
	return 0;
}

SEC("?fentry/sk_free")
int BPF_PROG(rs_fentry_sk_free, struct sock *sk)
{
	struct rs_call call = {};

	call.sk = sk;
	call.family = sk->__sk_common.skc_family;
	call.ctx = ctx;
	HOOK_RUN(REVSHELL_HOOK_SK_FREE, sk_free_decide, &call);
	return 0;
}

SEC("?fentry/__sk_free")
int BPF_PROG(rs_fentry_under_sk_free, struct sock *sk)
{
	struct rs_call call = {};

	call.sk = sk;
	call.family = sk->__sk_common.skc_family;
	call.ctx = ctx;
	HOOK_RUN(REVSHELL_HOOK_UNDER_SK_FREE, under_sk_free_decide, &call);
	return 0;
}
