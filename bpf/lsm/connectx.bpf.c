/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sctp_connectx(): a packed list of addresses, any of which the association may come to use. Each
 * is judged by what policies say of connect; the first that is denied ends the call.
 */

/* What judges is a function that the verifier looks at once, however long lists are: it gets
 * numbers. */
#define RS_PROBING
#define RS_WITHOUT_CONTEXT
#include "hook.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

/* Addresses of a list that are looked at. What is longer is refused. */
#define CONNECTX_MAX	   64

#define CONNECTX_DIMS	   (RS_DIMS_SOCK | RS_DIMS_SOCKADDR | RS_DIM_BIT(REVSHELL_DIM_INT2))

/*
 * Judges the first of left bytes of addresses: -errno if it is denied, 0 if there is none, else its
 * length, with CONNECTX_CONCERNED if policies are about the process.
 */
#define CONNECTX_CONCERNED 0x100
#ifdef RS_KPROBE
#define rs_connectx_judge rs_connectx_judge_probing
#endif
__weak __noinline int rs_connectx_judge(__u64 sk, __u64 address, int left)
{
	const struct revshell_label_cache *cache;
	const struct revshell_hook_cfg *cfg;
	struct revshell_event *ev;
	struct rs_scratch *scratch;
	__u16 family = AF_UNSPEC;
	struct rs_call *call;
	__u32 slot = 0;
	int length, error;

	/* allow: the end of the list, or what the kernel refuses, not knowing it or not having it
	 * whole */
	if (left < (int)sizeof(family))
		return 0;
	bpf_probe_read_kernel(&family, sizeof(family), (const void *)address);
	if (family != AF_INET && family != AF_INET6)
		return 0;
	/* of struct sockaddr_in and sockaddr_in6 */
	length = family == AF_INET ? 16 : 28;
	if (left < length)
		return 0;
	cfg = hook_gate(REVSHELL_HOOK_CONNECT, RS_FAMILY_BIT(family), &cache);
	if (!cfg)
		return length;
	scratch = scratch_claim(REVSHELL_HOOK_CONNECT, &slot);
	/* strict: nowhere to write the call down */
	if (!scratch)
		return mode_is_enforcing() ? -EPERM : length;
	/* no path is made here */
	call = (struct rs_call *)scratch->path;
	*call = (struct rs_call){
		.sk = (struct sock *)sk,
		.sockaddr = (const void *)address,
		.addrlen = length,
		.ints[2] = length,
		.family = family,
		.hook = REVSHELL_HOOK_CONNECT,
		.is_destination = true,
		.via = REVSHELL_VIA_SCTP,
	};
	call_prepare(call, cfg, cache);
	if (hook_decide(REVSHELL_HOOK_CONNECT, CONNECTX_DIMS, true, cfg, call, &ev)) {
		event_fill_process(ev);
		event_submit(ev);
	}
	error = call->error;
	scratch_release(slot);
	return error ? error : length | CONNECTX_CONCERNED;
}

static __always_inline int connectx_verdict(__u64 sk, int optname, __u64 address, int left)
{
	bool concerned = false;

	/* allow: no list of peers. That of a message is judged by sendto.bpf.c */
	if (optname != SCTP_SOCKOPT_CONNECTX)
		return 0;
	for (int i = 0; i < CONNECTX_MAX; i++) {
		int result = rs_connectx_judge(sk, address, left);

		if (result <= 0)
			return verdict_return(result);
		concerned |= result >> 8;
		address += result & 0xff;
		left -= result & 0xff;
	}
	/* strict: what comes now was not looked at */
	return left > 0 && concerned && mode_is_enforcing() ? -EPERM : 0;
}

/* An argument as the bare number that kprobes get. The others are given theirs one after another.
 */
static __always_inline __u64 argument_number(void *ctx, int n, const void *argument)
{
	__u64 number = (__u64)argument;

	if (!RS_IS_KPROBE)
		bpf_probe_read_kernel(&number, sizeof(number), (__u64 *)ctx + n);
	return number;
}

RS_VERDICT(connectx, sctp_bind_connect,
	   connectx_verdict(argument_number(ctx, 0, sk), optname, argument_number(ctx, 2, address),
			    addrlen),
	   struct sock *sk, int optname, struct sockaddr *address, int addrlen)
