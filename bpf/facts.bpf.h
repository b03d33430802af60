/* SPDX-License-Identifier: GPL-2.0-only */
/* Predicates: facts about the caller that too few policies ask for to have a dimension of their
 * own. */
#pragma once

#include "label.bpf.h"
#include "tables.bpf.h"

#define RS_FACT_BIT(fact) (1U << (fact))

static __always_inline __u32 task_pid_ns(struct task_struct *task)
{
	return BPF_CORE_READ(task_upid(task), ns, ns.inum);
}

/* The socket behind an open file, or NULL; by probing, so without the verifier knowing it. */
static __always_inline struct socket *file_socket(struct file *file)
{
	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK ||
	    BPF_CORE_READ(file, f_inode, i_sb, s_magic) != SOCKFS_MAGIC)
		return NULL;
	return BPF_CORE_READ(file, private_data);
}

/* 1 if a descriptor of the task is an IPv4 or IPv6 socket. */
static __always_inline __u64 task_fd_is_inet(struct task_struct *task, const __u32 n)
{
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	struct file **fds = BPF_CORE_READ(fdt, fd);
	struct file *file = NULL;
	struct socket *sock;
	__u32 family;

	if (n >= BPF_CORE_READ(fdt, max_fds))
		return 0;
	bpf_probe_read_kernel(&file, sizeof(file), &fds[n]);
	sock = file ? file_socket(file) : NULL;
	if (!sock)
		return 0;
	family = BPF_CORE_READ(sock, sk, __sk_common.skc_family);
	return family == AF_INET || family == AF_INET6;
}

/* Units by the names of the process's cgroup and of those above it. */
__weak __noinline __u64 rs_unit_word(__u32 slot, __u32 hook)
{
	struct cgroup *cgroup = BPF_CORE_READ(current_task(), cgroups, dfl_cgrp);
	void *units = bpf_map_lookup_elem(&rs_units, &slot);
	struct rs_scratch *scratch;
	__u32 mine = 0;
	__u64 word = 0;

	/* no policy names a unit */
	if (!units)
		return 0;
	scratch = scratch_claim(hook, &mine);
	if (!scratch)
		return fact_unknown(slot, REVSHELL_FACT_UNIT);
	if (!cgroup)
		word = fact_unknown(slot, REVSHELL_FACT_UNIT);
	for (int i = 0; i <= REVSHELL_UNIT_LEVELS; i++) {
		const char *name = BPF_CORE_READ(cgroup, kn, name);
		__u64 *found;

		if (!cgroup)
			break;
		__builtin_memset(&scratch->unit, 0, sizeof(scratch->unit));
		bpf_probe_read_kernel_str(scratch->unit.name, sizeof(scratch->unit.name), name);
		found = bpf_map_lookup_elem(units, &scratch->unit);
		if (found)
			word |= *found;
		cgroup = BPF_CORE_READ(cgroup, self.parent, cgroup);
	}
	/* deeper than that: a unit above may be one that is named */
	if (cgroup) {
		stat_add(hook, REVSHELL_STAT_UNIT_UNKNOWN);
		word |= fact_unknown(slot, REVSHELL_FACT_UNIT);
	}
	scratch_release(mine);
	return word;
}

/* What the facts that are numbers of the running task satisfy. facts: those in use. */
__weak __noinline __u64 rs_task_word(__u32 slot, __u32 facts, __u32 hook)
{
	struct task_struct *task = current_task();
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	const struct cred *cred = BPF_CORE_READ(task, cred);
	__u64 word = 0;

#define FACT(id, value)                              \
	if (facts & RS_FACT_BIT(REVSHELL_FACT_##id)) \
	word |= fact_lookup(slot, REVSHELL_FACT_##id, value)
	FACT(UID, BPF_CORE_READ(cred, euid.val));
	FACT(GID, BPF_CORE_READ(cred, egid.val));
	FACT(LOGINUID, BPF_CORE_READ(task, loginuid.val));
	FACT(PID, bpf_get_current_pid_tgid() >> 32);
	FACT(NSPID, task_nspid(leader));
	FACT(NS_UTS, BPF_CORE_READ(task, nsproxy, uts_ns, ns.inum));
	FACT(NS_IPC, BPF_CORE_READ(task, nsproxy, ipc_ns, ns.inum));
	FACT(NS_MNT, BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum));
	FACT(NS_PID, task_pid_ns(task));
	FACT(NS_PID_FOR_CHILDREN, BPF_CORE_READ(task, nsproxy, pid_ns_for_children, ns.inum));
	FACT(NS_NET, BPF_CORE_READ(task, nsproxy, net_ns, ns.inum));
	FACT(NS_TIME, BPF_CORE_READ(task, nsproxy, time_ns, ns.inum));
	FACT(NS_TIME_FOR_CHILDREN, BPF_CORE_READ(task, nsproxy, time_ns_for_children, ns.inum));
	FACT(NS_CGROUP, BPF_CORE_READ(task, nsproxy, cgroup_ns, ns.inum));
	FACT(NS_USER, BPF_CORE_READ(cred, user_ns, ns.inum));
#undef FACT
	if (facts & RS_FACT_BIT(REVSHELL_FACT_UNIT))
		word |= rs_unit_word(slot, hook);
	return word;
}

/* The number that a mask predicate of the running task is about. */
__weak __noinline __u64 rs_task_mask(__u32 fact)
{
	struct task_struct *task = current_task();
	const struct cred *cred = BPF_CORE_READ(task, cred);
	__u64 caps = 0;

	switch (fact) {
	case REVSHELL_FACT_CAP_EFFECTIVE:
		bpf_core_read(&caps, sizeof(caps), &cred->cap_effective);
		break;
	case REVSHELL_FACT_CAP_INHERITABLE:
		bpf_core_read(&caps, sizeof(caps), &cred->cap_inheritable);
		break;
	case REVSHELL_FACT_CAP_PERMITTED:
		bpf_core_read(&caps, sizeof(caps), &cred->cap_permitted);
		break;
	case REVSHELL_FACT_STDIO:
		caps = task_fd_is_inet(task, 0) | task_fd_is_inet(task, 1) << 1 |
		       task_fd_is_inet(task, 2) << 2;
		break;
	}
	return caps;
}

static __always_inline __u64 rs_is_set(__u64 x);

/* What the mask predicates of a hook say that are about the running task. */
__weak __noinline __u64 rs_task_masks(__u32 slot, __u32 hook)
{
	void *hooks = bpf_map_lookup_elem(&rs_hooks, &slot);
	const struct revshell_hook_cfg *cfg = hooks ? bpf_map_lookup_elem(hooks, &hook) : NULL;
	__u64 word = 0;

	if (!cfg)
		return 0;
	for (__u32 i = 0; i < REVSHELL_MASKS; i++) {
		if (i >= *(volatile const __u32 *)&cfg->n_masks)
			break;
		if (cfg->masks[i].fact < REVSHELL_FACT_INT0)
			word |= rs_is_set(rs_task_mask(cfg->masks[i].fact) & cfg->masks[i].mask)
				<< (cfg->masks[i].predicate & 63);
	}
	return word;
}

/* The same for those about an integer argument. */
__weak __noinline __u64 rs_int_masks(__u32 slot, __u32 hook, __u32 fact, __u64 value)
{
	void *hooks = bpf_map_lookup_elem(&rs_hooks, &slot);
	const struct revshell_hook_cfg *cfg = hooks ? bpf_map_lookup_elem(hooks, &hook) : NULL;
	__u64 word = 0;

	if (!cfg)
		return 0;
	for (__u32 i = 0; i < REVSHELL_MASKS; i++) {
		if (i >= *(volatile const __u32 *)&cfg->n_masks)
			break;
		if (cfg->masks[i].fact == fact)
			word |= rs_is_set(value & cfg->masks[i].mask)
				<< (cfg->masks[i].predicate & 63);
	}
	return word;
}

/*
 * Answers to the predicates that this hook asks. Before the rest of the decision, not within it,
 * for the sake of the stack.
 */
static __noinline __attribute__((unused)) __u64
call_answer_predicates(const struct revshell_hook_cfg *cfg, const struct rs_call *obj)
{
	__u32 slot = cfg->slot & 1;
	__u64 word = obj->predicates;
	__u32 hook = obj->hook;

	word |= rs_task_word(slot, cfg->facts, hook);
	word |= rs_task_masks(slot, hook);
	word |= rs_int_masks(slot, hook, REVSHELL_FACT_INT0, obj->ints[0]);
	word |= rs_int_masks(slot, hook, REVSHELL_FACT_INT1, obj->ints[1]);
	word |= rs_int_masks(slot, hook, REVSHELL_FACT_INT2, obj->ints[2]);
	word |= rs_int_masks(slot, hook, REVSHELL_FACT_INT3, obj->ints[3]);
	return word;
}

/*
 * The row of a UNIX address: its whole path and a NUL, or what of it fits the key. Before the rest
 * of the decision as well.
 */
static __noinline __attribute__((unused)) __u32
call_find_unix_row(const struct revshell_hook_cfg *cfg, const struct rs_call *obj)
{
	struct revshell_unix_key key = {};
	__u32 otherwise = cfg->dim_default[REVSHELL_DIM_UN_PATH];
	__u32 slot = cfg->slot & 1, len;
	void *trie = bpf_map_lookup_elem(&rs_unix, &slot);
	__u32 *found;

	if (!trie || obj->family != AF_UNIX || obj->addrlen <= 2)
		return otherwise;
	len = obj->addrlen - 2;
	if (len > 108)
		len = 108;
	barrier_var(len);
	len &= 127;
	if (len > 108)
		return otherwise;
	bpf_probe_read_kernel(key.data, len, (const char *)obj->sockaddr + 2);
	key.hook = bpf_htonl(obj->hook);
	if (key.data[0]) {
		/* a path ends at its NUL, wherever the caller says that the address ends */
		key.prefixlen = 32 + sizeof(key.data) * 8;
	} else {
		/* an abstract name is all of len bytes; a NUL within it is none that ends it */
		key.data[0] = '@';
#pragma unroll
		for (__u32 k = 0; k < sizeof(key.data) / 8; k++) {
			__u64 *word = (__u64 *)key.data + k;
			__u64 zeros =
				(*word - 0x0101010101010101ULL) & ~*word & 0x8080808080808080ULL;

			/* bytes of value 1 may be taken for zeros too, which changes nothing */
			if (len >= (k + 1) * 8)
				*word |= zeros >> 7;
			else if (len > k * 8)
				*word |= zeros >> 7 & ((1ULL << ((len & 7) * 8)) - 1);
		}
		key.prefixlen = 32 + (len + 1) * 8;
	}
	found = bpf_map_lookup_elem(trie, &key);
	return found ? *found : otherwise;
}
