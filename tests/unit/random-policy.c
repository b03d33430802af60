/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random policies and calls that have something to do with each other. */
#include <stdio.h>
#include <stdlib.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "macro.h"
#include "random-policy.h"

void random_seed(struct random_source *r, uint64_t seed)
{
	r->state = seed * 0x9e3779b97f4a7c15ULL + 1;
	r->cidrs_left = REVSHELL_MAX_CIDRS - 1000;
	r->pool = random_next(r);
}

/* SplitMix64 */
uint64_t random_next(struct random_source *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

size_t random_below(struct random_source *r, size_t n)
{
	return random_next(r) % n;
}

static bool one_in(struct random_source *r, size_t n)
{
	return random_below(r, n) == 0;
}

static void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		abort();
	return p;
}

static char *xstrdup(const char *s)
{
	char *p = strdup(s);

	if (!p)
		abort();
	return p;
}

/* Few values, so that they meet. */
static const char *const paths[] = {
	"/usr/bin/nc",
	"/usr/bin/ncat",
	"/usr/bin/nc.traditional",
	"/usr/bin/bash",
	"/bin/sh",
	"/usr/sbin/sshd",
	"/usr/sbin/nginx",
	"/usr/local/bin/nc",
	"/tmp/nc",
	"/tmp/a/b/c",
	"/usr",
	"/",
	"/memfd:x",
	"/usr/bin/python3",
	"/usr/bin/python3.11",
	"/opt/app/bin/server",
};
static const char *const prefixes[] = {
	"/", "/usr/", "/usr/bin/", "/usr/bin/nc", "/tmp/", "/usr/bin/python3", "/opt", "/usr/s"};
static const char *const postfixes[] = {"nc",	 "/nc", "bin/nc", "sh",
					"/bash", "c",	"server", "/usr/bin/nc"};
static const uint16_t ports[] = {0, 1, 22, 53, 80, 443, 1023, 1024, 4444, 4445, 8080, 9001, 65535};
static const uint16_t families[] = {AF_INET,	AF_INET, AF_INET,  AF_INET6, AF_INET6, AF_UNIX,
				    AF_NETLINK, AF_SMC,	 AF_VSOCK, 0,	     47,       70};
static const uint16_t protocols[] = {6, 6, 6, 17, 262, 262, 132, 255, 1, 0, 300};
static const uint8_t bases4[][4] = {{10, 0, 0, 0}, {10, 1, 2, 3},    {127, 0, 0, 1},
				    {0, 0, 0, 0},  {192, 168, 7, 9}, {203, 0, 113, 50}};
static const uint8_t bases6[][16] = {
	{0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6},
	{[15] = 1},
	{0},
	{0xfe, 0x80, [15] = 9},
	{[10] = 0xff, 0xff, 10, 1, 2, 3},
};

/* An address near one of the bases: some of its last bits are changed. */
static void random_addr(struct random_source *r, unsigned int version, uint8_t *addr)
{
	size_t bytes = version == 4 ? 4 : 16;
	size_t n = random_below(r, 4);

	memset(addr, 0, 16);
	if (version == 4)
		memcpy(addr, bases4[random_below(r, ARRAY_SIZE(bases4))], 4);
	else
		memcpy(addr, bases6[random_below(r, ARRAY_SIZE(bases6))], 16);
	for (size_t i = 0; i < n; i++) {
		size_t bit = random_below(r, bytes * 8);

		addr[bit / 8] ^= (uint8_t)(0x80U >> bit % 8);
	}
}

static void random_cidr(struct random_source *r, bool spread, struct policy_cidr *c)
{
	unsigned int bits;

	*c = (struct policy_cidr){.family = one_in(r, 3) ? 6 : 4};
	bits = c->family == 4 ? 32 : 128;
	random_addr(r, c->family, c->addr);
	if (spread)
		for (unsigned int i = 0; i < bits / 8; i++)
			c->addr[i] ^= (uint8_t)(random_next(r) & 0x3f);
	c->prefix = spread ? bits - random_below(r, bits * 5 / 8) : random_below(r, bits + 1);
	/* literals inside ::ffff:0:0/96 have become IPv4 when a policy gets here */
	if (c->family == 6 && c->prefix >= 96 && c->addr[10] == 0xff)
		c->addr[0] = 0x20;
	for (unsigned int i = c->prefix; i < bits; i++)
		c->addr[i / 8] &= (uint8_t) ~(0x80U >> i % 8);
}

static void random_cidrs(struct random_source *r, size_t n_cidrs, struct policy_values *v)
{
	bool many = n_cidrs > 100 && r->cidrs_left >= n_cidrs;

	v->n_cidrs = many ? n_cidrs : 1 + random_below(r, MIN(n_cidrs, 4U));
	r->cidrs_left -= MIN(r->cidrs_left, v->n_cidrs);
	v->cidrs = xcalloc(v->n_cidrs, sizeof(*v->cidrs));
	for (size_t i = 0; i < v->n_cidrs; i++)
		random_cidr(r, many, &v->cidrs[i]);
}

static void random_ranges(struct random_source *r, const uint16_t *pool, size_t n,
			  struct policy_values *v)
{
	v->n_ranges = 1 + random_below(r, 3);
	v->ranges = xcalloc(v->n_ranges, sizeof(*v->ranges));
	for (size_t i = 0; i < v->n_ranges; i++) {
		int64_t a = pool[random_below(r, n)], b = pool[random_below(r, n)];

		if (!one_in(r, 4))
			b = a;
		v->ranges[i] = (struct policy_range){MIN(a, b), MAX(a, b)};
	}
}

static void random_strings(struct random_source *r, const char *const *pool, size_t n,
			   struct policy_values *v)
{
	v->n_strings = 1 + random_below(r, 3);
	v->strings = xcalloc(v->n_strings, sizeof(*v->strings));
	for (size_t i = 0; i < v->n_strings; i++)
		v->strings[i].text = xstrdup(pool[random_below(r, n)]);
}

static void random_paths(struct random_source *r, struct policy_path_filter **ret_filters,
			 size_t *ret_n)
{
	size_t n = 1 + one_in(r, 5);

	*ret_filters = xcalloc(n, sizeof(**ret_filters));
	*ret_n = n;
	for (size_t i = 0; i < n; i++) {
		struct policy_path_filter *f = &(*ret_filters)[i];

		if (one_in(r, 5)) {
			random_lineage_filter(r, paths, ARRAY_SIZE(paths), f);
			continue;
		}
		f->op = OP_IN + random_below(r, 6);
		if (f->op == OP_IN || f->op == OP_NOT_IN)
			random_strings(r, paths, ARRAY_SIZE(paths), &f->values);
		else if (f->op == OP_PREFIX || f->op == OP_NOT_PREFIX)
			random_strings(r, prefixes, ARRAY_SIZE(prefixes), &f->values);
		else
			random_strings(r, postfixes, ARRAY_SIZE(postfixes), &f->values);
	}
}

static void random_sock_filter(struct random_source *r, enum policy_arg_type type, size_t n_cidrs,
			       struct policy_arg_filter *f)
{
	static const enum policy_op sock_ops[] = {
		OP_SADDR,	   OP_DADDR,	      OP_NOT_SADDR, OP_NOT_DADDR,  OP_SPORT,
		OP_DPORT,	   OP_NOT_SPORT,      OP_NOT_DPORT, OP_SPORT_PRIV, OP_DPORT_PRIV,
		OP_NOT_SPORT_PRIV, OP_NOT_DPORT_PRIV, OP_PROTOCOL,  OP_FAMILY,	   OP_STATE,
		OP_DADDR,	   OP_DPORT,	      OP_PROTOCOL,
	};
	static const enum policy_op sa_ops[] = {
		OP_SADDR,      OP_NOT_SADDR,	  OP_SPORT,  OP_NOT_SPORT,
		OP_SPORT_PRIV, OP_NOT_SPORT_PRIV, OP_FAMILY,
	};

	if (type == ARG_SOCKADDR)
		f->op = sa_ops[random_below(r, ARRAY_SIZE(sa_ops))];
	else
		f->op = sock_ops[random_below(r, ARRAY_SIZE(sock_ops))];
	switch (f->op) {
	case OP_SADDR:
	case OP_DADDR:
	case OP_NOT_SADDR:
	case OP_NOT_DADDR:
		random_cidrs(r, n_cidrs, &f->values);
		break;
	case OP_SPORT:
	case OP_DPORT:
	case OP_NOT_SPORT:
	case OP_NOT_DPORT:
		random_ranges(r, ports, ARRAY_SIZE(ports), &f->values);
		break;
	case OP_PROTOCOL:
		random_ranges(r, protocols, ARRAY_SIZE(protocols), &f->values);
		break;
	case OP_FAMILY:
		random_ranges(r, families, ARRAY_SIZE(families), &f->values);
		break;
	case OP_STATE: {
		static const uint16_t states[] = {1, 2, 7, 10, 12};

		random_ranges(r, states, ARRAY_SIZE(states), &f->values);
		break;
	}
	default:
		break;
	}
}

static void random_arg_filter(struct random_source *r, const struct policy_entry *e, size_t n_cidrs,
			      struct policy_arg_filter *f)
{
	const struct policy_arg *arg;

	f->arg = random_below(r, e->n_args);
	arg = &e->args[f->arg];
	if (policy_arg_type_is_integer(arg->type))
		random_int_filter(r, REVSHELL_INT_SLOT(arg->index), arg->type, f);
	else if (arg->type != ARG_SOCKADDR_UN)
		random_sock_filter(r, arg->type, n_cidrs, f);
	else if (!one_in(r, 4))
		random_unix_filter(r, f);
	else {
		f->op = OP_FAMILY;
		random_ranges(r, families, ARRAY_SIZE(families), &f->values);
	}
}

static void random_actions(struct random_source *r, const struct policy_entry *e,
			   struct policy_selector *s)
{
	s->actions = xcalloc(2, sizeof(*s->actions));
	s->n_actions = 1;
	switch (random_below(r, 7)) {
	case 0:
	case 1:
		s->actions[0].kind = ACTION_SIGKILL;
		break;
	case 2:
		s->actions[0].kind = e->call->can_override ? ACTION_OVERRIDE : ACTION_SIGKILL;
		s->actions[0].error = one_in(r, 2) ? -1 : -111;
		break;
	case 3:
		s->actions[0].kind = ACTION_SIGNAL;
		s->actions[0].signal = one_in(r, 2) ? 15 : 1;
		break;
	case 4:
		s->actions[0].kind = ACTION_NOPOST;
		return;
	default:
		s->actions[0].kind = ACTION_POST;
		return;
	}
	if (one_in(r, 3))
		s->actions[s->n_actions++].kind = ACTION_NOPOST;
}

static void random_selector(struct random_source *r, const struct policy_entry *e, size_t n_cidrs,
			    struct policy_selector *s)
{
	if (one_in(r, 2))
		random_paths(r, &s->binaries, &s->n_binaries);
	if (one_in(r, 4))
		random_paths(r, &s->parent_binaries, &s->n_parent_binaries);
	s->n_args = e->n_args ? random_below(r, 4) : 0;
	s->args = xcalloc(s->n_args, sizeof(*s->args));
	for (size_t i = 0; i < s->n_args; i++)
		random_arg_filter(r, e, n_cidrs, &s->args[i]);
	if (e->return_arg.type == ARG_SOCK && one_in(r, 2)) {
		s->n_return_args = 1;
		s->return_args = xcalloc(1, sizeof(*s->return_args));
		random_sock_filter(r, ARG_SOCK, n_cidrs, s->return_args);
	}
	random_process_filters(r, s);
	random_actions(r, e, s);
}

static const char *const calls[] = {
	"tcp_connect",
	"tcp_connect",
	"tcp_connect",
	"inet_csk_listen_start",
	"inet_csk_listen_start",
	"tcp_close",
	"security_socket_connect",
	"socket_connect",
	"socket_listen",
	"security_socket_bind",
	"socket_sendmsg",
	"tcp_set_state",
	"sctp_bind_connect",
	"socket_create",
	"socket_setsockopt",
	"tcp_sendmsg",
	"udp_sendmsg",
	"sk_alloc",
	"security_socket_create",
};

static const struct policy_call *find_call(const char *name)
{
	for (size_t i = 0; i < n_policy_calls; i++)
		if (!strcmp(policy_calls[i].name, name))
			return &policy_calls[i];
	abort();
}

static void random_entry(struct random_source *r, size_t n_selectors, size_t n_cidrs,
			 struct policy_entry *e)
{
	e->call = find_call(calls[random_below(r, ARRAY_SIZE(calls))]);
	e->section = SECTION_KPROBES;
	e->args = xcalloc(2 * ARRAY_SIZE(e->call->args), sizeof(*e->args));
	for (unsigned int i = 0; i < e->call->n_args; i++) {
		enum policy_arg_type type = e->call->args[i];

		if (type == ARG_NOP)
			continue;
		if (policy_arg_type_is_integer(type))
			type = random_int_type(r, type);
		e->args[e->n_args++] = (struct policy_arg){.index = i, .type = type};
		if (type == ARG_SOCKADDR)
			e->args[e->n_args++] =
				(struct policy_arg){.index = i, .type = ARG_SOCKADDR_UN};
	}
	if (e->call->hook == REVSHELL_HOOK_SK_ALLOC) {
		e->has_return = true;
		e->return_arg.type = ARG_SOCK;
	}
	e->n_selectors = n_selectors;
	e->selectors = xcalloc(n_selectors, sizeof(*e->selectors));
	for (size_t i = 0; i < n_selectors; i++)
		random_selector(r, e, n_cidrs, &e->selectors[i]);
}

/* Whether a backend without programs on functions could carry out the policy. */
static bool is_possible(const struct policy *p, const struct ruleset_options *opts)
{
	for (size_t i = 0; i < p->n_entries; i++) {
		const struct policy_entry *e = &p->entries[i];
		size_t n_denying = 0, n_ahead;

		if (e->call->early == REVSHELL_HOOK_MAX || opts->observe_tcp_connect)
			continue;
		for (size_t k = 0; k < e->n_selectors; k++)
			if (naive_denies(&e->selectors[k]))
				n_denying = k + 1;
		n_ahead = naive_ahead(e);
		if (n_ahead < n_denying)
			return false;
	}
	return true;
}

static struct policy *random_policy(struct random_source *r, const struct ruleset_options *opts,
				    size_t number, bool many, size_t n_cidrs)
{
	struct policy *p = xcalloc(1, sizeof(*p));
	char name[32];

	snprintf(name, sizeof(name), "policy-%zu", number);
	p->name = xstrdup(name);
	p->origin = xstrdup("random");
	p->source = xstrdup(name);
	p->identity_by_path = one_in(r, 4);
	p->n_entries = 1 + (!many && one_in(r, 3));
	p->entries = xcalloc(p->n_entries, sizeof(*p->entries));
	for (size_t i = 0; i < p->n_entries; i++)
		random_entry(r, 1 + random_below(r, many ? 4 : 9), n_cidrs, &p->entries[i]);
	p->mode = one_in(r, 4) || !is_possible(p, opts) ? POLICY_MODE_MONITOR : POLICY_MODE_ENFORCE;
	p->can_deny = true;
	return p;
}

void random_policy_set(struct random_source *r, const struct ruleset_options *opts, size_t n,
		       size_t n_cidrs, struct policy_set *set)
{
	set->policies = xcalloc(n, sizeof(*set->policies));
	for (size_t i = 0; i < n; i++)
		set->policies[set->n++] = random_policy(r, opts, i, n > 100, n_cidrs);
}

static void random_exe(struct random_source *r, struct sim_exe *exe)
{
	exe->path = one_in(r, 16) ? NULL : paths[random_below(r, ARRAY_SIZE(paths))];
	exe->same_file = !one_in(r, 3);
	exe->foreign = one_in(r, 3);
}

static bool is_inet(unsigned int family)
{
	return family == AF_INET || family == AF_INET6;
}

/*
 * Addresses are of their socket's family, but for those pairs that the kernel takes: either IP
 * version on an IPv6 socket, and IP on sockets of SMC.
 */
static void random_object(struct random_source *r, enum revshell_hook hook, struct sim_object *o)
{
	bool by_address = hook == REVSHELL_HOOK_CONNECT || hook == REVSHELL_HOOK_BIND;

	*o = (struct sim_object){
		.sk_family = families[random_below(r, ARRAY_SIZE(families))],
		.sk_type = one_in(r, 4) ? SOCK_DGRAM : SOCK_STREAM,
		.sk_protocol = protocols[random_below(r, ARRAY_SIZE(protocols))],
		.sk_state = 1 + random_below(r, 12),
		.sport = ports[random_below(r, ARRAY_SIZE(ports))],
		.dport = ports[random_below(r, ARRAY_SIZE(ports))],
		.sa_is_destination = hook != REVSHELL_HOOK_BIND,
	};
	/* most are what the policies are about */
	if (one_in(r, 2)) {
		o->sk_family = one_in(r, 2) ? AF_INET : AF_INET6;
		o->sk_type = SOCK_STREAM;
		o->sk_protocol = one_in(r, 3) ? IPPROTO_MPTCP : IPPROTO_TCP;
		if (hook == REVSHELL_HOOK_LISTEN && one_in(r, 2))
			o->sport = 0;
	}
	o->sa_family = o->sk_family;
	if ((o->sk_family == AF_INET6 || o->sk_family == AF_SMC) && one_in(r, 2))
		o->sa_family = one_in(r, 2) ? AF_INET : AF_INET6;
	if (by_address && o->sa_family == AF_UNSPEC)
		o->sa_family = AF_INET;
	if (is_inet(o->sk_family)) {
		random_addr(r, o->sk_family == AF_INET ? 4 : 6, o->saddr);
		random_addr(r, o->sk_family == AF_INET ? 4 : 6, o->daddr);
	} else {
		o->sport = o->dport = 0;
	}
	if (is_inet(o->sa_family)) {
		random_addr(r, o->sa_family == AF_INET ? 4 : 6, o->sa_addr);
		o->sa_port = ports[random_below(r, ARRAY_SIZE(ports))];
	}
	if (o->sa_family == AF_UNIX)
		o->un_path = random_unix_path(r);
	random_ints(r, hook, o->ints);
	/* sends on a connected socket name no address */
	if (hook == REVSHELL_HOOK_SENDMSG && one_in(r, 2)) {
		o->sa_family = AF_UNSPEC;
		o->sa_port = 0;
	}
}

void random_call(struct random_source *r, const struct ruleset *rs, struct sim_call *ret_call)
{
	do
		ret_call->hook =
			random_below(r, one_in(r, 2) ? REVSHELL_HOOK_MAX : REVSHELL_HOOK_CREATE);
	while (!rs->hooks[ret_call->hook].n_selectors && !one_in(r, 64));
	ret_call->unknown = 0;
	ret_call->answered = 0;
	random_object(r, ret_call->hook, &ret_call->object);
	random_exe(r, &ret_call->exe);
	random_exe(r, &ret_call->parent);
	random_process(r, paths, ARRAY_SIZE(paths), &ret_call->process);
}

static void format_addr(const uint8_t *a, char *buf)
{
	for (size_t i = 0; i < 16; i++)
		sprintf(buf + 2 * i, "%02x", a[i]);
}

void random_call_describe(const struct sim_call *call, char *buf, size_t size)
{
	const struct sim_object *o = &call->object;
	char s[33], d[33], a[33];

	format_addr(o->saddr, s);
	format_addr(o->daddr, d);
	format_addr(o->sa_addr, a);
	snprintf(buf, size,
		 "hook %d sk family %u type %u protocol %u state %u %s:%u -> %s:%u "
		 "sa family %u %s:%u exe %s %s%s parent %s %s%s",
		 (int)call->hook, o->sk_family, o->sk_type, o->sk_protocol, o->sk_state, s,
		 o->sport, d, o->dport, o->sa_family, a, o->sa_port, call->exe.path ?: "?",
		 call->exe.same_file ? "same" : "other", call->exe.foreign ? " foreign" : "",
		 call->parent.path ?: "?", call->parent.same_file ? "same" : "other",
		 call->parent.foreign ? " foreign" : "");
}

static void print_values(const char *op, const struct policy_values *v)
{
	char a[33];

	printf(" %s[", op);
	for (size_t i = 0; i < v->n_ranges; i++)
		printf(" %lld:%lld", (long long)v->ranges[i].lo, (long long)v->ranges[i].hi);
	for (size_t i = 0; i < v->n_cidrs && i < 8; i++) {
		format_addr(v->cidrs[i].addr, a);
		printf(" %.*s/%u", v->cidrs[i].family == 4 ? 8 : 32, a, v->cidrs[i].prefix);
	}
	for (size_t i = 0; i < v->n_strings; i++)
		printf(" \"%s\"", v->strings[i].text);
	printf(" ]");
}

void random_policy_print(const struct policy *p)
{
	printf("%s mode %d by path %d\n", p->name, p->mode, p->identity_by_path);
	for (size_t i = 0; i < p->n_entries; i++) {
		const struct policy_entry *e = &p->entries[i];

		printf("  %s\n", e->call->name);
		for (size_t k = 0; k < e->n_selectors; k++) {
			const struct policy_selector *s = &e->selectors[k];

			printf("    %zu:", k);
			for (size_t n = 0; n < s->n_binaries; n++)
				print_values(policy_op_name(s->binaries[n].op),
					     &s->binaries[n].values);
			for (size_t n = 0; n < s->n_parent_binaries; n++)
				print_values(policy_op_name(s->parent_binaries[n].op),
					     &s->parent_binaries[n].values);
			for (size_t n = 0; n < s->n_args; n++) {
				printf(" arg%u", s->args[n].arg);
				print_values(policy_op_name(s->args[n].op), &s->args[n].values);
			}
			for (size_t n = 0; n < s->n_actions; n++)
				printf(" %s", policy_action_name(s->actions[n].kind));
			printf("\n");
		}
	}
}
