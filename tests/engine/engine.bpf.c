/* SPDX-License-Identifier: GPL-2.0-only */
/* The decision engine behind BPF_PROG_RUN: the test hands in a call and gets the outcome. */
#include "label.bpf.h"
#include "tables.bpf.h"
#include <bpf/bpf_endian.h>
#include "engine.h"

char LICENSE[] SEC("license") = "GPL";

#define RS_OBJECT			      const struct engine_vector *

#define rs_obj_sk_family(obj)		      ((obj)->sk.family)
#define rs_obj_sk_type(obj)		      ((obj)->sk.type)
#define rs_obj_sk_protocol(obj)		      ((obj)->sk.protocol)
#define rs_obj_sk_state(obj)		      ((obj)->sk.state)
#define rs_obj_sa_family(obj)		      ((obj)->sa_family)
#define rs_obj_int(obj, n)		      ((obj)->ints[n])
#define rs_obj_predicates(view, cfg, obj)     ((obj)->predicates)
#define rs_obj_unix_row(view, cfg, hook, obj) ((obj)->unix_row)

static __always_inline __u32 rs_obj_port(const struct engine_vector *v, const __u32 dim)
{
	return dim == REVSHELL_DIM_SK_SPORT   ? v->sk.sport
	       : dim == REVSHELL_DIM_SK_DPORT ? v->sk.dport
					      : v->sa_port;
}

static __always_inline __u32 rs_normalize_addr(__u32 family, __u32 *addr, bool destination);

static __always_inline __u32 rs_obj_addr(const struct engine_vector *v, const __u32 dim,
					 __u32 *addr)
{
	const __u8 *from = dim == REVSHELL_DIM_SA_ADDR	  ? v->sa_addr
			   : dim == REVSHELL_DIM_SK_SADDR ? v->sk.saddr
							  : v->sk.daddr;

	bpf_probe_read_kernel(addr, 16, from);
	return rs_normalize_addr(dim == REVSHELL_DIM_SA_ADDR ? v->sa_family : v->sk.family, addr,
				 dim == REVSHELL_DIM_SA_ADDR && v->sa_is_destination);
}

#include "predicates.bpf.h"

volatile __u64 rs_zero;

struct engine_vector engine_vector;

/* As label_resolve() does, but of executables that come with the vector. Returns the hooks left. */
static __noinline __u32 engine_resolve(const struct revshell_hook_cfg *cfg, struct engine_vector *v)
{
	__u32 slot = cfg->slot & 1, zero = 0, hooks;
	struct rs_scratch *scratch = bpf_map_lookup_elem(&rs_scratch, &zero);

	if (!scratch)
		return 0;
	hooks = resolve_exe(cfg, &v->exe, scratch, REVSHELL_PATH_INDEX(slot, 0), REVSHELL_DIM_EXE,
			    v->class_id);
	return hooks & resolve_exe(cfg, &v->parent, scratch, REVSHELL_PATH_INDEX(slot, 1),
				   REVSHELL_DIM_PARENT, v->class_id);
}

static __noinline int engine_decide(const struct revshell_hook_cfg *cfg, struct engine_vector *v)
{
	const __u64 dims = RS_DIMS_ALWAYS | RS_DIMS_SOCK | RS_DIMS_SOCKADDR | RS_DIMS_INTS;
	const __u32 slot = cfg->slot & 1;
	struct rs_outcome out;
	struct rs_match match;
	__u64 late = (__u64)v->enforcing - 1;

	if (!rs_match(slot, cfg, v->hook, dims, v->class_id,
		      rs_path_live(slot, cfg, v->hook, v->class_id), v, rs_zero, &match))
		return 0;
	rs_conclude(slot, cfg, &match, dims, late, rs_zero, &out);
	v->report = !!out.report;
	v->signals = out.signals;
	if (out.deny_words)
		v->deny = rs_deny_selector(slot, cfg, &match, dims, late, &out);
	RS_UNROLL
	for (__u32 w = 0; w < REVSHELL_WORDS; w++) {
		if (w >= RS_READ(cfg->n_words))
			break;
		v->first[w] = rs_first_word(slot, cfg, &match, dims, w, late);
	}
	return 1;
}

/* The order of hook_gate() and hook_decide(). Returns 1 if something may match. */
SEC("socket")
int engine_run(void *ctx)
{
	struct engine_vector *v = &engine_vector;
	const struct revshell_hook_cfg *cfg;
	__u32 key = 0, hook = v->hook;
	void *active;

	active = bpf_map_lookup_elem(&rs_active, &key);
	if (!active)
		return 0;
	cfg = bpf_map_lookup_elem(active, &hook);
	if (!cfg || !cfg->n_words)
		return 0;
	if (!((cfg->families >> (v->family < 63 ? v->family : 63)) & 1))
		return 0;
	if (!((engine_resolve(cfg, v) >> (v->hook & 31)) & 1))
		return 0;
	return engine_decide(cfg, v);
}
