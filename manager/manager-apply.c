/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Transactions: any number of policies put, removed, set to a mode as one generation. */
#include <inttypes.h>
#include <string.h>

#include "manager.h"
#include "manager-internal.h"
#include "messages.h"
#include "store.h"

#define RUNTIME_PREFIX "/run/"

/* A policy of the set that a transaction makes. Policies are lent by the current set or by puts. */
struct item {
	struct policy *policy;
	const char *file; /* base name */
	ssize_t dir;	  /* of the file in force, or -1 for a policy that is new */
	size_t order;	  /* within the file */
	bool put;
	bool removed;
};

struct work {
	struct manager *m;
	const struct manager_transaction *t;
	struct diag *d;
	struct policy_set puts;
	struct item *items;
	size_t n;
	char **names; /* owned names of new files */
	size_t n_names;
	struct store_change *files;
	size_t n_files;
	size_t dir; /* where files are written */
};

void manager_overrides_free(struct manager_override *overrides, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(overrides[i].name);
	free(overrides);
}

struct ruleset_mode *manager_override_modes(const struct manager *m)
{
	struct ruleset_mode *modes = calloc(m->n_overrides + 1, sizeof(*modes));

	for (size_t i = 0; modes && i < m->n_overrides; i++)
		modes[i] = (struct ruleset_mode){m->overrides[i].name, m->overrides[i].mode};
	return modes;
}

static int overrides_copy(const struct manager *m, struct manager_override **ret_copy)
{
	struct manager_override *copy = calloc(m->n_overrides + 1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_overrides; i++) {
		copy[i] = (struct manager_override){strdup(m->overrides[i].name),
						    m->overrides[i].mode};
		if (!copy[i].name) {
			manager_overrides_free(copy, i);
			return -ENOMEM;
		}
	}
	*ret_copy = copy;
	return 0;
}

const char *manager_policy_mode_name(enum manager_policy_mode mode)
{
	static const char *const names[MANAGER_POLICY_MODES] = {
		[MANAGER_POLICY_ENFORCE] = "enforce",
		[MANAGER_POLICY_MONITOR] = "monitor",
		[MANAGER_POLICY_OFF] = "off",
		[MANAGER_POLICY_DEFAULT] = "default",
	};

	return names[mode];
}

int manager_policy_mode_parse(const char *s)
{
	for (int i = 0; i < MANAGER_POLICY_MODES; i++)
		if (strcmp(s, manager_policy_mode_name((enum manager_policy_mode)i)) == 0)
			return i;
	return -EINVAL;
}

int manager_override_set(struct manager *m, const char *name, enum manager_policy_mode mode)
{
	struct manager_override *o;
	char *copy;
	size_t i = 0;

	while (i < m->n_overrides && strcmp(m->overrides[i].name, name) != 0)
		i++;
	if (mode == MANAGER_POLICY_DEFAULT) {
		if (i == m->n_overrides)
			return 0;
		free(m->overrides[i].name);
		m->overrides[i] = m->overrides[--m->n_overrides];
		return 0;
	}
	if (i < m->n_overrides) {
		m->overrides[i].mode = (enum policy_mode)mode;
		return 0;
	}
	if (m->n_overrides >= MANAGER_MAX_OVERRIDES)
		return -E2BIG;
	o = reallocarray(m->overrides, m->n_overrides + 1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	m->overrides = o;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	o[m->n_overrides++] = (struct manager_override){copy, (enum policy_mode)mode};
	return 0;
}

static void work_done(struct work *w)
{
	policy_set_done(&w->puts);
	for (size_t i = 0; i < w->n_names; i++)
		free(w->names[i]);
	free(w->names);
	for (size_t i = 0; i < w->n_files; i++) {
		free(w->files[i].name);
		free(w->files[i].text);
	}
	free(w->files);
	free(w->items);
}

static int fail_for(const struct work *w, int error, const char *id)
{
	if (w->t->ret_id && !*w->t->ret_id)
		*w->t->ret_id = strdup(id);
	return error;
}

/* The index of the directory that a file of the current set was read from, or -1. */
static ssize_t find_dir(const struct manager *m, const char *origin)
{
	const char *slash = strrchr(origin, '/');

	for (size_t i = 0; slash && i < m->n_dirs; i++)
		if (strlen(m->dirs[i]) == (size_t)(slash - origin) &&
		    strncmp(m->dirs[i], origin, (size_t)(slash - origin)) == 0)
			return (ssize_t)i;
	return -1;
}

static struct item *find_item(const struct work *w, const char *id)
{
	for (size_t i = 0; i < w->n; i++)
		if (!w->items[i].removed && strcmp(w->items[i].policy->name, id) == 0)
			return &w->items[i];
	return NULL;
}

static int add_item(struct work *w, struct item item)
{
	struct item *items = reallocarray(w->items, w->n + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	w->items = items;
	item.order = w->n;
	items[w->n++] = item;
	return 0;
}

static int take_current(struct work *w)
{
	const struct policy_set *current = &manager_current(w->m)->rs->policies;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < current->n; i++) {
		struct policy *p = current->policies[i];
		const char *slash = strrchr(p->origin, '/');

		r = add_item(w, (struct item){
					.policy = p,
					.file = slash ? slash + 1 : p->origin,
					.dir = find_dir(w->m, p->origin),
				});
		if (r >= 0 && w->items[i].dir < 0)
			r = fail_for(w, -EUCLEAN, p->name);
	}
	return r;
}

static bool file_in_use(const struct work *w, const char *name)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->items[i].file && strcmp(w->items[i].file, name) == 0)
			return true;
	return false;
}

/* ID.yaml, or with a number if a file of that name holds other policies. */
static int new_file_name(struct work *w, const char *id, const char **ret_name)
{
	char **names = reallocarray(w->names, w->n_names + 1, sizeof(*names));
	char *name;

	if (!names)
		return -ENOMEM;
	w->names = names;
	for (unsigned int i = 1;; i++) {
		int r = i == 1 ? asprintf(&name, "%s.yaml", id)
			       : asprintf(&name, "%.240s-%u.yaml", id, i);

		if (r < 0)
			return -ENOMEM;
		if (!file_in_use(w, name))
			break;
		free(name);
	}
	names[w->n_names++] = name;
	*ret_name = name;
	return 0;
}

static int put_policy(struct work *w, struct policy *p)
{
	struct item *item = find_item(w, p->name);
	const char *file;
	int r;

	if (item) {
		item->policy = p;
		item->put = true;
		return 0;
	}
	/* One that is removed and put in the same transaction keeps its file. */
	for (size_t i = 0; i < w->n; i++)
		if (w->items[i].removed && strcmp(w->items[i].policy->name, p->name) == 0) {
			w->items[i].policy = p;
			w->items[i].put = true;
			w->items[i].removed = false;
			return 0;
		}
	r = new_file_name(w, p->name, &file);
	if (r < 0)
		return r;
	return add_item(w, (struct item){.policy = p, .file = file, .dir = -1, .put = true});
}

static int do_put(struct work *w, const struct manager_change *c)
{
	const struct policy_options opts = {};
	size_t before = w->puts.n;
	struct diag d = {};
	int r;

	r = policy_load_text(c->text, strlen(c->text), *c->id ? c->id : "input", &opts, &d,
			     &w->puts);
	/* what it is warned of comes again with the whole set, and the place in its file */
	if (r < 0)
		diag_move(w->d, &d);
	diag_done(&d);
	if (r < 0)
		return r;
	if (*c->id &&
	    (w->puts.n != before + 1 || strcmp(w->puts.policies[before]->name, c->id) != 0)) {
		diag_error(w->d, (struct diag_pos){.file = c->id}, "bad-name",
			   "the text must hold one policy, named \"%s\"", c->id);
		return -EINVAL;
	}
	for (size_t i = before; r >= 0 && i < w->puts.n; i++)
		r = put_policy(w, w->puts.policies[i]);
	return r;
}

static int do_change(struct work *w, const struct manager_change *c)
{
	struct item *item;

	if (c->kind == MANAGER_PUT)
		return do_put(w, c);
	item = find_item(w, c->id);
	if (!item)
		return fail_for(w, -ENOENT, c->id);
	if (c->kind == MANAGER_REMOVE) {
		item->removed = true;
		item->put = false;
		return 0;
	}
	if (c->mode == MANAGER_POLICY_ENFORCE && !item->policy->can_deny)
		return fail_for(w, -EPERM, c->id);
	return manager_override_set(w->m, c->id, c->mode);
}

static int compare_items(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int c = strcmp(x->file, y->file);

	return c != 0 ? c : (x->order > y->order) - (x->order < y->order);
}

static int runtime_dir(const struct manager *m, size_t *ret_dir)
{
	for (size_t i = 0; i < m->n_dirs; i++)
		if (strncmp(m->dirs[i], RUNTIME_PREFIX, strlen(RUNTIME_PREFIX)) == 0) {
			*ret_dir = i;
			return 0;
		}
	return -EOPNOTSUPP;
}

/* Whether a directory of lower precedence has a file of that name, which would come to light. */
static bool file_is_below(const struct work *w, const char *name)
{
	for (size_t i = w->dir + 1; i < w->m->n_dirs; i++) {
		_cleanup_free_ char *path = NULL;

		if (asprintf(&path, "%s/%s", w->m->dirs[i], name) < 0) {
			path = NULL;
			return true;
		}
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

/* Checks where a changed policy is, against where the transaction writes. */
static int check_place(const struct work *w, const struct item *item)
{
	if (item->dir < 0)
		return 0;
	if ((size_t)item->dir < w->dir)
		return fail_for(w, -EEXIST, item->policy->name);
	if (item->removed && (size_t)item->dir > w->dir && !w->t->mask && !w->t->replace_all)
		return fail_for(w, -EROFS, item->policy->name);
	return 0;
}

/* The new text of the file that items[first..end) share. */
static int add_file(struct work *w, size_t first, size_t end)
{
	struct store_change *files = reallocarray(w->files, w->n_files + 1, sizeof(*files));
	struct store_change *c;
	size_t size, n = 0;
	FILE *f;

	if (!files)
		return -ENOMEM;
	w->files = files;
	c = &files[w->n_files];
	*c = (struct store_change){.name = strdup(w->items[first].file)};
	f = c->name ? open_memstream(&c->text, &size) : NULL;
	if (!f) {
		free(c->name);
		return -ENOMEM;
	}
	w->n_files++;
	for (size_t i = first; i < end; i++) {
		const char *source = w->items[i].policy->source;

		if (w->items[i].removed)
			continue;
		fprintf(f, "%s%s%s", n++ > 0 && strncmp(source, "---", 3) != 0 ? "---\n" : "",
			source, *source && source[strlen(source) - 1] == '\n' ? "" : "\n");
	}
	if (fclose(f) != 0)
		return -ENOMEM;
	if (n == 0)
		c->kind = file_is_below(w, c->name) ? STORE_MASK : STORE_REMOVE;
	return 0;
}

/* Goes through the files, which the sorted items come in. */
static int plan_files(struct work *w)
{
	int r = 0;

	for (size_t first = 0, end; r >= 0 && first < w->n; first = end) {
		bool touched = false;

		for (end = first;
		     r >= 0 && end < w->n && strcmp(w->items[end].file, w->items[first].file) == 0;
		     end++) {
			if (!w->items[end].put && !w->items[end].removed)
				continue;
			touched = true;
			r = check_place(w, &w->items[end]);
		}
		if (r >= 0 && touched)
			r = add_file(w, first, end);
	}
	return r;
}

static bool file_is_planned(const struct work *w, const char *name)
{
	for (size_t i = 0; i < w->n_files; i++)
		if (strcmp(w->files[i].name, name) == 0)
			return true;
	return false;
}

/* The set as the next reload would read it. */
static int build_set(struct work *w, struct policy_set *set)
{
	const struct policy_options opts = {};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < w->n; i++) {
		const struct item *item = &w->items[i];
		_cleanup_free_ char *origin = NULL;
		const char *source = item->policy->source;
		bool planned = file_is_planned(w, item->file);
		size_t dir = planned ? w->dir : (size_t)item->dir;

		if (item->removed)
			continue;
		r = planned ? 0 : policy_share(item->policy, w->d, set);
		if (r != 0)
			continue;
		if (asprintf(&origin, "%s/%s", w->m->dirs[dir], item->file) < 0) {
			origin = NULL;
			return -ENOMEM;
		}
		r = policy_load_text(source, strlen(source), origin, &opts, w->d, set);
	}
	if (r >= 0 && set->n == 0) {
		diag_error(w->d, (struct diag_pos){.file = w->m->dirs[w->dir]}, "no-policy",
			   "no policy would be left");
		return -EINVAL;
	}
	return r;
}

/* Puts the set before the change back in force: its files could be brought back, it is not. */
static int recommit(struct manager *m)
{
	const struct policy_set *now = &m->generations[0].rs->policies;
	const struct policy_set *old = &m->generations[1].rs->policies;
	const struct policy_options opts = {};
	struct policy_set set = {};
	struct diag d = {};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < old->n; i++) {
		const struct policy *p = old->policies[i];
		const char *source = p->source;

		/* one that the change left as it was is kept by the newer set */
		if (!source)
			source = now->policies[manager_find_policy(m, p->name)]->source;
		r = policy_load_text(source, strlen(source), p->origin, &opts, &d, &set);
	}
	if (r >= 0)
		r = manager_commit(m, &set, &d);
	policy_set_done(&set);
	diag_done(&d);
	return r;
}

static int rollback(struct manager *m, struct store *s, int error)
{
	int r = s ? store_rollback(s) : 0;

	if (r < 0)
		log_error(m->log, "Failed to bring back the policy files: %s; the next start will",
			  strerror(-r));
	return error;
}

static int put_in_force(struct work *w, struct policy_set *set)
{
	_cleanup_(store_freep) struct store *s = NULL;
	struct manager *m = w->m;
	int r;

	if (w->n_files > 0) {
		r = store_begin(m->dirs[w->dir], w->files, w->n_files, &s);
		if (r < 0)
			return r;
	}
	r = manager_commit(m, set, w->d);
	if (r < 0)
		return rollback(m, s, r);
	r = s ? store_commit(s) : 0;
	if (r < 0) {
		(void)rollback(m, s, r);
		if (recommit(m) < 0)
			log_error(m->log, "Failed to put the older policies back in force");
	}
	return r;
}

static int check_only(const struct work *w, struct policy_set *set)
{
	const struct ruleset_options opts = manager_ruleset_options(w->m);
	_cleanup_free_ struct ruleset_mode *modes = manager_override_modes(w->m);
	_cleanup_(ruleset_freep) struct ruleset *rs = NULL;

	int r = modes ? ruleset_compile(set, &opts, modes, w->d, &rs) : -ENOMEM;

	return r < 0 ? r : manager_check_lock(w->m, rs, w->d);
}

static int run(struct work *w, struct policy_set *set)
{
	const struct manager_transaction *t = w->t;
	int r = 0;

	if (t->expected != 0 && t->expected != manager_current(w->m)->number)
		return -ESTALE;
	if (t->runtime)
		r = runtime_dir(w->m, &w->dir);
	if (r >= 0)
		r = take_current(w);
	for (size_t i = 0; r >= 0 && i < t->n; i++)
		r = do_change(w, &t->changes[i]);
	if (r < 0)
		return r;
	for (size_t i = 0; t->replace_all && i < w->n; i++)
		if (!w->items[i].put)
			w->items[i].removed = true;
	if (w->n > 0)
		qsort(w->items, w->n, sizeof(*w->items), compare_items);
	r = plan_files(w);
	if (r >= 0)
		r = build_set(w, set);
	if (r >= 0)
		r = t->dry_run ? check_only(w, set) : put_in_force(w, set);
	return r;
}

static void log_transaction(const struct work *w, const struct manager_who *who, int r)
{
	const struct manager *m = w->m;
	uint64_t generation = manager_current(m)->number;

	if (r < 0) {
		manager_log_change(m, LOG_ERR, who,
				   "Failed to change %zu policies: %s; generation %" PRIu64
				   " stays in force",
				   w->t->n, w->d->n_errors > 0 ? "bad policies" : strerror(-r),
				   generation);
		return;
	}
	for (size_t i = 0; i < w->t->n; i++)
		if (w->t->changes[i].kind == MANAGER_SET_MODE)
			manager_log_message(m, LOG_NOTICE, MESSAGE_POLICIES, who,
					    "Policy %s: mode %s, generation %" PRIu64,
					    w->t->changes[i].id,
					    manager_policy_mode_name(w->t->changes[i].mode),
					    generation);
	for (size_t i = 0; i < w->n; i++)
		if (w->items[i].put || w->items[i].removed)
			manager_log_message(m, LOG_NOTICE, MESSAGE_POLICIES, who,
					    "Policy in %s/%s: %s, generation %" PRIu64,
					    m->dirs[w->dir], w->items[i].file,
					    w->items[i].put ? "put" : "removed", generation);
}

/* Modes set at run time are kept beside the rule set, for the daemon that takes it over. */
static void keep_overrides(struct manager *m, const struct manager_override *before, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n; i++)
		if (backend_set_override(m->backend, before[i].name, -1) < 0)
			r = -EIO;
	for (size_t i = 0; i < m->n_overrides; i++)
		if (backend_set_override(m->backend, m->overrides[i].name,
					 (int)m->overrides[i].mode) < 0)
			r = -EIO;
	if (r < 0)
		log_warning(m->log, "The modes of single policies will not outlive the daemon");
}

int manager_apply(struct manager *m, const struct manager_transaction *t,
		  const struct manager_who *who, struct diag *d)
{
	struct work w = {.m = m, .t = t, .d = d};
	struct manager_override *overrides;
	size_t n_overrides = m->n_overrides;
	struct policy_set set = {};
	int r;

	r = overrides_copy(m, &overrides);
	if (r < 0)
		return r;
	r = run(&w, &set);
	policy_set_done(&set);
	if (r < 0 || t->dry_run) {
		manager_overrides_free(m->overrides, m->n_overrides);
		m->overrides = overrides;
		m->n_overrides = n_overrides;
	} else {
		keep_overrides(m, overrides, n_overrides);
		manager_overrides_free(overrides, n_overrides);
	}
	if (!t->dry_run) {
		log_diag(m->log, d);
		log_transaction(&w, who, r);
	}
	if (r >= 0 && t->ret_generation)
		*t->ret_generation = manager_current(m)->number;
	work_done(&w);
	return r < 0 ? r : 0;
}

void manager_recover(struct manager *m)
{
	for (size_t i = 0; i < m->n_dirs; i++) {
		int r;

		if (i > 0 && strncmp(m->dirs[i], RUNTIME_PREFIX, strlen(RUNTIME_PREFIX)) != 0)
			continue; /* never written to */
		r = store_recover(m->dirs[i]);
		if (r < 0)
			log_error(m->log, "Failed to settle an unfinished change in %s: %s",
				  m->dirs[i], strerror(-r));
		else if (r > 0)
			log_warning(m->log, "Took back an unfinished change in %s", m->dirs[i]);
	}
}
