/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The values of matchArgs filters: which form each operator takes, and their limits. */
#include <string.h>

#include "policy-internal.h"

#define MAX_LISTS   256U /* spec.lists of one policy */
#define MAX_UN_PATH 108U /* bytes of sun_path */

struct values_reader {
	struct policy_ctx *ctx;
	enum policy_op op;
	enum policy_arg_type type;
	struct policy_values *values;
};

void values_done(struct policy_values *values)
{
	for (size_t i = 0; i < values->n_strings; i++)
		free(values->strings[i].text);
	free(values->strings);
	free(values->cidrs);
	free(values->ranges);
	*values = (struct policy_values){};
}

bool values_count(struct policy_ctx *ctx, const struct yaml_node *node, size_t n)
{
	bool was_within = *ctx->n_values <= POLICY_MAX_VALUES;

	if (!was_within)
		return false;
	*ctx->n_values += n;
	if (*ctx->n_values <= POLICY_MAX_VALUES)
		return true;
	ctx_error(ctx, node, "too-many-values",
		  "the policies of one file hold more than %u selectors and values, "
		  "macros and lists copied",
		  POLICY_MAX_VALUES);
	return false;
}

bool values_check(struct policy_ctx *ctx, const struct yaml_node *node, const char *what)
{
	if (!node_is_sequence(ctx, node, what))
		return false;
	if (node->n == 0) {
		ctx_error(ctx, node, "no-values", "%s needs at least one value", what);
		return false;
	}
	return values_count(ctx, node, node->n);
}

/* What the integers of a type may be, apart from uint64, whose every bit pattern is a value. */
static void type_limits(enum policy_arg_type type, int64_t *ret_min, int64_t *ret_max)
{
	static const struct {
		int64_t min;
		int64_t max;
	} limits[ARG_TYPE_MAX] = {
		[ARG_INT] = {INT32_MIN, INT32_MAX},   [ARG_UINT32] = {0, UINT32_MAX},
		[ARG_SIZE] = {INT32_MIN, UINT32_MAX}, [ARG_UINT64] = {INT64_MIN, INT64_MAX},
		[ARG_LONG] = {INT64_MIN, INT64_MAX},  [ARG_INT8] = {INT8_MIN, INT8_MAX},
		[ARG_INT16] = {INT16_MIN, INT16_MAX}, [ARG_UINT8] = {0, UINT8_MAX},
		[ARG_UINT16] = {0, UINT16_MAX},
	};

	*ret_min = limits[type].min;
	*ret_max = limits[type].max;
}

static bool type_is_signed(enum policy_arg_type type)
{
	return type == ARG_INT || type == ARG_LONG || type == ARG_INT8 || type == ARG_INT16 ||
	       type == ARG_SIZE;
}

static bool type_less(enum policy_arg_type type, int64_t a, int64_t b)
{
	return type == ARG_UINT64 ? (uint64_t)a < (uint64_t)b : a < b;
}

static void add_range(struct values_reader *r, int64_t lo, int64_t hi)
{
	struct policy_range *range = CTX_APPEND(r->ctx, r->values->ranges, r->values->n_ranges);

	if (range)
		*range = (struct policy_range){lo, hi};
}

/* The same, with bounds in any order. */
static void add_bounds(struct values_reader *r, const struct yaml_node *node, int64_t lo,
		       int64_t hi)
{
	if (type_less(r->type, hi, lo)) {
		ctx_warning(r->ctx, node, "reversed-range", "the bounds of \"%s\" are swapped",
			    excerpt(node->text).s);
		add_range(r, hi, lo);
	} else {
		add_range(r, lo, hi);
	}
}

/* The two sides of MIN:MAX, long enough for any number. */
struct bounds {
	char lo[32];
	char hi[32];
};

static bool split_range(struct values_reader *r, const struct yaml_node *node, const char *text,
			struct bounds *ret_bounds)
{
	const char *colon = strchr(text, ':');
	size_t lo = colon ? (size_t)(colon - text) : 0;
	size_t hi = colon ? strlen(colon + 1) : 0;
	struct bounds b = {};

	if (!colon || strchr(colon + 1, ':') || lo == 0 || hi == 0 || lo >= sizeof(b.lo) ||
	    hi >= sizeof(b.hi)) {
		ctx_error(r->ctx, node, "bad-range", "\"%s\" is not a range MIN:MAX",
			  excerpt(text).s);
		return false;
	}
	memcpy(b.lo, text, lo);
	memcpy(b.hi, colon + 1, hi);
	*ret_bounds = b;
	return true;
}

static void add_cidr(struct values_reader *r, const struct yaml_node *node, const char *text)
{
	const char *reason;
	struct policy_cidr cidr, *added;

	if (!cidr_parse(text, &cidr, &reason)) {
		ctx_error(r->ctx, node, "bad-address", "\"%s\": %s", excerpt(text).s, reason);
		return;
	}
	added = CTX_APPEND(r->ctx, r->values->cidrs, r->values->n_cidrs);
	if (added)
		*added = cidr;
}

static const char *tuple_noun(enum policy_op op)
{
	switch (op) {
	case OP_PROTOCOL:
		return "a protocol: IPPROTO_TCP or a number up to 65535";
	case OP_FAMILY:
		return "an address family: AF_INET or a number up to 65535";
	case OP_STATE:
		return "a TCP state: TCP_LISTEN or a number up to 255";
	default:
		return "a port: a number up to 65535";
	}
}

/* SPort and its like, Protocol, Family, State: decimal numbers, ranges of them, exact names. */
static void add_tuple_number(struct values_reader *r, const struct yaml_node *node,
			     const char *text)
{
	uint64_t max = r->op == OP_STATE ? 255 : 65535;
	struct bounds b;
	uint64_t lo, hi;
	int number = -1;

	if (strchr(text, ':')) {
		if (!split_range(r, node, text, &b))
			return;
		if (!number_parse_decimal(b.lo, max, &lo) ||
		    !number_parse_decimal(b.hi, max, &hi)) {
			ctx_error(r->ctx, node, "bad-number",
				  "\"%s\": a range is two decimal numbers up to %u",
				  excerpt(text).s, (unsigned int)max);
			return;
		}
		add_bounds(r, node, (int64_t)lo, (int64_t)hi);
		return;
	}

	if (r->op == OP_PROTOCOL)
		number = policy_protocol_parse(text);
	else if (r->op == OP_FAMILY)
		number = policy_family_parse(text);
	else if (r->op == OP_STATE)
		number = policy_state_parse(text);
	if (number >= 0) {
		add_range(r, number, number);
	} else if (number_parse_decimal(text, max, &lo)) {
		add_range(r, (int64_t)lo, (int64_t)lo);
	} else {
		ctx_error(r->ctx, node, "bad-number", "\"%s\" is not %s", excerpt(text).s,
			  tuple_noun(r->op));
	}
}

static bool in_limits(struct values_reader *r, const struct yaml_node *node, const char *text,
		      int64_t value, int64_t min, int64_t max)
{
	if (value >= min && value <= max)
		return true;
	ctx_error(r->ctx, node, "bad-number", "%s does not fit type %s", excerpt(text).s,
		  policy_arg_type_name(r->type));
	return false;
}

static bool parse_literal(struct values_reader *r, const struct yaml_node *node, const char *text,
			  int64_t *ret_value)
{
	if (number_parse_literal(text, type_is_signed(r->type), ret_value))
		return true;
	ctx_error(r->ctx, node, "bad-number", "\"%s\" is not a%s number of 64 bits",
		  excerpt(text).s, type_is_signed(r->type) ? "" : "n unsigned");
	return false;
}

/* Equal, NotEqual, GT, LT, Mask: one literal in any base. */
static void add_literal(struct values_reader *r, const struct yaml_node *node, const char *text)
{
	int64_t value, min, max;

	if (!parse_literal(r, node, text, &value))
		return;
	type_limits(r->type, &min, &max);
	if (!in_limits(r, node, text, value, min, max))
		return;
	if (r->type == ARG_SIZE)
		value &= UINT32_MAX;
	add_range(r, value, value);
}

/* InRange, NotInRange: MIN:MAX in any base. */
static void add_literal_range(struct values_reader *r, const struct yaml_node *node,
			      const char *text)
{
	int64_t lo, hi, min, max;
	struct bounds b;

	if (!split_range(r, node, text, &b))
		return;
	if (!parse_literal(r, node, b.lo, &lo) || !parse_literal(r, node, b.hi, &hi))
		return;
	type_limits(r->type, &min, &max);
	if (r->type == ARG_INT)
		max = UINT32_MAX; /* as Tetragon: the upper bound may lie beyond the type */
	else if (r->type == ARG_SIZE)
		min = 0;
	if (!in_limits(r, node, b.lo, lo, min, max) || !in_limits(r, node, b.hi, hi, min, max))
		return;
	add_bounds(r, node, lo, hi);
}

static bool parse_map_number(struct values_reader *r, const struct yaml_node *node,
			     const char *text, int64_t *ret_value)
{
	bool is_signed = type_is_signed(r->type);
	bool negative = is_signed && *text == '-';
	int64_t min, max, value;
	uint64_t magnitude;

	if (!number_parse_decimal(text + (is_signed && (*text == '-' || *text == '+')),
				  is_signed ? (uint64_t)INT64_MAX + negative : UINT64_MAX,
				  &magnitude)) {
		ctx_error(r->ctx, node, "bad-number", "\"%s\" is not a decimal%s number",
			  excerpt(text).s, is_signed ? "" : ", unsigned");
		return false;
	}
	value = (int64_t)(negative ? 0 - magnitude : magnitude);
	type_limits(r->type, &min, &max);
	if (r->type == ARG_INT)
		max = UINT32_MAX;
	if (!in_limits(r, node, text, value, min, max))
		return false;
	*ret_value = value;
	return true;
}

/*
 * Adds what InMap was given. There an int is looked up as its 32 bits, so 4294967295 and -1 are the
 * same key; a size_t likewise.
 */
static void add_map_range(struct values_reader *r, const struct yaml_node *node, int64_t lo,
			  int64_t hi)
{
	const int64_t turn = (int64_t)UINT32_MAX + 1;
	int64_t cut = r->type == ARG_INT ? INT32_MAX : -1;

	if (type_less(r->type, hi, lo)) {
		int64_t swap = lo;

		ctx_warning(r->ctx, node, "reversed-range", "the bounds of \"%s\" are swapped",
			    excerpt(node->text).s);
		lo = hi;
		hi = swap;
	}
	if (r->type == ARG_INT && hi > cut) {
		if (lo <= cut)
			add_range(r, lo, cut);
		add_range(r, MAX(lo, cut + 1) - turn, hi - turn);
	} else if (r->type == ARG_SIZE && lo <= cut) {
		add_range(r, lo + turn, MIN(hi, cut) + turn);
		if (hi > cut)
			add_range(r, cut + 1, hi);
	} else {
		add_range(r, lo, hi);
	}
}

static void add_map_value(struct values_reader *r, const struct yaml_node *node, const char *text)
{
	struct bounds b;
	int64_t lo, hi;

	if (!strchr(text, ':')) {
		if (parse_map_number(r, node, text, &lo))
			add_map_range(r, node, lo, lo);
		return;
	}
	if (split_range(r, node, text, &b) && parse_map_number(r, node, b.lo, &lo) &&
	    parse_map_number(r, node, b.hi, &hi))
		add_map_range(r, node, lo, hi);
}

const struct yaml_node *list_find(struct policy_ctx *ctx, const struct yaml_node *node,
				  const char *name)
{
	const struct yaml_node *lists = ctx->lists;

	for (size_t i = 0; lists && i < MIN(lists->n, (size_t)MAX_LISTS); i++) {
		const struct yaml_node *item = lists->items[i], *n;

		n = item->kind == YAML_MAPPING ? node_get(item, "name") : NULL;
		if (n && n->kind == YAML_SCALAR && strcmp(n->text, name) == 0)
			return item;
	}
	ctx_error(ctx, node, "no-such-list", "spec.lists has no list \"%s\"", excerpt(name).s);
	return NULL;
}

void lists_check(struct policy_ctx *ctx)
{
	static const struct node_key keys[] = {
		{"name"}, {"type"}, {"values"}, {"pattern"}, {"validated"}};
	const struct yaml_node *lists = ctx->lists, *node;
	const char *text;

	if (lists->n > MAX_LISTS)
		ctx_error(ctx, lists->items[MAX_LISTS], "too-many-lists", "more than %u lists",
			  MAX_LISTS);
	for (size_t i = 0; i < MIN(lists->n, (size_t)MAX_LISTS); i++) {
		const struct yaml_node *item = lists->items[i];

		if (!node_check_keys(ctx, item, "a list of spec.lists", keys, ARRAY_SIZE(keys)))
			continue;
		node = node_require(ctx, item, "name", "a list of spec.lists");
		if (node)
			node_string(ctx, node, "name", &text);
		node = node_get(item, "type");
		if (node && node_string(ctx, node, "type", &text) && text[0])
			ctx_error(ctx, node, "unsupported",
				  "lists of type \"%s\" are not supported: only lists of numbers "
				  "or calls, without a type",
				  excerpt(text).s);
		node = yaml_get(item, "pattern");
		if (node && !yaml_is_null(node))
			ctx_error(ctx, node, "unsupported", "pattern is not supported");
		node = node_get(item, "values");
		if (node)
			node_is_sequence(ctx, node, "values");
	}
}

static void add_list(struct values_reader *r, const struct yaml_node *node, const char *name)
{
	const struct yaml_node *list = list_find(r->ctx, node, name), *values;
	const char *text;

	ctx_not_portable(r->ctx, node, "Tetragon takes lists in values only in tracepoints");
	if (!list)
		return;
	values = node_get(list, "values");
	if (!values || values->kind != YAML_SEQUENCE || values->n == 0) {
		ctx_error(r->ctx, node, "no-values", "list \"%s\" has no values", excerpt(name).s);
		return;
	}
	if (!values_count(r->ctx, node, values->n))
		return;
	for (size_t i = 0; i < values->n; i++)
		if (node_text(r->ctx, values->items[i], "a value", &text))
			add_map_value(r, values->items[i], text);
}

/* Equal, Prefix and their like on the path of a UNIX socket address. */
static void add_string(struct values_reader *r, const struct yaml_node *node, const char *text)
{
	struct policy_value_string *string;

	if (text[0] == 0) {
		ctx_error(r->ctx, node, "empty-path", "a path must not be empty");
		return;
	}
	if (strlen(text) > MAX_UN_PATH) {
		ctx_error(r->ctx, node, "too-long", "longer than any UNIX socket path: %zu bytes",
			  strlen(text));
		return;
	}
	string = CTX_APPEND(r->ctx, r->values->strings, r->values->n_strings);
	if (!string)
		return;
	string->pos = node_pos(r->ctx, node);
	string->text = ctx_strdup(r->ctx, text);
}

static void add_value(struct values_reader *r, const struct yaml_node *node, const char *text)
{
	switch (r->op) {
	case OP_SADDR:
	case OP_DADDR:
	case OP_NOT_SADDR:
	case OP_NOT_DADDR:
		add_cidr(r, node, text);
		break;
	case OP_SPORT:
	case OP_DPORT:
	case OP_NOT_SPORT:
	case OP_NOT_DPORT:
	case OP_PROTOCOL:
	case OP_FAMILY:
	case OP_STATE:
		add_tuple_number(r, node, text);
		break;
	case OP_IN_RANGE:
	case OP_NOT_IN_RANGE:
		add_literal_range(r, node, text);
		break;
	case OP_IN_MAP:
	case OP_NOT_IN_MAP:
		if (strncmp(text, "list:", 5) == 0)
			add_list(r, node, text + 5);
		else
			add_map_value(r, node, text);
		break;
	default:
		if (r->type == ARG_SOCKADDR_UN)
			add_string(r, node, text);
		else
			add_literal(r, node, text);
	}
}

static bool op_takes_values(enum policy_op op)
{
	return op != OP_SPORT_PRIV && op != OP_DPORT_PRIV && op != OP_NOT_SPORT_PRIV &&
	       op != OP_NOT_DPORT_PRIV;
}

/* Operators whose values Tetragon keeps in line, four at most. */
static bool op_is_inline(enum policy_op op, enum policy_arg_type type)
{
	return policy_arg_type_is_integer(type) && op != OP_IN_MAP && op != OP_NOT_IN_MAP;
}

void values_parse_arg(struct policy_ctx *ctx, const struct yaml_node *filter, enum policy_op op,
		      enum policy_arg_type type, struct policy_values *values)
{
	struct values_reader r = {ctx, op, type, values};
	const struct yaml_node *node = node_get(filter, "values");
	const char *text;

	if (!op_takes_values(op)) {
		if (node && node_is_sequence(ctx, node, "values") && node->n > 0)
			ctx_warning(ctx, node, "values-ignored", "%s takes no values",
				    policy_op_name(op));
		return;
	}
	if (!node) {
		ctx_error(ctx, filter, "no-values", "%s needs at least one value",
			  policy_op_name(op));
		return;
	}
	if (!values_check(ctx, node, policy_op_name(op)))
		return;
	if (op_is_inline(op, type) && node->n > 4)
		ctx_not_portable(ctx, node, "Tetragon takes at most 4 values for %s, not %zu",
				 policy_op_name(op), node->n);
	for (size_t i = 0; i < node->n; i++)
		if (node_string(ctx, node->items[i], "a value", &text))
			add_value(&r, node->items[i], text);
}
