/* SPDX-License-Identifier: GPL-2.0-only */
/* Every difference between kernels that the programs must bridge, and since when it exists. */
#pragma once

#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

/*
 * Task storage for programs other than LSM ones, with bpf_get_current_task_btf(): 5.11,
 * commits 4cf1bc1f1045 and 3ca1032ab7ab. Set by the loader before load; the verifier then removes
 * the other branch. Without it labels live in a hash by tgid.
 */
const volatile bool rs_have_task_storage __weak = true;

/*
 * Socket storage for tracing programs: 5.11, commit 8e4597c627fb, but never for fmod_ret ones. Set
 * like the above, false for an object that holds such programs.
 */
const volatile bool rs_have_sk_storage __weak = true;

/* bpf_get_socket_cookie() of a socket, for tracing programs: 5.12, commit c5dbb89fc2ac. */
const volatile bool rs_have_socket_cookie __weak = true;

/*
 * Files that serve kprobes too are compiled twice, once with RS_KPROBE. A file that defines
 * RS_WITHOUT_CONTEXT has no program's context where it decides, so events lack call stacks.
 */
#ifdef RS_KPROBE
#define RS_IS_KPROBE true
#ifndef RS_PROBING
#define RS_PROBING
#endif
#else
#define RS_IS_KPROBE false
#endif
#ifdef RS_WITHOUT_CONTEXT
#define RS_HAS_CONTEXT false
#else
#define RS_HAS_CONTEXT true
#endif

/*
 * A field of a kernel object, or of what its fields point to: RS_GET(sk, __sk_common.skc_net.net,
 * ns.inum). Programs whose arguments the verifier knows load it; kprobes get bare
 * numbers and have to probe, as does all that is RS_PROBING.
 */
#ifdef RS_PROBING
#define RS_IS_PROBING true
#define RS_GET(ptr, ...)                                      \
	({                                                    \
		/* where ptr stands is no matter for CO-RE */ \
		__typeof__(&*(ptr)) ptr_ = (ptr);             \
		BPF_CORE_READ(ptr_, __VA_ARGS__);             \
	})
#else
#define RS_IS_PROBING	 false
#define RS_GET(ptr, ...) ___arrow(ptr, __VA_ARGS__)
#endif

/* Argument n, from 1, of the function that the program is attached to, fetched here. */
#ifdef RS_KPROBE
#define RS_ARGUMENT(ctx, n, type) ((type)PT_REGS_PARM##n((struct pt_regs *)(ctx)))
#else
#define RS_ARGUMENT(ctx, n, type) ((type)((const volatile __u64 *)(ctx))[(n)-1])
#endif

#define barrier()	 asm volatile("" ::: "memory")
#define barrier_var(var) asm volatile("" : "=r"(var) : "0"(var))

#define likely(x)	 __builtin_expect(!!(x), 1)
#define unlikely(x)	 __builtin_expect(!!(x), 0)

/* The running task, for chains of probing reads; works on every kernel. */
static __always_inline struct task_struct *current_task(void)
{
	return (struct task_struct *)bpf_get_current_task();
}

/* The running task for RS_TASK(): where the verifier knows it, fields are loaded. */
static __always_inline struct task_struct *known_task(void)
{
	return rs_have_task_storage ? bpf_get_current_task_btf() : current_task();
}

/* A field of known_task(), or of what RS_TASK() found there. */
#define RS_TASK(task, ...) \
	(rs_have_task_storage ? ___arrow(task, __VA_ARGS__) : BPF_CORE_READ(task, __VA_ARGS__))
