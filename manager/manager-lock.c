/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lock: until the next boot nothing that is enforced may be weakened. */
#include <string.h>

#include "manager.h"
#include "manager-internal.h"
#include "messages.h"

/* Carried out as soon as the mode is enforce. */
static bool is_enforcing(const struct ruleset *rs, size_t i)
{
	return rs->effective[i].enabled && !rs->effective[i].degraded &&
	       rs->effective[i].mode == POLICY_MODE_ENFORCE && rs->policies.policies[i]->can_deny;
}

struct check {
	const struct ruleset *rs;
	struct backend *backend;
	struct diag *d;
};

static int check_held(const char *name, void *userdata)
{
	const struct check *c = userdata;
	const struct policy *p = NULL;
	const char *what = NULL;
	size_t i = 0;

	while (i < c->rs->policies.n && strcmp(c->rs->policies.policies[i]->name, name) != 0)
		i++;
	if (i < c->rs->policies.n)
		p = c->rs->policies.policies[i];
	if (!p)
		what = "be removed";
	else if (backend_holds(c->backend, name, p->source) != 1)
		what = "be changed";
	else if (!is_enforcing(c->rs, i))
		what = "stop enforcing";
	if (what)
		diag_error(c->d, (struct diag_pos){.file = p ? p->origin : NULL}, "locked",
			   "policy \"%s\" would %s: it is locked until the next boot", name, what);
	return 0;
}

int manager_check_lock(const struct manager *m, const struct ruleset *rs, struct diag *d)
{
	struct check c = {.rs = rs, .backend = m->backend, .d = d};
	size_t before = d->n_errors;
	int r;

	if (!backend_is_locked(m->backend))
		return 0;
	r = backend_each_held(m->backend, check_held, &c);
	if (r < 0)
		return r;
	return d->n_errors > before ? MANAGER_LOCKED : 0;
}

int manager_hold(struct manager *m)
{
	const struct ruleset *rs = manager_current(m)->rs;
	int r = 0;

	for (size_t i = 0; r >= 0 && backend_is_locked(m->backend) && i < rs->policies.n; i++)
		if (is_enforcing(rs, i))
			r = backend_hold(m->backend, rs->policies.policies[i]->name,
					 rs->policies.policies[i]->source);
	if (r < 0)
		log_error(m->log, "Failed to lock the new policies: %s", strerror(-r));
	return r;
}

int manager_lock(struct manager *m, const struct manager_who *who, char **ret_reason)
{
	_cleanup_free_ char *reason = NULL;
	int r;

	if (m->trial.deadline_ns)
		return -EBUSY;
	if (backend_is_locked(m->backend))
		return 0;
	r = backend_lock(m->backend, &reason);
	if (r >= 0)
		r = manager_hold(m);
	if (r < 0) {
		manager_log_change(m, LOG_ERR, who, "Failed to lock: %s",
				   reason ? reason : strerror(-r));
		*ret_reason = TAKE_PTR(reason);
		return r;
	}
	manager_log_message(m, LOG_NOTICE, MESSAGE_LOCKED, who,
			    "Locked: nothing may be weakened until the next boot");
	if (m->observer.properties_changed)
		m->observer.properties_changed(m->observer.userdata, MANAGER_LOCK);
	return 0;
}
