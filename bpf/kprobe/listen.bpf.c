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
static __always_inline void listen_start_run(void *ctx, struct sock *sk)
{
	if (RS_GET(sk, __sk_common.skc_state) != TCP_LISTEN)
		return;
	HOOK_RUN(REVSHELL_HOOK_LISTEN_START, RS_GET(sk, __sk_common.skc_family),
		 listen_start_decide, .ctx = ctx, .sk = sk);
}

#ifdef RS_KPROBE
SEC("?kprobe/inet_csk_listen_start")
int BPF_KPROBE(rs_kprobe_listen_start, struct sock *sk)
{
	struct rs_entry entry = {.sk = sk};

	entry_save(REVSHELL_HOOK_LISTEN_START, &entry);
	return 0;
}

SEC("?kretprobe/inet_csk_listen_start")
int BPF_KRETPROBE(rs_kretprobe_listen_start)
{
	struct rs_entry entry;

	if (entry_take(REVSHELL_HOOK_LISTEN_START, &entry))
		listen_start_run(ctx, entry.sk);
	return 0;
}
#else
SEC("?fexit/inet_csk_listen_start")
int BPF_PROG(rs_fexit_listen_start, struct sock *sk)
{
	listen_start_run(ctx, sk);
	return 0;
}
#endif
