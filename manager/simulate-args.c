/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Filters on a call's arguments, one by one: satisfied, not, or dependent on what is not known. */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "event-internal.h"
#include "macro.h"
#include "simulate-internal.h"

/* An address with its port, as a filter sees it. */
struct seen {
	const char *what; /* "source port" is what "port" */
	unsigned int family;
	const uint8_t *addr;
	uint16_t port;
	bool destination;
	enum revshell_dim family_dim, addr_dim, port_dim; /* facts that it comes from */
};

static bool in_ranges(const struct policy_values *v, int64_t n)
{
	for (size_t i = 0; i < v->n_ranges; i++)
		if (v->ranges[i].lo <= n && n <= v->ranges[i].hi)
			return true;
	return false;
}

static bool is_inet(unsigned int family)
{
	return family == AF_INET || family == AF_INET6;
}

static bool is_known(const struct sim_asking *a, enum revshell_dim dim)
{
	return !(a->unknown & SIM_DIM_BIT(dim));
}

/* Decided at connect, the connection that tcp_connect will see has its peer in the address. */
static bool is_connecting(const struct sim_asking *a)
{
	return a->place != SIM_OWN && a->call->hook == REVSHELL_HOOK_CONNECT;
}

static struct seen see_sockaddr(const struct sim_object *o)
{
	return (struct seen){
		.what = "",
		.family = o->sa_family,
		.addr = o->sa_addr,
		.port = o->sa_port,
		.destination = o->sa_is_destination,
		.family_dim = REVSHELL_DIM_SA_FAMILY,
		.addr_dim = REVSHELL_DIM_SA_ADDR,
		.port_dim = REVSHELL_DIM_SA_PORT,
	};
}

static struct seen see(const struct sim_asking *a, enum policy_arg_type type, bool peer)
{
	const struct sim_object *o = &a->call->object;
	struct seen s;

	if (type == ARG_SOCKADDR || type == ARG_SOCKADDR_UN)
		return see_sockaddr(o);
	if (peer && is_connecting(a)) {
		s = see_sockaddr(o);
		s.what = "destination ";
		return s;
	}
	return (struct seen){
		.what = peer ? "destination " : "source ",
		.family = o->sk_family,
		.addr = peer ? o->daddr : o->saddr,
		.port = peer ? o->dport : o->sport,
		.family_dim = REVSHELL_DIM_SK_FAMILY,
		.addr_dim = peer ? REVSHELL_DIM_SK_DADDR : REVSHELL_DIM_SK_SADDR,
		.port_dim = peer ? REVSHELL_DIM_SK_DPORT : REVSHELL_DIM_SK_SPORT,
	};
}

static void put_family(FILE *why, unsigned int family)
{
	char buf[12];

	fprintf(why, "family is %s", event_family_name(family, buf));
}

/* An address as it is looked up: 4 or 6, with its bytes. */
static unsigned int normalize(const struct seen *s, uint8_t *addr)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	static const uint8_t any[16];
	unsigned int version = s->family == AF_INET ? 4 : 6;

	memcpy(addr, s->addr, 16);
	if (version == 6 && memcmp(addr, mapped, sizeof(mapped)) == 0) {
		memmove(addr, addr + 12, 4);
		version = 4;
	}
	if (!s->destination || memcmp(addr, any, version == 4 ? 4 : 16) != 0)
		return version;
	if (version == 4)
		addr[0] = 127;
	addr[version == 4 ? 3 : 15] = 1;
	return version;
}

static bool cidr_holds(const struct policy_cidr *c, const uint8_t *addr)
{
	unsigned int bytes = c->prefix / 8, bits = c->prefix % 8;

	if (memcmp(c->addr, addr, bytes) != 0)
		return false;
	return !bits || ((c->addr[bytes] ^ addr[bytes]) >> (8 - bits)) == 0;
}

static enum sim_answer ask_address(const struct sim_asking *a, const struct policy_arg_filter *f,
				   const struct seen *s, uint64_t *facts, FILE *why)
{
	bool negative = policy_op_negative(f->op), found = false;
	unsigned int version;
	uint8_t addr[16];

	if (!is_known(a, s->family_dim))
		return sim_depends(facts, a->unknown & (SIM_DIM_BIT(s->family_dim) |
							SIM_DIM_BIT(s->addr_dim)));
	if (!is_inet(s->family)) {
		if (why) {
			put_family(why, s->family);
			fputs(", which has no address", why);
		}
		return SIM_NO;
	}
	if (!is_known(a, s->addr_dim))
		return sim_depends(facts, SIM_DIM_BIT(s->addr_dim));
	version = normalize(s, addr);
	for (size_t i = 0; i < f->values.n_cidrs && !found; i++)
		found = f->values.cidrs[i].family == version &&
			cidr_holds(&f->values.cidrs[i], addr);
	if (why) {
		fprintf(why, "%saddress is ", s->what);
		sim_put_address(why, version == 4 ? AF_INET : AF_INET6, addr);
	}
	return sim_answer_of(found != negative);
}

/* Ahead of inet_csk_listen_start an unbound socket has its port still to come. */
static bool is_unbound(const struct sim_asking *a, const struct seen *s)
{
	return a->place == SIM_AHEAD && a->call->hook == REVSHELL_HOOK_LISTEN &&
	       s->port_dim == REVSHELL_DIM_SK_SPORT && s->port == 0;
}

static enum sim_answer ask_port(const struct sim_asking *a, const struct policy_arg_filter *f,
				const struct seen *s, uint64_t *facts, FILE *why)
{
	bool negative = policy_op_negative(f->op);
	bool privileged = f->op == OP_SPORT_PRIV || f->op == OP_DPORT_PRIV ||
			  f->op == OP_NOT_SPORT_PRIV || f->op == OP_NOT_DPORT_PRIV;
	bool found = privileged ? s->port < 1024 : in_ranges(&f->values, s->port);
	bool family_known = is_known(a, s->family_dim), port_known = is_known(a, s->port_dim);

	if (!negative && family_known && !is_inet(s->family)) {
		if (why) {
			put_family(why, s->family);
			fputs(", which has no port", why);
		}
		return SIM_NO;
	}
	if (!port_known)
		return sim_depends(facts, SIM_DIM_BIT(s->port_dim) |
						  (family_known ? 0 : SIM_DIM_BIT(s->family_dim)));
	if (is_unbound(a, s)) {
		if (why)
			fputs("the port is chosen only when listening starts", why);
		return sim_answer_of(!a->denies);
	}
	if (why)
		fprintf(why, "%sport is %u", s->what, s->port);
	if (!negative && found && !family_known)
		return sim_depends(facts, SIM_DIM_BIT(s->family_dim));
	return sim_answer_of(found != negative);
}

static enum sim_answer ask_protocol(const struct sim_asking *a, const struct policy_arg_filter *f,
				    uint64_t *facts, FILE *why)
{
	unsigned int protocol = a->call->object.sk_protocol;
	char buf[12];

	if (!is_known(a, REVSHELL_DIM_SK_PROTOCOL))
		return sim_depends(facts, SIM_DIM(SK_PROTOCOL));
	if (why)
		fprintf(why, "protocol is %s", event_protocol_name(protocol, buf));
	if (protocol < REVSHELL_PROTOCOLS && in_ranges(&f->values, protocol))
		return SIM_YES;
	return sim_answer_of(protocol == IPPROTO_MPTCP && in_ranges(&f->values, IPPROTO_TCP) &&
			     !policy_names_mptcp(a->policy));
}

static enum sim_answer ask_family(const struct sim_asking *a, const struct policy_arg_filter *f,
				  const struct seen *s, uint64_t *facts, FILE *why)
{
	if (!is_known(a, s->family_dim))
		return sim_depends(facts, SIM_DIM_BIT(s->family_dim));
	if (why)
		put_family(why, s->family);
	return sim_answer_of(s->family < REVSHELL_FAMILIES && in_ranges(&f->values, s->family));
}

static enum sim_answer ask_state(const struct sim_asking *a, const struct policy_arg_filter *f,
				 uint64_t *facts, FILE *why)
{
	unsigned int state = a->call->object.sk_state;
	char buf[12];

	if (!is_known(a, REVSHELL_DIM_SK_STATE))
		return sim_depends(facts, SIM_DIM(SK_STATE));
	if (why)
		fprintf(why, "state is %s", event_state_name(state, buf));
	return sim_answer_of(state < REVSHELL_STATES && in_ranges(&f->values, state));
}

static enum sim_answer ask_unix(const struct sim_asking *a, const struct policy_arg_filter *f,
				uint64_t *facts, FILE *why)
{
	bool whole = f->op == OP_EQUAL || f->op == OP_NOT_EQUAL, found = false;
	const struct sim_object *o = &a->call->object;

	if (!is_known(a, REVSHELL_DIM_SA_FAMILY))
		return sim_depends(facts, a->unknown & (SIM_DIM(SA_FAMILY) | SIM_DIM(UN_PATH)));
	if (o->sa_family != AF_UNIX) {
		if (why) {
			put_family(why, o->sa_family);
			fputs(", which has no path", why);
		}
		return SIM_NO;
	}
	if (!is_known(a, REVSHELL_DIM_UN_PATH))
		return sim_depends(facts, SIM_DIM(UN_PATH));
	for (size_t i = 0; o->un_path && i < f->values.n_strings; i++) {
		const char *text = f->values.strings[i].text;

		found |= (whole ? strcmp(text, o->un_path)
				: strncmp(text, o->un_path, strlen(text))) == 0;
	}
	if (why && o->un_path) {
		fputs("path is ", why);
		sim_put_text(why, o->un_path);
	} else if (why) {
		fputs("the socket has no name", why);
	}
	return sim_answer_of(found != policy_op_negative(f->op));
}

/* An integer as a type holds it: sign-extended where it is signed, else its bits. */
static int64_t as_type(enum policy_arg_type type, int64_t value)
{
	switch (type) {
	case ARG_INT:
		return (int32_t)value;
	case ARG_UINT32:
	case ARG_SIZE:
		return (uint32_t)value;
	case ARG_INT8:
		return (int8_t)value;
	case ARG_UINT8:
		return (uint8_t)value;
	case ARG_INT16:
		return (int16_t)value;
	case ARG_UINT16:
		return (uint16_t)value;
	default:
		return value;
	}
}

static bool is_below(enum policy_arg_type type, int64_t x, int64_t y)
{
	return type == ARG_UINT64 ? (uint64_t)x < (uint64_t)y : x < y;
}

static bool satisfies_int(const struct policy_arg_filter *f, enum policy_arg_type type, int64_t n)
{
	for (size_t i = 0; i < f->values.n_ranges; i++) {
		const struct policy_range *r = &f->values.ranges[i];
		bool found;

		switch (f->op) {
		case OP_GT:
			found = is_below(type, as_type(type, r->lo), n);
			break;
		case OP_LT:
			found = is_below(type, n, as_type(type, r->lo));
			break;
		case OP_MASK:
			found = (n & as_type(type, r->lo)) != 0;
			break;
		default:
			found = !is_below(type, n, r->lo) && !is_below(type, r->hi, n);
		}
		if (found)
			return true;
	}
	return false;
}

static enum sim_answer ask_int(const struct sim_asking *a, const struct policy_arg_filter *f,
			       const struct policy_arg *arg, uint64_t *facts, FILE *why)
{
	unsigned int slot = REVSHELL_INT_SLOT(arg->index);
	int64_t n = as_type(arg->type, a->call->object.ints[slot]);

	if (!is_known(a, REVSHELL_DIM_INT0 + slot))
		return sim_depends(facts, SIM_DIM_BIT(REVSHELL_DIM_INT0 + slot));
	if (why && arg->type == ARG_UINT64)
		fprintf(why, "argument %u is %llu", arg->index, (unsigned long long)n);
	else if (why)
		fprintf(why, "argument %u is %lld", arg->index, (long long)n);
	return sim_answer_of(satisfies_int(f, arg->type, n) != policy_op_negative(f->op));
}

enum sim_answer sim_ask_arg(const struct sim_asking *a, const struct policy_arg_filter *f,
			    const struct policy_arg *arg, uint64_t *facts, FILE *why)
{
	struct seen source = see(a, arg->type, false), peer = see(a, arg->type, true);

	if (policy_arg_type_is_integer(arg->type))
		return ask_int(a, f, arg, facts, why);
	switch (f->op) {
	case OP_SADDR:
	case OP_NOT_SADDR:
		return ask_address(a, f, &source, facts, why);
	case OP_DADDR:
	case OP_NOT_DADDR:
		return ask_address(a, f, &peer, facts, why);
	case OP_SPORT:
	case OP_NOT_SPORT:
	case OP_SPORT_PRIV:
	case OP_NOT_SPORT_PRIV:
		return ask_port(a, f, &source, facts, why);
	case OP_DPORT:
	case OP_NOT_DPORT:
	case OP_DPORT_PRIV:
	case OP_NOT_DPORT_PRIV:
		return ask_port(a, f, &peer, facts, why);
	case OP_PROTOCOL:
		return ask_protocol(a, f, facts, why);
	case OP_FAMILY:
		return ask_family(a, f, is_connecting(a) ? &peer : &source, facts, why);
	case OP_STATE:
		return ask_state(a, f, facts, why);
	default:
		return ask_unix(a, f, facts, why);
	}
}

enum sim_answer sim_ask_implied(const struct sim_asking *a, uint64_t *facts, FILE *why)
{
	const struct sim_object *o = &a->call->object;
	struct seen s = see(a, ARG_SOCK, true);
	const struct {
		enum revshell_dim dim;
		bool yes;
		const char *name;
	} parts[] = {
		{s.family_dim, is_inet(s.family), "its family"},
		{REVSHELL_DIM_SK_TYPE, o->sk_type == SOCK_STREAM, "its type"},
		{REVSHELL_DIM_SK_PROTOCOL,
		 o->sk_protocol == IPPROTO_TCP || o->sk_protocol == IPPROTO_MPTCP, "its protocol"},
	};
	enum sim_answer answer = SIM_YES;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (!is_known(a, parts[i].dim)) {
			answer = sim_depends(facts, SIM_DIM_BIT(parts[i].dim));
		} else if (!parts[i].yes) {
			if (why)
				fprintf(why, "%s is another", parts[i].name);
			return SIM_NO;
		}
	}
	return answer;
}
