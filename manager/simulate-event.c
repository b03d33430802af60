/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The facts that an event holds of its call; what it does not show stays unknown. */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "event-internal.h"
#include "simulate-facts.h"

static const char *text(const json_t *obj, const char *key)
{
	return json_string_value(json_object_get(obj, key));
}

/* A number, also as text or as a wrapper {"value": n}; false if it is none. */
static bool number(const json_t *value, int64_t *ret_number)
{
	const char *s = json_string_value(value);
	char *end;

	if (json_is_object(value))
		value = json_object_get(value, "value");
	if (json_is_integer(value)) {
		*ret_number = json_integer_value(value);
		return true;
	}
	if (!s || !*s)
		return false;
	/* 64 bits, which may be unsigned */
	*ret_number = s[0] == '-' ? strtoll(s, &end, 10) : (int64_t)strtoull(s, &end, 10);
	return !*end;
}

/* Process */

static bool has_note(const json_t *process, const char *note)
{
	const json_t *notes = json_object_get(process, "binary_identity");

	for (size_t i = 0; i < json_array_size(notes); i++) {
		const char *s = json_string_value(json_array_get(notes, i));

		if (s && strcmp(s, note) == 0)
			return true;
	}
	return false;
}

static void put_exe(struct sim_call *call, const json_t *process, struct sim_exe *exe,
		    uint64_t fact)
{
	const char *binary = text(process, "binary");

	if (!binary || has_note(process, "path-cut"))
		return;
	if (!*binary && !has_note(process, "path-unknown"))
		return;
	*exe = (struct sim_exe){
		.path = *binary ? binary : NULL,
		.foreign = has_note(process, "foreign-mount-namespace"),
		.same_file = !has_note(process, "foreign-mount-namespace") &&
			     !has_note(process, "deleted"),
	};
	sim_know(call, fact);
}

/*
 * Whether what no event shows was asked, and how it was answered: as far as the rule set is the one
 * that asked.
 */
static void put_answers(struct sim_call *call, const json_t *body, const struct ruleset *rs)
{
	const char *s = text(body, "predicates");

	if (!s)
		return;
	call->answers = strtoull(s, NULL, 16);
	call->answered = rs->hooks[call->hook].cfg.predicates;
}

/* The cgroup and those around it, the innermost first; cuts the path into them. */
static void put_units(struct sim_call *call, char *path)
{
	struct sim_process *p = &call->process;
	char *slash;
	size_t n = 0;

	while ((slash = strrchr(path, '/')) && n < ARRAY_SIZE(p->units)) {
		if (slash[1])
			p->units[n++] = slash + 1;
		*slash = '\0';
	}
	p->units_lost = slash && slash != path;
	sim_know(call, SIM_FACT(UNIT));
}

static void put_process(struct sim_call *call, const json_t *body)
{
	/* who created the socket stands in the caller's place where a policy tracks sockets */
	const json_t *current = json_object_get(body, "current");
	const json_t *process = current ? current : json_object_get(body, "process");
	int64_t n;

	put_exe(call, process, &call->exe, SIM_DIM(EXE));
	if (!current)
		put_exe(call, json_object_get(body, "parent"), &call->parent, SIM_DIM(PARENT));
	if (number(json_object_get(process, "uid"), &n)) {
		call->process.uid = (uint32_t)n;
		sim_know(call, SIM_FACT(UID));
	}
	if (number(json_object_get(body, "gid"), &n)) {
		call->process.gid = (uint32_t)n;
		sim_know(call, SIM_FACT(GID));
	}
	if (number(json_object_get(process, "auid"), &n)) {
		call->process.loginuid = (uint32_t)n;
		sim_know(call, SIM_FACT(LOGINUID));
	}
	if (number(json_object_get(process, "pid"), &n)) {
		call->process.pids[0] = (uint32_t)n;
		sim_know(call, SIM_FACT(PID));
	}
}

/* Arguments */

static bool parse_named(const json_t *obj, const char *key, int (*parse)(const char *s),
			unsigned int *ret_number)
{
	const char *s = text(obj, key);
	int64_t n;
	int r;

	if (!s)
		return false;
	r = parse(s);
	if (r < 0 && !number(json_object_get(obj, key), &n))
		return false;
	*ret_number = r < 0 ? (unsigned int)n : (unsigned int)r;
	return true;
}

/* Its family, or 0: it is none. */
static unsigned int parse_ip(const char *s, uint8_t *ret_addr)
{
	unsigned int family = s && strchr(s, ':') ? AF_INET6 : AF_INET;

	return s && inet_pton((int)family, s, ret_addr) == 1 ? family : 0;
}

/* A port that is 0 is left out. */
static uint16_t port(const json_t *obj, const char *key)
{
	return (uint16_t)json_integer_value(json_object_get(obj, key));
}

static void put_sock(struct sim_call *call, const json_t *sock, bool connecting)
{
	struct sim_object *o = &call->object;

	if (parse_named(sock, "family", policy_family_parse, &o->sk_family))
		sim_know(call, SIM_DIM(SK_FAMILY));
	if (parse_named(sock, "type", event_type_parse, &o->sk_type))
		sim_know(call, SIM_DIM(SK_TYPE));
	if (parse_named(sock, "protocol", policy_protocol_parse, &o->sk_protocol))
		sim_know(call, SIM_DIM(SK_PROTOCOL));
	if (parse_named(sock, "state", policy_state_parse, &o->sk_state))
		sim_know(call, SIM_DIM(SK_STATE));
	if (parse_ip(text(sock, "saddr"), o->saddr))
		sim_know(call, SIM_DIM(SK_SADDR));
	o->sport = port(sock, "sport");
	sim_know(call, SIM_DIM(SK_SPORT));
	if (connecting) {
		/* an event of tcp_connect that was decided ahead shows where it would have gone */
		o->sa_family = parse_ip(text(sock, "daddr"), o->sa_addr);
		o->sa_port = port(sock, "dport");
		if (o->sa_family)
			sim_know(call, SIM_DIM(SA_FAMILY) | SIM_DIM(SA_ADDR) | SIM_DIM(SA_PORT));
		return;
	}
	if (parse_ip(text(sock, "daddr"), o->daddr))
		sim_know(call, SIM_DIM(SK_DADDR));
	o->dport = port(sock, "dport");
	sim_know(call, SIM_DIM(SK_DPORT));
}

static void put_sockaddr(struct sim_call *call, const json_t *sockaddr)
{
	struct sim_object *o = &call->object;

	if (!parse_named(sockaddr, "family", policy_family_parse, &o->sa_family))
		return;
	sim_know(call, SIM_DIM(SA_FAMILY) | SIM_DIM(SA_PORT));
	o->sa_port = port(sockaddr, "port");
	if (parse_ip(text(sockaddr, "addr"), o->sa_addr))
		sim_know(call, SIM_DIM(SA_ADDR));
}

static void put_sockaddr_un(struct sim_call *call, const json_t *sockaddr)
{
	struct sim_object *o = &call->object;

	if (!parse_named(sockaddr, "family", policy_family_parse, &o->sa_family))
		return;
	o->un_path = text(sockaddr, "path");
	sim_know(call, SIM_DIM(SA_FAMILY) | (o->sa_family == AF_UNIX ? SIM_DIM(UN_PATH) : 0));
}

/*
 * The prototype positions of the arguments that an event shows: those of the policy's entry, or
 * where that is not known, of the call's own arguments as far as they are integers.
 */
static size_t find_positions(const struct ruleset *rs, const char *policy, const char *function,
			     size_t n_shown, unsigned int *ret_positions)
{
	for (size_t i = 0; i < rs->policies.n; i++) {
		const struct policy *p = rs->policies.policies[i];

		if (strcmp(p->name, policy) != 0)
			continue;
		for (size_t k = 0; k < p->n_entries; k++) {
			const struct policy_entry *e = &p->entries[k];
			size_t n = 0;

			for (size_t a = 0; a < e->n_args; a++)
				if (e->args[a].type != ARG_NOP)
					ret_positions[n++] = e->args[a].index;
			if (n == n_shown && strcmp(e->call->name, function) == 0)
				return n;
		}
	}
	return 0;
}

static void put_args(struct sim_call *call, const json_t *body, const struct ruleset *rs)
{
	static const char *const integers[] = {"int_arg", "uint_arg", "size_arg", "long_arg"};
	const char *function = text(body, "function_name"), *policy = text(body, "policy_name");
	const json_t *args = json_object_get(body, "args"), *returned;
	bool connecting = call->hook == REVSHELL_HOOK_CONNECT && function &&
			  strcmp(function, "tcp_connect") == 0;
	unsigned int positions[POLICY_MAX_ARGS];
	size_t n_positions = 0;

	if (policy && function)
		n_positions =
			find_positions(rs, policy, function, json_array_size(args), positions);
	for (size_t i = 0; i < json_array_size(args); i++) {
		const json_t *arg = json_array_get(args, i);
		int64_t n;

		if (json_object_get(arg, "sock_arg"))
			put_sock(call, json_object_get(arg, "sock_arg"), connecting);
		if (json_object_get(arg, "sockaddr_arg"))
			put_sockaddr(call, json_object_get(arg, "sockaddr_arg"));
		if (json_object_get(arg, "sockaddrun_arg"))
			put_sockaddr_un(call, json_object_get(arg, "sockaddrun_arg"));
		for (size_t k = 0; i < n_positions && k < ARRAY_SIZE(integers); k++)
			if (number(json_object_get(arg, integers[k]), &n))
				sim_put_int(call, REVSHELL_INT_SLOT(positions[i]), n);
	}
	returned = json_object_get(json_object_get(body, "return"), "sock_arg");
	if (returned)
		put_sock(call, returned, false);
}

/* Socket and address are of one family unless an event shows both. */
static void put_families(struct sim_call *call)
{
	struct sim_object *o = &call->object;

	if (call->unknown & SIM_DIM(SA_FAMILY) && !(call->unknown & SIM_DIM(SK_FAMILY))) {
		o->sa_family = o->sk_family;
		sim_know(call, SIM_DIM(SA_FAMILY));
	} else if (call->unknown & SIM_DIM(SK_FAMILY) && !(call->unknown & SIM_DIM(SA_FAMILY))) {
		o->sk_family = o->sa_family;
		sim_know(call, SIM_DIM(SK_FAMILY));
	}
}

const json_t *sim_event_body(const json_t *event)
{
	const json_t *body = json_object_get(event, "process_lsm");

	return body ? body : json_object_get(event, "process_kprobe");
}

static bool facts_of_event(const json_t *event, const struct ruleset *rs,
			   struct sim_facts *ret_facts)
{
	const json_t *body = sim_event_body(event);
	const char *name = text(body, "hook");
	enum revshell_hook hook = name ? ruleset_hook_parse(name) : REVSHELL_HOOK_MAX;

	if (hook == REVSHELL_HOOK_MAX || !json_is_string(json_object_get(body, "policy_name")) ||
	    !json_is_string(json_object_get(body, "function_name")))
		return false;
	*ret_facts = (struct sim_facts){.calls[0] = sim_unknown_call(hook)};
	put_process(&ret_facts->calls[0], body);
	put_args(&ret_facts->calls[0], body, rs);
	put_families(&ret_facts->calls[0]);
	ret_facts->op = (struct sim_operation){.calls = ret_facts->calls, .n_calls = 1};
	return true;
}

/* What the event says of itself, in the words of the report. */
static json_t *summary_of(const json_t *event)
{
	static const struct {
		const char *name, *key;
	} rows[] = {
		{"number", "number"},
		{"verdict", "verdict"},
		{"errno", "errno"},
		{"policy", "policy_name"},
		{"selector", "selector"},
		{"call", "function_name"},
		{"hook", "hook"},
		{"mode", "mode"},
		{"policy_mode", "policy_mode"},
		{"generation", "generation"},
	};
	const json_t *body = sim_event_body(event);
	json_t *summary = json_object();

	for (size_t i = 0; summary && i < ARRAY_SIZE(rows); i++) {
		json_t *value = json_object_get(body, rows[i].key);

		if (value)
			json_object_set(summary, rows[i].name, value);
	}
	if (json_object_get(event, "time"))
		json_object_set(summary, "time", json_object_get(event, "time"));
	return summary;
}

/* Whether the selector that the event is of is among those that match now: its "match", or "". */
static const char *match_now(const json_t *report, const json_t *summary)
{
	const json_t *selectors = json_object_get(report, "selectors");

	for (size_t i = 0; i < json_array_size(selectors); i++) {
		const json_t *s = json_array_get(selectors, i);

		if (strcmp(text(s, "policy"), text(summary, "policy")) == 0 &&
		    strcmp(text(s, "call"), text(summary, "call")) == 0 &&
		    json_equal(json_object_get(s, "selector"),
			       json_object_get(summary, "selector")))
			return text(s, "match");
	}
	return "";
}

/* Adds to the report what is known of the event. */
static int add_event(json_t *report, const json_t *event, uint64_t generation)
{
	json_t *summary = summary_of(event);
	int64_t then = json_integer_value(json_object_get(summary, "generation"));
	const char *now = summary ? match_now(report, summary) : "";
	bool changed = generation && then && (uint64_t)then != generation;

	if (json_object_set_new(report, "event", summary) < 0 ||
	    json_object_set_new(report, "match_now", json_string(now)) < 0 ||
	    (generation &&
	     (json_object_set_new(report, "generation", json_integer((json_int_t)generation)) < 0 ||
	      json_object_set_new(report, "changed", json_boolean(changed)) < 0)))
		return -ENOMEM;
	return 0;
}

int sim_explain_event(const json_t *event, const struct ruleset *rs,
		      const struct ruleset_options *opts, int mode, uint64_t generation,
		      const struct sim_own *own, json_t **ret_report)
{
	const json_t *then = json_object_get(sim_event_body(event), "generation");
	json_t *report = NULL, *cgroup;
	struct sim_facts facts;
	int r;

	if (!facts_of_event(event, rs, &facts))
		return -EINVAL;
	cgroup = own && own->cgroup ? event_text(own->cgroup, strlen(own->cgroup)) : NULL;
	if (own && own->cgroup)
		put_units(&facts.calls[0], own->cgroup);
	if (own && (uint64_t)json_integer_value(then) == generation)
		put_answers(&facts.calls[0], sim_event_body(event), rs);
	r = sim_report(rs, opts, &facts.op, mode, &report);
	if (r == 0)
		r = add_event(report, event, generation);
	if (r == 0 && cgroup && json_object_set(report, "cgroup", cgroup) < 0)
		r = -ENOMEM;
	json_decref(cgroup);
	if (r < 0) {
		json_decref(report);
		return r;
	}
	*ret_report = report;
	return 0;
}
