/* SPDX-License-Identifier: GPL-2.0-only */
/* The few kernel structures the programs read, cut to the fields in use; CO-RE finds the offsets.
 */
#pragma once

#define __VMLINUX_H__ /* makes libbpf's bpf_tracing.h use the kernel's register names */

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
enum { false = 0, true = 1 };

#define NULL	   ((void *)0)
#define BIT_ULL(n) (1ULL << (n))

/* linux/bpf.h, include/uapi */
enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_EXIST = 2,
};

enum {
	BPF_F_USER_STACK = 1U << 8,
};

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_HASH_OF_MAPS = 13,
	BPF_MAP_TYPE_STACK = 23,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

#define BPF_F_NO_PREALLOC	       1U
#define BPF_F_CLONE		       0x200U /* accepted sockets take over the listener's storage */
#define BPF_F_INNER_MAP		       0x1000U
#define BPF_LOCAL_STORAGE_GET_F_CREATE 1ULL

/* linux/socket.h, linux/in.h, linux/net.h */
#define AF_UNSPEC		       0
#define AF_UNIX			       1
#define AF_INET			       2
#define AF_INET6		       10
#define AF_NETLINK		       16
#define AF_PACKET		       17
#define SOCK_STREAM		       1
#define SOCK_DGRAM		       2
#define S_IFMT			       00170000
#define S_IFSOCK		       0140000
#define SOCKFS_MAGIC		       0x534f434b /* linux/magic.h */
#define PROC_SUPER_MAGIC	       0x9fa0
#define IPPROTO_TCP		       6
#define IPPROTO_UDP		       17
#define IPPROTO_UDPLITE		       136
#define IPPROTO_MPTCP		       262
#define MSG_FASTOPEN		       0x20000000

#define SCTP_SOCKOPT_CONNECTX	       110 /* linux/sctp.h: whichever call brought the list */

/* linux/fs.h, linux/mount.h, asm-generic/mman-common.h, linux/ptrace.h, asm-generic/signal.h */
#define FMODE_WRITE		       2
#define MNT_DETACH		       2
#define PROT_EXEC		       4
#define PTRACE_MODE_ATTACH	       2
#define SIGHUP			       1

/* asm-generic/errno-base.h */
#define EPERM			       1

/* linux/sched.h */
#define CLONE_THREAD		       0x00010000

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs {
	unsigned long di, si, dx, cx, r8, r9, ax, sp, ip;
};

struct in6_addr {
	union {
		__be32 u6_addr32[4];
	} in6_u;
};

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

typedef struct {
	s64 counter;
} atomic64_t;

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
};

struct socket;

struct sock {
	struct sock_common __sk_common;
	u16 sk_type;
	u16 sk_protocol;
	__u32 sk_mark;
	__u32 sk_priority;
	struct socket *sk_socket;
};

struct socket {
	short type;
	struct sock *sk;
};

struct sockaddr {
	unsigned short sa_family;
};

struct msghdr {
	void *msg_name;
	int msg_namelen;
	unsigned int msg_flags;
};

struct super_block {
	__u32 s_dev;
	unsigned long s_magic;
};

struct inode {
	unsigned short i_mode;
	unsigned int i_nlink;
	struct super_block *i_sb;
	unsigned long i_ino;
};

struct qstr {
	u32 len;
	const unsigned char *name;
};

struct hlist_bl_node {
	struct hlist_bl_node **pprev;
};

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
};

struct vfsmount {
	struct dentry *mnt_root;
	struct super_block *mnt_sb;
};

struct mnt_namespace {
	struct ns_common ns;
};

struct list_head {
	struct list_head *next;
};

struct mount {
	struct list_head mnt_mounts;
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct mnt_namespace *mnt_ns;
	int mnt_group_id;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	unsigned int f_mode;
	struct path f_path;
	struct inode *f_inode;
	void *private_data;
};

struct mm_struct {
	struct file *exe_file;
	unsigned long arg_start;
	unsigned long arg_end;
};

struct kernfs_node {
	const char *name;
};

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct user_namespace {
	struct ns_common ns;
};

struct pid_namespace {
	struct ns_common ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct uts_namespace {
	struct ns_common ns;
};

struct ipc_namespace {
	struct ns_common ns;
};

struct time_namespace {
	struct ns_common ns;
};

struct cgroup_namespace {
	struct ns_common ns;
};

typedef struct {
	unsigned int val;
} kuid_t;

typedef struct {
	unsigned int val;
} kgid_t;

/* two words of 32 bits up to 6.2, one of 64 since: the same bytes on little-endian machines */
struct kernel_cap {
	__u32 words[2];
};

struct cred {
	kuid_t uid;
	kuid_t euid;
	kgid_t egid;
	struct kernel_cap cap_inheritable;
	struct kernel_cap cap_permitted;
	struct kernel_cap cap_effective;
	struct user_namespace *user_ns;
};

struct fs_struct {
	struct path pwd;
};

struct nsproxy {
	struct uts_namespace *uts_ns;
	struct ipc_namespace *ipc_ns;
	struct mnt_namespace *mnt_ns;
	struct pid_namespace *pid_ns_for_children;
	struct net *net_ns;
	struct time_namespace *time_ns;
	struct time_namespace *time_ns_for_children;
	struct cgroup_namespace *cgroup_ns;
};

struct task_struct {
	unsigned int flags;
	unsigned int ptrace;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct mm_struct *mm;
	struct fs_struct *fs;
	struct nsproxy *nsproxy;
	struct files_struct *files;
	struct css_set *cgroups;
	struct pid *thread_pid;
	const struct cred *cred;
	u64 start_boottime;
	kuid_t loginuid;
	char comm[16];
};

struct linux_binprm {
	struct file *file;
};

union bpf_attr {
	struct {
		__u32 prog_type;
	};
	struct {
		__u32 attach_type;
	} link_create;
};

struct bpf_map {
	char name[16];
};

struct bpf_prog_aux {
	char name[16];
};

struct bpf_prog {
	struct bpf_prog_aux *aux;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop
