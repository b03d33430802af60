/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Selectors: their filters, their macros, and which of them can never be reached. */
#include <string.h>

#include "policy-internal.h"

/* What a selector holds and a macro may lend it. The first N_PROCESS look at the caller. */
enum selector_kind {
	KIND_BINARIES,
	KIND_PARENT_BINARIES,
	KIND_PIDS,
	KIND_NAMESPACES,
	KIND_CAPABILITIES,
	KIND_USERS,
	KIND_UNITS,
	KIND_STDIO,
	N_PROCESS,
	KIND_ARGS = N_PROCESS,
	KIND_RETURN_ARGS,
	KIND_ACTIONS,
	KIND_RETURN_ACTIONS,
	KIND_MAX,
};

/* The kinds first, in their order. */
static const struct node_key selector_keys[] = {
	[KIND_BINARIES] = {"matchBinaries"},
	[KIND_PARENT_BINARIES] = {"matchParentBinaries"},
	[KIND_PIDS] = {"matchPIDs"},
	[KIND_NAMESPACES] = {"matchNamespaces"},
	[KIND_CAPABILITIES] = {"matchCapabilities"},
	[KIND_USERS] = {"matchUsers", KEY_EXTENSION},
	[KIND_UNITS] = {"matchUnits", KEY_EXTENSION},
	[KIND_STDIO] = {"matchStdio", KEY_EXTENSION},
	[KIND_ARGS] = {"matchArgs"},
	[KIND_RETURN_ARGS] = {"matchReturnArgs"},
	[KIND_ACTIONS] = {"matchActions"},
	[KIND_RETURN_ACTIONS] = {"matchReturnActions"},
	{"label"},
	{"macros"},
	{"matchWorkloads"},
	{"matchData", KEY_UNSUPPORTED, "use matchUsers, matchNamespaces or matchCapabilities"},
	{"matchNamespaceChanges", KEY_UNSUPPORTED, "only the state at the call can be matched"},
	{"matchCapabilityChanges", KEY_UNSUPPORTED, "only the state at the call can be matched"},
};

/* Where each kind of a selector was found: in itself or in one of its macros. */
struct selector_nodes {
	const struct yaml_node *kinds[KIND_MAX];
	const char *macro[KIND_MAX]; /* NULL: in itself */
};

static void copy_macro(struct policy_ctx *ctx, const struct yaml_node *at, const char *name,
		       const struct yaml_node *macro, struct selector_nodes *nodes)
{
	for (enum selector_kind kind = 0; kind < KIND_MAX; kind++) {
		const struct yaml_node *node = node_get(macro, selector_keys[kind].name);

		if (!node)
			continue;
		if (nodes->kinds[kind]) {
			ctx_error(ctx, at, "macro-conflict",
				  "macro \"%s\" brings %s, which %s already has", excerpt(name).s,
				  selector_keys[kind].name,
				  nodes->macro[kind] ? "another macro" : "the selector");
			continue;
		}
		nodes->kinds[kind] = node;
		nodes->macro[kind] = name;
	}
}

static void apply_macros(struct policy_ctx *ctx, const struct yaml_node *list,
			 struct selector_nodes *nodes)
{
	if (!node_is_sequence(ctx, list, "macros") || !values_count(ctx, list, list->n))
		return;
	for (size_t i = 0; i < list->n; i++) {
		const struct yaml_node *macro;
		const char *name;

		if (!node_string(ctx, list->items[i], "a macro's name", &name))
			continue;
		macro = ctx->macros ? yaml_get(ctx->macros, name) : NULL;
		if (!macro)
			ctx_error(ctx, list->items[i], "no-such-macro",
				  "spec.selectorsMacros has no macro \"%s\"", excerpt(name).s);
		else if (macro->kind == YAML_MAPPING)
			copy_macro(ctx, list->items[i], name, macro, nodes);
	}
}

void selectors_check_macros(struct policy_ctx *ctx)
{
	const struct yaml_node *nested;

	for (size_t i = 0; i < ctx->macros->n; i++) {
		const struct yaml_node *macro = ctx->macros->items[2 * i + 1];

		if (!node_check_keys(ctx, macro, "a macro", selector_keys,
				     ARRAY_SIZE(selector_keys)))
			continue;
		nested = yaml_get(macro, "macros");
		if (nested)
			ctx_error(ctx, nested, "nested-macro", "a macro cannot use macros");
	}
}

static bool is_empty_mapping(const struct yaml_node *node)
{
	return node && node->kind == YAML_MAPPING && node->n == 0;
}

/* Kubernetes workloads do not exist here: only "every process" and "the host" can be meant. */
static void check_workloads(struct policy_ctx *ctx, const struct yaml_node *node)
{
	static const struct node_key keys[] = {
		{"podSelector"}, {"containerSelector"}, {"hostSelector"}};
	const struct yaml_node *pod, *container, *host;

	if (!node_check_keys(ctx, node, "matchWorkloads", keys, ARRAY_SIZE(keys)))
		return;
	pod = node_get(node, "podSelector");
	container = node_get(node, "containerSelector");
	host = node_get(node, "hostSelector");
	if (!pod && !container && (!host || is_empty_mapping(host)))
		return;
	if (is_empty_mapping(pod) && is_empty_mapping(container) && is_empty_mapping(host))
		return;
	ctx_error(ctx, node, "unsupported",
		  "matchWorkloads is not supported: there are no workloads without Kubernetes");
}

/* Which of the entry's args a filter means; false after an error. */
static bool filter_arg(struct policy_ctx *ctx, const struct yaml_node *node,
		       const struct policy_entry *entry, unsigned int *ret_arg)
{
	const struct yaml_node *list = node_get(node, "args");
	const struct yaml_node *index = node_get(node, "index");
	int64_t value = 0;

	if (list) {
		if (!node_is_sequence(ctx, list, "args"))
			return false;
		if (list->n > 1) {
			ctx_error(ctx, list, "bad-index", "args takes one position here");
			return false;
		}
	}
	/* an empty list counts for nothing, as in Tetragon */
	if (list && list->n == 1) {
		if (!node_int(ctx, list->items[0], "a position in args", 0, UINT32_MAX, &value))
			return false;
		if ((uint64_t)value >= entry->n_args) {
			ctx_error(ctx, list, "bad-index",
				  "position %u is beyond the %zu items of args",
				  (unsigned int)value, entry->n_args);
			return false;
		}
		*ret_arg = (unsigned int)value;
		return true;
	}

	if (!index)
		ctx_warning(ctx, node, "missing-index", "without index or args, index 0 is meant");
	else if (!node_int(ctx, index, "index", 0, UINT32_MAX, &value))
		return false;
	for (size_t i = 0; i < entry->n_args; i++) {
		if (entry->args[i].index == (uint64_t)value) {
			*ret_arg = (unsigned int)i;
			return true;
		}
	}
	ctx_error(ctx, index ? index : node, "bad-index", "index %u is not among the entry's args",
		  (unsigned int)value);
	return false;
}

static void report_op_type(struct policy_ctx *ctx, const struct yaml_node *node, enum policy_op op,
			   enum policy_arg_type type)
{
	_cleanup_free_ char *list = policy_op_list(type);

	if (!list) {
		ctx->oom = true;
		return;
	}
	ctx_error(ctx, node, "bad-operator", "operator %s is not for type %s, which takes %s",
		  policy_op_name(op), policy_arg_type_name(type), list[0] ? list : "none");
}

static enum policy_op arg_filter_op(struct policy_ctx *ctx, const struct yaml_node *filter,
				    enum policy_arg_type type)
{
	const struct yaml_node *node = node_require(ctx, filter, "operator", "an argument filter");
	enum policy_op op;
	const char *text;

	if (!node || !node_string(ctx, node, "operator", &text))
		return OP_NONE;
	op = policy_op_parse(text);
	if (op == OP_NONE) {
		_cleanup_free_ char *list = policy_op_list(type);

		ctx_error(ctx, node, "bad-operator", "unknown operator \"%s\": type %s takes %s",
			  excerpt(text).s, policy_arg_type_name(type),
			  list && list[0] ? list : "none");
		return OP_NONE;
	}
	if (!policy_op_allowed(op, type)) {
		report_op_type(ctx, node, op, type);
		return OP_NONE;
	}
	if (!policy_op_is_schema(text))
		ctx_not_portable(ctx, node, "Tetragon's schema wants %s", policy_op_name(op));
	return op;
}

static void parse_arg_filter(struct policy_ctx *ctx, const struct yaml_node *node,
			     const struct policy_entry *entry, bool on_return,
			     struct policy_arg_filter *f)
{
	static const struct node_key keys[] = {{"index"}, {"args"}, {"operator"}, {"values"}};
	enum policy_arg_type type = entry->return_arg.type;

	if (!node_check_keys(ctx, node, "an argument filter", keys, ARRAY_SIZE(keys)))
		return;
	f->pos = node_pos(ctx, node);
	if (!on_return) {
		if (!filter_arg(ctx, node, entry, &f->arg))
			return;
		type = entry->args[f->arg].type;
	}
	if (type == ARG_NONE) /* reported where the argument is declared */
		return;
	f->op = arg_filter_op(ctx, node, type);
	if (f->op != OP_NONE)
		values_parse_arg(ctx, node, f->op, type, &f->values);
}

static void parse_arg_filters(struct policy_ctx *ctx, const struct yaml_node *node,
			      const struct policy_entry *entry, bool on_return,
			      struct policy_selector *s)
{
	struct policy_arg_filter **filters = on_return ? &s->return_args : &s->args;
	size_t *n = on_return ? &s->n_return_args : &s->n_args;

	if (!node_is_sequence(ctx, node, on_return ? "matchReturnArgs" : "matchArgs") ||
	    !values_count(ctx, node, node->n))
		return;
	if (node->n > 5)
		ctx_not_portable(ctx, node->items[5], "Tetragon takes at most 5 argument filters");
	for (size_t i = 0; i < node->n; i++) {
		struct policy_arg_filter *f = CTX_APPEND(ctx, *filters, *n);

		if (f)
			parse_arg_filter(ctx, node->items[i], entry, on_return, f);
	}
}

/* matchReturnArgs and matchReturnActions need a return value to look at. */
static bool check_return(struct policy_ctx *ctx, const struct yaml_node *node,
			 const struct policy_entry *entry, const char *what)
{
	if (entry->section != SECTION_LSMHOOKS && entry->has_return)
		return true;
	ctx_error(ctx, node, "no-return", "%s needs %s", what,
		  entry->section == SECTION_LSMHOOKS
			  ? "a kprobe; LSM hooks have no return value yet"
			  : "return: true and a returnArg");
	return false;
}

static void parse_selector(struct policy_ctx *ctx, const struct yaml_node *node,
			   const struct policy_entry *entry, struct policy_selector *s)
{
	struct selector_nodes nodes = {};
	const struct yaml_node *label, *macros, *workloads;
	const char *text;

	s->pos = node_pos(ctx, node);
	if (!node_check_keys(ctx, node, "a selector", selector_keys, ARRAY_SIZE(selector_keys)))
		return;
	label = node_get(node, "label");
	if (label && node_string(ctx, label, "label", &text))
		s->label = ctx_strdup(ctx, text);
	workloads = node_get(node, "matchWorkloads");
	if (workloads)
		check_workloads(ctx, workloads);
	for (enum selector_kind kind = 0; kind < KIND_MAX; kind++)
		nodes.kinds[kind] = node_get(node, selector_keys[kind].name);
	macros = node_get(node, "macros");
	if (macros)
		apply_macros(ctx, macros, &nodes);

	for (enum selector_kind kind = 0; kind < N_PROCESS; kind++)
		if (nodes.kinds[kind])
			filters_parse_process(ctx, nodes.kinds[kind], selector_keys[kind].name, s);
	if (nodes.kinds[KIND_ARGS])
		parse_arg_filters(ctx, nodes.kinds[KIND_ARGS], entry, false, s);
	if (nodes.kinds[KIND_RETURN_ARGS] &&
	    check_return(ctx, nodes.kinds[KIND_RETURN_ARGS], entry, "matchReturnArgs"))
		parse_arg_filters(ctx, nodes.kinds[KIND_RETURN_ARGS], entry, true, s);
	if (nodes.kinds[KIND_ACTIONS])
		actions_parse(ctx, nodes.kinds[KIND_ACTIONS], entry, false, s);
	if (nodes.kinds[KIND_RETURN_ACTIONS] &&
	    check_return(ctx, nodes.kinds[KIND_RETURN_ACTIONS], entry, "matchReturnActions"))
		actions_parse(ctx, nodes.kinds[KIND_RETURN_ACTIONS], entry, true, s);
}

static bool selector_always_matches(const struct policy_selector *s)
{
	return s->n_binaries == 0 && s->n_parent_binaries == 0 && s->n_pids == 0 &&
	       s->n_namespaces == 0 && s->n_caps == 0 && s->n_users == 0 && s->n_units == 0 &&
	       s->n_stdio == 0 && s->n_args == 0 && s->n_return_args == 0;
}

static void check_reachable(struct policy_ctx *ctx, const struct policy_entry *entry)
{
	const struct policy_selector *always = NULL;

	for (size_t i = 0; i < entry->n_selectors; i++) {
		const struct policy_selector *s = &entry->selectors[i];

		if (always)
			diag_warning(ctx->d, s->pos, "never-matches",
				     "this selector is never reached: the one at line %u always "
				     "matches",
				     always->pos.line);
		else if (selector_always_matches(s))
			always = s;
	}
}

void selectors_parse(struct policy_ctx *ctx, const struct yaml_node *node,
		     struct policy_entry *entry)
{
	struct policy_selector *s;
	size_t errors = ctx->d->n_errors;

	if (node) {
		if (!node_is_sequence(ctx, node, "selectors") || !values_count(ctx, node, node->n))
			return;
		if (node->n > REVSHELL_GROUP_SELECTORS) {
			ctx_error(ctx, node->items[REVSHELL_GROUP_SELECTORS], "too-many-selectors",
				  "more than %d selectors in one entry", REVSHELL_GROUP_SELECTORS);
			return;
		}
		if (node->n > 5)
			ctx_not_portable(ctx, node->items[5], "Tetragon takes at most 5 selectors");
	}
	for (size_t i = 0; node && i < node->n; i++) {
		s = CTX_APPEND(ctx, entry->selectors, entry->n_selectors);
		if (!s)
			return;
		parse_selector(ctx, node->items[i], entry, s);
		actions_default(ctx, s);
	}
	if (ctx->d->n_errors == errors)
		check_reachable(ctx, entry);
	if (entry->n_selectors == 0) {
		s = CTX_APPEND(ctx, entry->selectors, entry->n_selectors);
		if (!s)
			return;
		s->pos = entry->pos;
		actions_default(ctx, s);
	}
}
