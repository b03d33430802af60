/* SPDX-License-Identifier: GPL-2.0-only */
/* Tells the loader what the kernel calls its open files: stat(2) lies on overlayfs and btrfs. */
#include "maps.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

SEC("?iter/task_file")
int rs_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct revshell_file_id id = {};

	/* who reads is who asks: a program that is taken over serves the next loader, too */
	if (!task || !file || task->tgid != (int)(bpf_get_current_pid_tgid() >> 32) ||
	    task->pid != task->tgid)
		return 0;
	id.fd = ctx->fd;
	id.dev = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
	id.ino = BPF_CORE_READ(file, f_inode, i_ino);
	id.start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	bpf_seq_write(ctx->meta->seq, &id, sizeof(id));
	return 0;
}

/*
 * The mount namespace of the first process, which is the host's: /proc/1/ns may be out of reach.
 * And the generation in force, for a loader that has found it pinned: the map in rs_active has a
 * number but no name, and to open maps by number takes CAP_SYS_ADMIN.
 */
SEC("?iter/task")
int rs_host(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	const struct revshell_hook_cfg *cfg;
	struct revshell_host host = {};
	__u32 key = 0;
	void *active;

	if (!task || task->pid != 1)
		return 0;
	host.mnt_ns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	active = bpf_map_lookup_elem(&rs_active, &key);
	cfg = active ? bpf_map_lookup_elem(active, &key) : NULL;
	if (cfg)
		host.generation = cfg->generation;
	bpf_seq_write(ctx->meta->seq, &host, sizeof(host));
	return 0;
}
