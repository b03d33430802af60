/* SPDX-License-Identifier: GPL-2.0-only */
/* TCP functions that only observe; their signals come after the fact. */
#include "hook.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

DEFINE_DECIDE(tcp_connect_decide, REVSHELL_HOOK_TCP_CONNECT, RS_DIMS_SOCK, false)

RS_ENTRY(tcp_connect, tcp_connect, struct sock *sk)
{
	HOOK_RUN(REVSHELL_HOOK_TCP_CONNECT, RS_GET(sk, __sk_common.skc_family), tcp_connect_decide,
		 .ctx = ctx, .sk = sk);
	return 0;
}
