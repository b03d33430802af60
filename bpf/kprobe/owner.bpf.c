/* SPDX-License-Identifier: GPL-2.0-only */
/* TrackSock: a socket remembers who created it, for as long as it lives. */
#include "event.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

SEC("?fentry/security_socket_post_create")
int BPF_PROG(rs_owner, struct socket *sock, int family, int type, int protocol, int kern)
{
	struct task_struct *task = known_task();
	const struct revshell_label *label = label_get();
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	struct sock *sk = sock->sk;
	struct revshell_owner *owner;

	if (!sk)
		return 0;
	owner = bpf_sk_storage_get(&rs_owners, sk, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!owner) {
		stat_add(REVSHELL_PLACE_OTHER, REVSHELL_STAT_OWNER_FAILED);
		return 0;
	}
	owner->pid = pid_tgid >> 32;
	owner->tid = (__u32)pid_tgid;
	owner->uid = RS_TASK(task, cred, euid.val);
	owner->loginuid = RS_TASK(task, loginuid.val);
	owner->start_ns = RS_TASK(task, group_leader, start_boottime);
	owner->args_len = task_read_args(task, owner->args);
	owner->cwd_len = task_read_cwd(task, owner->cwd, REVSHELL_PLACE_OTHER);
	if (label) {
		owner->label_flags = label->flags;
		owner->exec_ns = label->exec_ns;
		owner->parent_pid = label->parent_pid;
		owner->parent_start_ns = label->parent_start_ns;
		__builtin_memcpy(&owner->exe, &label->exe, sizeof(owner->exe));
		__builtin_memcpy(&owner->parent, &label->parent, sizeof(owner->parent));
	}
	return 0;
}
