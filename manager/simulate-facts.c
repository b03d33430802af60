/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The facts of a call in words; what is not told stays unknown. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "event.h"
#include "simulate-facts.h"

const char *sim_word_name(enum sim_word word)
{
	static const char *const names[] = {
#define X(id, name) [SIM_WORD_##id] = name,
		SIM_WORDS(X)
#undef X
	};

	return names[word];
}

int sim_bad_word(const struct sim_reading *r, enum sim_word word, const char *hint)
{
	snprintf(r->mistake->text, sizeof(r->mistake->text), "bad value for --%s: '%s'",
		 sim_word_name(word), r->words->told[word]);
	r->mistake->hint = hint;
	return -EINVAL;
}

/* Numbers and names */

bool sim_parse_name(const char *s, const char *prefix, int (*parse)(const char *s), uint64_t max,
		    uint64_t *ret_number)
{
	char text[64];
	int n;

	if (number_parse_decimal(s, max, ret_number))
		return true;
	snprintf(text, sizeof(text), "%s%s",
		 strncasecmp(s, prefix, strlen(prefix)) == 0 ? "" : prefix, s);
	for (char *p = text; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	n = parse(text);
	*ret_number = (uint64_t)n;
	return n >= 0;
}

/* Addresses */

struct address {
	unsigned int family;
	uint8_t addr[16];
	uint16_t port;
	bool has_addr, has_port;
	const char *path; /* of AF_UNIX */
};

/* ADDRESS, ADDRESS:PORT, [ADDRESS]:PORT, :PORT; /path or @name of a UNIX socket. */
static bool parse_address(const char *s, struct address *ret_address)
{
	struct address a = {};
	const char *colon = strrchr(s, ':');
	char host[INET6_ADDRSTRLEN + 2];
	size_t n = strlen(s);
	uint64_t port;

	if (s[0] == '/' || s[0] == '@') {
		*ret_address = (struct address){.family = AF_UNIX, .path = s};
		return n < sizeof(((struct sockaddr_un *)NULL)->sun_path);
	}
	/* an IPv6 address alone has colons too, but no brackets */
	if (colon && (s[0] == '[' ? colon[-1] == ']' : strchr(s, ':') == colon)) {
		if (!number_parse_decimal(colon + 1, UINT16_MAX, &port))
			return false;
		a.port = (uint16_t)port;
		a.has_port = true;
		n = (size_t)(colon - s);
	}
	if (n == 0) {
		*ret_address = a;
		return a.has_port;
	}
	if (s[0] == '[' && s[n - 1] == ']') {
		s++;
		n -= 2;
	}
	if (n >= sizeof(host))
		return false;
	memcpy(host, s, n);
	host[n] = '\0';
	a.family = strchr(host, ':') ? AF_INET6 : AF_INET;
	a.has_addr = inet_pton((int)a.family, host, a.addr) == 1;
	*ret_address = a;
	return a.has_addr;
}

/* The length of an address as the kernel counts it, where family and path tell; 0: they do not. */
static int64_t address_length(unsigned int family, const char *unix_path)
{
	switch (family) {
	case AF_INET:
		return sizeof(struct sockaddr_in);
	case AF_INET6:
		return sizeof(struct sockaddr_in6);
	case AF_UNIX:
		/* a path is passed with its NUL, an abstract name has one in front */
		return unix_path ? (int64_t)(sizeof(sa_family_t) + strlen(unix_path) +
					     (unix_path[0] == '/'))
				 : 0;
	default:
		return 0;
	}
}

static void put_sockaddr(struct sim_call *call, const struct address *a)
{
	struct sim_object *o = &call->object;

	o->sa_port = a->port;
	memcpy(o->sa_addr, a->addr, sizeof(o->sa_addr));
	o->un_path = a->path;
	if (a->has_port)
		sim_know(call, SIM_DIM(SA_PORT));
	if (!a->family)
		return;
	o->sa_family = a->family;
	sim_know(call, SIM_DIM(SA_FAMILY) | SIM_DIM(SA_ADDR) | SIM_DIM(UN_PATH));
}

static void put_peer(struct sim_call *call, const struct address *a)
{
	memcpy(call->object.daddr, a->addr, sizeof(call->object.daddr));
	call->object.dport = a->port;
	sim_know(call,
		 (a->has_addr ? SIM_DIM(SK_DADDR) : 0) | (a->has_port ? SIM_DIM(SK_DPORT) : 0));
}

static void put_source(struct sim_call *call, const struct address *a)
{
	memcpy(call->object.saddr, a->addr, sizeof(call->object.saddr));
	call->object.sport = a->port;
	sim_know(call,
		 (a->has_addr ? SIM_DIM(SK_SADDR) : 0) | (a->has_port ? SIM_DIM(SK_SPORT) : 0));
}

/* Whether calls of the hook carry an address. */
static bool has_sockaddr(enum revshell_hook hook)
{
	return hook == REVSHELL_HOOK_CONNECT || hook == REVSHELL_HOOK_BIND ||
	       hook == REVSHELL_HOOK_SCTP_BIND_CONNECT;
}

/* Whether the socket has a peer by then: what listens, or is about to connect, has none. */
static bool has_peer(enum revshell_hook hook)
{
	return !has_sockaddr(hook) && hook != REVSHELL_HOOK_LISTEN &&
	       hook != REVSHELL_HOOK_LISTEN_START && hook != REVSHELL_HOOK_ACCEPT;
}

struct sim_call sim_unknown_call(enum revshell_hook hook)
{
	struct sim_call call = {
		.hook = hook,
		.unknown =
			(SIM_DIM(PREDICATE) - 1) | ((SIM_FACT(INT0) - 1) & ~(SIM_FACT_BIT(0) - 1)),
		.object.sa_is_destination = hook != REVSHELL_HOOK_BIND,
		.exe.same_file = true,
		.parent.same_file = true,
	};

	sim_know(&call, SIM_DIM(EXE_PREFIX) | SIM_DIM(EXE_POSTFIX) | SIM_DIM(PARENT_PREFIX) |
				SIM_DIM(PARENT_POSTFIX));
	if (!has_peer(hook))
		sim_know(&call, SIM_DIM(SK_DADDR) | SIM_DIM(SK_DPORT));
	if (hook == REVSHELL_HOOK_BIND)
		sim_know(&call, SIM_DIM(SK_SADDR) | SIM_DIM(SK_SPORT));
	if (hook == REVSHELL_HOOK_CREATE) /* not the kernel's own */
		sim_know(&call, SIM_DIM(INT3));
	return call;
}

/* What the options say, before it is known which hooks see it. */
struct told {
	struct address dst, src;
	uint64_t family, type, protocol, state;
	bool has_dst, has_src, has_family, has_type, has_protocol, has_state;
};

static int read_told(const struct sim_reading *r, struct told *t)
{
	const char *const *f = r->words->told;

	if (f[SIM_WORD_DST] && !parse_address(f[SIM_WORD_DST], &t->dst))
		return sim_bad_word(r, SIM_WORD_DST, "192.0.2.1:80, [2001:db8::1]:80, /run/socket");
	if (f[SIM_WORD_SRC] && !parse_address(f[SIM_WORD_SRC], &t->src))
		return sim_bad_word(r, SIM_WORD_SRC, "192.0.2.1:80, :80, [::1]:80, /run/socket");
	if (f[SIM_WORD_FAMILY] &&
	    !sim_parse_name(f[SIM_WORD_FAMILY], "AF_", policy_family_parse, UINT16_MAX, &t->family))
		return sim_bad_word(r, SIM_WORD_FAMILY, "inet, inet6, unix, or a number");
	if (f[SIM_WORD_TYPE] &&
	    !sim_parse_name(f[SIM_WORD_TYPE], "SOCK_", event_type_parse, UINT16_MAX, &t->type))
		return sim_bad_word(r, SIM_WORD_TYPE, "stream, dgram, raw, or a number");
	if (f[SIM_WORD_PROTOCOL] &&
	    !sim_parse_name(f[SIM_WORD_PROTOCOL], "IPPROTO_", policy_protocol_parse, UINT16_MAX,
			    &t->protocol))
		return sim_bad_word(r, SIM_WORD_PROTOCOL, "tcp, udp, or a number");
	if (f[SIM_WORD_STATE] &&
	    !sim_parse_name(f[SIM_WORD_STATE], "TCP_", policy_state_parse, UINT8_MAX, &t->state))
		return sim_bad_word(r, SIM_WORD_STATE, "established, close, or a number");
	t->has_dst = f[SIM_WORD_DST];
	t->has_src = f[SIM_WORD_SRC];
	t->has_family = f[SIM_WORD_FAMILY];
	t->has_type = f[SIM_WORD_TYPE];
	t->has_protocol = f[SIM_WORD_PROTOCOL];
	t->has_state = f[SIM_WORD_STATE];
	/* a socket is of the family of the addresses that it is used with, unless told otherwise */
	if (!t->has_family && (t->dst.family || t->src.family)) {
		t->family = t->dst.family ? t->dst.family : t->src.family;
		t->has_family = true;
	}
	if (!t->has_type && t->has_protocol) {
		t->has_type = true;
		switch (t->protocol) {
		case IPPROTO_TCP:
		case IPPROTO_MPTCP:
			t->type = SOCK_STREAM;
			break;
		case IPPROTO_UDP:
		case IPPROTO_UDPLITE:
			t->type = SOCK_DGRAM;
			break;
		default:
			t->has_type = false;
		}
	}
	return 0;
}

/* Arguments that follow from the rest. */
static void put_implied_ints(struct sim_call *call, const struct told *t)
{
	const struct sim_object *o = &call->object;
	int64_t length = call->unknown & (SIM_DIM(SA_FAMILY) | SIM_DIM(UN_PATH))
				 ? 0
				 : address_length(o->sa_family, o->un_path);

	if (has_sockaddr(call->hook) && length)
		sim_put_int(call, call->hook == REVSHELL_HOOK_SCTP_BIND_CONNECT ? 3 : 2, length);
	if (call->hook == REVSHELL_HOOK_SK_ALLOC && t->has_family)
		sim_put_int(call, 1, (int64_t)t->family);
	if (call->hook != REVSHELL_HOOK_CREATE)
		return;
	if (t->has_family)
		sim_put_int(call, 0, (int64_t)t->family);
	if (t->has_type)
		sim_put_int(call, 1, (int64_t)t->type);
	if (t->has_protocol)
		sim_put_int(call, 2, (int64_t)t->protocol);
}

/* What a function of TCP or UDP says of its socket by being called. */
static void put_function(struct sim_call *call)
{
	struct sim_object *o = &call->object;

	switch (call->hook) {
	case REVSHELL_HOOK_TCP_CONNECT:
	case REVSHELL_HOOK_LISTEN_START:
		if (call->unknown & SIM_DIM(SK_STATE))
			o->sk_state =
				call->hook == REVSHELL_HOOK_TCP_CONNECT ? TCP_SYN_SENT : TCP_CLOSE;
		sim_know(call, SIM_DIM(SK_STATE));
		_fallthrough_;
	case REVSHELL_HOOK_TCP_CLOSE:
	case REVSHELL_HOOK_TCP_SENDMSG:
	case REVSHELL_HOOK_TCP_SET_STATE:
		o->sk_type = SOCK_STREAM;
		o->sk_protocol = IPPROTO_TCP;
		sim_know(call, SIM_DIM(SK_TYPE) | SIM_DIM(SK_PROTOCOL));
		return;
	case REVSHELL_HOOK_UDP_SENDMSG:
		if (call->unknown & SIM_DIM(SK_PROTOCOL))
			o->sk_protocol = IPPROTO_UDP;
		o->sk_type = SOCK_DGRAM;
		sim_know(call, SIM_DIM(SK_TYPE) | SIM_DIM(SK_PROTOCOL));
		return;
	default:
		return;
	}
}

static void put_object(struct sim_call *call, const struct told *t)
{
	struct sim_object *o = &call->object;
	bool by_source = call->hook == REVSHELL_HOOK_BIND;

	if (t->has_family) {
		o->sk_family = (unsigned int)t->family;
		sim_know(call, SIM_DIM(SK_FAMILY));
	}
	if (t->has_type) {
		o->sk_type = (unsigned int)t->type;
		sim_know(call, SIM_DIM(SK_TYPE));
	}
	if (t->has_protocol) {
		o->sk_protocol = (unsigned int)t->protocol;
		sim_know(call, SIM_DIM(SK_PROTOCOL));
	}
	if (t->has_state) {
		o->sk_state = (unsigned int)t->state;
		sim_know(call, SIM_DIM(SK_STATE));
	}
	if (by_source ? t->has_src : t->has_dst)
		put_sockaddr(call, by_source ? &t->src : &t->dst);
	if (t->has_family && call->unknown & SIM_DIM(SA_FAMILY)) {
		o->sa_family = o->sk_family;
		sim_know(call, SIM_DIM(SA_FAMILY));
	}
	if (has_peer(call->hook) && t->has_dst)
		put_peer(call, &t->dst);
	if (!by_source && t->has_src)
		put_source(call, &t->src);
	put_function(call);
	put_implied_ints(call, t);
}

/* The hooks that one name stands for. */
static size_t find_hooks(const char *name, enum revshell_hook hooks[2])
{
	char text[64];

	if (strcmp(name, "connect") == 0) {
		hooks[0] = REVSHELL_HOOK_CONNECT;
		hooks[1] = REVSHELL_HOOK_TCP_CONNECT;
		return 2;
	}
	if (strcmp(name, "listen") == 0) {
		hooks[0] = REVSHELL_HOOK_LISTEN;
		hooks[1] = REVSHELL_HOOK_LISTEN_START;
		return 2;
	}
	hooks[0] = ruleset_hook_parse(name);
	if (hooks[0] == REVSHELL_HOOK_MAX) {
		snprintf(text, sizeof(text), "socket_%s", name);
		hooks[0] = ruleset_hook_parse(text);
	}
	return hooks[0] != REVSHELL_HOOK_MAX;
}

/* What decides whether TCP's own function is called at all; false: it is not. */
static bool comes_to_tcp(const struct sim_call *call, uint64_t *ret_facts)
{
	const struct sim_object *o = &call->object;
	bool by_address = call->hook == REVSHELL_HOOK_CONNECT;
	uint64_t family_fact = by_address ? SIM_DIM(SA_FAMILY) : SIM_DIM(SK_FAMILY);
	unsigned int family = by_address ? o->sa_family : o->sk_family;

	*ret_facts = call->unknown & (family_fact | SIM_DIM(SK_PROTOCOL));
	if (!(*ret_facts & SIM_DIM(SK_PROTOCOL)) && o->sk_protocol != IPPROTO_TCP &&
	    o->sk_protocol != IPPROTO_MPTCP)
		return false;
	if (!(call->unknown & SIM_DIM(SK_TYPE)) && o->sk_type != SOCK_STREAM)
		return false;
	return *ret_facts & family_fact || family == AF_INET || family == AF_INET6;
}

static size_t size_of_lists(const struct sim_words *words)
{
	size_t n = 1;

	for (size_t i = 0; i < SIM_WORD_MAX; i++)
		n += words->told[i] ? strlen(words->told[i]) + 1 : 0;
	return n * 2; /* an operation has two calls */
}

int sim_facts_read(const struct sim_words *words, struct sim_facts *ret_facts,
		   struct sim_mistake *ret_mistake)
{
	const char *name = words->told[SIM_WORD_HOOK] ? words->told[SIM_WORD_HOOK] : "connect";
	struct sim_facts f = {};
	const struct sim_reading reading = {words, &f, ret_mistake};
	enum revshell_hook hooks[2];
	struct told told = {};
	int r;

	f.op.n_calls = find_hooks(name, hooks);
	if (f.op.n_calls == 0)
		return sim_bad_word(&reading, SIM_WORD_HOOK,
				    "connect, listen, bind, sendmsg, create, or a hook's full "
				    "name, as in revshell-policy(5)");
	r = read_told(&reading, &told);
	if (r < 0)
		return r;
	f.owned = malloc(size_of_lists(words));
	if (!f.owned)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < MIN(f.op.n_calls, ARRAY_SIZE(hooks)); i++) {
		f.calls[i] = sim_unknown_call(hooks[i]);
		put_object(&f.calls[i], &told);
		r = sim_read_process(&reading, &f.calls[i]);
	}
	if (r < 0) {
		sim_facts_done(&f);
		return r;
	}
	if (f.op.n_calls > 1 && !comes_to_tcp(&f.calls[0], &f.op.if_facts))
		f.op.n_calls = 1;
	*ret_facts = f;
	ret_facts->op.calls = ret_facts->calls;
	return 0;
}

void sim_facts_done(struct sim_facts *f)
{
	free(f->owned);
	*f = (struct sim_facts){};
}
