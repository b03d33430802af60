/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The arguments of an event: what the hook saw, in the members that Tetragon uses. */
#include <string.h>
#include <sys/socket.h>

#include "event-internal.h"
#include "macro.h"

/*
 * An entry on tcp_connect that was decided at connect(2) shows the connection it is about: there
 * the destination is still in the socket address only.
 */
static void put_sock(struct line *l, const struct revshell_event *ev, const struct policy_entry *e)
{
	bool ahead = ev->hook == REVSHELL_HOOK_CONNECT && e->call->hook != REVSHELL_HOOK_CONNECT;
	const struct revshell_sock *sk = &ev->sk;
	char buf[EVENT_ADDR_SIZE], name[12];

	line_open(l, "sock_arg", '{');
	line_text(l, "family", event_family_name(sk->family, name));
	line_text(l, "type", event_type_name(sk->type, name));
	line_text(l, "protocol", event_protocol_name(sk->protocol, name));
	line_number(l, "mark", sk->mark);
	line_number(l, "priority", sk->priority);
	line_text(l, "saddr", event_address(sk->family, sk->saddr, buf));
	if (ahead)
		line_text(l, "daddr", event_address(ev->sa.family, ev->sa.addr, buf));
	else
		line_text(l, "daddr", event_address(sk->family, sk->daddr, buf));
	line_number(l, "sport", sk->sport);
	line_number(l, "dport", ahead ? ev->sa.port : sk->dport);
	if (sk->cookie)
		line_decimal(l, "cookie", sk->cookie);
	line_text(l, "state", event_state_name(sk->state, name));
	line_close(l, '}');
}

static void put_sockaddr(struct line *l, const struct revshell_event *ev)
{
	char buf[EVENT_ADDR_SIZE], name[12];

	line_open(l, "sockaddr_arg", '{');
	line_text(l, "family", event_family_name(ev->sa.family, name));
	line_text(l, "addr", event_address(ev->sa.family, ev->sa.addr, buf));
	line_number(l, "port", ev->sa.port);
	line_close(l, '}');
}

/* A name that starts with NUL is abstract and printed with an @; others end at a NUL. */
static void put_sockaddr_un(struct line *l, const struct revshell_event *ev)
{
	size_t n = ev->sa.path_len;
	char path[sizeof(ev->sa.path)], name[12];

	line_open(l, "sockaddrun_arg", '{');
	line_text(l, "family", event_family_name(ev->sa.family, name));
	if (ev->sa.family == AF_UNIX && n) {
		memcpy(path, ev->sa.path, n);
		if (path[0] == '\0')
			path[0] = '@';
		else
			n = strnlen(path, n);
		line_bytes(l, "path", path, n);
	}
	line_close(l, '}');
}

/* An integer as the policy's type shows it. */
static void put_integer(struct line *l, int64_t n, enum policy_arg_type type)
{
	switch (type) {
	case ARG_INT8:
		line_integer(l, "int_arg", (int8_t)n);
		break;
	case ARG_INT16:
		line_integer(l, "int_arg", (int16_t)n);
		break;
	case ARG_UINT8:
		line_integer(l, "uint_arg", (uint8_t)n);
		break;
	case ARG_UINT16:
		line_integer(l, "uint_arg", (uint16_t)n);
		break;
	case ARG_UINT32:
		line_integer(l, "uint_arg", (uint32_t)n);
		break;
	case ARG_SIZE:
	case ARG_UINT64:
		line_decimal(l, "size_arg", (uint64_t)n);
		break;
	case ARG_LONG:
		line_decimal_signed(l, "long_arg", n);
		break;
	default:
		line_integer(l, "int_arg", (int32_t)n);
		break;
	}
}

static bool is_shown(enum policy_arg_type type)
{
	return type != ARG_NONE && type != ARG_NOP;
}

static void put_arg(struct line *l, const char *key, const struct revshell_event *ev,
		    const struct policy_entry *e, const struct policy_arg *arg)
{
	line_open(l, key, '{');
	switch (arg->type) {
	case ARG_SOCK:
	case ARG_SOCKET:
		put_sock(l, ev, e);
		break;
	case ARG_SOCKADDR:
		put_sockaddr(l, ev);
		break;
	case ARG_SOCKADDR_UN:
		put_sockaddr_un(l, ev);
		break;
	default:
		put_integer(l, ev->ints[REVSHELL_INT_SLOT(arg->index)], arg->type);
	}
	if (arg->label)
		line_text(l, "label", arg->label);
	line_close(l, '}');
}

void event_put_args(struct line *l, const struct revshell_event *ev, const struct policy_entry *e)
{
	line_open(l, "args", '[');
	for (size_t i = 0; i < e->n_args; i++)
		if (is_shown(e->args[i].type))
			put_arg(l, NULL, ev, e, &e->args[i]);
	line_close(l, ']');
}

void event_put_return(struct line *l, const struct revshell_event *ev, const struct policy_entry *e)
{
	put_arg(l, "return", ev, e, &e->return_arg);
}
