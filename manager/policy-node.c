/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Typed access to YAML nodes: every mistake becomes a diagnostic with its position. */
#include <string.h>
#include <strings.h>

#include "distance.h"
#include "policy-internal.h"

struct excerpt excerpt(const char *s)
{
	struct excerpt e;
	size_t n = strnlen(s, 61);

	if (n <= 60) {
		memcpy(e.s, s, n);
		e.s[n] = 0;
		return e;
	}
	n = 60;
	while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
		n--;
	memcpy(e.s, s, n);
	strcpy(e.s + n, "...");
	return e;
}

struct diag_pos node_pos(const struct policy_ctx *ctx, const struct yaml_node *node)
{
	return (struct diag_pos){ctx->policy->origin, node->pos.line, node->pos.column};
}

static void report_unknown_key(struct policy_ctx *ctx, const struct yaml_node *key,
			       const char *what, const struct node_key *keys, size_t n_keys)
{
	const char *best = NULL;
	/* the longer the word, the more letters may be wrong in it */
	const size_t limit = strlen(key->text) < 8 ? 3 : 4;
	size_t best_distance = limit;

	for (size_t i = 0; i < n_keys; i++) {
		size_t distance = strcasecmp(key->text, keys[i].name) == 0
					  ? 0
					  : word_distance(key->text, keys[i].name, limit);

		if (distance < best_distance && !(keys[i].flags & KEY_UNSUPPORTED)) {
			best = keys[i].name;
			best_distance = distance;
		}
	}
	ctx_error(ctx, key, "unknown-key", "unknown key \"%s\" in %s%s%s%s", excerpt(key->text).s,
		  what, best ? "; did you mean \"" : "", best ? best : "", best ? "\"?" : "");
}

static bool is_empty(const struct yaml_node *node)
{
	return node->kind == YAML_SCALAR ? yaml_is_null(node) : node->n == 0;
}

bool node_check_keys(struct policy_ctx *ctx, const struct yaml_node *node, const char *what,
		     const struct node_key *keys, size_t n_keys)
{
	if (node->kind != YAML_MAPPING) {
		ctx_error(ctx, node, "wrong-type", "%s must be a mapping of keys to values", what);
		return false;
	}
	for (size_t i = 0; i < node->n; i++) {
		const struct yaml_node *key = node->items[2 * i];
		const struct node_key *known = NULL;

		for (size_t j = 0; j < n_keys && !known; j++)
			if (strcmp(key->text, keys[j].name) == 0)
				known = &keys[j];
		if (!known)
			report_unknown_key(ctx, key, what, keys, n_keys);
		else if ((known->flags & KEY_UNSUPPORTED) && !is_empty(node->items[2 * i + 1]))
			ctx_error(ctx, key, "unsupported", "%s is not supported: %s", known->name,
				  known->why);
		else if (known->flags & KEY_EXTENSION)
			ctx_not_portable(ctx, key, "Tetragon does not know %s", known->name);
	}
	return true;
}

const struct yaml_node *node_get(const struct yaml_node *mapping, const char *key)
{
	const struct yaml_node *value = yaml_get(mapping, key);

	return value && !yaml_is_null(value) ? value : NULL;
}

const struct yaml_node *node_require(struct policy_ctx *ctx, const struct yaml_node *mapping,
				     const char *key, const char *what)
{
	const struct yaml_node *value = node_get(mapping, key);

	if (!value)
		ctx_error(ctx, mapping, "missing-key", "%s needs the key \"%s\"", what, key);
	return value;
}

bool node_is_sequence(struct policy_ctx *ctx, const struct yaml_node *node, const char *what)
{
	if (node->kind == YAML_SEQUENCE)
		return true;
	ctx_error(ctx, node, "wrong-type", "%s must be a list", what);
	return false;
}

bool node_text(struct policy_ctx *ctx, const struct yaml_node *node, const char *what,
	       const char **ret_text)
{
	if (node->kind != YAML_SCALAR) {
		ctx_error(ctx, node, "wrong-type", "%s must be a single word or number, not a %s",
			  what, node->kind == YAML_SEQUENCE ? "list" : "mapping");
		return false;
	}
	/* a null key counts as missing, but in a list it is a slip: "- " or "- ~" */
	if (yaml_is_null(node)) {
		ctx_error(ctx, node, "wrong-type", "%s must not be empty", what);
		return false;
	}
	*ret_text = node->text;
	return true;
}

static bool parse_bool(const char *s, bool *ret_value)
{
	static const char *const words[2][9] = {
		{"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"},
		{"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"},
	};

	for (size_t i = 0; i < 2; i++) {
		for (size_t j = 0; j < ARRAY_SIZE(words[i]); j++) {
			if (strcmp(s, words[i][j]) == 0) {
				*ret_value = i == 1;
				return true;
			}
		}
	}
	return false;
}

bool node_bool(struct policy_ctx *ctx, const struct yaml_node *node, const char *what,
	       bool *ret_value)
{
	const char *text;

	if (!node_text(ctx, node, what, &text))
		return false;
	if (!parse_bool(text, ret_value)) {
		ctx_error(ctx, node, "wrong-type", "%s must be true or false, not \"%s\"", what,
			  excerpt(text).s);
		return false;
	}
	if (node->quoted)
		ctx_not_portable(ctx, node, "Tetragon wants %s without quotes", what);
	return true;
}

bool node_int(struct policy_ctx *ctx, const struct yaml_node *node, const char *what, int64_t min,
	      int64_t max, int64_t *ret_value)
{
	const char *text;
	int64_t value;

	if (!node_text(ctx, node, what, &text))
		return false;
	if (!number_parse_literal(text, true, &value)) {
		ctx_error(ctx, node, "bad-number", "%s must be a number, not \"%s\"", what,
			  excerpt(text).s);
		return false;
	}
	if (value < min || value > max) {
		ctx_error(ctx, node, "bad-number", "%s must lie between %lld and %lld, not %lld",
			  what, (long long)min, (long long)max, (long long)value);
		return false;
	}
	if (node->quoted)
		ctx_not_portable(ctx, node, "Tetragon wants %s without quotes", what);
	*ret_value = value;
	return true;
}

/* Whether YAML readers with types make something other than text of a plain scalar. */
static bool scalar_is_typed(const char *s)
{
	int64_t number;
	char *end;
	bool b;

	if (parse_bool(s, &b) || number_parse_literal(s, true, &number))
		return true;
	if (!strchr("+-.0123456789", s[0]))
		return false;
	strtod(s, &end);
	return *end == 0;
}

bool node_string(struct policy_ctx *ctx, const struct yaml_node *node, const char *what,
		 const char **ret_text)
{
	if (!node_text(ctx, node, what, ret_text))
		return false;
	if (ctx->opts->tetragon && !node->quoted && node->text[0] && scalar_is_typed(node->text))
		ctx_not_portable(ctx, node, "Tetragon wants %s in quotes: \"%s\"", what,
				 excerpt(node->text).s);
	return true;
}

char *ctx_strdup(struct policy_ctx *ctx, const char *s)
{
	char *copy = strdup(s);

	if (!copy)
		ctx->oom = true;
	return copy;
}

void *ctx_append(struct policy_ctx *ctx, void *array, size_t *n, size_t size)
{
	char *elements, *element;

	/* the array is of another pointer type, which void ** must not alias */
	memcpy(&elements, array, sizeof(elements));
	/* doubled whenever the length is a power of two, so there is no capacity to keep */
	if ((*n & (*n - 1)) == 0) {
		elements = reallocarray(elements, *n == 0 ? 1 : 2 * *n, size);
		if (!elements) {
			ctx->oom = true;
			return NULL;
		}
		memcpy(array, &elements, sizeof(elements));
	}
	element = elements + *n * size;
	memset(element, 0, size);
	(*n)++;
	return element;
}
