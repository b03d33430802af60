/* SPDX-License-Identifier: GPL-2.0-only */
/* The process label: who the caller is, fixed at exec, and what that means in a generation. */
#pragma once

#include "tables.bpf.h"

#define RS_PATH_STEPS 48 /* components and mount points of a path; deeper ones are unknown */

/* Takes a buffer that no other program run uses; NULL if there is none. */
static __always_inline struct rs_scratch *scratch_claim(__u32 place, __u32 *ret_slot)
{
	*ret_slot = 0;
	if (bpf_map_pop_elem(&rs_scratch_free, ret_slot) == 0)
		return bpf_map_lookup_elem(&rs_scratch, ret_slot);
	stat_add(place, REVSHELL_STAT_SCRATCH_BUSY);
	return NULL;
}

static __always_inline void scratch_release(__u32 slot)
{
	bpf_map_push_elem(&rs_scratch_free, &slot, BPF_ANY);
}

/* Where a structure has fields at at, at + 8 and at + 16, as all kernels so far, they are read at
 * once. */
static __always_inline bool is_adjacent(__u32 a, __u32 b, __u32 c)
{
	return b - a == 8 && c - b == 8;
}

static __always_inline void step_read(struct rs_step *step, __u64 dentry_addr)
{
	struct dentry *dentry = (struct dentry *)dentry_addr;
	const __u32 at = bpf_core_field_offset(struct dentry, d_parent);

	if (is_adjacent(at, bpf_core_field_offset(struct dentry, d_name.len) - 4,
			bpf_core_field_offset(struct dentry, d_name.name))) {
		bpf_probe_read_kernel(step, sizeof(*step), (const char *)dentry + at);
		return;
	}
	step->up = (__u64)BPF_CORE_READ(dentry, d_parent);
	step->len = (__u64)BPF_CORE_READ(dentry, d_name.len) << 32;
	step->name = (__u64)BPF_CORE_READ(dentry, d_name.name);
}

/* Both pointers of a struct path at once, in either order that a kernel may have them. */
static __always_inline void path_read(__u64 path_addr, __u64 *ret_dentry, __u64 *ret_vfsmount)
{
	const bool dentry_first = bpf_core_field_offset(struct path, dentry) == 0;
	__u64 pair[2];

	bpf_probe_read_kernel(pair, sizeof(pair), (const void *)path_addr);
	*ret_dentry = pair[!dentry_first];
	*ret_vfsmount = pair[dentry_first];
}

static __always_inline void mounted_read(struct rs_mounted *mounted, __u64 mount_addr)
{
	struct mount *mount = (struct mount *)mount_addr;
	const __u32 at = bpf_core_field_offset(struct mount, mnt_parent);

	if (is_adjacent(at, bpf_core_field_offset(struct mount, mnt_mountpoint),
			bpf_core_field_offset(struct mount, mnt.mnt_root))) {
		bpf_probe_read_kernel(mounted, sizeof(*mounted), (const char *)mount + at);
		return;
	}
	mounted->parent = (__u64)BPF_CORE_READ(mount, mnt_parent);
	mounted->mountpoint = (__u64)BPF_CORE_READ(mount, mnt_mountpoint);
	mounted->root = (__u64)BPF_CORE_READ(mount, mnt.mnt_root);
}

/*
 * Writes the path of a dentry below a mount, from the top of its mount tree, into the buffer
 * path[result .. RS_PATH_END - 1] of a scratch slot. Plain probing reads, so it works in every
 * program on every kernel; bpf_d_path() does not. Returns the start, or -1 if the path is too long
 * or too deep. A name without a parent that is no mount's root (memfd) ends the path.
 */
__weak __noinline int rs_walk_path(__u64 dentry, __u64 vfsmount, __u32 slot)
{
	struct rs_scratch *scratch = bpf_map_lookup_elem(&rs_scratch, &slot);
	__u64 mount = vfsmount - bpf_core_field_offset(struct mount, mnt);
	__u32 off = RS_PATH_END;

	if (!scratch)
		return -1;
	mounted_read(&scratch->mounted, mount);
#pragma unroll
	for (int i = 0; i < RS_PATH_STEPS; i++) {
		__u32 len;

		/* addresses of fields are made anew, for the sake of the stack */
		barrier_var(scratch);
		if (dentry == scratch->mounted.root) {
			__u64 parent = scratch->mounted.parent;

			if (parent == mount || !parent)
				return off;
			dentry = scratch->mounted.mountpoint;
			mount = parent;
			mounted_read(&scratch->mounted, mount);
			continue;
		}
		step_read(&scratch->step, dentry);
		barrier_var(scratch);
		len = scratch->step.len >> 32;
		if (len > 255 || len + 1 > off)
			return -1;
		len &= 255;
		off -= len + 1;
		/* masked after each change, so that the verifier's states converge */
		off &= RS_PATH_END;
		barrier_var(off);
		scratch->path[off & RS_PATH_END] = '/';
		bpf_probe_read_kernel(&scratch->path[(off + 1) & RS_PATH_END], len,
				      (const void *)scratch->step.name);
		if (scratch->step.up == dentry)
			return off;
		dentry = scratch->step.up;
	}
	return -1;
}

/* 1 if a is b, else 0, without a branch. */
static __always_inline __u64 is_equal(__u64 a, __u64 b)
{
	return 1 - is_nonzero(a ^ b);
}

#define RS_ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define RS_SIPROUND                        \
	do {                               \
		v0 += v1;                  \
		v1 = RS_ROTL(v1, 13) ^ v0; \
		v0 = RS_ROTL(v0, 32);      \
		v2 += v3;                  \
		v3 = RS_ROTL(v3, 16) ^ v2; \
		v0 += v3;                  \
		v3 = RS_ROTL(v3, 21) ^ v0; \
		v2 += v1;                  \
		v1 = RS_ROTL(v1, 17) ^ v2; \
		v2 = RS_ROTL(v2, 32);      \
	} while (0)

/*
 * SipHash-1-3 of path[off .. RS_PATH_END - 1]. The bytes behind the path are made zero, so that its
 * last, incomplete word can be read like the others.
 */
__weak __noinline __u64 rs_hash_path(__u32 slot, __u32 off)
{
	struct rs_scratch *scratch = bpf_map_lookup_elem(&rs_scratch, &slot);
	__u32 zero = 0;
	struct revshell_secret *secret = bpf_map_lookup_elem(&rs_secret, &zero);
	__u64 v0, v1, v2, v3, len, last;

	if (!scratch || !secret)
		return 0;
	for (int i = 0; i < 8; i++)
		scratch->path[RS_PATH_END + i] = 0;
	off &= RS_PATH_END;
	len = RS_PATH_END - off;
	last = len / 8;
	v0 = secret->key[0] ^ 0x736f6d6570736575ULL;
	v1 = secret->key[1] ^ 0x646f72616e646f6dULL;
	v2 = secret->key[0] ^ 0x6c7967656e657261ULL;
	v3 = secret->key[1] ^ 0x7465646279746573ULL;
	for (__u32 i = 0; i < (RS_PATH_END + 1) / 8; i++) {
		__u64 word;

		if (i > last)
			break;
		word = *(const __u64 *)&scratch->path[(off + i * 8) & RS_PATH_END];
		/* without a branch: two ways to go on would be followed in each word */
		word |= (len << 56) * is_equal(i, last);
		v3 ^= word;
		RS_SIPROUND;
		v0 ^= word;
	}
	v2 ^= 0xff;
	RS_SIPROUND;
	RS_SIPROUND;
	RS_SIPROUND;
	return v0 ^ v1 ^ v2 ^ v3;
}

/*
 * Describes an executable file in the scratch label: as its parent's if parent is set, else as its
 * own. file_addr 0 stands for a task without one. Always leaves a complete record behind.
 */
__weak __noinline int rs_describe_exe(__u64 file_addr, __u32 slot, __u32 parent, __u32 place)
{
	struct rs_scratch *scratch = bpf_map_lookup_elem(&rs_scratch, &slot);
	__u32 zero = 0;
	struct revshell_secret *secret = bpf_map_lookup_elem(&rs_secret, &zero);
	struct file *file = (struct file *)file_addr;
	struct revshell_exe *exe;
	struct mnt_namespace *mnt_ns;
	struct mount *mount;
	__u64 dentry, vfsmount;
	__u32 len, off;
	int start;

	if (!scratch || !secret)
		return -1;
	exe = parent ? &scratch->label.parent : &scratch->label.exe;
	__builtin_memset(exe, 0, sizeof(*exe));
	if (!file)
		return 0;
	path_read(file_addr + bpf_core_field_offset(struct file, f_path), &dentry, &vfsmount);
	exe->ino = BPF_CORE_READ(file, f_inode, i_ino);
	exe->dev = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
	mount = (struct mount *)(vfsmount - bpf_core_field_offset(struct mount, mnt));
	mnt_ns = BPF_CORE_READ(mount, mnt_ns);
	if (BPF_CORE_READ(mnt_ns, ns.inum) != secret->host_mnt_ns)
		exe->flags |= REVSHELL_EXE_FOREIGN;
	if (!BPF_CORE_READ((struct dentry *)dentry, d_hash.pprev))
		exe->flags |= REVSHELL_EXE_DELETED;

	start = rs_walk_path(dentry, vfsmount, slot);
	if (start < 0) {
		stat_add(place, REVSHELL_STAT_PATH_UNKNOWN);
		return 0;
	}
	off = (__u32)start & RS_PATH_END;
	barrier_var(off);
	len = RS_PATH_END - off;
	exe->flags |= REVSHELL_EXE_KNOWN;
	exe->path_len = len;
	exe->path_hash = rs_hash_path(slot, off);
	if (len >= REVSHELL_PATH_INLINE) {
		exe->hash[0] = exe->path_hash;
		exe->hash[1] = exe->path_hash >> 32;
		len = 255;
	}
	/* kept from the compiler, which knows the bound and would leave it out */
	barrier_var(len);
	len &= 255;
	bpf_probe_read_kernel(exe->path, len, &scratch->path[off & RS_PATH_END]);
	return 0;
}

static __always_inline __u64 exe_file_of(struct task_struct *task)
{
	return (__u64)BPF_CORE_READ(task, mm, exe_file);
}

/* The label of the running process, or NULL. */
static __always_inline struct revshell_label *label_get(void)
{
	if (rs_have_task_storage) {
		struct task_struct *task = bpf_get_current_task_btf();

		return bpf_task_storage_get(&rs_labels, task->group_leader, NULL, 0);
	} else {
		struct task_struct *leader = BPF_CORE_READ(current_task(), group_leader);
		__u32 tgid = bpf_get_current_pid_tgid() >> 32;
		struct revshell_label *label = bpf_map_lookup_elem(&rs_labels_hash, &tgid);

		if (label && label->start_ns != BPF_CORE_READ(leader, start_boottime))
			return NULL;
		return label;
	}
}

/* Makes a copy of what the scratch label holds the label of the running process. */
static __always_inline struct revshell_label *label_insert(struct rs_scratch *scratch)
{
	if (rs_have_task_storage) {
		struct task_struct *task = bpf_get_current_task_btf();

		return bpf_task_storage_get(&rs_labels, task->group_leader, &scratch->label,
					    BPF_LOCAL_STORAGE_GET_F_CREATE);
	} else {
		__u32 tgid = bpf_get_current_pid_tgid() >> 32;

		bpf_map_update_elem(&rs_labels_hash, &tgid, &scratch->label, BPF_ANY);
		return bpf_map_lookup_elem(&rs_labels_hash, &tgid);
	}
}

/* Fills in the parent from the task that is the parent now. */
static __always_inline void label_fill_parent(struct rs_scratch *scratch, __u32 slot,
					      struct task_struct *task, __u32 place)
{
	struct task_struct *parent = BPF_CORE_READ(task, group_leader, real_parent, group_leader);

	scratch->label.parent_pid = BPF_CORE_READ(parent, tgid);
	scratch->label.parent_start_ns = BPF_CORE_READ(parent, start_boottime);
	rs_describe_exe(exe_file_of(parent), slot, 1, place);
}

/* Adds an executable to the lineage, unless it is there; one that is not known counts as lost. */
static __always_inline void label_remember(struct revshell_label *label,
					   const struct revshell_exe *exe)
{
	__u64 hash = REVSHELL_LINEAGE_HASH(exe->path_hash, exe->flags);
	__u32 n = label->n_lineage;

	if (!(exe->flags & REVSHELL_EXE_KNOWN) || n >= REVSHELL_LINEAGE) {
		label->lineage_lost = 1;
		return;
	}
	for (int i = 0; i < REVSHELL_LINEAGE; i++)
		if (label->lineage[i] == hash)
			return;
	label->lineage[n & (REVSHELL_LINEAGE - 1)] = hash;
	label->n_lineage = n + 1;
}

/*
 * A process without a label (older than the programs, or its record was lost) gets one here, from
 * its executable as the mm has it now. A kernel thread has no mm and stays unknown.
 */
static __always_inline struct revshell_label *label_compute(struct rs_scratch *scratch, __u32 slot,
							    __u32 place)
{
	struct task_struct *task = current_task();

	stat_add(place, REVSHELL_STAT_LABEL_COMPUTED);
	__builtin_memset(&scratch->label, 0, sizeof(scratch->label));
	scratch->label.start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	rs_describe_exe(exe_file_of(task), slot, 0, place);
	label_fill_parent(scratch, slot, task, place);
	label_remember(&scratch->label, &scratch->label.parent);
	return label_insert(scratch);
}

static __always_inline void class_take(const struct revshell_class *class, __u32 *ret_id,
				       __u32 *hooks)
{
	*ret_id = class->id;
	*hooks &= class->hooks;
}

/*
 * What an executable means: the classes of its three dimensions, from dim on. Returns the hooks on
 * which something is left. index is REVSHELL_PATH_INDEX.
 */
static __always_inline __u32 resolve_exe(const struct revshell_hook_cfg *cfg,
					 const struct revshell_exe *exe, struct rs_scratch *scratch,
					 __u32 index, const __u32 dim, __u32 *class_id)
{
	const struct revshell_affix_value *affix = NULL;
	const struct revshell_path_value *path = NULL;
	bool foreign = exe->flags & REVSHELL_EXE_FOREIGN;
	__u32 hooks = ~0U;
	__u32 len = exe->path_len;
	void *map;

	if (!(exe->flags & REVSHELL_EXE_KNOWN)) {
		for (int i = 0; i < 3; i++)
			class_take(&cfg->path_unknown[dim + i], &class_id[dim + i], &hooks);
		return hooks;
	}

	map = bpf_map_lookup_elem(&rs_paths, &index);
	if (map)
		path = bpf_map_lookup_elem(map, &exe->path_len);
	if (!path)
		class_take(&cfg->path_default[dim], &class_id[dim], &hooks);
	else if (path->any || (path->ino && path->ino == exe->ino && path->dev == exe->dev))
		class_take(&path->same, &class_id[dim], &hooks);
	else
		class_take(&path->other, &class_id[dim], &hooks);

	map = bpf_map_lookup_elem(&rs_prefixes, &index);
	if (map) {
		scratch->prefix.prefixlen = (len > 255 ? 255 : len) * 8;
		__builtin_memcpy(scratch->prefix.data, exe->path, REVSHELL_PATH_INLINE);
		affix = bpf_map_lookup_elem(map, &scratch->prefix);
	}
	if (!affix)
		class_take(&cfg->path_default[dim + 1], &class_id[dim + 1], &hooks);
	else if (foreign)
		class_take(&affix->foreign, &class_id[dim + 1], &hooks);
	else
		class_take(&affix->host, &class_id[dim + 1], &hooks);

	affix = NULL;
	map = bpf_map_lookup_elem(&rs_postfixes, &index);
	if (map && len > 255) {
		/* the end of a long path is not kept */
		class_take(&cfg->path_unknown[dim + 2], &class_id[dim + 2], &hooks);
		return hooks;
	}
	if (map) {
		scratch->postfix.prefixlen = (len > 128 ? 128 : len) * 8;
		/* all bytes of the key, whether prefixlen takes them in or not: no branch each */
		for (__u32 i = 0; i < 128; i++)
			scratch->postfix.data[i] = exe->path[(len - 1 - i) & 255];
		affix = bpf_map_lookup_elem(map, &scratch->postfix);
	}
	if (!affix)
		class_take(&cfg->path_default[dim + 2], &class_id[dim + 2], &hooks);
	else if (foreign)
		class_take(&affix->foreign, &class_id[dim + 2], &hooks);
	else
		class_take(&affix->host, &class_id[dim + 2], &hooks);
	return hooks;
}

/* What rs_path_live() says of a label's classes on socket_connect, where most are asked for. */
static __always_inline __u64 resolve_connect(__u32 slot, const __u32 *class_id)
{
	void *hooks = bpf_map_lookup_elem(&rs_hooks, &slot);
	__u32 hook = REVSHELL_HOOK_CONNECT;
	const struct revshell_hook_cfg *cfg = hooks ? bpf_map_lookup_elem(hooks, &hook) : NULL;
	__u64 live = ~0ULL;

	if (!cfg)
		return live;
#pragma unroll
	for (__u32 dim = 0; dim < REVSHELL_PATH_DIMS; dim++)
		if ((cfg->used >> dim) & 1)
			live &= rs_row_fold(slot, hook, cfg->path_rows[dim] + class_id[dim]);
	return live;
}

/* A process's entry in its innermost pid namespace. */
static __always_inline struct upid *task_upid(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);

	return (struct upid *)((__u64)pid + bpf_core_field_offset(struct pid, numbers) +
			       (__u64)(level & 31) * bpf_core_type_size(struct upid));
}

static __always_inline __u32 task_nspid(struct task_struct *task)
{
	return BPF_CORE_READ(task_upid(task), nr);
}

/* Answers to the predicates that hold until the next exec: by ancestors and earlier executables. */
static __noinline __attribute__((unused)) __u64 resolve_predicates(__u32 slot, __u32 facts,
								   struct revshell_label *label)
{
	struct task_struct *task = BPF_CORE_READ(current_task(), group_leader);
	__u64 word = 0;

	if (facts & (1U << REVSHELL_FACT_LINEAGE)) {
		word |= fact_lookup(slot, REVSHELL_FACT_LINEAGE,
				    REVSHELL_LINEAGE_HASH(label->exe.path_hash, label->exe.flags));
		if (!(label->exe.flags & REVSHELL_EXE_KNOWN) || label->lineage_lost)
			word |= fact_unknown(slot, REVSHELL_FACT_LINEAGE);
		for (int i = 0; i < REVSHELL_LINEAGE; i++)
			if (label->lineage[i])
				word |= fact_lookup(slot, REVSHELL_FACT_LINEAGE, label->lineage[i]);
	}
	if (facts & (1U << REVSHELL_FACT_PARENT_LINEAGE)) {
		word |= fact_lookup(slot, REVSHELL_FACT_PARENT_LINEAGE,
				    REVSHELL_LINEAGE_HASH(label->parent.path_hash,
							  label->parent.flags));
		if (!(label->parent.flags & REVSHELL_EXE_KNOWN) || label->inherited_lost)
			word |= fact_unknown(slot, REVSHELL_FACT_PARENT_LINEAGE);
		for (__u32 i = 0; i < REVSHELL_LINEAGE; i++)
			if (i < label->n_inherited)
				word |= fact_lookup(slot, REVSHELL_FACT_PARENT_LINEAGE,
						    label->lineage[i]);
	}
	if (!(facts & (1U << REVSHELL_FACT_FORK | 1U << REVSHELL_FACT_NSPID_FORK)))
		return word;
	for (int i = 0; i < REVSHELL_FORK_LEVELS; i++) {
		word |= fact_lookup(slot, REVSHELL_FACT_FORK, BPF_CORE_READ(task, tgid));
		word |= fact_lookup(slot, REVSHELL_FACT_NSPID_FORK, task_nspid(task));
		task = BPF_CORE_READ(task, real_parent, group_leader);
	}
	return word;
}

/*
 * Finds or computes the running process's label and what it means in cfg's generation.
 * Returns the cache to read, or NULL if there is no memory even for that; the caller then takes
 * the strict side.
 */
static __noinline __attribute__((unused)) struct revshell_label *
label_resolve(const struct revshell_hook_cfg *cfg, __u32 hook)
{
	struct revshell_label *label = label_get();
	struct revshell_label_cache *cache;
	struct rs_scratch *scratch;
	__u32 hooks, slot = 0;

	scratch = scratch_claim(hook, &slot);
	if (!scratch)
		return NULL;
	if (!label)
		label = label_compute(scratch, slot, hook);
	if (!label) {
		stat_add(hook, REVSHELL_STAT_LABEL_FAILED);
		goto out;
	}
	stat_add(hook, REVSHELL_STAT_LABEL_RESOLVED);
	cache = &label->cache[cfg->slot & 1];
	hooks = resolve_exe(cfg, &label->exe, scratch, REVSHELL_PATH_INDEX(cfg->slot & 1, 0),
			    REVSHELL_DIM_EXE, cache->class_id);
	hooks &= resolve_exe(cfg, &label->parent, scratch, REVSHELL_PATH_INDEX(cfg->slot & 1, 1),
			     REVSHELL_DIM_PARENT, cache->class_id);
	cache->connect = resolve_connect(cfg->slot & 1, cache->class_id);
	if (!cache->connect)
		hooks &= ~(1U << REVSHELL_HOOK_CONNECT);
	cache->hooks = hooks;
	cache->predicates = 0;
	if (cfg->label_facts)
		cache->predicates = resolve_predicates(cfg->slot & 1, cfg->label_facts, label);
	barrier();
	cache->generation = cfg->generation;
out:
	scratch_release(slot);
	return label;
}
