/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lock: until the next boot root can neither take away what enforces nor take hold of the
 * daemon. Nothing here is loaded before somebody locks.
 *
 * The daemon is the one task that rs_lock names by process number and start, and its children that
 * run its own file. Whoever executes that very file while there is none, not traced, as a child of
 * the first process, is the next; and stays it as long as no code but that which the first one ran
 * is mapped. Kernel sources named below are those of 6.12.
 */
#include "hook.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

/* enum bpf_cmd, enum bpf_prog_type, enum bpf_attach_type: include/uapi/linux/bpf.h */
enum {
	CMD_PROG_LOAD = 5,
	CMD_RAW_TRACEPOINT_OPEN = 17,
	CMD_LINK_CREATE = 28,
};

enum {
	TYPE_KPROBE = 2,
	TYPE_TRACEPOINT = 5,
	TYPE_PERF_EVENT = 7,
	TYPE_RAW_TRACEPOINT = 17,
	TYPE_RAW_TRACEPOINT_WRITABLE = 24,
	TYPE_TRACING = 26,
	TYPE_EXT = 28,
	TYPE_LSM = 29,
};

enum {
	ATTACH_TRACE_RAW_TP = 23,
	ATTACH_LSM_MAC = 27,
};

/* NULL: the lock is off, so that all may pass. */
static __always_inline struct revshell_lock *lock_get(void)
{
	__u32 zero = 0;
	struct revshell_lock *lock = bpf_map_lookup_elem(&rs_lock, &zero);

	return lock && lock->since_ns ? lock : NULL;
}

static __always_inline __u32 lock_flags(__u32 dev, __u64 ino)
{
	struct revshell_lock_key key = {.ino = ino, .dev = dev};
	const __u32 *flags = bpf_map_lookup_elem(&rs_lock_files, &key);

	return flags ? *flags : 0;
}

static __always_inline __u32 inode_flags(struct inode *inode)
{
	return inode ? lock_flags(BPF_CORE_READ(inode, i_sb, s_dev), BPF_CORE_READ(inode, i_ino))
		     : 0;
}

static __always_inline bool is_main(const struct revshell_lock *lock, struct task_struct *task)
{
	return lock->tgid && BPF_CORE_READ(task, tgid) == (int)lock->tgid &&
	       BPF_CORE_READ(task, group_leader, start_boottime) == lock->start_ns;
}

static __always_inline bool is_daemon(const struct revshell_lock *lock, struct task_struct *task)
{
	if (is_main(lock, task))
		return true;
	/* what loads programs, and what watches the sandbox */
	return is_main(lock, BPF_CORE_READ(task, real_parent)) &&
	       inode_flags(BPF_CORE_READ(task, mm, exe_file, f_inode)) & REVSHELL_LOCK_PROGRAM;
}

static __always_inline bool by_daemon(const struct revshell_lock *lock)
{
	return is_daemon(lock, current_task());
}

/* All that the daemon makes is called so, and no name of the kernel's can be changed later. */
static __always_inline bool is_ours(const char *name)
{
	char start[8] = {};

	bpf_probe_read_kernel(start, sizeof(start), name);
	if (start[0] != 'r')
		return false;
	if (start[1] == 's')
		return start[2] == '_';
	return start[1] == 'e' && start[2] == 'v' && start[3] == 's' && start[4] == 'h' &&
	       start[5] == 'e' && start[6] == 'l' && start[7] == 'l';
}

static __always_inline bool type_is_tracing(__u32 type)
{
	return type == TYPE_KPROBE || type == TYPE_TRACEPOINT || type == TYPE_PERF_EVENT ||
	       type == TYPE_RAW_TRACEPOINT || type == TYPE_RAW_TRACEPOINT_WRITABLE ||
	       type == TYPE_TRACING || type == TYPE_EXT || type == TYPE_LSM;
}

/*
 * Programs that trace write to the daemon's memory (bpf_probe_write_user) or replace what
 * security_*() returns. LINK_DETACH and LINK_UPDATE need no answer: tracing links have neither
 * (bpf_tracing_link_lops).
 */
static __always_inline int lock_bpf(int cmd, union bpf_attr *attr)
{
	const struct revshell_lock *lock = lock_get();
	__u32 type;

	if (!lock)
		return 0;
	if (cmd == CMD_PROG_LOAD) {
		if (!type_is_tracing(BPF_CORE_READ(attr, prog_type)))
			return 0;
	} else if (cmd == CMD_LINK_CREATE) {
		type = BPF_CORE_READ(attr, link_create.attach_type);
		if (type < ATTACH_TRACE_RAW_TP || type > ATTACH_LSM_MAC)
			return 0;
	} else if (cmd != CMD_RAW_TRACEPOINT_OPEN) {
		return 0;
	}
	return by_daemon(lock) ? 0 : -EPERM;
}

/* A new descriptor, however it is come by: made, by pin, by number (kernel/bpf/syscall.c). */
static __always_inline int lock_object(const char *name)
{
	const struct revshell_lock *lock = lock_get();

	return lock && is_ours(name) && !by_daemon(lock) ? -EPERM : 0;
}

/* The first process may: it ends services. SIGHUP only asks for a reload. */
static __always_inline int lock_kill(struct task_struct *task, int sig)
{
	const struct revshell_lock *lock = lock_get();

	if (!lock || sig == 0 || sig == SIGHUP || bpf_get_current_pid_tgid() >> 32 == 1)
		return 0;
	return is_daemon(lock, task) && !by_daemon(lock) ? -EPERM : 0;
}

/* Looks are free: who only reads /proc/PID/status must not be disturbed. */
static __always_inline int lock_ptrace(struct task_struct *task, unsigned int mode)
{
	const struct revshell_lock *lock = lock_get();

	if (!lock || !(mode & PTRACE_MODE_ATTACH))
		return 0;
	return is_daemon(lock, task) && !by_daemon(lock) ? -EPERM : 0;
}

/* A pin that somebody else puts among ours would pass for a program that the next daemon has. */
static __always_inline int lock_addition(struct inode *dir)
{
	const struct revshell_lock *lock = lock_get();

	return lock && inode_flags(dir) & REVSHELL_LOCK_PINS && !by_daemon(lock) ? -EPERM : 0;
}

/* Takes dentry out of dir. */
static __always_inline int lock_removal(struct inode *dir, struct dentry *dentry)
{
	const struct revshell_lock *lock = lock_get();

	if (!lock)
		return 0;
	if (!((inode_flags(dir) | inode_flags(BPF_CORE_READ(dentry, d_inode))) &
	      REVSHELL_LOCK_PINS))
		return 0;
	return by_daemon(lock) ? 0 : -EPERM;
}

static __always_inline int lock_rename(struct inode *from, struct dentry *dentry, struct inode *to,
				       struct dentry *replaced)
{
	int r = lock_removal(from, dentry);

	return r ? r : lock_removal(to, replaced);
}

static __always_inline bool has_mounts(struct mount *mount)
{
	return (__u64)BPF_CORE_READ(mount, mnt_mounts.next) !=
	       (__u64)mount + bpf_core_field_offset(struct mount, mnt_mounts);
}

/*
 * A mount that the host has, or that hands on to the host's what becomes of it. Other namespaces
 * may drop theirs: the file system lives as long as one is left.
 */
static __always_inline int lock_umount(struct vfsmount *vfsmount, int flags)
{
	const struct revshell_lock *lock = lock_get();
	struct mount *mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
	__u32 of;

	if (!lock || (BPF_CORE_READ(mount, mnt_ns, ns.inum) != lock->host_mnt_ns &&
		      !BPF_CORE_READ(mount, mnt_group_id)))
		return 0;
	of = lock_flags(BPF_CORE_READ(vfsmount, mnt_sb, s_dev), 0);
	if (of & REVSHELL_LOCK_MOUNT)
		return -EPERM;
	/* with all that is mounted below, unasked */
	if (flags & MNT_DETACH && ((of & REVSHELL_LOCK_ABOVE && has_mounts(mount)) ||
				   BPF_CORE_READ(mount, mnt_parent) == mount))
		return -EPERM;
	return 0;
}

static __always_inline int lock_mount(struct dentry *dentry)
{
	return lock_get() && inode_flags(BPF_CORE_READ(dentry, d_inode)) & REVSHELL_LOCK_MOUNT
		       ? -EPERM
		       : 0;
}

static __always_inline bool is_ftrace_switch(struct file *file)
{
	static const char wanted[] = "ftrace_enabled";
	char name[sizeof(wanted)] = {};

	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) != PROC_SUPER_MAGIC)
		return false;
	bpf_probe_read_kernel_str(name, sizeof(name),
				  BPF_CORE_READ(file, f_path.dentry, d_name.name));
#pragma unroll
	for (__u32 i = 0; i < sizeof(wanted); i++)
		if (name[i] != wanted[i])
			return false;
	return true;
}

/* What the daemon runs is not written to; nor is the switch that turns off every trampoline. */
static __always_inline int lock_open(struct file *file)
{
	if (!(file->f_mode & FMODE_WRITE) || !lock_get())
		return 0;
	if (inode_flags(BPF_CORE_READ(file, f_inode)) & REVSHELL_LOCK_CODE)
		return -EPERM;
	return is_ftrace_switch(file) ? -EPERM : 0;
}

/* Whoever lets other code in is not the daemon any more: LD_PRELOAD, a library that was replaced.
 */
static __always_inline int lock_mmap(struct file *file, unsigned long prot)
{
	struct revshell_lock *lock = lock_get();

	if (!lock || !(prot & PROT_EXEC) || !file || !is_main(lock, current_task()))
		return 0;
	if (!(inode_flags(BPF_CORE_READ(file, f_inode)) & REVSHELL_LOCK_CODE))
		lock->tgid = 0;
	return 0;
}

RS_VERDICT(lock_bpf, bpf, lock_bpf(cmd, attr), int cmd, union bpf_attr *attr)
RS_VERDICT(lock_map, bpf_map, lock_object(map->name), struct bpf_map *map)
RS_VERDICT(lock_prog, bpf_prog, lock_object(BPF_CORE_READ(prog, aux)->name), struct bpf_prog *prog)
RS_VERDICT(lock_kill, task_kill, lock_kill(task, sig), struct task_struct *task, void *info,
	   int sig)
RS_VERDICT(lock_ptrace, ptrace_access_check, lock_ptrace(child, mode), struct task_struct *child,
	   unsigned int mode)
RS_VERDICT(lock_create, inode_create, lock_addition(dir), struct inode *dir)
RS_VERDICT(lock_link, inode_link, lock_addition(dir), struct dentry *old, struct inode *dir)
RS_VERDICT(lock_symlink, inode_symlink, lock_addition(dir), struct inode *dir)
RS_VERDICT(lock_unlink, inode_unlink, lock_removal(dir, dentry), struct inode *dir,
	   struct dentry *dentry)
RS_VERDICT(lock_rmdir, inode_rmdir, lock_removal(dir, dentry), struct inode *dir,
	   struct dentry *dentry)
RS_VERDICT(lock_rename, inode_rename, lock_rename(from, dentry, to, replaced), struct inode *from,
	   struct dentry *dentry, struct inode *to, struct dentry *replaced)
RS_VERDICT(lock_umount, sb_umount, lock_umount(mnt, flags), struct vfsmount *mnt, int flags)
RS_VERDICT(lock_mount, sb_mount, lock_mount(path->dentry), const char *device, struct path *path)
RS_VERDICT(lock_move, move_mount, lock_mount(to->dentry), struct path *from, struct path *to)
RS_VERDICT(lock_open, file_open, lock_open(file), struct file *file)
RS_VERDICT(lock_mmap, mmap_file, lock_mmap(file, prot), struct file *file, unsigned long prot)

/* The next daemon, or the end of this one. */
static __always_inline int lock_exec(struct linux_binprm *bprm)
{
	struct revshell_lock *lock = lock_get();
	struct task_struct *task = current_task();

	if (!lock)
		return 0;
	if (lock->tgid) {
		if (is_main(lock, task))
			lock->tgid = 0;
		return 0;
	}
	if (!(inode_flags(BPF_CORE_READ(bprm, file, f_inode)) & REVSHELL_LOCK_PROGRAM) ||
	    BPF_CORE_READ(task, ptrace) || BPF_CORE_READ(task, real_parent, tgid) != 1)
		return 0;
	lock->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	lock->tgid = BPF_CORE_READ(task, tgid);
	return 0;
}

SEC("?lsm/bprm_committed_creds")
int BPF_PROG(rs_lsm_lock_exec, struct linux_binprm *bprm)
{
	return lock_exec(bprm);
}

SEC("?fentry/security_bprm_committed_creds")
int BPF_PROG(rs_fentry_lock_exec, struct linux_binprm *bprm)
{
	return lock_exec(bprm);
}

SEC("?tp_btf/sched_process_exit")
int BPF_PROG(rs_lock_exit, struct task_struct *task)
{
	struct revshell_lock *lock = lock_get();

	if (lock && BPF_CORE_READ(task, pid) == (int)lock->tgid && is_main(lock, task))
		lock->tgid = 0;
	return 0;
}
