/* SPDX-License-Identifier: GPL-2.0-only */
/* The start of listening, when the port is known. Only observes; a signal comes after the fact. */

#define TCP_CLOSE	7
#define TCP_LISTEN	10

/* policies and events are told the state at entry, but the program runs at exit */
#define RS_SK_STATE(sk) TCP_CLOSE

#include "hook.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

DEFINE_DECIDE(listen_start_decide, REVSHELL_HOOK_LISTEN_START, RS_DIMS_SOCK, false)

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
	call.ctx = ctx;
	HOOK_RUN(REVSHELL_HOOK_LISTEN_START, listen_start_decide, &call);
	return 0;
}
