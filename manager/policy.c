/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Policies and sets of them: freeing, loading from text, and names that must be unique. */
#include <netinet/in.h>
#include <string.h>

#include "fnv.h"
#include "policy-internal.h"

static void path_filters_free(struct policy_path_filter *filters, size_t n)
{
	for (size_t i = 0; i < n; i++)
		values_done(&filters[i].values);
	free(filters);
}

static void arg_filters_free(struct policy_arg_filter *filters, size_t n)
{
	for (size_t i = 0; i < n; i++)
		values_done(&filters[i].values);
	free(filters);
}

/* A selector without filters, which events have no use for. */
static void selector_shed(struct policy_selector *s)
{
	path_filters_free(s->binaries, s->n_binaries);
	path_filters_free(s->parent_binaries, s->n_parent_binaries);
	for (size_t i = 0; i < s->n_pids; i++)
		values_done(&s->pids[i].values);
	free(s->pids);
	for (size_t i = 0; i < s->n_namespaces; i++)
		values_done(&s->namespaces[i].values);
	free(s->namespaces);
	free(s->caps);
	for (size_t i = 0; i < s->n_users; i++)
		values_done(&s->users[i].values);
	free(s->users);
	for (size_t i = 0; i < s->n_units; i++)
		values_done(&s->units[i].values);
	free(s->units);
	free(s->stdio);
	arg_filters_free(s->args, s->n_args);
	arg_filters_free(s->return_args, s->n_return_args);
	*s = (struct policy_selector){
		.pos = s->pos,
		.label = s->label,
		.actions = s->actions,
		.n_actions = s->n_actions,
		.return_actions = s->return_actions,
		.n_return_actions = s->n_return_actions,
	};
}

static void selector_done(struct policy_selector *s)
{
	selector_shed(s);
	free(s->label);
	free(s->actions);
	free(s->return_actions);
}

void policy_entry_done(struct policy_entry *e)
{
	free(e->message);
	for (size_t i = 0; i < e->n_tags; i++)
		free(e->tags[i]);
	free(e->tags);
	for (size_t i = 0; i < e->n_args; i++)
		free(e->args[i].label);
	free(e->args);
	free(e->return_arg.label);
	for (size_t i = 0; i < e->n_selectors; i++)
		selector_done(&e->selectors[i]);
	free(e->selectors);
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	if (p->n_shares > 0) {
		p->n_shares--;
		return;
	}
	for (size_t i = 0; i < p->n_entries; i++)
		policy_entry_done(&p->entries[i]);
	free(p->entries);
	free(p->name);
	free(p->origin);
	free(p->source);
	free(p->description);
	free(p->lookups);
	diag_done(&p->warnings);
	free(p);
}

void policy_shed(struct policy *p, bool keep_source)
{
	for (size_t i = 0; i < p->n_entries; i++)
		for (size_t k = 0; k < p->entries[i].n_selectors; k++)
			selector_shed(&p->entries[i].selectors[k]);
	free(p->lookups);
	p->lookups = NULL;
	p->n_lookups = 0;
	diag_done(&p->warnings);
	if (keep_source)
		return;
	free(p->source);
	p->source = NULL;
}

void policy_set_done(struct policy_set *s)
{
	for (size_t i = 0; i < s->n; i++)
		policy_free(s->policies[i]);
	free(s->policies);
	*s = (struct policy_set){};
}

int policy_set_add(struct policy_set *set, struct policy *p)
{
	struct policy **policies = reallocarray(set->policies, set->n + 1, sizeof(*policies));

	if (!policies)
		return -ENOMEM;
	set->policies = policies;
	policies[set->n++] = p;
	return 0;
}

int policy_set_append(struct policy_set *set, struct policy_set *src)
{
	struct policy **policies;

	if (src->n == 0)
		return 0;
	policies = reallocarray(set->policies, set->n + src->n, sizeof(*policies));
	if (!policies)
		return -ENOMEM;
	memcpy(policies + set->n, src->policies, src->n * sizeof(*policies));
	set->policies = policies;
	set->n += src->n;
	free(src->policies);
	*src = (struct policy_set){};
	return 0;
}

void policy_set_truncate(struct policy_set *set, size_t n)
{
	while (set->n > n)
		policy_free(set->policies[--set->n]);
	if (n == 0)
		policy_set_done(set);
}

static int compare_by_name(const void *a, const void *b, void *set)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	const struct policy_set *s = set;
	int c = strcmp(s->policies[x]->name, s->policies[y]->name);

	return c != 0 ? c : (x > y) - (x < y);
}

int policy_set_check_names(const struct policy_set *set, size_t first, struct diag *d)
{
	_cleanup_free_ size_t *order = NULL;
	int err = 0;

	if (set->n == 0)
		return 0;
	order = calloc(set->n, sizeof(*order));
	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < set->n; i++)
		order[i] = i;
	qsort_r(order, set->n, sizeof(*order), compare_by_name, (void *)set);
	for (size_t i = 1; i < set->n; i++) {
		const struct policy *p = set->policies[order[i]];
		const struct policy *before = set->policies[order[i - 1]];

		if (order[i] < first || strcmp(p->name, before->name) != 0)
			continue;
		diag_error(d, p->pos, "duplicate-policy",
			   "policy \"%s\" is already defined at %s:%u:%u", excerpt(p->name).s,
			   before->origin, before->pos.line, before->pos.column);
		err = -EINVAL;
	}
	return err;
}

/* Adds document i of f to set. */
static int load_document(const struct yaml_file *f, size_t i, const char *text, const char *origin,
			 const struct policy_options *opts, size_t *n_values, struct diag *d,
			 struct policy_set *set)
{
	_cleanup_(policy_freep) struct policy *p = NULL;
	struct diag found = {};
	size_t offset, size;
	bool oom = false;
	int err;

	p = policy_parse_document(f->documents[i], origin, opts, n_values, &found, &oom);
	if (!p) {
		diag_move(d, &found);
		return oom ? -ENOMEM : -EINVAL;
	}
	p->warnings = found;
	diag_copy(d, &p->warnings);
	yaml_document_text(f, i, &offset, &size);
	p->offset = offset;
	p->source = malloc(size + 1);
	if (!p->source)
		return -ENOMEM;
	memcpy(p->source, text + offset, size);
	p->source[size] = '\0';
	p->digest = fnv1a_string(fnv1a_string(FNV1A_INIT, p->name), p->source);
	err = policy_set_add(set, p);
	if (err == 0)
		p = NULL;
	return err;
}

int policy_parse_text(const char *text, size_t size, const char *origin,
		      const struct policy_options *opts, struct diag *d, struct policy_set *set)
{
	_cleanup_(yaml_file_freep) struct yaml_file *f = NULL;
	size_t n_values = 0, n_documents = 0;
	int err, failed = 0;

	err = yaml_parse(text, size, origin, d, &f);
	if (err < 0)
		return err;
	for (size_t i = 0; i < f->n_documents; i++) {
		const struct yaml_node *root = f->documents[i];

		if (yaml_is_null(root)) /* what a "---" at the end of a file leaves behind */
			continue;
		if (++n_documents == 2 && opts->tetragon)
			diag_warning(d, (struct diag_pos){origin, root->pos.line, root->pos.column},
				     "not-portable", "Tetragon takes one policy a file");
		err = load_document(f, i, text, origin, opts, &n_values, d, set);
		if (err == -ENOMEM)
			return err;
		if (err < 0)
			failed = err;
	}
	if (n_documents == 0) {
		diag_error(d, (struct diag_pos){origin, 1, 1}, "empty", "the file holds no policy");
		return -EINVAL;
	}
	return failed;
}

int policy_load_text(const char *text, size_t size, const char *origin,
		     const struct policy_options *opts, struct diag *d, struct policy_set *set)
{
	struct policy_set added = {};
	size_t before = set->n;
	int err;

	err = policy_parse_text(text, size, origin ? origin : "-", opts, d, &added);
	if (err == 0)
		err = policy_set_append(set, &added);
	if (err == 0)
		err = policy_set_check_names(set, before, d);
	if (err < 0) {
		policy_set_truncate(set, before);
		policy_set_done(&added);
	}
	return err;
}

const struct policy_action *policy_selector_limit(const struct policy_selector *s)
{
	const struct policy_action *limit = NULL;

	for (size_t i = 0; i < s->n_actions; i++) {
		const struct policy_action *a = &s->actions[i];

		if (a->kind != ACTION_POST)
			continue;
		if (!a->rate_limit_ms)
			return NULL;
		if (!limit || a->rate_limit_ms < limit->rate_limit_ms)
			limit = a;
	}
	return limit;
}

static bool filters_name_mptcp(const struct policy_arg_filter *f, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; f[i].op == OP_PROTOCOL && k < f[i].values.n_ranges; k++)
			if (f[i].values.ranges[k].lo == IPPROTO_MPTCP &&
			    f[i].values.ranges[k].hi == IPPROTO_MPTCP)
				return true;
	return false;
}

bool policy_names_mptcp(const struct policy *p)
{
	for (size_t i = 0; i < p->n_entries; i++)
		for (size_t k = 0; k < p->entries[i].n_selectors; k++) {
			const struct policy_selector *s = &p->entries[i].selectors[k];

			if (filters_name_mptcp(s->args, s->n_args) ||
			    filters_name_mptcp(s->return_args, s->n_return_args))
				return true;
		}
	return false;
}
