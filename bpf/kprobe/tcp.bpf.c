/* SPDX-License-Identifier: GPL-2.0-only */
/* TCP functions that only observe; their signals come after the fact. */
#include "hook.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

#define TCP_LISTEN 10

DEFINE_DECIDE(tcp_connect_decide, REVSHELL_HOOK_TCP_CONNECT, RS_DIMS_SOCK, false)
DEFINE_DECIDE(listen_start_decide, REVSHELL_HOOK_LISTEN_START, RS_DIMS_SOCK, false)

SEC("?fentry/tcp_connect")
int BPF_PROG(rs_fentry_tcp_connect, struct sock *sk)
{
	struct rs_call call = {};

	call.sk = sk;
	call.family = sk->__sk_common.skc_family;
	HOOK_RUN(REVSHELL_HOOK_TCP_CONNECT, tcp_connect_decide, &call);
	return 0;
}

/*
 * At exit, since only then a socket that was never bound has its port. The arguments behind sk
 * changed in 6.1 (commit e7d2b510165f dropped backlog), so the result is told by the state.
 */
SEC("?fexit/inet_csk_listen_start")
int BPF_PROG(rs_fexit_listen_start, struct sock *sk)
{
	struct rs_call call = {};

	if (sk->__sk_common.skc_state != TCP_LISTEN)
		return 0;
	call.sk = sk;
	call.family = sk->__sk_common.skc_family;
	HOOK_RUN(REVSHELL_HOOK_LISTEN_START, listen_start_decide, &call);
	return 0;
}
