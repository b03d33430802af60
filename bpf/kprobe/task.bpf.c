/* SPDX-License-Identifier: GPL-2.0-only */
/* The process label's life: fixed at exec, copied by clone, dropped with the task. */
#include "label.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

/* The new image is committed: credentials are set, the other threads are gone. */
static __always_inline int exec_label(struct linux_binprm *bprm)
{
	struct revshell_label *label = label_get();
	struct task_struct *task = current_task();
	struct rs_scratch *scratch;
	__u32 slot = 0;

	scratch = scratch_claim(REVSHELL_PLACE_OTHER, &slot);
	if (!scratch) {
		/* strict: better nobody than who it was before */
		if (label) {
			label->exe.flags = 0;
			label->cache[0].generation = 0;
			label->cache[1].generation = 0;
		}
		return 0;
	}
	if (!label) {
		__builtin_memset(&scratch->label, 0, sizeof(scratch->label));
		scratch->label.start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
		label_fill_parent(scratch, slot, task, REVSHELL_PLACE_OTHER);
		label_remember(&scratch->label, &scratch->label.parent);
	}
	rs_describe_exe((__u64)BPF_CORE_READ(bprm, file), slot, 0, REVSHELL_PLACE_OTHER);
	if (!label) {
		label = label_insert(scratch);
		if (!label) {
			stat_add(REVSHELL_PLACE_OTHER, REVSHELL_STAT_LABEL_FAILED);
			goto out;
		}
	} else {
		label_remember(label, &label->exe);
		__builtin_memcpy(&label->exe, &scratch->label.exe, sizeof(label->exe));
		label->cache[0].generation = 0;
		label->cache[1].generation = 0;
	}
	label->flags = REVSHELL_LABEL_EXEC;
	label->exec_ns = bpf_ktime_get_boot_ns();
out:
	scratch_release(slot);
	return 0;
}

/*
 * Two programs, since the kernel leaves out a tracing program while another task that it preempted
 * on the same processor is in it; an LSM program always runs (from 6.0 on).
 */
SEC("?lsm/bprm_committed_creds")
int BPF_PROG(rs_lsm_exec, struct linux_binprm *bprm)
{
	return exec_label(bprm);
}

SEC("?fentry/security_bprm_committed_creds")
int BPF_PROG(rs_exec, struct linux_binprm *bprm)
{
	return exec_label(bprm);
}

/* For kernels without trampolines. */
SEC("?kprobe/security_bprm_committed_creds")
int BPF_KPROBE(rs_kprobe_exec, struct linux_binprm *bprm)
{
	return exec_label(bprm);
}

/* An executable that the process and its parent have in common. */
static __always_inline void label_copy_exe(struct revshell_label *label,
					   const struct revshell_exe *exe)
{
	const __u64 *from = (const __u64 *)exe;

	for (__u32 i = 0; i < sizeof(*exe) / 8; i++) {
		__u64 word = from[i];

		((__u64 *)&label->exe)[i] = word;
		((__u64 *)&label->parent)[i] = word;
	}
}

/* A new process: it is what its parent was, and remembers it as its parent. */
SEC("?tp_btf/task_newtask")
int BPF_PROG(rs_fork, struct task_struct *task, unsigned long clone_flags)
{
	struct revshell_label *parent, *child;
	struct rs_scratch *scratch;
	__u32 slot = 0;

	if (clone_flags & CLONE_THREAD)
		return 0;
	parent = label_get();
	if (!parent) {
		scratch = scratch_claim(REVSHELL_PLACE_OTHER, &slot);
		if (!scratch)
			return 0;
		parent = label_compute(scratch, slot, REVSHELL_PLACE_OTHER);
		scratch_release(slot);
		if (!parent)
			return 0;
	}
	if (rs_have_task_storage) {
		/* a new one is zero; what a child does not take over needs no copying */
		child = bpf_task_storage_get(&rs_labels, task, NULL,
					     BPF_LOCAL_STORAGE_GET_F_CREATE);
	} else {
		__u32 tgid = task->tgid;

		bpf_map_update_elem(&rs_labels_hash, &tgid, parent, BPF_ANY);
		child = bpf_map_lookup_elem(&rs_labels_hash, &tgid);
	}
	if (!child) {
		stat_add(REVSHELL_PLACE_OTHER, REVSHELL_STAT_LABEL_FAILED);
		return 0;
	}
	if (rs_have_task_storage) {
		label_copy_exe(child, &parent->exe);
		child->exec_ns = parent->exec_ns;
		__builtin_memcpy(child->lineage, parent->lineage, sizeof(child->lineage));
		child->n_lineage = parent->n_lineage;
		child->lineage_lost = parent->lineage_lost;
	} else {
		child->cache[0].generation = 0;
		child->cache[1].generation = 0;
		label_copy_exe(child, &child->exe);
	}
	child->flags = parent->flags | REVSHELL_LABEL_FORK;
	child->start_ns = task->start_boottime;
	child->parent_pid = bpf_get_current_pid_tgid() >> 32;
	child->parent_start_ns = parent->start_ns;
	child->n_inherited = child->n_lineage;
	child->inherited_lost = child->lineage_lost;
	return 0;
}

/* Only where labels live in a hash: task storage goes with its task. */
SEC("?tp_btf/sched_process_free")
int BPF_PROG(rs_free, struct task_struct *task)
{
	__u32 tgid = task->tgid;
	struct revshell_label *label;

	if (task->pid != task->tgid)
		return 0;
	label = bpf_map_lookup_elem(&rs_labels_hash, &tgid);
	if (label && label->start_ns == task->start_boottime)
		bpf_map_delete_elem(&rs_labels_hash, &tgid);
	return 0;
}
