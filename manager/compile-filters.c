/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a policy's filters to the dimensions that answer them, on the hook where they are asked. */
#include <netinet/in.h>
#include <sys/socket.h>

#include "compile.h"
#include "macro.h"

#define NO_DIM COMPILE_NO_DIM

/* Where the answer to an operator lies. A dimension or operator is added by a row here. */
static const struct op_row {
	enum policy_op op;
	bool negative;
	bool privileged;	 /* the set is 0:1023 */
	enum revshell_dim sk;	 /* asked of a socket */
	enum revshell_dim sa;	 /* asked of a socket address */
	enum revshell_dim early; /* asked of tcp_connect's socket while connect() is decided */
	enum revshell_dim early_listen; /* of inet_csk_listen_start's while listen() is */
} op_rows[] = {
#define S(x)  REVSHELL_DIM_SK_##x
#define SA(x) REVSHELL_DIM_SA_##x
	{OP_SADDR, false, false, S(SADDR), SA(ADDR), NO_DIM, S(SADDR)},
	{OP_NOT_SADDR, true, false, S(SADDR), SA(ADDR), NO_DIM, S(SADDR)},
	{OP_DADDR, false, false, S(DADDR), NO_DIM, SA(ADDR), S(DADDR)},
	{OP_NOT_DADDR, true, false, S(DADDR), NO_DIM, SA(ADDR), S(DADDR)},
	{OP_SPORT, false, false, S(SPORT), SA(PORT), NO_DIM, S(SPORT)},
	{OP_NOT_SPORT, true, false, S(SPORT), SA(PORT), NO_DIM, S(SPORT)},
	{OP_SPORT_PRIV, false, true, S(SPORT), SA(PORT), NO_DIM, S(SPORT)},
	{OP_NOT_SPORT_PRIV, true, true, S(SPORT), SA(PORT), NO_DIM, S(SPORT)},
	{OP_DPORT, false, false, S(DPORT), NO_DIM, SA(PORT), S(DPORT)},
	{OP_NOT_DPORT, true, false, S(DPORT), NO_DIM, SA(PORT), S(DPORT)},
	{OP_DPORT_PRIV, false, true, S(DPORT), NO_DIM, SA(PORT), S(DPORT)},
	{OP_NOT_DPORT_PRIV, true, true, S(DPORT), NO_DIM, SA(PORT), S(DPORT)},
	{OP_PROTOCOL, false, false, S(PROTOCOL), NO_DIM, S(PROTOCOL), S(PROTOCOL)},
	{OP_FAMILY, false, false, S(FAMILY), SA(FAMILY), SA(FAMILY), S(FAMILY)},
	{OP_STATE, false, false, S(STATE), NO_DIM, NO_DIM, NO_DIM},
#undef S
#undef SA
};

/* Likewise for paths: the dimension for the executable; its parent's has the same distance. */
static const struct path_row {
	enum policy_op op;
	bool negative;
	enum revshell_dim exe;
} path_rows[] = {
	{OP_IN, false, REVSHELL_DIM_EXE},
	{OP_NOT_IN, true, REVSHELL_DIM_EXE},
	{OP_PREFIX, false, REVSHELL_DIM_EXE_PREFIX},
	{OP_NOT_PREFIX, true, REVSHELL_DIM_EXE_PREFIX},
	{OP_POSTFIX, false, REVSHELL_DIM_EXE_POSTFIX},
	{OP_NOT_POSTFIX, true, REVSHELL_DIM_EXE_POSTFIX},
};

static const struct policy_range range_privileged[] = {{0, 1023}};
static const struct policy_range range_stream[] = {{SOCK_STREAM, SOCK_STREAM}};
static const struct policy_range range_inet[] = {{AF_INET, AF_INET}, {AF_INET6, AF_INET6}};
static const struct policy_range range_unix[] = {{AF_UNIX, AF_UNIX}};
static const struct policy_range range_tcp[] = {{IPPROTO_TCP, IPPROTO_TCP},
						{IPPROTO_MPTCP, IPPROTO_MPTCP}};

static const struct op_row *op_find(enum policy_op op)
{
	for (size_t i = 0; i < ARRAY_SIZE(op_rows); i++)
		if (op_rows[i].op == op)
			return &op_rows[i];
	return NULL;
}

static const struct path_row *path_find(enum policy_op op)
{
	for (size_t i = 0; i < ARRAY_SIZE(path_rows); i++)
		if (path_rows[i].op == op)
			return &path_rows[i];
	return NULL;
}

bool compile_is_sock(enum policy_arg_type type)
{
	return type == ARG_SOCK || type == ARG_SOCKET;
}

bool compile_is_sockaddr(enum policy_arg_type type)
{
	return type == ARG_SOCKADDR || type == ARG_SOCKADDR_UN;
}

static bool is_path_op(enum policy_op op)
{
	return op == OP_EQUAL || op == OP_NOT_EQUAL || op == OP_PREFIX || op == OP_NOT_PREFIX;
}

enum revshell_dim compile_dim(const struct policy_call *call, unsigned int index,
			      enum policy_arg_type type, enum policy_op op, enum revshell_hook hook)
{
	const struct op_row *row = op_find(op);

	if (policy_arg_type_is_integer(type)) {
		if (hook != call->hook || !policy_op_allowed(op, type))
			return NO_DIM;
		return op == OP_MASK ? REVSHELL_DIM_PREDICATE
				     : REVSHELL_DIM_INT0 + REVSHELL_INT_SLOT(index);
	}
	if (type == ARG_SOCKADDR_UN && is_path_op(op))
		return hook == call->hook ? REVSHELL_DIM_UN_PATH : NO_DIM;
	if (!row)
		return NO_DIM;
	if (compile_is_sockaddr(type))
		return row->sa;
	if (!compile_is_sock(type))
		return NO_DIM;
	if (hook == call->hook)
		return row->sk;
	return hook == REVSHELL_HOOK_LISTEN ? row->early_listen : row->early;
}

static enum revshell_dim arg_dim(const struct policy_entry *e, const struct policy_arg_filter *f,
				 enum revshell_hook hook)
{
	const struct policy_arg *arg = &e->args[f->arg];

	return compile_dim(e->call, arg->index, arg->type, f->op, hook);
}

size_t compile_count_early(const struct policy_entry *e)
{
	for (size_t i = 0; i < e->n_selectors; i++)
		for (size_t k = 0; k < e->selectors[i].n_args; k++)
			if (arg_dim(e, &e->selectors[i].args[k], e->call->early) == NO_DIM)
				return i;
	return e->n_selectors;
}

/* Collecting */

int compile_add_filter(struct compile *c, const struct compile_group *g, enum revshell_dim dim,
		       struct compile_filter f)
{
	struct compile_filters *list = &c->hooks[g->hook].dims[dim];
	int err;

	err = compile_grow((void **)&list->items, &list->size, list->n, sizeof(*list->items));
	if (err < 0) {
		if (f.owned)
			free((void *)f.ranges);
		return err;
	}
	f.copy = g->placement == PLACE_COPY;
	list->items[list->n++] = f;
	return 0;
}

static int add_ranges(struct compile *c, const struct compile_group *g, enum revshell_dim dim,
		      uint32_t bit, struct diag_pos pos, const struct policy_range *ranges,
		      size_t n)
{
	return compile_add_filter(
		c, g, dim,
		(struct compile_filter){.pos = pos, .bit = bit, .ranges = ranges, .n_values = n});
}

static bool holds(const struct policy_range *r, size_t n, int64_t value)
{
	for (size_t i = 0; i < n; i++)
		if (r[i].lo <= value && value <= r[i].hi)
			return true;
	return false;
}

static bool is_port(enum revshell_dim dim)
{
	return dim == REVSHELL_DIM_SK_SPORT || dim == REVSHELL_DIM_SK_DPORT ||
	       dim == REVSHELL_DIM_SA_PORT;
}

/* A filter on a socket or on what a socket address has in common with one. */
static int collect_sock(struct compile *c, const struct compile_group *g, uint32_t bit,
			const struct policy_arg_filter *f, enum revshell_dim dim)
{
	const struct op_row *row = op_find(f->op);
	struct compile_filter filter = {
		.pos = f->pos,
		.bit = bit,
		.negative = row->negative,
	};
	int err;

	if (dim == REVSHELL_DIM_SK_SADDR || dim == REVSHELL_DIM_SK_DADDR ||
	    dim == REVSHELL_DIM_SA_ADDR) {
		filter.cidrs = f->values.cidrs;
		filter.n_values = f->values.n_cidrs;
		return compile_add_filter(c, g, dim, filter);
	}
	if (row->privileged) {
		filter.ranges = range_privileged;
		filter.n_values = ARRAY_SIZE(range_privileged);
	} else {
		filter.ranges = f->values.ranges;
		filter.n_values = f->values.n_ranges;
	}
	if (dim == REVSHELL_DIM_SK_PROTOCOL)
		filter.mptcp = holds(filter.ranges, filter.n_values, IPPROTO_TCP) &&
			       !policy_names_mptcp(g->policy);
	/*
	 * A socket that is not bound gets its port after socket_listen. Ahead of that nothing is
	 * denied for a port, and what may turn out to shield does: the call's own hook has the
	 * last word.
	 */
	if (dim == REVSHELL_DIM_SK_SPORT && g->placement == PLACE_COPY)
		filter.zero = (c->hooks[g->hook].roles[bit] == ROLE_DENIES) == row->negative
				      ? ZERO_IN
				      : ZERO_OUT;
	err = compile_add_filter(c, g, dim, filter);
	if (err < 0)
		return err;
	/* Sockets that have no port show 0: that is not a port below 1024. */
	if (is_port(dim) && !row->negative && holds(filter.ranges, filter.n_values, 0))
		return add_ranges(c, g,
				  dim == REVSHELL_DIM_SA_PORT ? REVSHELL_DIM_SA_FAMILY
							      : REVSHELL_DIM_SK_FAMILY,
				  bit, f->pos, range_inet, ARRAY_SIZE(range_inet));
	return 0;
}

/* Whether positive or negative, it speaks of UNIX addresses only. */
static int collect_unix(struct compile *c, const struct compile_group *g, uint32_t bit,
			const struct policy_arg_filter *f)
{
	int err;

	err = add_ranges(c, g, REVSHELL_DIM_SA_FAMILY, bit, f->pos, range_unix,
			 ARRAY_SIZE(range_unix));
	if (err < 0)
		return err;
	return compile_add_filter(c, g, REVSHELL_DIM_UN_PATH,
				  (struct compile_filter){
					  .pos = f->pos,
					  .bit = bit,
					  .negative = policy_op_negative(f->op),
					  .whole = f->op == OP_EQUAL || f->op == OP_NOT_EQUAL,
					  .strings = f->values.strings,
					  .n_values = f->values.n_strings,
				  });
}

static int collect_args(struct compile *c, const struct compile_group *g, uint32_t bit,
			const struct policy_selector *s)
{
	int err;

	for (size_t i = 0; i < s->n_args; i++) {
		const struct policy_arg_filter *f = &s->args[i];
		enum revshell_dim dim = arg_dim(g->entry, f, g->hook);

		if (policy_arg_type_is_integer(g->entry->args[f->arg].type))
			err = compile_collect_int(c, g, bit, f);
		else if (dim == REVSHELL_DIM_UN_PATH)
			err = collect_unix(c, g, bit, f);
		else
			err = collect_sock(c, g, bit, f, dim);
		if (err < 0)
			return err;
	}
	/* the returned socket is the call's only one */
	for (size_t i = 0; i < s->n_return_args; i++) {
		const struct policy_arg_filter *f = &s->return_args[i];

		err = collect_sock(c, g, bit, f,
				   compile_dim(g->entry->call, 0, g->entry->return_arg.type, f->op,
					       g->hook));
		if (err < 0)
			return err;
	}
	return 0;
}

static int collect_paths(struct compile *c, const struct compile_group *g, uint32_t bit,
			 const struct policy_path_filter *filters, size_t n, bool parent)
{
	enum compile_role role = c->hooks[g->hook].roles[bit];
	int err;

	for (size_t i = 0; i < n; i++) {
		const struct path_row *row = path_find(filters[i].op);
		enum revshell_dim dim =
			row->exe + (parent ? REVSHELL_DIM_PARENT - REVSHELL_DIM_EXE : 0);
		bool exempts = row->negative ? role == ROLE_DENIES : role == ROLE_SHIELDS;

		if (filters[i].follow_children)
			continue;
		err = compile_add_filter(c, g, dim,
					 (struct compile_filter){
						 .pos = filters[i].pos,
						 .bit = bit,
						 .negative = row->negative,
						 .exempts = exempts && !g->policy->identity_by_path,
						 .strings = filters[i].values.strings,
						 .n_values = filters[i].values.n_strings,
					 });
		if (err < 0)
			return err;
	}
	return 0;
}

/* What the call itself says of its socket, to be asked where other sockets pass as well. */
static int collect_implied(struct compile *c, const struct compile_group *g, uint32_t bit,
			   struct diag_pos pos)
{
	enum revshell_dim family =
		g->hook == REVSHELL_HOOK_CONNECT ? REVSHELL_DIM_SA_FAMILY : REVSHELL_DIM_SK_FAMILY;
	int err;

	err = add_ranges(c, g, family, bit, pos, range_inet, ARRAY_SIZE(range_inet));
	if (err < 0)
		return err;
	err = add_ranges(c, g, REVSHELL_DIM_SK_TYPE, bit, pos, range_stream,
			 ARRAY_SIZE(range_stream));
	if (err < 0)
		return err;
	return add_ranges(c, g, REVSHELL_DIM_SK_PROTOCOL, bit, pos, range_tcp,
			  ARRAY_SIZE(range_tcp));
}

int compile_collect(struct compile *c, const struct compile_group *g, uint32_t first)
{
	int err;

	for (size_t i = 0; i < g->n_selectors; i++) {
		const struct policy_selector *s = &g->entry->selectors[i];
		uint32_t bit = first + i;

		err = collect_paths(c, g, bit, s->binaries, s->n_binaries, false);
		if (err < 0)
			return err;
		err = collect_paths(c, g, bit, s->parent_binaries, s->n_parent_binaries, true);
		if (err < 0)
			return err;
		err = compile_collect_process(c, g, bit, s);
		if (err < 0)
			return err;
		err = collect_args(c, g, bit, s);
		if (err < 0)
			return err;
		if (g->placement == PLACE_OWN)
			continue;
		err = collect_implied(c, g, bit, s->pos);
		if (err < 0)
			return err;
	}
	return 0;
}
