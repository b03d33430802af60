/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The filters on the calling process: binaries, PIDs, namespaces, capabilities, users, units. */
#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "policy-internal.h"

#define MAX_UNIT_NAME (REVSHELL_UNIT_NAME - 1U)
#define UNSET_ID      UINT32_MAX /* loginuid of what no login started */

/* The operator of a filter that knows In and NotIn, and Prefix and Postfix where paths is true. */
static enum policy_op filter_op(struct policy_ctx *ctx, const struct yaml_node *filter,
				const char *what, bool paths)
{
	const struct yaml_node *node = node_require(ctx, filter, "operator", what);
	enum policy_op op;
	const char *text;

	if (!node || !node_string(ctx, node, "operator", &text))
		return OP_NONE;
	op = policy_op_parse(text);
	if (op == OP_IN || op == OP_NOT_IN || (paths && op > OP_NOT_IN && op <= OP_NOT_POSTFIX)) {
		if (!policy_op_is_schema(text))
			ctx_not_portable(ctx, node, "Tetragon's schema wants %s",
					 policy_op_name(op));
		return op;
	}
	ctx_error(ctx, node, "bad-operator", "%s does not take operator \"%s\": use %s", what,
		  excerpt(text).s,
		  paths ? "In, NotIn, Prefix, NotPrefix, Postfix or NotPostfix" : "In or NotIn");
	return OP_NONE;
}

static bool filter_flag(struct policy_ctx *ctx, const struct yaml_node *filter, const char *key)
{
	const struct yaml_node *node = node_get(filter, key);
	bool value = false;

	if (node)
		node_bool(ctx, node, key, &value);
	return value;
}

/* The values of a filter; NULL after an error. */
static const struct yaml_node *filter_values(struct policy_ctx *ctx, const struct yaml_node *filter,
					     const char *what)
{
	const struct yaml_node *node = node_require(ctx, filter, "values", what);

	return node && values_check(ctx, node, what) ? node : NULL;
}

static void add_number(struct policy_ctx *ctx, struct policy_values *values, int64_t lo, int64_t hi)
{
	struct policy_range *range = CTX_APPEND(ctx, values->ranges, values->n_ranges);

	if (range)
		*range = (struct policy_range){lo, hi};
}

static void parse_path_filter(struct policy_ctx *ctx, const struct yaml_node *node,
			      const char *what, struct policy_path_filter *f)
{
	static const struct node_key keys[] = {{"operator"}, {"values"}, {"followChildren"}};

	if (!node_check_keys(ctx, node, what, keys, ARRAY_SIZE(keys)))
		return;
	f->pos = node_pos(ctx, node);
	f->op = filter_op(ctx, node, what, true);
	if (f->op == OP_NONE)
		return;
	f->follow_children = filter_flag(ctx, node, "followChildren");
	if (f->follow_children && f->op != OP_IN && f->op != OP_NOT_IN)
		ctx_error(ctx, yaml_get(node, "followChildren"), "bad-operator",
			  "followChildren goes with In and NotIn only");
	values_parse_paths(ctx, node, f->op, &f->values);
}

static void parse_binaries(struct policy_ctx *ctx, const struct yaml_node *node,
			   struct policy_selector *s)
{
	struct policy_path_filter *f = CTX_APPEND(ctx, s->binaries, s->n_binaries);

	if (f)
		parse_path_filter(ctx, node, "matchBinaries", f);
	if (s->n_binaries == 2)
		ctx_not_portable(ctx, node, "Tetragon takes one entry of matchBinaries");
}

static void parse_parent_binaries(struct policy_ctx *ctx, const struct yaml_node *node,
				  struct policy_selector *s)
{
	struct policy_path_filter *f = CTX_APPEND(ctx, s->parent_binaries, s->n_parent_binaries);

	if (f)
		parse_path_filter(ctx, node, "matchParentBinaries", f);
	if (s->n_parent_binaries == 2)
		ctx_not_portable(ctx, node, "Tetragon takes one entry of matchParentBinaries");
}

static void parse_pids(struct policy_ctx *ctx, const struct yaml_node *node,
		       struct policy_selector *s)
{
	static const struct node_key keys[] = {
		{"operator"}, {"values"}, {"followForks"}, {"isNamespacePID"}};
	struct policy_pid_filter *f = CTX_APPEND(ctx, s->pids, s->n_pids);
	const struct yaml_node *values;
	int64_t pid;

	if (!f || !node_check_keys(ctx, node, "matchPIDs", keys, ARRAY_SIZE(keys)))
		return;
	f->pos = node_pos(ctx, node);
	f->op = filter_op(ctx, node, "matchPIDs", false);
	f->follow_forks = filter_flag(ctx, node, "followForks");
	f->is_namespace_pid = filter_flag(ctx, node, "isNamespacePID");
	values = filter_values(ctx, node, "matchPIDs");
	for (size_t i = 0; values && i < values->n; i++)
		if (node_int(ctx, values->items[i], "a PID", 0, UINT32_MAX, &pid))
			add_number(ctx, &f->values, pid, pid);
	if (values && values->n > 4)
		ctx_not_portable(ctx, values, "Tetragon looks at the first 4 PIDs only");
	if (s->n_pids == 2)
		ctx_not_portable(ctx, node, "Tetragon looks at the first entry of matchPIDs only");
}

static void parse_namespace(struct policy_ctx *ctx, const struct yaml_node *node,
			    struct policy_selector *s)
{
	static const struct node_key keys[] = {{"namespace"}, {"operator"}, {"values"}};
	struct policy_namespace_filter *f = CTX_APPEND(ctx, s->namespaces, s->n_namespaces);
	const struct yaml_node *name, *values;
	const char *text;
	uint64_t inode;

	if (!f || !node_check_keys(ctx, node, "matchNamespaces", keys, ARRAY_SIZE(keys)))
		return;
	f->pos = node_pos(ctx, node);
	f->op = filter_op(ctx, node, "matchNamespaces", false);
	name = node_require(ctx, node, "namespace", "matchNamespaces");
	if (name && node_string(ctx, name, "namespace", &text)) {
		f->ns = policy_namespace_parse(text);
		if (f->ns == NS_MAX)
			ctx_error(ctx, name, "bad-name",
				  "unknown namespace \"%s\": use Uts, Ipc, Mnt, Pid, "
				  "PidForChildren, Net, Time, TimeForChildren, Cgroup or User",
				  excerpt(text).s);
	}
	values = filter_values(ctx, node, "matchNamespaces");
	for (size_t i = 0; values && i < values->n; i++) {
		const struct yaml_node *value = values->items[i];

		if (!node_string(ctx, value, "a value", &text))
			continue;
		if (strcmp(text, "host_ns") == 0)
			f->host = true;
		else if (number_parse_decimal(text, UINT32_MAX, &inode))
			add_number(ctx, &f->values, (int64_t)inode, (int64_t)inode);
		else
			ctx_error(ctx, value, "bad-number",
				  "\"%s\" is neither host_ns nor a namespace's inode number",
				  excerpt(text).s);
	}
	if (values && values->n > 4)
		ctx_not_portable(ctx, values, "Tetragon takes at most 4 values for a namespace");
	if (s->n_namespaces == 11)
		ctx_not_portable(ctx, node, "Tetragon takes at most 10 entries of matchNamespaces");
}

/* Copies text without blanks around it. */
static bool trim(const char *text, char *buffer, size_t size)
{
	size_t n;

	text += strspn(text, " \t\n");
	n = strlen(text);
	while (n > 0 && strchr(" \t\n", text[n - 1]))
		n--;
	if (n >= size)
		return false;
	memcpy(buffer, text, n);
	buffer[n] = 0;
	return true;
}

static void parse_capability(struct policy_ctx *ctx, const struct yaml_node *node,
			     struct policy_selector *s)
{
	static const struct node_key keys[] = {
		{"type"}, {"operator"}, {"values"}, {"isNamespaceCapability"}};
	struct policy_cap_filter *f = CTX_APPEND(ctx, s->caps, s->n_caps);
	const struct yaml_node *type, *values;
	const char *text;
	char name[32];

	if (!f || !node_check_keys(ctx, node, "matchCapabilities", keys, ARRAY_SIZE(keys)))
		return;
	f->pos = node_pos(ctx, node);
	f->op = filter_op(ctx, node, "matchCapabilities", false);
	f->is_namespace_capability = filter_flag(ctx, node, "isNamespaceCapability");
	type = node_get(node, "type");
	if (type && node_string(ctx, type, "type", &text)) {
		if (strcmp(text, "Inheritable") == 0)
			f->set = CAP_SET_INHERITABLE;
		else if (strcmp(text, "Permitted") == 0)
			f->set = CAP_SET_PERMITTED;
		else if (strcmp(text, "Effective") != 0)
			ctx_error(ctx, type, "bad-name",
				  "unknown type \"%s\": use Effective, Inheritable or Permitted",
				  excerpt(text).s);
	}
	values = filter_values(ctx, node, "matchCapabilities");
	for (size_t i = 0; values && i < values->n; i++) {
		int cap = -1;

		if (!node_string(ctx, values->items[i], "a value", &text))
			continue;
		if (trim(text, name, sizeof(name)))
			cap = policy_cap_parse(name);
		if (cap < 0)
			ctx_error(ctx, values->items[i], "bad-name", "unknown capability \"%s\"",
				  excerpt(text).s);
		else
			f->caps |= UINT64_C(1) << cap;
	}
	if (s->n_caps == 2)
		ctx_not_portable(ctx, node,
				 "Tetragon looks at the first entry of matchCapabilities only");
}

/* Looks a user's or group's name up in the host's databases. Returns 0, -ENOENT or -errno. */
static int name_to_id(const char *name, bool group, uint32_t *ret_id)
{
	_cleanup_free_ char *buffer = NULL;
	size_t size = 1024;
	int err;

	do {
		struct passwd pw, *user = NULL;
		struct group gr, *found = NULL;

		free(buffer);
		size *= 4;
		buffer = malloc(size);
		if (!buffer)
			return -ENOMEM;
		err = group ? getgrnam_r(name, &gr, buffer, size, &found)
			    : getpwnam_r(name, &pw, buffer, size, &user);
		if (err == 0 && user)
			*ret_id = user->pw_uid;
		else if (err == 0 && found)
			*ret_id = found->gr_gid;
		else if (err == 0)
			err = ENOENT;
	} while (err == ERANGE && size < 1024 * 1024);
	return -err;
}

static void add_user_name(struct policy_ctx *ctx, const struct yaml_node *node, const char *text,
			  struct policy_user_filter *f)
{
	bool group = f->kind == USER_GID;
	uint32_t id = 0;
	int err;

	if (strcmp(text, "root") == 0) {
		add_number(ctx, &f->values, 0, 0);
		return;
	}
	if (f->kind == USER_LOGINUID && strcmp(text, "unset") == 0) {
		add_number(ctx, &f->values, UNSET_ID, UNSET_ID);
		return;
	}
	if (ctx->opts->offline) {
		ctx_error(ctx, node, "bad-name",
			  "\"%s\" is not a number, and names are not looked up offline",
			  excerpt(text).s);
		return;
	}
	ctx->policy->names_users = true;
	err = name_to_id(text, group, &id);
	if (err == -ENOMEM)
		ctx->oom = true;
	else if (err < 0)
		ctx_error(ctx, node, "bad-name", "no %s \"%s\" on this host",
			  group ? "group" : "user", excerpt(text).s);
	else
		add_number(ctx, &f->values, id, id);
}

static void add_user_value(struct policy_ctx *ctx, const struct yaml_node *node, const char *text,
			   struct policy_user_filter *f)
{
	const char *colon = strchr(text, ':');
	char first[16];
	uint64_t lo, hi;

	if (!colon) {
		if (number_parse_decimal(text, UINT32_MAX, &lo))
			add_number(ctx, &f->values, (int64_t)lo, (int64_t)lo);
		else
			add_user_name(ctx, node, text, f);
		return;
	}
	snprintf(first, sizeof(first), "%.*s", (int)MIN(colon - text, 15), text);
	if (!number_parse_decimal(first, UINT32_MAX, &lo) ||
	    !number_parse_decimal(colon + 1, UINT32_MAX, &hi)) {
		ctx_error(ctx, node, "bad-range", "\"%s\" is not a range MIN:MAX of ids",
			  excerpt(text).s);
		return;
	}
	add_number(ctx, &f->values, (int64_t)MIN(lo, hi), (int64_t)MAX(lo, hi));
}

static void parse_user(struct policy_ctx *ctx, const struct yaml_node *node,
		       struct policy_selector *s)
{
	static const struct node_key keys[] = {{"type"}, {"operator"}, {"values"}};
	struct policy_user_filter *f = CTX_APPEND(ctx, s->users, s->n_users);
	const struct yaml_node *type, *values;
	const char *text;

	if (!f || !node_check_keys(ctx, node, "matchUsers", keys, ARRAY_SIZE(keys)))
		return;
	f->pos = node_pos(ctx, node);
	f->op = filter_op(ctx, node, "matchUsers", false);
	type = node_get(node, "type");
	if (type && node_text(ctx, type, "type", &text)) {
		if (strcmp(text, "gid") == 0)
			f->kind = USER_GID;
		else if (strcmp(text, "auid") == 0)
			f->kind = USER_LOGINUID;
		else if (strcmp(text, "uid") != 0)
			ctx_error(ctx, type, "bad-name",
				  "unknown type \"%s\": use uid, gid or auid", excerpt(text).s);
	}
	values = filter_values(ctx, node, "matchUsers");
	for (size_t i = 0; values && i < values->n; i++)
		if (node_text(ctx, values->items[i], "a value", &text))
			add_user_value(ctx, values->items[i], text, f);
}

static bool unit_name_is_valid(const char *text)
{
	static const char *const suffixes[] = {".service", ".scope", ".slice",
					       ".socket",  ".mount", ".swap"};
	const char *dot = strrchr(text, '.');

	if (!dot || dot == text || strchr(text, '/') || strlen(text) > MAX_UNIT_NAME)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
		if (strcmp(dot, suffixes[i]) == 0)
			return true;
	return false;
}

static void parse_unit(struct policy_ctx *ctx, const struct yaml_node *node,
		       struct policy_selector *s)
{
	static const struct node_key keys[] = {{"operator"}, {"values"}};
	struct policy_unit_filter *f = CTX_APPEND(ctx, s->units, s->n_units);
	const struct yaml_node *values;
	const char *text;

	if (!f || !node_check_keys(ctx, node, "matchUnits", keys, ARRAY_SIZE(keys)))
		return;
	f->pos = node_pos(ctx, node);
	f->op = filter_op(ctx, node, "matchUnits", false);
	values = filter_values(ctx, node, "matchUnits");
	for (size_t i = 0; values && i < values->n; i++) {
		struct policy_value_string *string;

		if (!node_text(ctx, values->items[i], "a value", &text))
			continue;
		if (!unit_name_is_valid(text)) {
			ctx_error(ctx, values->items[i], "bad-name",
				  "\"%s\" is not a unit's name such as ssh.service or user.slice",
				  excerpt(text).s);
			continue;
		}
		string = CTX_APPEND(ctx, f->values.strings, f->values.n_strings);
		if (!string)
			continue;
		string->pos = node_pos(ctx, values->items[i]);
		string->text = ctx_strdup(ctx, text);
	}
}

static void parse_stdio(struct policy_ctx *ctx, const struct yaml_node *node,
			struct policy_selector *s)
{
	static const struct node_key keys[] = {{"operator"}, {"values"}};
	struct policy_stdio_filter *f = CTX_APPEND(ctx, s->stdio, s->n_stdio);
	const struct yaml_node *values;
	int64_t fd;

	if (!f || !node_check_keys(ctx, node, "matchStdio", keys, ARRAY_SIZE(keys)))
		return;
	f->pos = node_pos(ctx, node);
	f->op = filter_op(ctx, node, "matchStdio", false);
	values = filter_values(ctx, node, "matchStdio");
	for (size_t i = 0; values && i < values->n; i++)
		if (node_int(ctx, values->items[i], "a descriptor", 0, 2, &fd))
			f->fds |= 1U << fd;
}

static const struct {
	const char *kind;
	void (*parse)(struct policy_ctx *ctx, const struct yaml_node *node,
		      struct policy_selector *s);
} parsers[] = {
	{"matchBinaries", parse_binaries},
	{"matchParentBinaries", parse_parent_binaries},
	{"matchPIDs", parse_pids},
	{"matchNamespaces", parse_namespace},
	{"matchCapabilities", parse_capability},
	{"matchUsers", parse_user},
	{"matchUnits", parse_unit},
	{"matchStdio", parse_stdio},
};

void filters_parse_process(struct policy_ctx *ctx, const struct yaml_node *node, const char *kind,
			   struct policy_selector *selector)
{
	if (!node_is_sequence(ctx, node, kind) || !values_count(ctx, node, node->n))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(parsers); i++)
		if (strcmp(parsers[i].kind, kind) == 0)
			for (size_t j = 0; j < node->n; j++)
				parsers[i].parse(ctx, node->items[j], selector);
}
