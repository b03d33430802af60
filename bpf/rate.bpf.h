/* SPDX-License-Identifier: GPL-2.0-only */
/* rateLimit of Post: a storm of events that are alike must not fill the ring. */
#pragma once

#include "event.bpf.h"

static __always_inline void rate_fill_sock(struct rs_rate_key *key, const __u32 hook,
					   struct sock *sk)
{
	key->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	key->protocol = BPF_CORE_READ(sk, sk_protocol);
	key->dport = BPF_CORE_READ(sk, __sk_common.skc_dport);
	if (key->family == AF_INET)
		BPF_CORE_READ_INTO((__u32 *)key->daddr, sk, __sk_common.skc_daddr);
	else if (key->family == AF_INET6)
		BPF_CORE_READ_INTO((struct in6_addr *)key->daddr, sk, __sk_common.skc_v6_daddr);
	/* whatever port the kernel chose, it is the same attempt */
	if (hook == REVSHELL_HOOK_TCP_CONNECT)
		return;
	key->sport = BPF_CORE_READ(sk, __sk_common.skc_num);
	if (key->family == AF_INET)
		BPF_CORE_READ_INTO((__u32 *)key->saddr, sk, __sk_common.skc_rcv_saddr);
	else if (key->family == AF_INET6)
		BPF_CORE_READ_INTO((struct in6_addr *)key->saddr, sk, __sk_common.skc_v6_rcv_saddr);
}

#define RS_LIMITED (~0ULL)

/*
 * Whether every selector that wants this event had one like it a moment ago. Compares more than
 * they may ask for and for the shortest of their times: what is let through in vain, user space,
 * which knows each selector's own limit, keeps back. Returns RS_LIMITED, or else the number of
 * those kept back before.
 */
static __noinline __attribute__((unused)) __u64 rate_ask(const struct revshell_hook_cfg *cfg,
							 struct rs_call *call, __u64 mix)
{
	__u64 now = bpf_ktime_get_boot_ns(), pid_tgid = bpf_get_current_pid_tgid(), answer = 0;
	struct rs_rate fresh = {.time_ns = now};
	const __u32 hook = call->hook;
	struct rs_scratch *scratch;
	struct rs_rate *rate;
	__u32 slot = 0;

	/* paths are compared in user space */
	if (call->sockaddr && call->family == AF_UNIX)
		return 0;
	scratch = scratch_claim(hook, &slot);
	if (!scratch)
		return 0;
	__builtin_memset(&scratch->rate, 0, sizeof(scratch->rate));
	scratch->rate.generation = cfg->generation;
	scratch->rate.mix = mix;
	scratch->rate.hook = hook;
	if (cfg->rate_scope == REVSHELL_RATE_THREAD)
		scratch->rate.scope = pid_tgid;
	else if (cfg->rate_scope == REVSHELL_RATE_PROCESS)
		scratch->rate.scope = pid_tgid >> 32;
	if (call->sk)
		rate_fill_sock(&scratch->rate, hook, call->sk);
	if (call->sockaddr) {
		call_read_addr(call);
		scratch->rate.sa_family = call->family;
		scratch->rate.sa_port = call->sa.port;
		call_copy_addr(call, (__be32 *)scratch->rate.sa_addr);
	}
	for (int i = 0; i < REVSHELL_INTS; i++)
		scratch->rate.ints[i] = call->ints[i];

	rate = bpf_map_lookup_elem(&rs_rates, &scratch->rate);
	if (!rate) {
		bpf_map_update_elem(&rs_rates, &scratch->rate, &fresh, BPF_ANY);
	} else if (now - rate->time_ns < (__u64)cfg->rate_ms * 1000000) {
		__sync_fetch_and_add(&rate->suppressed, 1);
		stat_add(hook, REVSHELL_STAT_RATE_LIMITED);
		answer = RS_LIMITED;
	} else {
		answer = rate->suppressed;
		rate->suppressed = 0;
		rate->time_ns = now;
	}
	scratch_release(slot);
	return answer;
}
