/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* args and returnArg: which arguments a policy looks at, and as what type. */
#include <string.h>

#include "policy-internal.h"

static const char resolve_why[] = "an argument is read as the kernel passes it";

static const struct node_key arg_keys[] = {
	{"index"},
	{"type"},
	{"label"},
	{"sizeArgIndex"},
	{"returnCopy"},
	{"maxData"},
	{"resolve", KEY_UNSUPPORTED, resolve_why},
	{"btfType", KEY_UNSUPPORTED, resolve_why},
	{"btfTypeModule", KEY_UNSUPPORTED, resolve_why},
	{"source", KEY_UNSUPPORTED, resolve_why},
};

/* What an argument whose natural type is this may be read as. */
static bool types_agree(enum policy_arg_type natural, enum policy_arg_type type)
{
	if (type == ARG_NOP)
		return true;
	if (policy_arg_type_is_integer(natural))
		return policy_arg_type_is_integer(type);
	if (natural == ARG_SOCKADDR)
		return type == ARG_SOCKADDR || type == ARG_SOCKADDR_UN;
	return natural == type;
}

static void report_unknown_type(struct policy_ctx *ctx, const struct yaml_node *node,
				const char *text)
{
	const char *why = ": use sock, socket, sockaddr, sockaddr_un, an integer type or nop";

	if (strcmp(text, "auto") == 0)
		why = ": name the type of the argument";
	else if (strcmp(text, "syscall64") == 0)
		why = ": it is for system calls";
	else if (strcmp(text, "skb") == 0 || strcmp(text, "net_device") == 0)
		why = ": none of the calls that can be hooked has such an argument";
	ctx_error(ctx, node, "bad-type", "type \"%s\" cannot be read here%s", excerpt(text).s, why);
}

/* Reads type and checks it against natural, what the call really passes or returns. */
static void parse_type(struct policy_ctx *ctx, const struct yaml_node *node,
		       const struct policy_call *call, enum policy_arg_type natural,
		       struct policy_arg *arg)
{
	const struct yaml_node *type_node = node_require(ctx, node, "type", "an argument");
	enum policy_arg_type type;
	const char *text;

	if (!type_node || !node_string(ctx, type_node, "type", &text))
		return;
	if (call->hook == REVSHELL_HOOK_FILE_RECEIVE && strcmp(text, "file") == 0) {
		ctx_warning(ctx, type_node, "no-effect",
			    "a file is neither printed nor matched here; type socket looks at the "
			    "socket it may be");
		arg->type = ARG_NOP;
		return;
	}
	type = policy_arg_type_parse(text);
	if (type == ARG_NONE) {
		report_unknown_type(ctx, type_node, text);
		return;
	}
	if (!types_agree(natural, type)) {
		if (natural == ARG_NOP)
			ctx_error(ctx, type_node, "bad-type",
				  "argument %u of %s cannot be read: use type nop", arg->index,
				  call->name);
		else
			ctx_error(ctx, type_node, "bad-type",
				  "argument %u of %s is of type %s, not %s", arg->index, call->name,
				  policy_arg_type_name(natural), text);
		return;
	}
	if (policy_arg_type_is_integer(type) && type != natural)
		ctx_warning(ctx, type_node, "type-mismatch",
			    "argument %u of %s is of type %s and read as %s", arg->index,
			    call->name, policy_arg_type_name(natural), text);
	if (call->hook == REVSHELL_HOOK_FILE_RECEIVE && type == ARG_SOCKET)
		ctx_not_portable(ctx, type_node, "to Tetragon this argument is a file");
	arg->type = type;
}

static void check_buffer_keys(struct policy_ctx *ctx, const struct yaml_node *node)
{
	static const char *const keys[] = {"sizeArgIndex", "returnCopy", "maxData"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const struct yaml_node *value = node_get(node, keys[i]);

		if (value && value->kind == YAML_SCALAR && strcmp(value->text, "false") != 0 &&
		    strcmp(value->text, "0") != 0)
			ctx_warning(ctx, value, "no-effect", "%s is for buffers only", keys[i]);
	}
}

static void parse_label(struct policy_ctx *ctx, const struct yaml_node *node,
			struct policy_arg *arg)
{
	const struct yaml_node *label = node_get(node, "label");
	const char *text;

	if (label && node_string(ctx, label, "label", &text))
		arg->label = ctx_strdup(ctx, text);
}

static void parse_arg(struct policy_ctx *ctx, const struct yaml_node *node,
		      const struct policy_call *call, struct policy_arg *arg)
{
	const struct yaml_node *index_node;
	int64_t index;

	if (!node_check_keys(ctx, node, "an argument", arg_keys, ARRAY_SIZE(arg_keys)))
		return;
	arg->pos = node_pos(ctx, node);
	parse_label(ctx, node, arg);
	check_buffer_keys(ctx, node);
	index_node = node_require(ctx, node, "index", "an argument");
	if (!index_node || !node_int(ctx, index_node, "index", 0, UINT32_MAX, &index))
		return;
	if (index >= call->n_args) {
		ctx_error(ctx, index_node, "bad-index",
			  "%s has %u argument%s: there is no index %u", call->name, call->n_args,
			  call->n_args == 1 ? "" : "s", (unsigned int)index);
		return;
	}
	arg->index = (unsigned int)index;
	parse_type(ctx, node, call, call->args[index], arg);
}

void args_parse(struct policy_ctx *ctx, const struct yaml_node *node, struct policy_entry *entry)
{
	if (!node_is_sequence(ctx, node, "args"))
		return;
	if (node->n > POLICY_MAX_ARGS) {
		ctx_error(ctx, node->items[POLICY_MAX_ARGS], "too-many-args",
			  "more than %u args in one entry", POLICY_MAX_ARGS);
		return;
	}
	for (size_t i = 0; i < node->n; i++) {
		struct policy_arg *arg = CTX_APPEND(ctx, entry->args, entry->n_args);

		if (arg)
			parse_arg(ctx, node->items[i], entry->call, arg);
	}
}

static void parse_return_arg(struct policy_ctx *ctx, const struct yaml_node *node,
			     struct policy_entry *entry)
{
	struct policy_arg *arg = &entry->return_arg;
	const struct yaml_node *type, *index;
	const char *text;
	int64_t value;

	if (!node_check_keys(ctx, node, "returnArg", arg_keys, ARRAY_SIZE(arg_keys)))
		return;
	arg->pos = node_pos(ctx, node);
	parse_label(ctx, node, arg);
	index = node_get(node, "index");
	if (index && node_int(ctx, index, "index", 0, UINT32_MAX, &value))
		arg->index = (unsigned int)value;
	type = node_require(ctx, node, "type", "returnArg");
	if (!type || !node_string(ctx, type, "type", &text))
		return;
	arg->type = policy_arg_type_parse(text);
	if (arg->type == ARG_NONE)
		report_unknown_type(ctx, type, text);
	else if (!types_agree(entry->call->ret, arg->type))
		ctx_error(ctx, type, "bad-type", "%s returns type %s, not %s", entry->call->name,
			  policy_arg_type_name(entry->call->ret), text);
}

static void parse_return_action(struct policy_ctx *ctx, const struct yaml_node *node,
				struct policy_entry *entry)
{
	const char *text;
	bool exact;

	if (!node_string(ctx, node, "returnArgAction", &text) || text[0] == 0)
		return;
	entry->return_action = policy_action_parse(text, &exact);
	if (entry->return_action != ACTION_TRACK_SOCK &&
	    entry->return_action != ACTION_UNTRACK_SOCK)
		ctx_error(ctx, node, "bad-action",
			  "returnArgAction takes TrackSock or UntrackSock, not \"%s\": omit it to "
			  "only report",
			  excerpt(text).s);
	else if (!entry->has_return)
		ctx_error(ctx, node, "no-return", "returnArgAction needs return: true");
	else if (entry->return_arg.type != ARG_SOCK && entry->return_arg.type != ARG_SOCKET)
		ctx_error(ctx, node, "bad-type", "returnArgAction needs a returnArg of type sock");
}

void return_parse(struct policy_ctx *ctx, const struct yaml_node *node, struct policy_entry *entry)
{
	const struct yaml_node *flag = node_get(node, "return");
	const struct yaml_node *arg = node_get(node, "returnArg");
	const struct yaml_node *action = node_get(node, "returnArgAction");

	if (flag)
		node_bool(ctx, flag, "return", &entry->has_return);
	if (entry->has_return && entry->call->ret == ARG_NONE) {
		ctx_error(ctx, flag, "no-return", "%s returns nothing", entry->call->name);
		return;
	}
	if (entry->has_return && !arg)
		ctx_error(ctx, flag, "missing-key", "return: true needs a returnArg");
	else if (arg && entry->has_return)
		parse_return_arg(ctx, arg, entry);
	else if (arg && arg->kind != YAML_MAPPING)
		ctx_error(ctx, arg, "wrong-type", "returnArg must be a mapping of keys to values");
	else if (arg)
		ctx_warning(ctx, arg, "no-effect", "returnArg without return: true is ignored");
	if (action)
		parse_return_action(ctx, action, entry);
}
