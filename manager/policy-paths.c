/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The values of matchBinaries: limits, and what a path that is a symlink leads to on this host. */
#include <search.h>
#include <string.h>

#include "policy-internal.h"

static bool op_is_exact(enum policy_op op)
{
	return op == OP_IN || op == OP_NOT_IN;
}

static size_t op_max_length(enum policy_op op)
{
	if (op_is_exact(op))
		return POLICY_MAX_PATH - 1; /* with its NUL it must fit a kernel path */
	return op == OP_PREFIX || op == OP_NOT_PREFIX ? REVSHELL_PREFIX_MAX : REVSHELL_POSTFIX_MAX;
}

static bool path_check(struct policy_ctx *ctx, const struct yaml_node *node, enum policy_op op,
		       const char *text)
{
	size_t length = strlen(text);

	if (length == 0) {
		ctx_error(ctx, node, "empty-path", "a path must not be empty");
		return false;
	}
	if (length > op_max_length(op)) {
		ctx_error(ctx, node, "too-long", "%zu bytes; %s takes at most %zu", length,
			  policy_op_name(op), op_max_length(op));
		return false;
	}
	if (op_is_exact(op) && text[0] != '/')
		ctx_warning(ctx, node, "relative-path",
			    "\"%s\" does not begin with /: no executable has that path",
			    excerpt(text).s);
	if (op_is_exact(op) && length > 255)
		ctx_not_portable(ctx, node, "Tetragon compares at most 255 bytes of a path");
	return true;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void add_path(struct policy_ctx *ctx, struct diag_pos pos, char *text,
		     struct policy_values *values)
{
	struct policy_value_string *string;

	string = CTX_APPEND(ctx, values->strings, values->n_strings);
	if (!string) {
		free(text);
		return;
	}
	string->pos = pos;
	string->text = text;
}

/* For policy_known_take(). real is a text of values, or NULL. */
static void remember(struct policy_ctx *ctx, const char *text, const char *real, int error)
{
	struct policy_lookup *lookup;

	lookup = CTX_APPEND(ctx, ctx->policy->lookups, ctx->policy->n_lookups);
	if (lookup)
		*lookup = (struct policy_lookup){text, real, error};
}

/* Adds where text leads to, unless tree, which holds the texts of values, has that already. */
static void path_resolve(struct policy_ctx *ctx, struct diag_pos pos, const char *text, void **tree,
			 struct policy_values *values)
{
	_cleanup_free_ char *real = realpath(text, NULL);
	int error = errno;
	char *const *found;

	if (!real) {
		if (error == ENOMEM)
			ctx->oom = true;
		else if (error == ENOENT || error == ENOTDIR)
			diag_warning(ctx->d, pos, "missing-file", "\"%s\" does not exist here",
				     excerpt(text).s);
		else
			diag_warning(ctx->d, pos, "missing-file", "\"%s\" cannot be looked up: %s",
				     excerpt(text).s, strerror(error));
		remember(ctx, text, NULL, error);
		return;
	}
	found = tfind(real, tree, compare_texts);
	if (found) {
		remember(ctx, text, *found, 0);
		return;
	}
	diag_warning(ctx->d, pos, "symlink", "\"%s\" is a symlink to %s: matching both",
		     excerpt(text).s, real);
	if (!tsearch(real, tree, compare_texts))
		ctx->oom = true;
	remember(ctx, text, real, 0);
	add_path(ctx, pos, TAKE_PTR(real), values);
}

/* The tree only borrows the texts. */
static void keep_text(void *text)
{
	(void)text;
}

static void paths_resolve(struct policy_ctx *ctx, struct policy_values *values)
{
	size_t n = values->n_strings;
	void *tree = NULL;

	for (size_t i = 0; i < n; i++)
		if (!tsearch(values->strings[i].text, &tree, compare_texts))
			ctx->oom = true;
	for (size_t i = 0; i < n && !ctx->oom; i++)
		if (values->strings[i].text[0] == '/')
			path_resolve(ctx, values->strings[i].pos, values->strings[i].text, &tree,
				     values);
	tdestroy(tree, keep_text);
}

void values_parse_paths(struct policy_ctx *ctx, const struct yaml_node *filter, enum policy_op op,
			struct policy_values *values)
{
	const struct yaml_node *node = node_get(filter, "values");
	const char *text;

	if (!node) {
		ctx_error(ctx, filter, "no-values", "%s needs at least one value",
			  policy_op_name(op));
		return;
	}
	if (!values_check(ctx, node, policy_op_name(op)))
		return;
	for (size_t i = 0; i < node->n; i++) {
		char *copy;

		if (!node_string(ctx, node->items[i], "a value", &text) ||
		    !path_check(ctx, node->items[i], op, text))
			continue;
		/* long paths weigh more, or macros could multiply them */
		if (!values_count(ctx, node->items[i], strlen(text) / 64))
			return;
		copy = ctx_strdup(ctx, text);
		if (copy)
			add_path(ctx, node_pos(ctx, node->items[i]), copy, values);
	}
	if (op_is_exact(op) && !ctx->opts->offline)
		paths_resolve(ctx, values);
}
