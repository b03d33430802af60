/* SPDX-License-Identifier: GPL-2.0-only */
/* The engine, with what it asks of tables in functions that the verifier looks at once. */
#pragma once

#include "tables.bpf.h"

__u64 rs_nodes_find(__u32 slot, __u32 index, __u32 addr, __u32 levels);
__u64 rs_hook_predicates(__u32 slot, __u32 hook, __u64 answers, __u32 w);
#define rs_ask_predicates(view, cfg, hook, answers, w) rs_hook_predicates(view, hook, answers, w)

#include "decide.h"

/* ~0: a node is missing, as a row with that number is. */
__weak __noinline __u64 rs_nodes_find(__u32 slot, __u32 index, __u32 addr, __u32 levels)
{
	void *nodes = bpf_map_lookup_elem(&rs_nodes, &slot);
	const struct revshell_addr_node *node = nodes ? bpf_map_lookup_elem(nodes, &index) : NULL;

	if (!node)
		return ~0U;
	index = rs_node_find(node, addr);
	if (levels < 2)
		return index;
	node = bpf_map_lookup_elem(nodes, &index);
	return node ? rs_node_find(node, addr) : ~0U;
}

/* It is called for each of many words. */
__weak __noinline __u64 rs_hook_predicates(__u32 slot, __u32 hook, __u64 answers, __u32 w)
{
	void *hooks = bpf_map_lookup_elem(&rs_hooks, &slot);
	const struct revshell_hook_cfg *cfg = hooks ? bpf_map_lookup_elem(hooks, &hook) : NULL;

	return cfg ? rs_predicate_rows(slot, cfg, answers, w) : ~0ULL;
}
