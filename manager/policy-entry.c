/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Items of kprobes, fentries and lsmhooks: the call, its message and tags, and what it selects. */
#include <string.h>

#include "policy-internal.h"
#include "quote.h"

static const struct node_key kprobe_keys[] = {
	{"call"},
	{"syscall"},
	{"return"},
	{"returnArg"},
	{"returnArgAction"},
	{"args"},
	{"message"},
	{"tags"},
	{"selectors"},
	{"ignore"},
	{"data", KEY_UNSUPPORTED, "filter with matchUsers, matchNamespaces or matchCapabilities"},
};

static const struct node_key lsm_keys[] = {
	{"hook"}, {"args"}, {"message"}, {"tags"}, {"selectors"},
};

static const char *section_name(enum policy_section section)
{
	switch (section) {
	case SECTION_KPROBES:
		return "kprobes";
	case SECTION_LSMHOOKS:
		return "lsmhooks";
	case SECTION_FENTRIES:
		return "fentries";
	}
	return "none";
}

static void report_unknown_call(struct policy_ctx *ctx, const struct yaml_node *node,
				const char *name, enum policy_section section)
{
	_cleanup_free_ char *list = policy_call_list(section);
	const char *hint = "";

	if (!list) {
		ctx->oom = true;
		return;
	}
	if (section != SECTION_LSMHOOKS && policy_call_find(name, SECTION_LSMHOOKS))
		hint = "; that is an LSM hook and belongs in lsmhooks";
	else if (section == SECTION_LSMHOOKS && policy_call_find(name, SECTION_KPROBES))
		hint = "; that is a function and belongs in kprobes";
	ctx_error(ctx, node, "unknown-call", "\"%s\" cannot be hooked in %s%s. Known: %s",
		  excerpt(name).s, section_name(section), hint, list);
}

/* Text cut to max bytes between two characters, with what is special escaped, as Tetragon stores
 * it. */
static char *copy_cut(struct policy_ctx *ctx, const struct yaml_node *node, const char *what,
		      const char *text, size_t max)
{
	size_t n = strlen(text), size;
	char *copy = NULL;
	FILE *f;

	if (n > max) {
		n = max;
		while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
		ctx_warning(ctx, node, "too-long", "%s is cut to %zu bytes", what, max);
	}
	f = open_memstream(&copy, &size);
	if (!f) {
		ctx->oom = true;
		return NULL;
	}
	quote_put(f, text, n);
	if (fclose(f) != 0 || !copy) {
		ctx->oom = true;
		free(copy);
		return NULL;
	}
	return copy;
}

static void parse_message(struct policy_ctx *ctx, const struct yaml_node *node,
			  struct policy_entry *entry)
{
	const char *text;

	if (!node_string(ctx, node, "message", &text) || text[0] == 0)
		return;
	if (text[1] == 0) {
		ctx_error(ctx, node, "too-short", "a message has at least 2 characters");
		return;
	}
	entry->message = copy_cut(ctx, node, "message", text, POLICY_MAX_MESSAGE);
}

static void parse_tags(struct policy_ctx *ctx, const struct yaml_node *node,
		       struct policy_entry *entry)
{
	const char *text;

	if (!node_is_sequence(ctx, node, "tags"))
		return;
	if (node->n > POLICY_MAX_TAGS) {
		ctx_error(ctx, node->items[POLICY_MAX_TAGS], "too-many-tags", "more than %u tags",
			  POLICY_MAX_TAGS);
		return;
	}
	for (size_t i = 0; i < node->n; i++) {
		const struct yaml_node *item = node->items[i];
		char **tag;

		if (!node_string(ctx, item, "a tag", &text))
			continue;
		if (strlen(text) < 2) {
			ctx_error(ctx, item, "too-short", "a tag has at least 2 characters");
			continue;
		}
		tag = CTX_APPEND(ctx, entry->tags, entry->n_tags);
		if (tag)
			*tag = copy_cut(ctx, item, "tag", text, POLICY_MAX_TAG);
	}
}

/* None of the calls is a system call, which is what Tetragon takes them for by default. */
static void check_syscall(struct policy_ctx *ctx, const struct yaml_node *node,
			  const struct policy_call *call)
{
	const struct yaml_node *flag = node_get(node, "syscall");
	bool value;

	if (!flag)
		ctx_warning(ctx, node, "missing-syscall",
			    "without \"syscall: false\" Tetragon looks for a system call named %s",
			    call->name);
	else if (node_bool(ctx, flag, "syscall", &value) && value)
		ctx_error(ctx, flag, "bad-syscall", "%s is not a system call: use syscall: false",
			  call->name);
}

static void parse_ignore(struct policy_ctx *ctx, const struct yaml_node *node,
			 struct policy_entry *entry)
{
	static const struct node_key keys[] = {{"callNotFound"}};
	const struct yaml_node *flag;

	if (!node_check_keys(ctx, node, "ignore", keys, ARRAY_SIZE(keys)))
		return;
	flag = node_get(node, "callNotFound");
	if (flag)
		node_bool(ctx, flag, "callNotFound", &entry->ignore_not_found);
}

/* Everything of an entry but the name of its call. */
static void parse_entry(struct policy_ctx *ctx, const struct yaml_node *node,
			enum policy_section section, const struct policy_call *call)
{
	struct policy_entry e = {
		.pos = node_pos(ctx, node),
		.section = section,
		.call = call,
	};
	const struct yaml_node *value;
	struct policy_entry *added;

	if (section != SECTION_LSMHOOKS) {
		check_syscall(ctx, node, call);
		return_parse(ctx, node, &e);
		value = node_get(node, "ignore");
		if (value)
			parse_ignore(ctx, value, &e);
	}
	value = node_get(node, "message");
	if (value)
		parse_message(ctx, value, &e);
	value = node_get(node, "tags");
	if (value)
		parse_tags(ctx, value, &e);
	value = node_get(node, "args");
	if (value)
		args_parse(ctx, value, &e);
	selectors_parse(ctx, node_get(node, "selectors"), &e);

	added = CTX_APPEND(ctx, ctx->policy->entries, ctx->policy->n_entries);
	if (added)
		*added = e;
	else
		policy_entry_done(&e);
}

/* call: "list:NAME" stands for one entry per call in the list. */
static void parse_call_list(struct policy_ctx *ctx, const struct yaml_node *node,
			    enum policy_section section, const struct yaml_node *call_node,
			    const char *name)
{
	const struct yaml_node *list = list_find(ctx, call_node, name), *values;
	bool seen[64] = {};

	values = list ? node_get(list, "values") : NULL;
	if (!list)
		return;
	if (!values || values->kind != YAML_SEQUENCE || values->n == 0) {
		ctx_error(ctx, call_node, "no-values", "list \"%s\" has no values",
			  excerpt(name).s);
		return;
	}
	for (size_t i = 0; i < values->n; i++) {
		const struct policy_call *call;
		const char *text;

		if (!node_text(ctx, values->items[i], "a call", &text))
			return;
		call = policy_call_find(text, section);
		if (!call) {
			report_unknown_call(ctx, values->items[i], text, section);
			return;
		}
		if (seen[call - policy_calls]) {
			ctx_error(ctx, values->items[i], "duplicate-call",
				  "%s is already in the list", call->name);
			return;
		}
		seen[call - policy_calls] = true;
		parse_entry(ctx, node, section, call);
	}
}

static void parse_item(struct policy_ctx *ctx, const struct yaml_node *node,
		       enum policy_section section)
{
	bool lsm = section == SECTION_LSMHOOKS;
	const char *key = lsm ? "hook" : "call", *what = section_name(section), *name;
	const struct yaml_node *call_node;
	const struct policy_call *call;

	if (!node_check_keys(ctx, node, what, lsm ? lsm_keys : kprobe_keys,
			     lsm ? ARRAY_SIZE(lsm_keys) : ARRAY_SIZE(kprobe_keys)))
		return;
	call_node = node_require(ctx, node, key, what);
	if (!call_node || !node_string(ctx, call_node, key, &name))
		return;
	if (!lsm && strncmp(name, "list:", 5) == 0) {
		parse_call_list(ctx, node, section, call_node, name + 5);
		return;
	}
	call = policy_call_find(name, section);
	if (call)
		parse_entry(ctx, node, section, call);
	else
		report_unknown_call(ctx, call_node, name, section);
}

void entries_parse(struct policy_ctx *ctx, const struct yaml_node *node,
		   enum policy_section section)
{
	if (!node_is_sequence(ctx, node, section_name(section)) ||
	    !values_count(ctx, node, node->n))
		return;
	for (size_t i = 0; i < node->n; i++)
		parse_item(ctx, node->items[i], section);
}
