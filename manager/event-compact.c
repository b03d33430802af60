/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events as one line for people. */
#include <ctype.h>
#include <string.h>

#include "event-internal.h"
#include "event-json.h"
#include "macro.h"
#include "quote.h"

#define COLOR_NAME   "\033[34m"
#define COLOR_ALERT  "\033[1;31m"
#define COLOR_NOTICE "\033[33m"
#define COLOR_OFF    "\033[0m"

static bool needs_quotes(const char *s)
{
	size_t n = strlen(s), k;
	uint32_t code;

	for (; n; s += k, n -= k) {
		k = utf8_length(s, n, &code);
		if (!k || code == ' ' || quote_is_special(code))
			return true;
	}
	return false;
}

void event_put_quoted(FILE *f, const char *s)
{
	if (!needs_quotes(s)) {
		fputs(s, f);
		return;
	}
	fputc('"', f);
	quote_put(f, s, strlen(s));
	fputc('"', f);
}

void event_put_address(FILE *f, const json_t *arg, const char *addr, const char *port)
{
	const char *a = event_member(arg, addr);
	bool v6 = strchr(a, ':');

	if (v6)
		fputc('[', f);
	event_put_quoted(f, a);
	if (v6)
		fputc(']', f);
	fprintf(f, ":%lld", (long long)json_integer_value(json_object_get(arg, port)));
}

/* "IPPROTO_TCP" as "tcp". */
static void put_protocol(FILE *f, const json_t *sock)
{
	const char *name = event_member(sock, "protocol");

	if (strncmp(name, "IPPROTO_", 8) != 0) {
		event_put_quoted(f, name);
		return;
	}
	for (name += 8; isalnum((unsigned char)*name); name++)
		fputc(tolower((unsigned char)*name), f);
}

/* The two ends of a TCP connection. */
static void put_connection(FILE *f, const json_t *body)
{
	const json_t *sock = event_find_arg(body, "sock_arg");

	if (!sock)
		return;
	fputc(' ', f);
	put_protocol(f, sock);
	fputc(' ', f);
	event_put_address(f, sock, "saddr", "sport");
	fputs(" -> ", f);
	event_put_address(f, sock, "daddr", "dport");
}

/* What a call is about: the address it names, else the socket's own. */
static void put_subject(FILE *f, const json_t *body)
{
	const json_t *addr = event_find_arg(body, "sockaddr_arg");
	const json_t *un = event_find_arg(body, "sockaddrun_arg");
	const json_t *sock = event_find_arg(body, "sock_arg");

	if (un && *event_member(un, "path")) {
		fputc(' ', f);
		event_put_quoted(f, event_member(un, "path"));
	} else if (addr && !strncmp(event_member(addr, "family"), "AF_INET", 7)) {
		fputc(' ', f);
		event_put_address(f, addr, "addr", "port");
	} else if (addr || un) {
		fputc(' ', f);
		event_put_quoted(f, event_member(addr ?: un, "family"));
	} else if (sock && !strncmp(event_member(sock, "family"), "AF_INET", 7)) {
		fputc(' ', f);
		put_protocol(f, sock);
		fputc(' ', f);
		event_put_address(f, sock, "saddr", "sport");
	}
}

static const struct look {
	const char *function; /* NULL: any other */
	bool lsm;
	const char *sign;
	const char *name;
} looks[] = {
	{"tcp_connect", false, "🔌", "connect"},
	{"tcp_close", false, "🧹", "close"},
	{"tcp_sendmsg", false, "📤", "sendmsg"},
	{NULL, false, "❓", "syscall"},
	{NULL, true, "🔒", "LSM"},
};

static const struct look *look_of(const char *function, bool lsm)
{
	size_t i = 0;

	while (looks[i].lsm != lsm ||
	       (looks[i].function && strcmp(looks[i].function, function) != 0))
		i++;
	return &looks[i];
}

static void put_verdict(FILE *f, const json_t *body, bool color)
{
	const char *verdict = event_member(body, "verdict"), *on = NULL;
	const char *error = event_member(body, "errno"),
		   *policy = event_member(body, "policy_name");

	if (!strcmp(verdict, "denied") || !strcmp(verdict, "killed"))
		on = COLOR_ALERT;
	else if (!strcmp(verdict, "would-deny"))
		on = COLOR_NOTICE;
	if (*verdict) {
		fputc(' ', f);
		if (color && on)
			fputs(on, f);
		event_put_quoted(f, verdict);
		if (*error) {
			fputc(' ', f);
			event_put_quoted(f, error);
		}
		if (color && on)
			fputs(COLOR_OFF, f);
	}
	if (*policy) {
		fputs(" [", f);
		event_put_quoted(f, policy);
		fputc(']', f);
	}
}

static void put_event(FILE *f, const json_t *event, bool color)
{
	const json_t *lsm = json_object_get(event, "process_lsm");
	const json_t *body = event_body(event);
	const json_t *process = json_object_get(body, "process");
	const char *function = event_member(body, "function_name");
	const struct look *look = look_of(function, lsm);
	const char *binary = event_member(process, "binary");

	fprintf(f, "%s %s%-7s%s ", look->sign, color ? COLOR_NAME : "", look->name,
		color ? COLOR_OFF : "");
	event_put_quoted(f, event_member(event, "node_name"));
	fputc(' ', f);
	event_put_quoted(f, *binary ? binary : "<unknown>");
	if (look->function) {
		put_connection(f, body);
	} else {
		fputc(' ', f);
		event_put_quoted(f, function);
		put_subject(f, body);
	}
	if (look->function && !strcmp(look->function, "tcp_sendmsg")) {
		const json_t *size =
			event_find_arg(body, "size_arg") ?: event_find_arg(body, "int_arg");

		if (json_is_string(size)) {
			fputs(" bytes ", f);
			event_put_quoted(f, json_string_value(size));
		} else if (json_is_integer(size)) {
			fprintf(f, " bytes %lld", (long long)json_integer_value(size));
		}
	}
	put_verdict(f, body, color);
}

char *event_compact(const json_t *event, bool color)
{
	char *line = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&line, &size);

	if (!f)
		return NULL;
	put_event(f, event, color);
	if (fclose(f)) {
		free(line);
		return NULL;
	}
	return line;
}
