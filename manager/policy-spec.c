/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One document: its kind, its metadata, and the sections and options of its spec. */
#include <string.h>

#include "policy-internal.h"

#define MAX_ENFORCED 64U /* items of enforcers[].calls */

_Static_assert(SECTION_FENTRIES == 4, "sections are bits");

/* Keys of metadata that only Kubernetes looks at. */
static const struct node_key metadata_keys[] = {
	{"name"},
	{"namespace"},
	{"annotations"},
	{"labels"},
	{"generateName"},
	{"selfLink"},
	{"uid"},
	{"resourceVersion"},
	{"generation"},
	{"creationTimestamp"},
	{"deletionTimestamp"},
	{"deletionGracePeriodSeconds"},
	{"ownerReferences"},
	{"finalizers"},
	{"managedFields"},
};

static const char only_sockets[] = "only socket calls can be hooked, in kprobes, fentries or "
				   "lsmhooks";
static const char no_kubernetes[] = "there are no pods, containers or nodes to select";

static const struct node_key spec_keys[] = {
	{"kprobes"},
	{"fentries"},
	{"lsmhooks"},
	{"lists"},
	{"enforcers"},
	{"options"},
	{"selectorsMacros"},
	{"hostSelector"},
	{"loader"},
	{"podSelector", KEY_UNSUPPORTED, no_kubernetes},
	{"containerSelector", KEY_UNSUPPORTED, no_kubernetes},
	{"nodeSelector", KEY_UNSUPPORTED, no_kubernetes},
	{"tracepoints", KEY_UNSUPPORTED, only_sockets},
	{"uprobes", KEY_UNSUPPORTED, only_sockets},
	{"usdts", KEY_UNSUPPORTED, only_sockets},
};

/* An RFC 1123 subdomain: labels of lower case, digits and inner hyphens, with dots between. */
static bool name_is_valid(const char *s)
{
	char before = '.';

	if (strlen(s) > POLICY_MAX_NAME || *s == 0)
		return false;
	for (; *s; before = *s++) {
		bool alnum = (*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9');

		if (alnum)
			continue;
		if (*s != '-' && *s != '.')
			return false;
		if (before == '.' || (before == '-' && *s == '.'))
			return false;
	}
	return before != '-' && before != '.';
}

static void parse_annotations(struct policy_ctx *ctx, const struct yaml_node *node)
{
	const struct yaml_node *value;
	const char *text;

	if (node->kind != YAML_MAPPING) {
		ctx_error(ctx, node, "wrong-type", "annotations must be a mapping");
		return;
	}
	value = node_get(node, "revshell.org/description");
	if (value && node_string(ctx, value, "the description", &text))
		ctx->policy->description = ctx_strdup(ctx, text);
}

static void parse_metadata(struct policy_ctx *ctx, const struct yaml_node *root)
{
	const struct yaml_node *metadata = node_require(ctx, root, "metadata", "a policy");
	const struct yaml_node *node;
	const char *text;

	if (!metadata ||
	    !node_check_keys(ctx, metadata, "metadata", metadata_keys, ARRAY_SIZE(metadata_keys)))
		return;
	node = node_require(ctx, metadata, "name", "metadata");
	if (node && node_string(ctx, node, "metadata.name", &text)) {
		if (name_is_valid(text))
			ctx->policy->name = ctx_strdup(ctx, text);
		else
			ctx_error(ctx, node, "bad-name",
				  "\"%s\" is not a policy's name: lower-case letters, digits, - "
				  "and ., at most %u",
				  excerpt(text).s, POLICY_MAX_NAME);
	}
	node = node_get(metadata, "namespace");
	if (node && !ctx->policy->namespaced)
		ctx_error(ctx, node, "bad-namespace",
			  "kind TracingPolicy takes no namespace; TracingPolicyNamespaced does");
	else if (node)
		node_string(ctx, node, "metadata.namespace", &text);
	else if (ctx->policy->namespaced)
		ctx_error(ctx, metadata, "bad-namespace",
			  "kind TracingPolicyNamespaced needs metadata.namespace");
	node = node_get(metadata, "annotations");
	if (node)
		parse_annotations(ctx, node);
}

static void parse_kind(struct policy_ctx *ctx, const struct yaml_node *root)
{
	const struct yaml_node *node = node_get(root, "apiVersion");
	const char *text;

	if (!node)
		ctx_warning(ctx, root, "missing-key", "no apiVersion: cilium.io/v1alpha1 is meant");
	else if (node_string(ctx, node, "apiVersion", &text) &&
		 strcmp(text, "cilium.io/v1alpha1") != 0)
		ctx_warning(ctx, node, "api-version",
			    "apiVersion \"%s\" is taken as cilium.io/v1alpha1", excerpt(text).s);

	node = node_require(ctx, root, "kind", "a policy");
	if (!node || !node_string(ctx, node, "kind", &text))
		return;
	if (strcmp(text, "TracingPolicyNamespaced") == 0) {
		ctx->policy->namespaced = true;
		ctx_warning(ctx, node, "namespaced",
			    "there are no Kubernetes namespaces here: it holds for the whole host");
	} else if (strcmp(text, "TracingPolicy") != 0) {
		ctx_error(ctx, node, "bad-kind",
			  "kind \"%s\" is not TracingPolicy or TracingPolicyNamespaced",
			  excerpt(text).s);
	}
}

static bool word_is_bool(const char *s)
{
	static const char *const words[] = {"1", "t", "T", "TRUE",  "true",  "True",
					    "0", "f", "F", "FALSE", "false", "False"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(s, words[i]) == 0)
			return true;
	return false;
}

static bool option_multi(struct policy_ctx *ctx, const struct yaml_node *node, const char *value)
{
	return word_is_bool(value);
}

static bool option_preload_size(struct policy_ctx *ctx, const struct yaml_node *node,
				const char *value)
{
	uint64_t size;

	return number_parse_decimal(value, UINT32_MAX, &size) && size > 0;
}

static bool option_mode(struct policy_ctx *ctx, const struct yaml_node *node, const char *value)
{
	if (strcmp(value, "enforce") == 0) {
		ctx->policy->mode = POLICY_MODE_ENFORCE;
		ctx->mode_pos = node_pos(ctx, node);
		return true;
	}
	ctx->policy->mode = POLICY_MODE_MONITOR;
	return strcmp(value, "monitor") == 0;
}

static bool option_override_method(struct policy_ctx *ctx, const struct yaml_node *node,
				   const char *value)
{
	if (strcmp(value, "override-return") == 0) {
		ctx_warning(ctx, node, "no-effect",
			    "override-return is not used: the call is denied by its LSM hook");
		return true;
	}
	return strcmp(value, "fmod-ret") == 0;
}

static bool option_identity(struct policy_ctx *ctx, const struct yaml_node *node, const char *value)
{
	ctx->policy->identity_by_path = strcmp(value, "path") == 0;
	return ctx->policy->identity_by_path || strcmp(value, "file") == 0;
}

int policy_fallback_parse(const char *s)
{
	static const char *const words[] = {
		[FALLBACK_NONE] = "none",
		[FALLBACK_SIGKILL] = "sigkill",
		[FALLBACK_MONITOR] = "monitor",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(s, words[i]) == 0)
			return (int)i;
	return -EINVAL;
}

static bool option_fallback(struct policy_ctx *ctx, const struct yaml_node *node, const char *value)
{
	int r = policy_fallback_parse(value);

	if (r < 0)
		return false;
	ctx->policy->fallback = (enum policy_fallback)r;
	return true;
}

static const struct option {
	const char *name;
	bool (*apply)(struct policy_ctx *ctx, const struct yaml_node *node, const char *value);
	const char *values;
	bool extension;
} options[] = {
	{"policy-mode", option_mode, "enforce or monitor", false},
	{"disable-kprobe-multi", option_multi, "true or false", false},
	{"disable-uprobe-multi", option_multi, "true or false", false},
	{"sleepable-preload-size", option_preload_size, "a number above 0", false},
	{"override-method", option_override_method, "fmod-ret or override-return", false},
	{"binary-identity", option_identity, "file or path", true},
	{"override-fallback", option_fallback, "none, sigkill or monitor", true},
};

static const struct option *option_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

static void parse_option(struct policy_ctx *ctx, const struct yaml_node *node, bool *seen)
{
	static const struct node_key keys[] = {{"name"}, {"value"}};
	const struct yaml_node *name_node, *value_node;
	const struct option *option;
	const char *name, *value;

	if (!node_check_keys(ctx, node, "an option", keys, ARRAY_SIZE(keys)))
		return;
	name_node = node_require(ctx, node, "name", "an option");
	value_node = node_require(ctx, node, "value", "an option");
	if (!name_node || !value_node || !node_string(ctx, name_node, "name", &name) ||
	    !node_string(ctx, value_node, "value", &value))
		return;
	option = option_find(name);
	if (!option) {
		ctx_warning(ctx, name_node, "unknown-option", "unknown option \"%s\" is ignored",
			    excerpt(name).s);
		return;
	}
	if (seen[option - options])
		ctx_warning(ctx, name_node, "duplicate-option",
			    "option %s is given twice: the last one holds", name);
	seen[option - options] = true;
	if (option->extension)
		ctx_not_portable(ctx, name_node, "Tetragon does not know option %s", name);
	if (!option->apply(ctx, value_node, value))
		ctx_error(ctx, value_node, "bad-option", "option %s is %s, not \"%s\"", name,
			  option->values, excerpt(value).s);
}

static void parse_options(struct policy_ctx *ctx, const struct yaml_node *node)
{
	bool seen[ARRAY_SIZE(options)] = {};

	if (!node_is_sequence(ctx, node, "options"))
		return;
	for (size_t i = 0; i < node->n; i++)
		parse_option(ctx, node->items[i], seen);
}

static void enforce_call(struct policy_ctx *ctx, const struct yaml_node *node)
{
	const struct policy_call *call;
	const char *text;

	if (!node_string(ctx, node, "a call", &text))
		return;
	call = policy_call_find(text, SECTION_KPROBES);
	if (call && call->can_override)
		ctx->enforced |= UINT64_C(1) << (call - policy_calls);
	else
		ctx_error(ctx, node, "unknown-call",
			  "\"%s\" cannot be enforced: enforcers take the security_socket_* calls",
			  excerpt(text).s);
}

static void enforce_calls(struct policy_ctx *ctx, const struct yaml_node *node, bool nested)
{
	if (!node_is_sequence(ctx, node, "calls"))
		return;
	if (node->n > MAX_ENFORCED) {
		ctx_error(ctx, node, "too-many-calls", "more than %u calls", MAX_ENFORCED);
		return;
	}
	for (size_t i = 0; i < node->n; i++) {
		const struct yaml_node *item = node->items[i], *list, *values;

		if (nested || item->kind != YAML_SCALAR || strncmp(item->text, "list:", 5) != 0) {
			enforce_call(ctx, item);
			continue;
		}
		list = list_find(ctx, item, item->text + 5);
		values = list ? node_get(list, "values") : NULL;
		if (values)
			enforce_calls(ctx, values, true);
	}
}

static void parse_enforcers(struct policy_ctx *ctx, const struct yaml_node *node)
{
	static const struct node_key keys[] = {{"calls"}};
	const struct yaml_node *calls;

	if (!node_is_sequence(ctx, node, "enforcers") || node->n == 0)
		return;
	if (node->n > 1)
		ctx_error(ctx, node->items[1], "too-many-enforcers",
			  "a policy has one enforcer; list all calls in it");
	if (!node_check_keys(ctx, node->items[0], "an enforcer", keys, ARRAY_SIZE(keys)))
		return;
	calls = node_require(ctx, node->items[0], "calls", "an enforcer");
	if (calls)
		enforce_calls(ctx, calls, false);
}

/* What a host without Kubernetes can take: nothing, or "every process of the host". */
static void check_selectors(struct policy_ctx *ctx, const struct yaml_node *spec)
{
	const struct yaml_node *node = node_get(spec, "hostSelector");
	bool value = false;

	if (node && (node->kind != YAML_MAPPING || node->n != 0))
		ctx_error(ctx, node, "unsupported", "hostSelector can only be null or {}");
	if (node && ctx->policy->namespaced)
		ctx_not_portable(ctx, node,
				 "Tetragon takes no hostSelector in a namespaced policy");
	node = node_get(spec, "loader");
	if (node && node_bool(ctx, node, "loader", &value) && value)
		ctx_error(ctx, node, "unsupported", "loader is not supported: %s", only_sockets);
}

static void parse_sections(struct policy_ctx *ctx, const struct yaml_node *spec)
{
	static const struct {
		const char *key;
		enum policy_section section;
	} sections[] = {
		{"kprobes", SECTION_KPROBES},
		{"fentries", SECTION_FENTRIES},
		{"lsmhooks", SECTION_LSMHOOKS},
	};
	unsigned int used = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		const struct yaml_node *node = node_get(spec, sections[i].key);

		if (!node)
			continue;
		if (node->kind == YAML_SEQUENCE && node->n > 0 && used++ > 0)
			ctx_not_portable(ctx, node, "Tetragon takes one section of hooks a policy");
		entries_parse(ctx, node, sections[i].section);
	}
}

static bool action_enforces(const struct policy_action *a)
{
	switch (a->kind) {
	case ACTION_SIGKILL:
	case ACTION_OVERRIDE:
		return true;
	case ACTION_SIGNAL:
		return a->signal != 0;
	case ACTION_NOTIFY_ENFORCER:
		return a->error != 0 || a->signal != 0;
	default:
		return false;
	}
}

static bool selector_enforces(const struct policy_selector *s)
{
	for (size_t i = 0; i < s->n_actions; i++)
		if (action_enforces(&s->actions[i]))
			return true;
	for (size_t i = 0; i < s->n_return_actions; i++)
		if (action_enforces(&s->return_actions[i]))
			return true;
	return false;
}

static void find_can_deny(struct policy *p)
{
	for (size_t i = 0; i < p->n_entries && !p->can_deny; i++)
		for (size_t j = 0; j < p->entries[i].n_selectors && !p->can_deny; j++)
			p->can_deny = selector_enforces(&p->entries[i].selectors[j]);
}

static void parse_spec(struct policy_ctx *ctx, const struct yaml_node *root)
{
	const struct yaml_node *spec = node_require(ctx, root, "spec", "a policy"), *node;
	size_t errors = ctx->d->n_errors;

	if (!spec || !node_check_keys(ctx, spec, "spec", spec_keys, ARRAY_SIZE(spec_keys)))
		return;
	check_selectors(ctx, spec);
	ctx->lists = node_get(spec, "lists");
	if (ctx->lists && node_is_sequence(ctx, ctx->lists, "lists"))
		lists_check(ctx);
	else
		ctx->lists = NULL;
	ctx->macros = node_get(spec, "selectorsMacros");
	if (ctx->macros && ctx->macros->kind != YAML_MAPPING) {
		ctx_error(ctx, ctx->macros, "wrong-type", "selectorsMacros must be a mapping");
		ctx->macros = NULL;
	}
	if (ctx->macros)
		selectors_check_macros(ctx);
	node = node_get(spec, "options");
	if (node)
		parse_options(ctx, node);
	node = node_get(spec, "enforcers");
	if (node)
		parse_enforcers(ctx, node);
	parse_sections(ctx, spec);

	if (ctx->policy->n_entries == 0 && ctx->d->n_errors == errors)
		ctx_warning(ctx, spec, "no-hooks", "the policy hooks nothing");
	find_can_deny(ctx->policy);
	if (!ctx->policy->can_deny && ctx->policy->mode == POLICY_MODE_ENFORCE &&
	    ctx->mode_pos.line > 0)
		diag_warning(ctx->d, ctx->mode_pos, "monitor-only",
			     "no action of the policy enforces anything: it only monitors");
}

struct policy *policy_parse_document(const struct yaml_node *root, const char *origin,
				     const struct policy_options *opts, size_t *n_values,
				     struct diag *d, bool *ret_oom)
{
	static const struct node_key keys[] = {{"apiVersion"}, {"kind"}, {"metadata"}, {"spec"}};
	struct policy_ctx ctx = {.opts = opts, .d = d, .n_values = n_values};
	size_t errors = d->n_errors;

	ctx.policy = calloc(1, sizeof(*ctx.policy));
	if (ctx.policy)
		ctx.policy->origin = strdup(origin);
	if (!ctx.policy || !ctx.policy->origin) {
		policy_free(ctx.policy);
		*ret_oom = true;
		return NULL;
	}
	ctx.policy->pos = node_pos(&ctx, root);
	if (node_check_keys(&ctx, root, "a policy", keys, ARRAY_SIZE(keys))) {
		parse_kind(&ctx, root);
		parse_metadata(&ctx, root);
		parse_spec(&ctx, root);
	}
	if (!ctx.oom && d->n_errors == errors)
		return ctx.policy;
	policy_free(ctx.policy);
	*ret_oom = ctx.oom;
	return NULL;
}
