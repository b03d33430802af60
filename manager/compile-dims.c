/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Dimensions of numbers: families, types, protocols, states, ports; and the sweep all share. */
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "compile.h"
#include "macro.h"

#define N_PORTS 65536U

int compile_sweep_init(struct compile_sweep *s, const struct compile_hook *h, enum revshell_dim dim)
{
	*s = (struct compile_sweep){
		.filters = h->dims[dim].items,
		.n = h->dims[dim].n,
	};
	s->covered = calloc(MAX(s->n, 1U), sizeof(*s->covered));
	if (!s->covered)
		return -ENOMEM;
	memcpy(s->words, h->valid, sizeof(s->words));
	for (size_t i = 0; i < s->n; i++)
		if (!s->filters[i].negative) {
			s->failing[s->filters[i].bit]++;
			s->words[s->filters[i].bit / 64] &= ~(1ULL << s->filters[i].bit % 64);
		}
	return 0;
}

void compile_sweep_done(struct compile_sweep *s)
{
	free(s->covered);
	s->covered = NULL;
}

static void sweep_accept(struct compile_sweep *s, uint32_t bit)
{
	if (--s->failing[bit] == 0)
		s->words[bit / 64] |= 1ULL << bit % 64;
}

static void sweep_reject(struct compile_sweep *s, uint32_t bit)
{
	if (s->failing[bit]++ == 0)
		s->words[bit / 64] &= ~(1ULL << bit % 64);
}

/* The sweep moves into one of the filter's values. */
void compile_sweep_enter(struct compile_sweep *s, size_t filter)
{
	const struct compile_filter *f = &s->filters[filter];

	if (s->covered[filter]++)
		return;
	if (f->negative)
		sweep_reject(s, f->bit);
	else
		sweep_accept(s, f->bit);
}

void compile_sweep_leave(struct compile_sweep *s, size_t filter)
{
	const struct compile_filter *f = &s->filters[filter];

	if (--s->covered[filter])
		return;
	if (f->negative)
		sweep_accept(s, f->bit);
	else
		sweep_reject(s, f->bit);
}

/* A place where a filter's range begins or, if !enter, has just ended. */
struct edge {
	uint32_t value;
	uint32_t filter;
	bool enter;
};

static int edge_compare(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	return x->value < y->value ? -1 : x->value > y->value;
}

static size_t edges_add(struct edge *edges, size_t n, size_t filter, int64_t lo, int64_t hi,
			uint32_t size)
{
	if (hi < 0 || lo >= (int64_t)size || lo > hi)
		return n;
	edges[n++] = (struct edge){MAX(lo, 0), filter, true};
	if (hi + 1 < (int64_t)size)
		edges[n++] = (struct edge){hi + 1, filter, false};
	return n;
}

static struct edge *edges_new(const struct compile_sweep *s, uint32_t size, size_t *ret_n)
{
	struct edge *edges;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->filters[i].n_values + 2;
	edges = calloc(n ? n : 1, 2 * sizeof(*edges));
	if (!edges)
		return NULL;
	n = 0;
	for (size_t i = 0; i < s->n; i++) {
		const struct compile_filter *f = &s->filters[i];

		for (size_t k = 0; k < f->n_values; k++)
			n = edges_add(edges, n, i,
				      f->zero == ZERO_AS_GIVEN ? f->ranges[k].lo
							       : MAX(f->ranges[k].lo, 1),
				      f->ranges[k].hi, size);
		if (f->zero == ZERO_IN)
			n = edges_add(edges, n, i, 0, 0, size);
		if (f->mptcp)
			n = edges_add(edges, n, i, IPPROTO_MPTCP, IPPROTO_MPTCP, size);
	}
	qsort(edges, n, sizeof(*edges), edge_compare);
	*ret_n = n;
	return edges;
}

static void warn_unreachable(struct compile *c, const struct compile_sweep *s, uint32_t size)
{
	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < s->filters[i].n_values; k++)
			if (s->filters[i].ranges[k].lo >= (int64_t)size && !s->filters[i].copy)
				diag_warning(c->d, s->filters[i].pos, "value-out-of-range",
					     "%lld is above %u, no socket has such a value",
					     (long long)s->filters[i].ranges[k].lo, size - 1);
}

/*
 * Fills table[0..size) with the rows of a dimension's values, and the row of a value outside.
 * The position of the first filter is blamed for limits.
 */
static int fill_table(struct compile *c, enum revshell_hook hook, enum revshell_dim dim,
		      uint16_t *table, uint32_t size, uint32_t *ret_default)
{
	_cleanup_(compile_sweep_done) struct compile_sweep s = {};
	_cleanup_free_ struct edge *edges = NULL;
	size_t n_words = c->rs->hooks[hook].cfg.n_words, n_edges, i = 0;
	struct diag_pos pos = {};
	uint32_t row, value = 0;
	int err;

	err = compile_sweep_init(&s, &c->hooks[hook], dim);
	if (err < 0)
		return err;
	if (s.n)
		pos = s.filters[0].pos;
	edges = edges_new(&s, size, &n_edges);
	if (!edges)
		return -ENOMEM;
	warn_unreachable(c, &s, size);
	err = compile_row(c, s.words, n_words, pos, &row);
	if (err < 0)
		return err;
	*ret_default = row;

	while (value < size) {
		uint32_t next;

		if (i < n_edges && edges[i].value == value) {
			for (; i < n_edges && edges[i].value == value; i++)
				if (edges[i].enter)
					compile_sweep_enter(&s, edges[i].filter);
				else
					compile_sweep_leave(&s, edges[i].filter);
			err = compile_row(c, s.words, n_words, pos, &row);
			if (err < 0)
				return err;
		}
		for (next = i < n_edges ? edges[i].value : size; value < next; value++)
			table[value] = row;
	}
	return 0;
}

static int fill_ports(struct compile *c, enum revshell_hook hook, enum revshell_dim dim,
		      uint16_t *pages, uint32_t *ret_default)
{
	_cleanup_free_ uint16_t *table = NULL;
	int err;

	table = malloc(N_PORTS * sizeof(*table));
	if (!table)
		return -ENOMEM;
	err = fill_table(c, hook, dim, table, N_PORTS, ret_default);
	if (err < 0)
		return err;
	for (size_t page = 0; page < 256; page++) {
		err = compile_page(c, table + page * 256, c->hooks[hook].dims[dim].items[0].pos,
				   &pages[page]);
		if (err < 0)
			return err;
	}
	return 0;
}

int compile_numbers(struct compile *c, enum revshell_hook hook)
{
	struct revshell_hook_cfg *cfg = &c->rs->hooks[hook].cfg;
	const struct {
		enum revshell_dim dim;
		uint16_t *table;
		uint32_t size;
	} tables[] = {
		{REVSHELL_DIM_SK_FAMILY, cfg->sk_family, REVSHELL_FAMILIES},
		{REVSHELL_DIM_SA_FAMILY, cfg->sa_family, REVSHELL_FAMILIES},
		{REVSHELL_DIM_SK_TYPE, cfg->sk_type, REVSHELL_TYPES},
		{REVSHELL_DIM_SK_PROTOCOL, cfg->sk_protocol, REVSHELL_PROTOCOLS},
		{REVSHELL_DIM_SK_STATE, cfg->sk_state, REVSHELL_STATES},
	};
	int err;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		enum revshell_dim dim = tables[i].dim;

		if (!(cfg->used & 1ULL << dim))
			continue;
		err = fill_table(c, hook, dim, tables[i].table, tables[i].size,
				 &cfg->dim_default[dim]);
		if (err < 0)
			return err;
	}
	for (size_t i = 0; i < REVSHELL_PORT_DIMS; i++) {
		enum revshell_dim dim = REVSHELL_DIM_SK_SPORT + i;

		if (!(cfg->used & 1ULL << dim))
			continue;
		err = fill_ports(c, hook, dim, cfg->port_page[i], &cfg->dim_default[dim]);
		if (err < 0)
			return err;
	}
	return 0;
}

#define FAMILY_BIT(f)  (1ULL << ((f) < 63 ? (f) : 63))
#define INET_FAMILIES  (FAMILY_BIT(AF_INET) | FAMILY_BIT(AF_INET6))
#define PLAIN_FAMILIES (FAMILY_BIT(AF_UNIX) | FAMILY_BIT(AF_NETLINK))

static uint64_t family_set(const struct compile_filter *f)
{
	uint64_t set = 0;

	for (size_t i = 0; i < f->n_values; i++)
		for (int64_t v = MAX(f->ranges[i].lo, 0); v <= MIN(f->ranges[i].hi, 63); v++)
			set |= FAMILY_BIT(v);
	return f->negative ? ~set : set;
}

/* Narrows families[bit] of every selector that has a filter in the dimension. */
static void narrow(const struct compile_hook *h, enum revshell_dim dim, uint64_t *families,
		   bool by_value, bool of_socket_for_address)
{
	for (size_t i = 0; i < h->dims[dim].n; i++) {
		const struct compile_filter *f = &h->dims[dim].items[i];
		uint64_t set;

		if (by_value)
			set = family_set(f);
		else if (f->ranges && f->negative)
			continue; /* a port that is not there is not in the set */
		else
			set = INET_FAMILIES;
		/*
		 * An address need not be of its socket's family: AF_INET on an AF_INET6 socket,
		 * either on SMC and RDS sockets, none at all in a send on a connected socket.
		 */
		if (of_socket_for_address) {
			set |= FAMILY_BIT(AF_UNSPEC);
			if (set & ~(PLAIN_FAMILIES | FAMILY_BIT(AF_UNSPEC)))
				set |= INET_FAMILIES;
		}
		families[f->bit] &= set;
	}
}

/* The families of objects that some selector can match. */
uint64_t compile_families(const struct compile *c, enum revshell_hook hook)
{
	const struct compile_hook *h = &c->hooks[hook];
	bool by_address = hook == REVSHELL_HOOK_CONNECT || hook == REVSHELL_HOOK_SENDMSG ||
			  hook == REVSHELL_HOOK_BIND;
	uint64_t families[REVSHELL_SELECTORS];
	uint64_t all = 0;

	memset(families, 0xff, sizeof(families));
	narrow(h, REVSHELL_DIM_SK_FAMILY, families, true, by_address);
	narrow(h, REVSHELL_DIM_SK_SPORT, families, false, by_address);
	narrow(h, REVSHELL_DIM_SK_DPORT, families, false, by_address);
	narrow(h, REVSHELL_DIM_SK_SADDR, families, false, by_address);
	narrow(h, REVSHELL_DIM_SK_DADDR, families, false, by_address);
	if (by_address) {
		narrow(h, REVSHELL_DIM_SA_FAMILY, families, true, false);
		narrow(h, REVSHELL_DIM_SA_PORT, families, false, false);
		narrow(h, REVSHELL_DIM_SA_ADDR, families, false, false);
	}
	for (size_t bit = 0; bit < REVSHELL_SELECTORS; bit++)
		if (h->valid[bit / 64] & 1ULL << bit % 64)
			all |= families[bit];
	return all;
}
