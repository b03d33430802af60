/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The arguments of an event: what the hook saw, in the members that Tetragon uses. */
#include <string.h>
#include <sys/socket.h>

#include "event-internal.h"
#include "macro.h"

static json_t *finish(json_t *obj, bool oom)
{
	if (!oom)
		return obj;
	json_decref(obj);
	return NULL;
}

/* As text: 64-bit numbers do not survive every JSON reader. */
static json_t *decimal(uint64_t n)
{
	char buf[24];

	snprintf(buf, sizeof(buf), "%llu", (unsigned long long)n);
	return json_string(buf);
}

static json_t *decimal_signed(int64_t n)
{
	char buf[24];

	snprintf(buf, sizeof(buf), "%lld", (long long)n);
	return json_string(buf);
}

/*
 * An entry on tcp_connect that was decided at connect(2) shows the connection it is about: there
 * the destination is still in the socket address only.
 */
static json_t *sock_arg(const struct revshell_event *ev, const struct policy_entry *e)
{
	bool ahead = ev->hook == REVSHELL_HOOK_CONNECT && e->call->hook != REVSHELL_HOOK_CONNECT;
	const struct revshell_sock *sk = &ev->sk;
	char buf[EVENT_ADDR_SIZE], name[12];
	json_t *o = json_object();
	bool oom = !o;

	if (!o)
		return NULL;
	event_put_text(o, "family", event_family_name(sk->family, name), &oom);
	event_put_text(o, "type", event_type_name(sk->type, name), &oom);
	event_put_text(o, "protocol", event_protocol_name(sk->protocol, name), &oom);
	event_put_number(o, "mark", sk->mark, &oom);
	event_put_number(o, "priority", sk->priority, &oom);
	event_put_text(o, "saddr", event_address(sk->family, sk->saddr, buf), &oom);
	if (ahead)
		event_put_text(o, "daddr", event_address(ev->sa.family, ev->sa.addr, buf), &oom);
	else
		event_put_text(o, "daddr", event_address(sk->family, sk->daddr, buf), &oom);
	event_put_number(o, "sport", sk->sport, &oom);
	event_put_number(o, "dport", ahead ? ev->sa.port : sk->dport, &oom);
	if (sk->cookie)
		event_put(o, "cookie", decimal(sk->cookie), &oom);
	event_put_text(o, "state", event_state_name(sk->state, name), &oom);
	return finish(o, oom);
}

static json_t *sockaddr_arg(const struct revshell_event *ev)
{
	char buf[EVENT_ADDR_SIZE], name[12];
	json_t *o = json_object();
	bool oom = !o;

	if (!o)
		return NULL;
	event_put_text(o, "family", event_family_name(ev->sa.family, name), &oom);
	event_put_text(o, "addr", event_address(ev->sa.family, ev->sa.addr, buf), &oom);
	event_put_number(o, "port", ev->sa.port, &oom);
	return finish(o, oom);
}

/* A name that starts with NUL is abstract and printed with an @; others end at a NUL. */
static json_t *sockaddr_un_arg(const struct revshell_event *ev)
{
	size_t n = ev->sa.path_len;
	char path[sizeof(ev->sa.path)], name[12];
	json_t *o = json_object();
	bool oom = !o;

	if (!o)
		return NULL;
	event_put_text(o, "family", event_family_name(ev->sa.family, name), &oom);
	if (ev->sa.family == AF_UNIX && n) {
		memcpy(path, ev->sa.path, n);
		if (path[0] == '\0')
			path[0] = '@';
		else
			n = strnlen(path, n);
		event_put(o, "path", event_text(path, n), &oom);
	}
	return finish(o, oom);
}

/* An integer as the policy's type shows it. */
static void put_integer(json_t *o, int64_t n, enum policy_arg_type type, bool *oom)
{
	switch (type) {
	case ARG_INT8:
		event_put(o, "int_arg", json_integer((int8_t)n), oom);
		break;
	case ARG_INT16:
		event_put(o, "int_arg", json_integer((int16_t)n), oom);
		break;
	case ARG_UINT8:
		event_put(o, "uint_arg", json_integer((uint8_t)n), oom);
		break;
	case ARG_UINT16:
		event_put(o, "uint_arg", json_integer((uint16_t)n), oom);
		break;
	case ARG_UINT32:
		event_put(o, "uint_arg", json_integer((uint32_t)n), oom);
		break;
	case ARG_SIZE:
	case ARG_UINT64:
		event_put(o, "size_arg", decimal((uint64_t)n), oom);
		break;
	case ARG_LONG:
		event_put(o, "long_arg", decimal_signed(n), oom);
		break;
	default:
		event_put(o, "int_arg", json_integer((int32_t)n), oom);
		break;
	}
}

static bool is_shown(enum policy_arg_type type)
{
	return type != ARG_NONE && type != ARG_NOP;
}

/* The member's name and value for one argument. */
static void put_value(json_t *o, const struct revshell_event *ev, const struct policy_entry *e,
		      const struct policy_arg *arg, bool *oom)
{
	switch (arg->type) {
	case ARG_SOCK:
	case ARG_SOCKET:
		event_put(o, "sock_arg", sock_arg(ev, e), oom);
		break;
	case ARG_SOCKADDR:
		event_put(o, "sockaddr_arg", sockaddr_arg(ev), oom);
		break;
	case ARG_SOCKADDR_UN:
		event_put(o, "sockaddrun_arg", sockaddr_un_arg(ev), oom);
		break;
	default:
		put_integer(o, ev->ints[REVSHELL_INT_SLOT(arg->index)], arg->type, oom);
	}
}

static json_t *arg_object(const struct revshell_event *ev, const struct policy_entry *e,
			  const struct policy_arg *arg)
{
	json_t *o = json_object();
	bool oom = !o;

	if (!o)
		return NULL;
	put_value(o, ev, e, arg, &oom);
	if (arg->label)
		event_put_text(o, "label", arg->label, &oom);
	return finish(o, oom);
}

json_t *event_args(const struct revshell_event *ev, const struct policy_entry *e)
{
	json_t *args = json_array();
	bool oom = !args;

	for (size_t i = 0; i < e->n_args && !oom; i++)
		if (is_shown(e->args[i].type) &&
		    json_array_append_new(args, arg_object(ev, e, &e->args[i])) < 0)
			oom = true;
	return finish(args, oom);
}

json_t *event_return(const struct revshell_event *ev, const struct policy_entry *e)
{
	return arg_object(ev, e, &e->return_arg);
}
