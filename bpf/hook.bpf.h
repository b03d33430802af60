/* SPDX-License-Identifier: GPL-2.0-only */
/* The one glue between a program and the engine: gate, label, object, decide, carry out. */
#pragma once

#include "rate.bpf.h"

/* Written by the loader while it tests that programs really run; zero otherwise. */
struct revshell_selftest rs_selftest __weak;

/* Never written; the verifier does not know that. */
volatile __u64 rs_zero __weak;

/*
 * A copy of a number below 2^32 of which the verifier knows nothing. Kernels before 6.3 compare
 * all that they know about every number when a program calls functions; what a branch once told
 * would have them follow everything behind it again.
 */
static __always_inline __u64 forget(__u64 x)
{
	volatile __u32 copy = x;

	return copy;
}

/* 1 if verdicts are carried out now, else 0. */
static __always_inline __u64 mode_is_enforcing(void)
{
	__u32 zero = 0;
	const struct revshell_mode_value *mode = bpf_map_lookup_elem(&rs_mode, &zero);

	if (!mode || mode->mode != REVSHELL_MODE_ENFORCE)
		return 0;
	return !mode->deadline_ns || bpf_ktime_get_boot_ns() < mode->deadline_ns;
}

/* The loader's self-test: true if this very call is to be denied. Three instructions otherwise. */
static __always_inline bool selftest_hit(const __u32 hook)
{
	if (likely(!rs_selftest.tgid))
		return false;
	if (rs_selftest.tgid != (__u32)(bpf_get_current_pid_tgid() >> 32))
		return false;
	rs_selftest.hits[hook]++;
	return true;
}

static __always_inline __s64 denial_error(__u32 slot, const __u32 hook, __u32 selector)
{
	__u32 index = hook * REVSHELL_SELECTORS + selector;
	void *denials = bpf_map_lookup_elem(&rs_denials, &slot);
	const struct revshell_denial *denial =
		denials ? bpf_map_lookup_elem(denials, &index) : NULL;

	return denial ? denial->error : -EPERM;
}

#define RS_FAMILY_BIT(family) (1ULL << ((family) < 63 ? (family) : 63))

/*
 * First half of a decision: the rule set's part for this hook and what it makes of the caller, or
 * NULL if the call is of no concern. Every NULL says why nothing can be wrong with it. Most calls
 * end here, so nothing is written down before.
 */
static __always_inline const struct revshell_hook_cfg *
hook_gate(const __u32 hook, __u64 families, const struct revshell_label_cache **ret_cache)
{
	const struct revshell_hook_cfg *cfg;
	struct revshell_label_cache *cache;
	struct revshell_label *label;
	__u32 key = 0;
	void *active;

	/* allow: no rule set was ever published */
	active = bpf_map_lookup_elem(&rs_active, &key);
	if (!active)
		return NULL;
	key = hook;
	cfg = bpf_map_lookup_elem(active, &key);
	/* allow: never, every hook has its part */
	if (!cfg)
		return NULL;
	/* allow: no selector can match these address families; without selectors none can */
	if (!(cfg->families & families))
		return NULL;

	label = label_get();
	cache = label ? &label->cache[cfg->slot & 1] : NULL;
	if (!cache || cache->generation != cfg->generation) {
		label = label_resolve(cfg, hook);
		cache = label ? &label->cache[cfg->slot & 1] : NULL;
	}
	/* allow: no selector's process side can match this process */
	if (cache && !((cache->hooks >> hook) & 1))
		return NULL;
	*ret_cache = cache;
	return cfg;
}

/* Who calls, as the rule set sees it. */
static __always_inline void call_take_caller(struct rs_call *call,
					     const struct revshell_hook_cfg *cfg,
					     const struct revshell_label_cache *cache)
{
	const __u32 slot = cfg->slot & 1;

	if (cache) {
		call->paths = cache->connect;
		call->predicates = cache->predicates;
		if (call->hook == REVSHELL_HOOK_CONNECT && RS_READ(cfg->n_words) == 1)
			return;
		for (int i = 0; i < REVSHELL_PATH_DIMS; i++)
			call->class_id[i] = cache->class_id[i];
		return;
	}
	/* strict: who calls could not be found out */
	for (int i = 0; i < REVSHELL_PATH_DIMS; i++)
		call->class_id[i] = cfg->path_unknown[i].id;
	call->paths = rs_path_live(slot, cfg, call->hook, call->class_id);
	call->predicates = fact_unknown(slot, REVSHELL_FACT_LINEAGE) |
			   fact_unknown(slot, REVSHELL_FACT_PARENT_LINEAGE);
}

/*
 * Second half: decides and carries out. dims and can_deny are constants; a kprobe never can. Sets
 * call->error. Returns 1 if *ret_ev is an event, reserved and filled in but for the process, 0 if
 * none is wanted. A function of its own in each program, for the sake of the stack.
 */
static __always_inline int hook_decide(const __u32 hook, const __u64 dims, const bool can_deny,
				       const struct revshell_hook_cfg *cfg, struct rs_call *call,
				       struct revshell_event **ret_ev)
{
	const __u64 all_dims = dims | RS_DIMS_ALWAYS;
	const __u32 slot = cfg->slot & 1;
	struct revshell_event *ev;
	struct rs_outcome out;
	struct rs_match match;
	__u64 enforcing, paths;
	__s64 error = 0;

	/* allow: this ends an association, it makes none */
	if (hook == REVSHELL_HOOK_CONNECT && call->family == AF_UNSPEC)
		return 0;
	/* allow: no socket behind it, nothing can be sent */
	if ((dims & RS_DIMS_SOCK) && !call->sk)
		return 0;
	/* allow: too short for a family, which the kernel refuses by itself */
	if ((dims & RS_DIMS_SOCKADDR) && call->sockaddr && call->addrlen < (int)sizeof(__u16))
		return 0;
	if ((dims & RS_DIMS_SOCKADDR) && !call->sa_known && (RS_READ(cfg->used) & RS_DIMS_SOCKADDR))
		call_read_addr(call);

	/* allow: a dimension left no selector */
	paths = hook == REVSHELL_HOOK_CONNECT ? call->paths
					      : rs_path_live(slot, cfg, hook, call->class_id);
	if (!rs_match(slot, cfg, hook, all_dims, call->class_id, paths, call, rs_zero, &match))
		return 0;
	enforcing = forget(mode_is_enforcing());
	rs_conclude(slot, cfg, &match, all_dims, enforcing - 1, rs_zero, &out);
	/* allow: what matches asks for nothing */
	if (!rs_is_set(out.report | out.signals | out.deny_words))
		return 0;

	if (can_deny && !RS_IS_KPROBE && rs_is_set(out.deny_words) * enforcing) {
		error = denial_error(slot, hook,
				     rs_deny_selector(slot, cfg, &match, all_dims, 0, &out));
		stat_add(hook, REVSHELL_STAT_DENIED);
	}
	error = (__s32)forget(error);
	call->error = error;
	if (rs_is_set(out.signals) * enforcing) {
		for (__u32 i = 0; i < REVSHELL_SIGNALS; i++)
			if ((out.signals >> i) & 1)
				bpf_send_signal(cfg->signals[i]);
		stat_add(hook, REVSHELL_STAT_SIGNALLED);
	}
	if (rs_is_set(out.signals | out.deny_words) * (1 - enforcing))
		stat_add(hook, REVSHELL_STAT_WOULD_DENY);
	if (!rs_is_set(out.report))
		return 0;
	if (cfg->rate_ms && !rs_is_set(out.unlimited)) {
		out.mix = rate_ask(cfg, call, out.mix);
		if (out.mix == RS_LIMITED)
			return 0;
	} else {
		out.mix = 0;
	}
	ev = RS_HAS_CONTEXT && (cfg->track_sock | cfg->stacks) ? event_reserve_more(cfg, call)
							       : event_reserve(hook);
	if (!ev)
		return 0;
	ev->suppressed = out.mix;
	ev->via = call->via;
	ev->generation = cfg->generation;
	ev->hook = hook;
	ev->error = error;
	/* as numbers, not as branches that the verifier follows through all that comes */
	ev->verdict = rs_is_set(error) * REVSHELL_VERDICT_DENY |
		      rs_is_set(out.signals) * enforcing * REVSHELL_VERDICT_SIGNAL;
	ev->mode = enforcing;
	ev->n_words = cfg->n_words;
	RS_UNROLL
	for (__u32 w = 0; w < REVSHELL_WORDS; w++) {
		if (w >= RS_READ(cfg->n_words))
			break;
		if (!rs_words_live(cfg, match.live, w, 1))
			continue;
		ev->match[w] = rs_first_word(slot, cfg, &match, all_dims, w, enforcing - 1) &
			       cfg->report[w];
	}
	if (dims & RS_DIMS_SOCK)
		event_fill_sock(ev, call->sk);
	if ((dims & RS_DIMS_SOCKADDR) && call->sockaddr)
		event_fill_sockaddr(ev, call);
	for (int i = 0; i < REVSHELL_INTS; i++)
		ev->ints[i] = call->ints[i];
	ev->predicates = match.answers;
	*ret_ev = ev;
	return 1;
}

/*
 * Both halves, around a program's own instance of hook_decide(): 0 or the denial's -errno. The rest
 * are the fields of struct rs_call that the hook has; what is not named is zero.
 */
#define HOOK_RUN(hook_, family_, decide, ...)                                                \
	({                                                                                   \
		const struct revshell_label_cache *cache_;                                   \
		const struct revshell_hook_cfg *cfg_ =                                       \
			hook_gate(hook_, RS_FAMILY_BIT(family_), &cache_);                   \
		cfg_ ? hook_rest(cfg_, cache_, decide,                                       \
				 &(struct rs_call){                                          \
					 .hook = (hook_), .family = (family_), __VA_ARGS__}) \
		     : 0;                                                                    \
	})

/* What is found before the decision, for the sake of the stack. */
static __always_inline void call_prepare(struct rs_call *call, const struct revshell_hook_cfg *cfg,
					 const struct revshell_label_cache *cache)
{
	call_take_caller(call, cfg, cache);
	if (cfg->used & (RS_DIM_BIT(REVSHELL_DIM_PREDICATE) | RS_DIM_BIT(REVSHELL_DIM_UN_PATH))) {
		if (cfg->used & RS_DIM_BIT(REVSHELL_DIM_PREDICATE))
			call->predicates = call_answer_predicates(cfg, call);
		if (call->sockaddr && (cfg->used & RS_DIM_BIT(REVSHELL_DIM_UN_PATH)))
			call->unix_row = call_find_unix_row(cfg, call);
	}
}

static __always_inline int hook_rest(const struct revshell_hook_cfg *cfg,
				     const struct revshell_label_cache *cache,
				     int (*decide)(const struct revshell_hook_cfg *cfg,
						   struct rs_call *call),
				     struct rs_call *call)
{
	call_prepare(call, cfg, cache);
	/* the verifier knows call->ev only where 1 comes back */
	if (decide(cfg, call)) {
		struct revshell_event *ev = call->ev;

		event_fill_process(ev);
		event_submit(ev);
	}
	return call->error;
}

#define DEFINE_DECIDE(name, hook, dims, can_deny)                                             \
	static __noinline int name(const struct revshell_hook_cfg *cfg, struct rs_call *call) \
	{                                                                                     \
		return hook_decide(hook, dims, can_deny, cfg, call, &call->ev);               \
	}

#ifdef RS_KPROBE
/* What a kretprobe wants to know of the call that it sees the end of. */
struct rs_entry {
	struct sock *sk;
	__s64 ints[3];
};

struct rs_entry_key {
	__u64 pid_tgid;
	__u64 hook;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct rs_entry_key);
	__type(value, struct rs_entry);
} rs_entries SEC(".maps") __weak;

static __always_inline void entry_save(__u64 hook, const struct rs_entry *entry)
{
	struct rs_entry_key key = {bpf_get_current_pid_tgid(), hook};

	bpf_map_update_elem(&rs_entries, &key, entry, BPF_ANY);
}

/* False where the entry went unseen, or so many calls began since that it was dropped. */
static __always_inline bool entry_take(__u64 hook, struct rs_entry *ret_entry)
{
	struct rs_entry_key key = {bpf_get_current_pid_tgid(), hook};
	const struct rs_entry *entry = bpf_map_lookup_elem(&rs_entries, &key);

	if (!entry)
		return false;
	*ret_entry = *entry;
	bpf_map_delete_elem(&rs_entries, &key);
	return true;
}
#endif

/*
 * A program at the entry of a function, rs_fentry_NAME or, compiled for probing, rs_kprobe_NAME.
 */
#ifdef RS_KPROBE
#define RS_ENTRY(name, function, ...) \
	SEC("?kprobe/" #function)     \
	int BPF_KPROBE(rs_kprobe_##name, __VA_ARGS__)
#else
#define RS_ENTRY(name, function, ...) \
	SEC("?fentry/" #function)     \
	int BPF_PROG(rs_fentry_##name, __VA_ARGS__)
#endif

/*
 * The value for an LSM program's return: newer verifiers want to see that it is 0 or -errno.
 */
static __always_inline int verdict_return(__s64 error)
{
	if (error >= 0)
		return 0;
	if (error < -4095)
		return -EPERM;
	return error;
}

/*
 * The programs of a hook that can refuse: rs_lsm_NAME and rs_fmod_NAME or, compiled for kprobes,
 * rs_kprobe_NAME, which only sees. verdict: an expression of ctx and the arguments that follow.
 */
#ifdef RS_KPROBE
#define RS_VERDICT(name, hook, verdict, ...)            \
	SEC("?kprobe/security_" #hook)                  \
	int BPF_KPROBE(rs_kprobe_##name, ##__VA_ARGS__) \
	{                                               \
		verdict;                                \
		return 0;                               \
	}
#else
#define RS_VERDICT(name, hook, verdict, ...)        \
	SEC("?lsm/" #hook)                          \
	int BPF_PROG(rs_lsm_##name, ##__VA_ARGS__)  \
	{                                           \
		return verdict;                     \
	}                                           \
	SEC("?fmod_ret/security_" #hook)            \
	int BPF_PROG(rs_fmod_##name, ##__VA_ARGS__) \
	{                                           \
		return verdict;                     \
	}
#endif
