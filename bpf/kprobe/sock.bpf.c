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

RS_ENTRY(tcp_close, tcp_close, struct sock *sk, long timeout)
{
	HOOK_RUN(REVSHELL_HOOK_TCP_CLOSE, RS_GET(sk, __sk_common.skc_family), tcp_close_decide,
		 .ctx = ctx, .sk = sk, .ints[1] = timeout);
	return 0;
}

RS_ENTRY(tcp_sendmsg, tcp_sendmsg, struct sock *sk, struct msghdr *msg, unsigned long size)
{
	HOOK_RUN(REVSHELL_HOOK_TCP_SENDMSG, RS_GET(sk, __sk_common.skc_family), tcp_sendmsg_decide,
		 .ctx = ctx, .sk = sk, .ints[2] = size);
	return 0;
}

RS_ENTRY(tcp_set_state, tcp_set_state, struct sock *sk, int state)
{
	HOOK_RUN(REVSHELL_HOOK_TCP_SET_STATE, RS_GET(sk, __sk_common.skc_family),
		 tcp_set_state_decide, .ctx = ctx, .sk = sk, .ints[1] = state);
	return 0;
}

RS_ENTRY(udp_sendmsg, udp_sendmsg, struct sock *sk, struct msghdr *msg, unsigned long size)
{
	HOOK_RUN(REVSHELL_HOOK_UDP_SENDMSG, RS_GET(sk, __sk_common.skc_family), udp_sendmsg_decide,
		 .ctx = ctx, .sk = sk, .ints[2] = size);
	return 0;
}

static __always_inline void sk_alloc_run(void *ctx, struct sock *sk, int family,
					 unsigned int priority, int kern)
{
	/* allow: no memory, no socket */
	if (!sk)
		return;
	HOOK_RUN(REVSHELL_HOOK_SK_ALLOC, family, sk_alloc_decide, .ctx = ctx, .sk = sk,
		 .ints = {[1] = family, [2] = priority, [REVSHELL_INT_SLOT(4)] = kern});
}

/* At exit, where both the arguments and the socket that came of them are known. */
#ifdef RS_KPROBE
SEC("?kprobe/sk_alloc")
int BPF_KPROBE(rs_kprobe_sk_alloc, struct net *net, int family, unsigned int priority, void *proto,
	       int kern)
{
	struct rs_entry entry = {.ints = {family, priority, kern}};

	entry_save(REVSHELL_HOOK_SK_ALLOC, &entry);
	return 0;
}

SEC("?kretprobe/sk_alloc")
int BPF_KRETPROBE(rs_kretprobe_sk_alloc, struct sock *ret)
{
	struct rs_entry entry;

	if (entry_take(REVSHELL_HOOK_SK_ALLOC, &entry))
		sk_alloc_run(ctx, ret, entry.ints[0], entry.ints[1], entry.ints[2]);
	return 0;
}
#else
SEC("?fexit/sk_alloc")
int BPF_PROG(rs_fexit_sk_alloc, struct net *net, int family, unsigned int priority, void *proto,
	     int kern, struct sock *ret)
{
	sk_alloc_run(ctx, ret, family, priority, kern);
	return 0;
}
#endif

RS_ENTRY(sk_free, sk_free, struct sock *sk)
{
	HOOK_RUN(REVSHELL_HOOK_SK_FREE, RS_GET(sk, __sk_common.skc_family), sk_free_decide,
		 .ctx = ctx, .sk = sk);
	return 0;
}

RS_ENTRY(under_sk_free, __sk_free, struct sock *sk)
{
	HOOK_RUN(REVSHELL_HOOK_UNDER_SK_FREE, RS_GET(sk, __sk_common.skc_family),
		 under_sk_free_decide, .ctx = ctx, .sk = sk);
	return 0;
}
