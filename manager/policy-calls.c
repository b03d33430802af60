/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The calls that policies may hook, and the types of their arguments. */
#include <string.h>

#include "policy-internal.h"

#define KPROBE	    (SECTION_KPROBES | SECTION_FENTRIES)
#define NEVER	    REVSHELL_HOOK_MAX

#define SOCKET_ARGS .n_args = 3, .args = {ARG_SOCKET, ARG_SOCKADDR, ARG_INT}

/*
 * early: tcp_connect and inet_csk_listen_start run after the point where a denial can stop them, so
 * their denials are given at the LSM hook that the same system call passes before.
 */
const struct policy_call policy_calls[] = {
	{"tcp_connect", KPROBE, REVSHELL_HOOK_TCP_CONNECT, REVSHELL_HOOK_CONNECT, false,
	 .n_args = 1, .args = {ARG_SOCK}, .ret = ARG_INT},
	{"tcp_close", KPROBE, REVSHELL_HOOK_TCP_CLOSE, NEVER, false, .n_args = 2,
	 .args = {ARG_SOCK, ARG_LONG}, .ret = ARG_NONE},
	{"tcp_sendmsg", KPROBE, REVSHELL_HOOK_TCP_SENDMSG, NEVER, false, .n_args = 3,
	 .args = {ARG_SOCK, ARG_NOP, ARG_SIZE}, .ret = ARG_INT},
	{"tcp_set_state", KPROBE, REVSHELL_HOOK_TCP_SET_STATE, NEVER, false, .n_args = 2,
	 .args = {ARG_SOCK, ARG_INT}, .ret = ARG_NONE},
	{"inet_csk_listen_start", KPROBE, REVSHELL_HOOK_LISTEN_START, REVSHELL_HOOK_LISTEN, false,
	 .n_args = 1, .args = {ARG_SOCK}, .ret = ARG_INT},
	{"udp_sendmsg", KPROBE, REVSHELL_HOOK_UDP_SENDMSG, NEVER, false, .n_args = 3,
	 .args = {ARG_SOCK, ARG_NOP, ARG_SIZE}, .ret = ARG_INT},
	{"sk_alloc", KPROBE, REVSHELL_HOOK_SK_ALLOC, NEVER, false, .n_args = 5,
	 .args = {ARG_NOP, ARG_INT, ARG_UINT32, ARG_NOP, ARG_INT}, .ret = ARG_SOCK},
	{"sk_free", KPROBE, REVSHELL_HOOK_SK_FREE, NEVER, false, .n_args = 1, .args = {ARG_SOCK},
	 .ret = ARG_NONE},
	{"__sk_free", KPROBE, REVSHELL_HOOK_UNDER_SK_FREE, NEVER, false, .n_args = 1,
	 .args = {ARG_SOCK}, .ret = ARG_NONE},
	{"security_socket_connect", KPROBE, REVSHELL_HOOK_CONNECT, NEVER, true, SOCKET_ARGS,
	 .ret = ARG_INT},
	{"security_socket_listen", KPROBE, REVSHELL_HOOK_LISTEN, NEVER, true, .n_args = 2,
	 .args = {ARG_SOCKET, ARG_INT}, .ret = ARG_INT},
	{"security_socket_bind", KPROBE, REVSHELL_HOOK_BIND, NEVER, true, SOCKET_ARGS,
	 .ret = ARG_INT},
	{"security_socket_sendmsg", KPROBE, REVSHELL_HOOK_SENDMSG, NEVER, true, .n_args = 3,
	 .args = {ARG_SOCKET, ARG_NOP, ARG_INT}, .ret = ARG_INT},
	{"security_socket_create", KPROBE, REVSHELL_HOOK_CREATE, NEVER, true, .n_args = 4,
	 .args = {ARG_INT, ARG_INT, ARG_INT, ARG_INT}, .ret = ARG_INT},
	{"socket_connect", SECTION_LSMHOOKS, REVSHELL_HOOK_CONNECT, NEVER, true, SOCKET_ARGS,
	 .ret = ARG_INT},
	{"socket_listen", SECTION_LSMHOOKS, REVSHELL_HOOK_LISTEN, NEVER, true, .n_args = 2,
	 .args = {ARG_SOCKET, ARG_INT}, .ret = ARG_INT},
	{"socket_bind", SECTION_LSMHOOKS, REVSHELL_HOOK_BIND, NEVER, true, SOCKET_ARGS,
	 .ret = ARG_INT},
	{"socket_sendmsg", SECTION_LSMHOOKS, REVSHELL_HOOK_SENDMSG, NEVER, true, .n_args = 3,
	 .args = {ARG_SOCKET, ARG_NOP, ARG_INT}, .ret = ARG_INT},
	{"socket_create", SECTION_LSMHOOKS, REVSHELL_HOOK_CREATE, NEVER, true, .n_args = 4,
	 .args = {ARG_INT, ARG_INT, ARG_INT, ARG_INT}, .ret = ARG_INT},
	{"socket_accept", SECTION_LSMHOOKS, REVSHELL_HOOK_ACCEPT, NEVER, true, .n_args = 2,
	 .args = {ARG_SOCKET, ARG_SOCKET}, .ret = ARG_INT},
	{"socket_setsockopt", SECTION_LSMHOOKS, REVSHELL_HOOK_SETSOCKOPT, NEVER, true, .n_args = 3,
	 .args = {ARG_SOCKET, ARG_INT, ARG_INT}, .ret = ARG_INT},
	{"sctp_bind_connect", SECTION_LSMHOOKS, REVSHELL_HOOK_SCTP_BIND_CONNECT, NEVER, true,
	 .n_args = 4, .args = {ARG_SOCK, ARG_INT, ARG_SOCKADDR, ARG_INT}, .ret = ARG_INT},
	/* a received file is looked at as the socket it may be */
	{"file_receive", SECTION_LSMHOOKS, REVSHELL_HOOK_FILE_RECEIVE, NEVER, true, .n_args = 1,
	 .args = {ARG_SOCKET}, .ret = ARG_INT},
	{"tun_dev_create", SECTION_LSMHOOKS, REVSHELL_HOOK_TUN_DEV_CREATE, NEVER, true, .n_args = 0,
	 .ret = ARG_INT},
	{"ptrace_access_check", SECTION_LSMHOOKS, REVSHELL_HOOK_PTRACE_ACCESS, NEVER, true,
	 .n_args = 2, .args = {ARG_NOP, ARG_UINT32}, .ret = ARG_INT},
	{"ptrace_traceme", SECTION_LSMHOOKS, REVSHELL_HOOK_PTRACE_TRACEME, NEVER, true, .n_args = 1,
	 .args = {ARG_NOP}, .ret = ARG_INT},
};
const size_t n_policy_calls = ARRAY_SIZE(policy_calls);

const struct policy_call *policy_call_find(const char *name, enum policy_section section)
{
	for (size_t i = 0; i < n_policy_calls; i++)
		if ((policy_calls[i].sections & section) && strcmp(policy_calls[i].name, name) == 0)
			return &policy_calls[i];
	return NULL;
}

char *policy_call_list(enum policy_section section)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	bool first = true;

	if (!f)
		return NULL;
	for (size_t i = 0; i < n_policy_calls; i++) {
		if (!(policy_calls[i].sections & section))
			continue;
		fprintf(f, "%s%s", first ? "" : ", ", policy_calls[i].name);
		first = false;
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* The first spelling of each type is its canonical one. */
static const struct {
	const char *name;
	enum policy_arg_type type;
} types[] = {
	{"sock", ARG_SOCK},	    {"socket", ARG_SOCKET},
	{"sockaddr", ARG_SOCKADDR}, {"sockaddr_un", ARG_SOCKADDR_UN},
	{"int", ARG_INT},	    {"int32", ARG_INT},
	{"sint32", ARG_INT},	    {"uint32", ARG_UINT32},
	{"size_t", ARG_SIZE},	    {"uint64", ARG_UINT64},
	{"ulong", ARG_UINT64},	    {"long", ARG_LONG},
	{"int64", ARG_LONG},	    {"sint64", ARG_LONG},
	{"int8", ARG_INT8},	    {"sint8", ARG_INT8},
	{"int16", ARG_INT16},	    {"sint16", ARG_INT16},
	{"uint8", ARG_UINT8},	    {"uint16", ARG_UINT16},
	{"nop", ARG_NOP},
};

const char *policy_arg_type_name(enum policy_arg_type type)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].type == type)
			return types[i].name;
	return "none";
}

enum policy_arg_type policy_arg_type_parse(const char *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strcmp(types[i].name, s) == 0)
			return types[i].type;
	return ARG_NONE;
}

bool policy_arg_type_is_integer(enum policy_arg_type type)
{
	switch (type) {
	case ARG_INT:
	case ARG_UINT32:
	case ARG_SIZE:
	case ARG_UINT64:
	case ARG_LONG:
	case ARG_INT8:
	case ARG_INT16:
	case ARG_UINT8:
	case ARG_UINT16:
		return true;
	default:
		return false;
	}
}
