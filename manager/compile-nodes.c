/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Search trees over runs of IPv4 addresses: full nodes, built from the lowest level up. */
#include "compile.h"
#include "macro.h"

/* Runs of a dimension are at most two for each prefix and one, and an entry is placed twice. */
_Static_assert(4ULL * REVSHELL_MAX_CIDRS / REVSHELL_NODE_RUNS * 2 < UINT16_MAX,
	       "a node's number fits struct revshell_addr_node");
_Static_assert(1ULL * REVSHELL_NODE_RUNS * REVSHELL_NODE_RUNS * REVSHELL_NODE_RUNS >
		       2ULL * REVSHELL_MAX_CIDRS,
	       "a root and two levels below it, as programs follow them, hold all runs");

static void node_fill(struct revshell_addr_node *node, const struct compile_run *runs, size_t n)
{
	for (size_t i = 0; i < REVSHELL_NODE_RUNS; i++) {
		node->before[i] = i < n ? runs[i].first - 1 : UINT32_MAX;
		node->to[i] = (uint16_t)runs[MIN(i, n - 1)].to;
	}
}

/* Puts runs into nodes and one run for each node in their place. Returns how many these are. */
static size_t level_up(struct ruleset *rs, struct compile_run *runs, size_t n)
{
	size_t n_up = 0;

	for (size_t i = 0; i < n; i += REVSHELL_NODE_RUNS) {
		struct compile_run up = {runs[i].first, rs->n_nodes};

		node_fill(&rs->nodes[rs->n_nodes++], &runs[i], MIN(n - i, REVSHELL_NODE_RUNS));
		runs[n_up++] = up;
	}
	return n_up;
}

int compile_nodes(struct compile *c, struct compile_run *runs, size_t n,
		  struct revshell_addr_node *ret_root, __u32 *ret_below)
{
	struct revshell_addr_node *nodes;
	size_t more = 0;

	for (size_t level = n; level > REVSHELL_NODE_RUNS; more += level)
		level = (level + REVSHELL_NODE_RUNS - 1) / REVSHELL_NODE_RUNS;
	if (more) {
		nodes = reallocarray(c->rs->nodes, c->rs->n_nodes + more, sizeof(*nodes));
		if (!nodes)
			return -ENOMEM;
		c->rs->nodes = nodes;
	}
	for (*ret_below = 0; n > REVSHELL_NODE_RUNS; (*ret_below)++)
		n = level_up(c->rs, runs, n);
	node_fill(ret_root, runs, n);
	return 0;
}
