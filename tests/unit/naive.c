/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The policy language evaluated word by word, to hold the compiled rule sets against. */
#include <string.h>

#include "naive.h"

#define UNIX   1
#define INET   2
#define INET6  10
#define STREAM 1
#define TCP    6
#define MPTCP  262

bool naive_denies(const struct policy_selector *s)
{
	for (size_t i = 0; i < s->n_actions; i++) {
		const struct policy_action *a = &s->actions[i];

		if (a->kind == ACTION_SIGKILL || a->kind == ACTION_OVERRIDE ||
		    (a->kind == ACTION_NOTIFY_ENFORCER && a->error))
			return true;
	}
	return false;
}

static int last_denying(const struct policy_entry *e)
{
	for (size_t i = e->n_selectors; i > 0; i--)
		if (naive_denies(&e->selectors[i - 1]))
			return (int)i - 1;
	return -1;
}

/* Filters that socket_connect or socket_listen cannot answer for the later call. */
static bool asks_later(const struct policy_entry *e, const struct policy_selector *s)
{
	for (size_t i = 0; i < s->n_args; i++)
		switch (s->args[i].op) {
		case OP_STATE:
			return true;
		case OP_SADDR:
		case OP_NOT_SADDR:
		case OP_SPORT:
		case OP_NOT_SPORT:
		case OP_SPORT_PRIV:
		case OP_NOT_SPORT_PRIV:
			if (e->call->early == REVSHELL_HOOK_CONNECT)
				return true;
			break;
		default:
			break;
		}
	return false;
}

int naive_ahead(const struct policy_entry *e)
{
	int i = 0;

	while ((size_t)i < e->n_selectors && !asks_later(e, &e->selectors[i]))
		i++;
	return i;
}

enum naive_place naive_place(const struct policy *p, const struct policy_entry *e,
			     enum policy_mode mode, enum revshell_hook hook,
			     const struct ruleset_options *opts)
{
	bool observed = true;

	if (e->call->hook == REVSHELL_HOOK_TCP_CONNECT)
		observed = opts->observe_tcp_connect;
	if (e->call->hook == REVSHELL_HOOK_LISTEN_START)
		observed = opts->observe_listen_start;
	if (e->call->hook == hook)
		return observed ? NAIVE_OWN : NAIVE_ABSENT;
	if (e->call->early != hook)
		return NAIVE_ABSENT;
	if (!observed)
		return naive_ahead(e) > 0 ? NAIVE_AHEAD_ONLY : NAIVE_ABSENT;
	if (mode == POLICY_MODE_ENFORCE && last_denying(e) >= 0 && naive_ahead(e) > last_denying(e))
		return NAIVE_AHEAD;
	return NAIVE_ABSENT;
}

static bool in_ranges(const struct policy_values *v, int64_t n)
{
	for (size_t i = 0; i < v->n_ranges; i++)
		if (v->ranges[i].lo <= n && n <= v->ranges[i].hi)
			return true;
	return false;
}

static bool prefix_holds(const struct policy_cidr *c, const uint8_t *addr)
{
	for (unsigned int bit = 0; bit < c->prefix; bit++)
		if ((c->addr[bit / 8] ^ addr[bit / 8]) & (0x80 >> bit % 8))
			return false;
	return true;
}

/* 4 or 6 for an address to be looked up, 0 for an object without one. */
static int address_of(unsigned int family, const uint8_t *raw, bool destination, uint8_t *addr)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	static const uint8_t any[16];
	static const uint8_t loopback4[4] = {127, 0, 0, 1};
	int version = family == INET ? 4 : family == INET6 ? 6 : 0;

	memcpy(addr, raw, 16);
	if (version == 6 && !memcmp(addr, mapped, 12)) {
		memmove(addr, addr + 12, 4);
		version = 4;
	}
	if (version == 4 && destination && !memcmp(addr, any, 4))
		memcpy(addr, loopback4, 4);
	if (version == 6 && destination && !memcmp(addr, any, 16))
		addr[15] = 1;
	return version;
}

static bool match_address(const struct policy_values *v, bool negative, unsigned int family,
			  const uint8_t *raw, bool destination)
{
	uint8_t addr[16];
	int version = address_of(family, raw, destination, addr);

	if (!version)
		return false;
	for (size_t i = 0; i < v->n_cidrs; i++)
		if (v->cidrs[i].family == version && prefix_holds(&v->cidrs[i], addr))
			return !negative;
	return negative;
}

/* A positive port filter speaks of IP sockets; others have no port. */
static bool match_port(const struct policy_arg_filter *f, unsigned int family, uint16_t port)
{
	bool inet = family == INET || family == INET6;

	switch (f->op) {
	case OP_SPORT:
	case OP_DPORT:
		return inet && in_ranges(&f->values, port);
	case OP_NOT_SPORT:
	case OP_NOT_DPORT:
		return !in_ranges(&f->values, port);
	case OP_SPORT_PRIV:
	case OP_DPORT_PRIV:
		return inet && port < 1024;
	default:
		return port >= 1024;
	}
}

static bool names_mptcp(const struct policy_arg_filter *f, size_t n)
{
	for (; n > 0; n--, f++)
		for (size_t i = 0; i < f->values.n_ranges; i++)
			if (f->op == OP_PROTOCOL && f->values.ranges[i].lo == MPTCP &&
			    f->values.ranges[i].hi == MPTCP)
				return true;
	return false;
}

static bool says_mptcp(const struct policy *p)
{
	for (size_t e = 0; e < p->n_entries; e++)
		for (size_t s = 0; s < p->entries[e].n_selectors; s++)
			if (names_mptcp(p->entries[e].selectors[s].args,
					p->entries[e].selectors[s].n_args) ||
			    names_mptcp(p->entries[e].selectors[s].return_args,
					p->entries[e].selectors[s].n_return_args))
				return true;
	return false;
}

static bool match_protocol(const struct policy *p, const struct policy_values *v,
			   unsigned int protocol)
{
	if (protocol < REVSHELL_PROTOCOLS && in_ranges(v, protocol))
		return true;
	return protocol == MPTCP && in_ranges(v, TCP) && !says_mptcp(p);
}

/* Either way, it speaks of UNIX addresses; one without a name has no path. */
static bool match_unix(const struct policy_arg_filter *f, const struct sim_object *o)
{
	bool whole = f->op == OP_EQUAL || f->op == OP_NOT_EQUAL, found = false;

	if (o->sa_family != UNIX)
		return false;
	for (size_t i = 0; o->un_path && i < f->values.n_strings; i++) {
		const char *text = f->values.strings[i].text;

		found |= whole ? !strcmp(text, o->un_path)
			       : !strncmp(text, o->un_path, strlen(text));
	}
	return found != policy_op_negative(f->op);
}

static bool match_arg(const struct policy *p, const struct policy_arg_filter *f,
		      enum policy_arg_type type, const struct sim_object *o)
{
	bool is_sa = type == ARG_SOCKADDR || type == ARG_SOCKADDR_UN;
	unsigned int family = is_sa ? o->sa_family : o->sk_family;

	switch (f->op) {
	case OP_SADDR:
	case OP_NOT_SADDR:
		return match_address(&f->values, f->op == OP_NOT_SADDR, family,
				     is_sa ? o->sa_addr : o->saddr, is_sa && o->sa_is_destination);
	case OP_DADDR:
	case OP_NOT_DADDR:
		return match_address(&f->values, f->op == OP_NOT_DADDR, family, o->daddr, false);
	case OP_SPORT:
	case OP_NOT_SPORT:
	case OP_SPORT_PRIV:
	case OP_NOT_SPORT_PRIV:
		return match_port(f, family, is_sa ? o->sa_port : o->sport);
	case OP_DPORT:
	case OP_NOT_DPORT:
	case OP_DPORT_PRIV:
	case OP_NOT_DPORT_PRIV:
		return match_port(f, family, o->dport);
	case OP_PROTOCOL:
		return match_protocol(p, &f->values, o->sk_protocol);
	case OP_FAMILY:
		return family < REVSHELL_FAMILIES && in_ranges(&f->values, family);
	case OP_EQUAL:
	case OP_NOT_EQUAL:
	case OP_PREFIX:
	case OP_NOT_PREFIX:
		return match_unix(f, o);
	default: /* OP_STATE */
		return o->sk_state < REVSHELL_STATES && in_ranges(&f->values, o->sk_state);
	}
}

/* Whether one value of a path filter names the executable. */
static bool names_exe(const struct policy_path_filter *f, const char *value,
		      const struct sim_exe *exe, bool exempts)
{
	size_t n = strlen(value), len = strlen(exe->path);

	switch (f->op) {
	case OP_IN:
	case OP_NOT_IN:
		return !strcmp(value, exe->path) && (!exempts || exe->same_file);
	case OP_PREFIX:
	case OP_NOT_PREFIX:
		return len >= n && !memcmp(value, exe->path, n) && (!exempts || !exe->foreign);
	default:
		return len >= n && !memcmp(value, exe->path + len - n, n) &&
		       (!exempts || !exe->foreign);
	}
}

static bool match_path(const struct policy *p, const struct policy_path_filter *f,
		       const struct sim_exe *exe, bool denies, bool shields)
{
	bool negative = f->op == OP_NOT_IN || f->op == OP_NOT_PREFIX || f->op == OP_NOT_POSTFIX;
	bool exempts = !p->identity_by_path && (negative ? denies : shields);

	if (!exe->path)
		return denies || (!shields && negative);
	for (size_t i = 0; i < f->values.n_strings; i++)
		if (names_exe(f, f->values.strings[i].text, exe, exempts))
			return !negative;
	return negative;
}

static bool is_sport(enum policy_op op)
{
	return op == OP_SPORT || op == OP_NOT_SPORT || op == OP_SPORT_PRIV ||
	       op == OP_NOT_SPORT_PRIV;
}

static bool match_selector(const struct policy *p, const struct policy_entry *e, size_t i,
			   enum naive_place place, const struct sim_call *call,
			   const struct sim_object *object, const struct ruleset_options *opts)
{
	const struct policy_selector *s = &e->selectors[i];
	bool denies = naive_denies(s), shields = !denies && (int)i < last_denying(e);
	const struct naive_role role = {denies, shields, p->identity_by_path};
	bool unbound =
		place == NAIVE_AHEAD && call->hook == REVSHELL_HOOK_LISTEN && object->sport == 0;

	for (size_t k = 0; k < s->n_binaries; k++)
		if (!s->binaries[k].follow_children &&
		    !match_path(p, &s->binaries[k], &call->exe, denies, shields))
			return false;
	for (size_t k = 0; k < s->n_parent_binaries; k++)
		if (!s->parent_binaries[k].follow_children &&
		    !match_path(p, &s->parent_binaries[k], &call->parent, denies, shields))
			return false;
	if (!naive_match_process(s, call, opts, &role))
		return false;
	for (size_t k = 0; k < s->n_args; k++) {
		const struct policy_arg *arg = &e->args[s->args[k].arg];

		if (policy_arg_type_is_integer(arg->type)) {
			if (!naive_match_int(&s->args[k], arg->type,
					     object->ints[REVSHELL_INT_SLOT(arg->index)]))
				return false;
			continue;
		}
		/* the port is yet to come: nothing is denied for it, and what may shield does */
		if (unbound && is_sport(s->args[k].op)) {
			if (denies)
				return false;
			continue;
		}
		if (!match_arg(p, &s->args[k], arg->type, object))
			return false;
	}
	for (size_t k = 0; k < s->n_return_args; k++)
		if (!match_arg(p, &s->return_args[k], e->return_arg.type, object))
			return false;
	return true;
}

int naive_match(const struct policy *p, const struct policy_entry *e, enum naive_place place,
		const struct sim_call *call, const struct ruleset_options *opts)
{
	struct sim_object o = call->object;
	int end = (int)e->n_selectors;

	if (place == NAIVE_AHEAD || place == NAIVE_AHEAD_ONLY) {
		/* what the later call will see of this one, if it comes to that */
		if (call->hook == REVSHELL_HOOK_CONNECT) {
			uint8_t addr[16];
			int version = address_of(o.sa_family, o.sa_addr, true, addr);

			memset(o.daddr, 0, 16);
			if (version == 4 && o.sa_family == INET6) {
				memset(o.daddr + 10, 0xff, 2);
				memcpy(o.daddr + 12, addr, 4);
			} else {
				memcpy(o.daddr, addr, version == 4 ? 4 : 16);
			}
			o.dport = o.sa_port;
			o.sk_family = o.sa_family;
		}
		if (o.sk_family != INET && o.sk_family != INET6)
			return -1;
		if (o.sk_type != STREAM || (o.sk_protocol != TCP && o.sk_protocol != MPTCP))
			return -1;
		end = place == NAIVE_AHEAD ? last_denying(e) + 1 : naive_ahead(e);
	}
	for (int i = 0; i < end; i++)
		if (match_selector(p, e, (size_t)i, place, call, &o, opts))
			return i;
	return -1;
}
