/* SPDX-License-Identifier: GPL-2.0-only */
/* The record of one decision: everything about caller and object, read while the caller waits. */
#pragma once

#include "label.bpf.h"
#include "object.bpf.h"

static __always_inline void event_fill_sock(struct revshell_event *ev, struct sock *sk)
{
	struct revshell_sock *out = &ev->sk;

	/* a socket gets its cookie when somebody first asks */
	if (rs_have_socket_cookie && !RS_IS_PROBING)
		out->cookie = bpf_get_socket_cookie(sk);
	else
		out->cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	out->family = RS_GET(sk, __sk_common.skc_family);
	out->type = RS_GET(sk, sk_type);
	out->protocol = RS_GET(sk, sk_protocol);
	out->state = RS_SK_STATE(sk);
	out->mark = RS_GET(sk, sk_mark);
	out->priority = RS_GET(sk, sk_priority);
	out->sport = RS_GET(sk, __sk_common.skc_num);
	out->dport = bpf_ntohs(RS_GET(sk, __sk_common.skc_dport));
	if (out->family == AF_INET) {
		*(__be32 *)out->saddr = RS_GET(sk, __sk_common.skc_rcv_saddr);
		*(__be32 *)out->daddr = RS_GET(sk, __sk_common.skc_daddr);
	} else if (out->family == AF_INET6) {
		BPF_CORE_READ_INTO((struct in6_addr *)out->saddr, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO((struct in6_addr *)out->daddr, sk, __sk_common.skc_v6_daddr);
	}
	ev->net_ns = RS_GET(sk, __sk_common.skc_net.net, ns.inum);
}

/* Who created the socket, if that was recorded. */
static __always_inline void event_fill_owner(struct revshell_owner *out, struct sock *sk)
{
	struct revshell_owner *owner;

	if (!rs_have_sk_storage || RS_IS_PROBING)
		return;
	owner = bpf_sk_storage_get(&rs_owners, sk, NULL, 0);
	if (owner)
		bpf_probe_read_kernel(out, sizeof(*out), owner);
}

static __always_inline void event_fill_sockaddr(struct revshell_event *ev, struct rs_call *call)
{
	struct revshell_sockaddr *out = &ev->sa;
	int len = call->addrlen;

	out->family = call->family;
	out->len = len;
	call_read_addr(call);
	out->port = bpf_ntohs(call->sa.port);
	call_copy_addr(call, (__be32 *)out->addr);
	if (call->family == AF_UNIX && len > 2) {
		__u32 n = len - 2;

		if (n > sizeof(out->path))
			n = sizeof(out->path);
		out->path_len = n;
		/* a bound that the verifier sees; at most the 108 of above are read */
		barrier_var(n);
		n &= 127;
		bpf_probe_read_kernel(out->path, n, (const char *)call->sockaddr + 2);
	}
}

/* Arguments and working directory of the running process: bytes in args and cwd, 0 if unknown. */
static __always_inline __u32 task_read_args(struct task_struct *task, char *args)
{
	unsigned long start = RS_TASK(task, mm, arg_start);
	unsigned long end = RS_TASK(task, mm, arg_end);
	__u64 len = end - start;

	if (!start || end <= start)
		return 0;
	if (len > REVSHELL_ARGS_SIZE - 1)
		len = REVSHELL_ARGS_SIZE - 1;
	barrier_var(len);
	len &= REVSHELL_ARGS_SIZE - 1;
	/* arguments that are not in memory are left out rather than waited for */
	return bpf_probe_read_user(args, len, (const void *)start) == 0 ? len : 0;
}

static __always_inline __u32 task_read_cwd(struct task_struct *task, char *cwd, __u32 place)
{
	struct fs_struct *fs = RS_TASK(task, fs);
	struct rs_scratch *scratch;
	__u32 slot = 0, off, len = 0;
	__u64 dentry, vfsmount;
	int start;

	path_read((__u64)fs + bpf_core_field_offset(struct fs_struct, pwd), &dentry, &vfsmount);
	scratch = scratch_claim(place, &slot);
	if (!scratch)
		return 0;
	start = rs_walk_path(dentry, vfsmount, slot);
	if (start == RS_PATH_END) {
		cwd[0] = '/';
		len = 1;
	} else if (start >= 0) {
		off = (__u32)start & RS_PATH_END;
		len = RS_PATH_END - off;
		if (len > REVSHELL_PATH_INLINE - 1)
			len = REVSHELL_PATH_INLINE - 1;
		barrier_var(len);
		len &= 255;
		bpf_probe_read_kernel(cwd, len, &scratch->path[off & RS_PATH_END]);
	} else {
		stat_add(place, REVSHELL_STAT_CWD_UNKNOWN);
	}
	scratch_release(slot);
	return len;
}

/* Nobody looks at more of a path than is in use: most are short. */
static __always_inline void event_copy_exe(struct revshell_exe *out, const struct revshell_exe *exe)
{
	const __u32 head = offsetof(struct revshell_exe, path) + 64;
	const __u32 tail = offsetof(struct revshell_exe, hash);

	__builtin_memcpy(out, exe, head);
	if (exe->path_len > 64)
		__builtin_memcpy((char *)out + head, (const char *)exe + head, tail - head);
	__builtin_memcpy((char *)out + tail, (const char *)exe + tail, sizeof(*exe) - tail);
}

/* Everything that does not depend on the hook. */
static __noinline __attribute__((unused)) int event_fill_process(struct revshell_event *ev)
{
	const struct revshell_label *label = label_get();
	struct task_struct *task = known_task();
	struct task_struct *leader = RS_TASK(task, group_leader);
	struct task_struct *parent = RS_TASK(leader, real_parent, group_leader);
	__u64 pid_tgid = bpf_get_current_pid_tgid();

	ev->time_ns = bpf_ktime_get_boot_ns();
	ev->pid = pid_tgid >> 32;
	ev->tid = (__u32)pid_tgid;
	ev->uid = RS_TASK(task, cred, euid.val);
	ev->gid = RS_TASK(task, cred, egid.val);
	ev->loginuid = RS_TASK(task, loginuid.val);
	ev->start_ns = RS_TASK(leader, start_boottime);
	ev->cgroup_id = bpf_get_current_cgroup_id();
	ev->mnt_ns = RS_TASK(task, nsproxy, mnt_ns, ns.inum);
	bpf_get_current_comm(ev->comm, sizeof(ev->comm));
	ev->parent_pid = RS_TASK(parent, tgid);
	ev->parent_start_ns = RS_TASK(parent, start_boottime);
	ev->parent_uid = RS_TASK(parent, cred, euid.val);
	BPF_CORE_READ_INTO(&ev->parent_comm, parent, comm);
	if (label) {
		ev->label_flags = label->flags;
		ev->exec_ns = label->exec_ns;
		event_copy_exe(&ev->exe, &label->exe);
		event_copy_exe(&ev->parent, &label->parent);
		/* a daemonized process's parent is what forked it, not what adopted it */
		if (label->parent_pid) {
			ev->parent_pid = label->parent_pid;
			ev->parent_start_ns = label->parent_start_ns;
		}
	} else {
		__builtin_memset(&ev->exe, 0, sizeof(ev->exe));
		__builtin_memset(&ev->parent, 0, sizeof(ev->parent));
	}
	ev->args_len = task_read_args(task, ev->args);
	ev->cwd_len = task_read_cwd(task, ev->cwd, ev->hook);
	return 0;
}

/* Makes zero what is read of a record and not written for certain. */
static __always_inline void event_clear(struct revshell_event *ev)
{
	__builtin_memset(ev, 0, offsetof(struct revshell_event, exe));
}

/* A record, or NULL with the loss counted. */
static __always_inline struct revshell_event *event_reserve(const __u32 hook)
{
	struct revshell_event *ev = bpf_ringbuf_reserve(&rs_events, sizeof(*ev), 0);

	if (!ev) {
		stat_add(hook, REVSHELL_STAT_RING_FULL);
		return NULL;
	}
	event_clear(ev);
	return ev;
}

static __always_inline void event_fill_stacks(const struct revshell_hook_cfg *cfg, void *ctx,
					      struct revshell_event_more *more)
{
	long n;

	if (cfg->stacks & REVSHELL_STACK_KERNEL) {
		n = bpf_get_stack(ctx, more->kernel_stack, sizeof(more->kernel_stack), 0);
		if (n > 0)
			more->n_kernel_stack = n / sizeof(more->kernel_stack[0]);
	}
	if (cfg->stacks & REVSHELL_STACK_USER) {
		n = bpf_get_stack(ctx, more->user_stack, sizeof(more->user_stack),
				  BPF_F_USER_STACK);
		if (n > 0)
			more->n_user_stack = n / sizeof(more->user_stack[0]);
	}
}

/* The same with the call stacks and the socket's creator behind it, as far as cfg asks for them. */
static __always_inline struct revshell_event *
event_reserve_more(const struct revshell_hook_cfg *cfg, struct rs_call *call)
{
	struct revshell_event_more *more = bpf_ringbuf_reserve(&rs_events, sizeof(*more), 0);

	if (!more) {
		stat_add(call->hook, REVSHELL_STAT_RING_FULL);
		return NULL;
	}
	event_clear(&more->ev);
	more->n_kernel_stack = 0;
	more->n_user_stack = 0;
	more->owner.pid = 0;
	event_fill_stacks(cfg, call->ctx, more);
	if (cfg->track_sock && call->sk)
		event_fill_owner(&more->owner, call->sk);
	return &more->ev;
}

static __always_inline void event_submit(struct revshell_event *ev)
{
	stat_add(ev->hook, REVSHELL_STAT_EVENTS);
	bpf_ringbuf_submit(ev, 0);
}
