/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* matchActions and matchReturnActions: what may be done where, and with which parameters. */
#include <string.h>

#include "policy-internal.h"

static const struct node_key action_keys[] = {
	{"action"},
	{"argError"},
	{"argSig"},
	{"argSock"},
	{"argUrl"},
	{"argFqdn"},
	{"rateLimit"},
	{"rateLimitScope"},
	{"kernelStackTrace"},
	{"userStackTrace"},
	{"imaHash"},
	{"argFd", KEY_UNSUPPORTED, "FollowFD and its like were removed from Tetragon"},
	{"argName", KEY_UNSUPPORTED, "FollowFD and its like were removed from Tetragon"},
	{"argIndex", KEY_UNSUPPORTED, "the action Set is for user space probes"},
	{"argValue", KEY_UNSUPPORTED, "the action Set is for user space probes"},
	{"argRegs", KEY_UNSUPPORTED, "it is for user space probes"},
	{"argNewSymbol", KEY_UNSUPPORTED, "it is for user space probes"},
	{"argNewAddr", KEY_UNSUPPORTED, "it is for user space probes"},
	{"argNewOffset", KEY_UNSUPPORTED, "it is for user space probes"},
};

struct action_reader {
	struct policy_ctx *ctx;
	const struct yaml_node *node;
	const struct policy_entry *entry;
	bool on_return;
	struct policy_action *action;
};

static void report_unknown_action(struct policy_ctx *ctx, const struct yaml_node *node,
				  const char *text)
{
	static const struct {
		const char *name;
		const char *why;
	} known[] = {
		{"Set", "it is for user space probes"},
		{"CleanupEnforcerNotification", "it is internal to Tetragon"},
		{"FollowFD", "it was removed from Tetragon"},
		{"UnfollowFD", "it was removed from Tetragon"},
		{"CopyFD", "it was removed from Tetragon"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcasecmp(known[i].name, text) == 0) {
			ctx_error(ctx, node, "bad-action", "action %s is not supported: %s",
				  known[i].name, known[i].why);
			return;
		}
	}
	ctx_error(ctx, node, "bad-action",
		  "unknown action \"%s\": use Post, NoPost, Sigkill, Signal, Override, "
		  "NotifyEnforcer, TrackSock or UntrackSock",
		  excerpt(text).s);
}

/* Where Override cannot work, the nearest thing that can. */
static void report_no_override(struct action_reader *r)
{
	const struct policy_call *call = r->entry->call;
	const char *instead = NULL;

	if (call->early == REVSHELL_HOOK_CONNECT)
		instead = "security_socket_connect";
	else if (call->early == REVSHELL_HOOK_LISTEN)
		instead = "security_socket_listen";
	ctx_error(r->ctx, r->node, "bad-action",
		  "Override is not possible on %s: %s%s%s or use Sigkill", call->name,
		  instead ? "hook " : "hook one of the security_socket_* calls",
		  instead ? instead : "", instead ? " instead" : "");
}

static bool check_place(struct action_reader *r)
{
	enum policy_action_kind kind = r->action->kind;
	const struct policy_call *call = r->entry->call;

	if (r->entry->section == SECTION_LSMHOOKS && kind > ACTION_OVERRIDE) {
		ctx_error(r->ctx, r->node, "bad-action",
			  "lsmhooks take Post, NoPost, Sigkill, Signal and Override only, not %s",
			  policy_action_name(kind));
		return false;
	}
	if (r->on_return && (kind == ACTION_OVERRIDE || kind == ACTION_NOTIFY_ENFORCER)) {
		ctx_error(r->ctx, r->node, "bad-action", "%s comes too late on return of a call",
			  policy_action_name(kind));
		return false;
	}
	if (kind == ACTION_OVERRIDE && !call->can_override) {
		report_no_override(r);
		return false;
	}
	return true;
}

/* A missing or zero argError would silently allow; 1 .. 4095 are taken as errno values. */
static void parse_error(struct action_reader *r, bool required)
{
	const struct yaml_node *node = node_get(r->node, "argError");
	const struct yaml_node *where = node ? node : r->node;
	int64_t value = 0;

	if (node && !node_int(r->ctx, node, "argError", -4095, 4095, &value))
		return;
	if (value > 0) {
		ctx_warning(r->ctx, where, "positive-error", "argError %d is taken as -%d",
			    (int)value, (int)value);
		value = -value;
	} else if (value == 0 && required) {
		ctx_warning(r->ctx, where, "missing-error",
			    "Override with%s argError denies with -1 (EPERM)",
			    node ? " a zero" : "out");
		value = -EPERM;
	}
	r->action->error = (int)value;
}

static void parse_signal(struct action_reader *r)
{
	const struct yaml_node *node = node_get(r->node, "argSig");
	int64_t value = 0;

	if (node && !node_int(r->ctx, node, "argSig", 0, 64, &value))
		return;
	r->action->signal = (int)value;
}

static void parse_notify_enforcer(struct action_reader *r)
{
	if (r->ctx->enforced == 0) {
		ctx_error(r->ctx, r->node, "no-enforcers",
			  "NotifyEnforcer needs spec.enforcers with this call");
		return;
	}
	if (r->entry->section != SECTION_KPROBES) {
		ctx_error(r->ctx, r->node, "bad-action", "NotifyEnforcer works in kprobes only");
		return;
	}
	if (!(r->ctx->enforced & UINT64_C(1) << (r->entry->call - policy_calls))) {
		ctx_error(r->ctx, r->node, "no-enforcers",
			  "NotifyEnforcer on %s: spec.enforcers must list that very call",
			  r->entry->call->name);
		return;
	}
	parse_error(r, false);
	parse_signal(r);
	if (r->action->error == 0 && r->action->signal == 0)
		ctx_warning(r->ctx, r->node, "no-effect",
			    "NotifyEnforcer without argError and argSig does nothing");
}

static void parse_arg_sock(struct action_reader *r)
{
	const struct policy_entry *entry = r->entry;
	const struct yaml_node *node = node_get(r->node, "argSock");
	int64_t value = 0;

	if (node && !node_int(r->ctx, node, "argSock", 0, UINT32_MAX, &value))
		return;
	if ((uint64_t)value >= entry->n_args ||
	    (entry->args[value].type != ARG_SOCK && entry->args[value].type != ARG_SOCKET)) {
		ctx_error(r->ctx, node ? node : r->node, "bad-index",
			  "argSock %u does not name an argument of type sock or socket in args",
			  (unsigned int)value);
		return;
	}
	r->action->arg_sock = (unsigned int)value;
}

/* A number of seconds, or of what s, m or h stands for. */
static bool parse_rate_limit(const char *text, uint64_t *ret_ms)
{
	static const struct {
		char unit;
		uint64_t ms;
	} units[] = {{'s', 1000}, {'m', 60 * 1000}, {'h', 60 * 60 * 1000}};
	size_t n = strlen(text);
	uint64_t factor = 1000, value;
	char digits[16];

	if (n == 0 || n >= sizeof(digits))
		return false;
	memcpy(digits, text, n + 1);
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if ((digits[n - 1] | 0x20) != units[i].unit)
			continue;
		factor = units[i].ms;
		digits[n - 1] = 0;
		break;
	}
	if (!number_parse_decimal(digits, UINT64_MAX / factor, &value))
		return false;
	*ret_ms = MIN(value * factor, (uint64_t)UINT32_MAX);
	return true;
}

static void parse_rate(struct action_reader *r)
{
	const struct yaml_node *limit = node_get(r->node, "rateLimit");
	const struct yaml_node *scope = node_get(r->node, "rateLimitScope");
	const char *text = "";

	/* as in Tetragon, empty text is no limit */
	if (limit && node_string(r->ctx, limit, "rateLimit", &text) && text[0] &&
	    !parse_rate_limit(text, &r->action->rate_limit_ms))
		ctx_error(r->ctx, limit, "bad-number",
			  "rateLimit is a number with s, m or h, such as 5m, not \"%s\"",
			  excerpt(text).s);
	if (!scope || !node_string(r->ctx, scope, "rateLimitScope", &text) || !text[0])
		return;
	if (!limit)
		ctx_warning(r->ctx, scope, "no-effect", "rateLimitScope needs a rateLimit");
	if (strcmp(text, "process") == 0)
		r->action->rate_scope = RATE_PROCESS;
	else if (strcmp(text, "global") == 0)
		r->action->rate_scope = RATE_GLOBAL;
	else if (strcmp(text, "thread") != 0)
		ctx_error(r->ctx, scope, "bad-name",
			  "unknown rateLimitScope \"%s\": use thread, process or global",
			  excerpt(text).s);
}

static bool parse_flag(struct action_reader *r, const char *key)
{
	const struct yaml_node *node = node_get(r->node, key);
	bool value = false;

	if (node)
		node_bool(r->ctx, node, key, &value);
	return value;
}

static void parse_post(struct action_reader *r)
{
	parse_rate(r);
	r->action->kernel_stack = parse_flag(r, "kernelStackTrace");
	r->action->user_stack = parse_flag(r, "userStackTrace");
	if (r->entry->section == SECTION_LSMHOOKS &&
	    (r->action->kernel_stack || r->action->user_stack))
		ctx_error(r->ctx, r->node, "bad-action", "lsmhooks have no stack traces");
	if (parse_flag(r, "imaHash"))
		ctx_warning(r->ctx, yaml_get(r->node, "imaHash"), "no-effect",
			    "imaHash has no meaning on socket calls");
}

/* Parameters that the action does not have: an error for those of Post, as in Tetragon. */
static void check_parameters(struct action_reader *r)
{
	static const struct {
		const char *key;
		unsigned int kinds;
		bool fatal;
	} rules[] = {
		{"rateLimit", 1U << ACTION_POST, true},
		{"rateLimitScope", 1U << ACTION_POST, true},
		{"kernelStackTrace", 1U << ACTION_POST, true},
		{"userStackTrace", 1U << ACTION_POST, true},
		{"imaHash", 1U << ACTION_POST, true},
		{"argError", 1U << ACTION_OVERRIDE | 1U << ACTION_NOTIFY_ENFORCER, false},
		{"argSig", 1U << ACTION_SIGNAL | 1U << ACTION_NOTIFY_ENFORCER, false},
		{"argSock", 1U << ACTION_TRACK_SOCK | 1U << ACTION_UNTRACK_SOCK, false},
		{"argUrl", 1U << ACTION_GET_URL, false},
		{"argFqdn", 1U << ACTION_DNS_LOOKUP, false},
	};
	enum policy_action_kind kind = r->action->kind;

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct yaml_node *node = node_get(r->node, rules[i].key);

		if (!node || (rules[i].kinds & 1U << kind))
			continue;
		if (rules[i].fatal)
			ctx_error(r->ctx, node, "bad-action", "%s goes with Post, not with %s",
				  rules[i].key, policy_action_name(kind));
		else
			ctx_warning(r->ctx, node, "no-effect", "%s has no meaning for %s",
				    rules[i].key, policy_action_name(kind));
	}
}

static void parse_parameters(struct action_reader *r)
{
	switch (r->action->kind) {
	case ACTION_POST:
		parse_post(r);
		break;
	case ACTION_SIGNAL:
		parse_signal(r);
		if (r->action->signal == 0)
			ctx_warning(r->ctx, r->node, "no-effect",
				    "Signal without argSig does nothing");
		break;
	case ACTION_OVERRIDE:
		parse_error(r, true);
		break;
	case ACTION_NOTIFY_ENFORCER:
		parse_notify_enforcer(r);
		break;
	case ACTION_TRACK_SOCK:
	case ACTION_UNTRACK_SOCK:
		parse_arg_sock(r);
		break;
	case ACTION_GET_URL:
	case ACTION_DNS_LOOKUP:
		ctx_warning(r->ctx, r->node, "no-effect", "%s does nothing here",
			    policy_action_name(r->action->kind));
		break;
	default:
		break;
	}
}

static void parse_action(struct action_reader *r)
{
	const struct yaml_node *node;
	const char *text;
	bool exact = true;

	if (!node_check_keys(r->ctx, r->node, "an action", action_keys, ARRAY_SIZE(action_keys)))
		return;
	node = node_require(r->ctx, r->node, "action", "an action");
	if (!node || !node_string(r->ctx, node, "action", &text))
		return;
	r->action->pos = node_pos(r->ctx, r->node);
	r->action->kind = policy_action_parse(text, &exact);
	if (r->action->kind == ACTION_NONE) {
		report_unknown_action(r->ctx, node, text);
		return;
	}
	if (!exact)
		ctx_not_portable(r->ctx, node, "Tetragon's schema wants %s",
				 policy_action_name(r->action->kind));
	if (!check_place(r))
		return;
	check_parameters(r);
	parse_parameters(r);
}

void actions_parse(struct policy_ctx *ctx, const struct yaml_node *node,
		   const struct policy_entry *entry, bool on_return,
		   struct policy_selector *selector)
{
	struct policy_action **actions = on_return ? &selector->return_actions : &selector->actions;
	size_t *n = on_return ? &selector->n_return_actions : &selector->n_actions;
	const char *what = on_return ? "matchReturnActions" : "matchActions";

	if (!node_is_sequence(ctx, node, what) || !values_count(ctx, node, node->n))
		return;
	if (node->n > POLICY_MAX_ACTIONS) {
		ctx_error(ctx, node->items[POLICY_MAX_ACTIONS], "too-many-actions",
			  "more than %u actions in one selector", POLICY_MAX_ACTIONS);
		return;
	}
	if (node->n > 3)
		ctx_not_portable(ctx, node->items[3], "Tetragon takes at most 3 actions");
	for (size_t i = 0; i < node->n; i++) {
		struct action_reader r = {ctx, node->items[i], entry, on_return};

		r.action = CTX_APPEND(ctx, *actions, *n);
		if (r.action)
			parse_action(&r);
	}
}

void actions_default(struct policy_ctx *ctx, struct policy_selector *selector)
{
	struct policy_action *action;

	if (selector->n_actions > 0)
		return;
	action = CTX_APPEND(ctx, selector->actions, selector->n_actions);
	if (action) {
		action->pos = selector->pos;
		action->kind = ACTION_POST;
	}
}
