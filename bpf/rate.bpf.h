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

/* The hash that a key goes by: it takes a path's place. */
static __always_inline __u64 rate_hash(struct rs_scratch *scratch, __u32 slot)
{
	const __u32 at = RS_PATH_END - sizeof(scratch->rate_key);

	__builtin_memcpy(&scratch->path[at], &scratch->rate_key, sizeof(scratch->rate_key));
	return rs_hash_path(slot, at);
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
	__builtin_memset(&scratch->rate_key, 0, sizeof(scratch->rate_key));
	scratch->rate_key.generation = cfg->generation;
	scratch->rate_key.mix = mix;
	scratch->rate_key.hook = hook;
	if (cfg->rate_scope == REVSHELL_RATE_THREAD)
		scratch->rate_key.scope = pid_tgid;
	else if (cfg->rate_scope == REVSHELL_RATE_PROCESS)
		scratch->rate_key.scope = pid_tgid >> 32;
	if (call->sk)
		rate_fill_sock(&scratch->rate_key, hook, call->sk);
	if (call->sockaddr) {
		call_read_addr(call);
		scratch->rate_key.sa_family = call->family;
		scratch->rate_key.sa_port = call->sa.port;
		call_copy_addr(call, (__be32 *)scratch->rate_key.sa_addr);
	}
	for (int i = 0; i < REVSHELL_INTS; i++)
		scratch->rate_key.ints[i] = call->ints[i];

	scratch->rate_hash = rate_hash(scratch, slot);
	rate = bpf_map_lookup_elem(&rs_rates, &scratch->rate_hash);
	if (!rate) {
		scratch->rate.time_ns = now;
		scratch->rate.suppressed = 0;
		bpf_map_update_elem(&rs_rates, &scratch->rate_hash, &scratch->rate, BPF_ANY);
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
