/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon's state: rule sets by generation, reload, modes. Events are in manager-events.c. */
#include <inttypes.h>
#include <malloc.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#include "clock.h"
#include "manager.h"
#include "manager-internal.h"
#include "messages.h"
#include "mode.h"
#include "plane.h"

#define ERROR_LINES  100 /* of one failed reload that are kept */
#define MAX_WARNINGS 100 /* of the set in force that are kept */

int manager_new(sd_event *event, const struct log *log, char *const *dirs, size_t n_dirs,
		struct manager **ret_manager)
{
	_cleanup_(manager_freep) struct manager *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	r = stream_set_init(&m->streams, event);
	if (r < 0)
		return r;
	r = symbols_new("/proc/kallsyms", &m->symbols);
	if (r < 0)
		return r;
	r = ratelimit_new(&m->ratelimit);
	if (r < 0)
		return r;
	m->log = log;
	m->event = sd_event_ref(event);
	r = manager_told_init(m);
	if (r < 0)
		return r;
	m->dirs = dirs;
	m->n_dirs = n_dirs;
	m->mode_source = "default";
	m->last_error = strdup("");
	if (!m->last_error)
		return -ENOMEM;
	if (gethostname(m->node, sizeof(m->node) - 1) < 0)
		strcpy(m->node, "localhost");
	*ret_manager = TAKE_PTR(m);
	return 0;
}

static void generation_done(struct manager_generation *g)
{
	ruleset_free(g->rs);
	free(g->counts);
	free(g->loaded_usec);
	*g = (struct manager_generation){};
}

void manager_forget_generations(struct manager *m)
{
	while (m->n_generations > 0)
		generation_done(&m->generations[--m->n_generations]);
}

void manager_free(struct manager *m)
{
	if (!m)
		return;
	sd_event_source_disable_unref(m->events_source);
	sd_event_source_disable_unref(m->backlog_source);
	event_reader_stop(&m->reader);
	manager_flush_events(m);
	event_reader_done(&m->reader);
	manager_trial_end(m);
	manager_told_done(m);
	manager_watchdog_done(m);
	sink_free(m->sinks);
	tally_done(&m->tally);
	backend_close(m->backend);
	stream_set_done(&m->streams);
	history_done(&m->history);
	manager_forget_generations(m);
	manager_overrides_free(m->overrides, m->n_overrides);
	ratelimit_free(m->ratelimit);
	symbols_free(m->symbols);
	diag_done(&m->warnings);
	free(m->last_error);
	sd_event_unref(m->event);
	free(m);
}

void manager_notify(const struct manager *m, const char *state)
{
	const struct manager_generation *g = manager_current(m);

	sd_notifyf(0, "%sSTATUS=%s, backend %s, %zu policies, generation %" PRIu64, state,
		   mode_name(m->mode), backend_kind_name(backend_get_kind(m->backend)),
		   g->rs->policies.n, g->number);
}

static void properties_changed(struct manager *m, unsigned int properties)
{
	if (properties & (MANAGER_MODE | MANAGER_GENERATION))
		manager_notify(m, "");
	if (m->observer.properties_changed)
		m->observer.properties_changed(m->observer.userdata, properties);
}

/* who as text for a message: "bus, uid 0, pid 123, reason: ...". */
static char *format_who(const struct manager_who *who)
{
	char *s;

	if (who->pid == 0)
		return strdup(who->via);
	if (asprintf(&s, "%s, uid %u, pid %d%s%s", who->via, who->uid, (int)who->pid,
		     who->reason ? ", reason: " : "", who->reason ? who->reason : "") < 0)
		return NULL;
	return s;
}

void manager_log_message(const struct manager *m, int level, const char *id,
			 const struct manager_who *who, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL, *by = format_who(who), *reason = NULL;
	const struct manager_generation *g = manager_current(m);
	char uid[48], pid[48], via[48], mode[48], generation[48], message_id[48];
	const char *fields[8] = {uid, pid, via, mode, generation};
	size_t n = 5;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (r < 0) {
		text = NULL;
		return;
	}
	snprintf(uid, sizeof(uid), "REVSHELL_CALLER_UID=%u", who->uid);
	snprintf(pid, sizeof(pid), "REVSHELL_CALLER_PID=%d", (int)who->pid);
	snprintf(via, sizeof(via), "REVSHELL_CALLER_VIA=%s", who->via);
	snprintf(mode, sizeof(mode), "REVSHELL_MODE=%s", mode_name(m->mode));
	snprintf(generation, sizeof(generation), "REVSHELL_GENERATION=%" PRIu64, g ? g->number : 0);
	if (id) {
		snprintf(message_id, sizeof(message_id), MESSAGE_FIELD("%s"), id);
		fields[n++] = message_id;
	}
	if (who->reason && asprintf(&reason, "REVSHELL_REASON=%s", who->reason) < 0)
		reason = NULL;
	fields[n] = reason;
	log_fields(m->log, level, fields, "%s (%s)", text, by ? by : "?");
}

static bool set_is_empty_here(const struct manager *m)
{
	const struct manager_generation *g = manager_current(m);

	return !g || g->rs->policies.n == 0;
}

int manager_read_policies(struct manager *m, struct diag *d, struct policy_set *ret_set)
{
	const struct manager_generation *g = manager_current(m);
	const struct policy_options opts = {.known = g ? &g->rs->policies : NULL};
	struct policy_set set = {};
	int r;

	r = policy_load_dirs(m->dirs, m->n_dirs, &opts, d, &set);
	if (r < 0)
		return r;
	/* An emptied directory is more often an accident than a wish to be defenceless. */
	if (set.n == 0 && !(m->may_be_empty && set_is_empty_here(m))) {
		struct diag_pos pos = {.file = m->dirs[0]};

		diag_error(d, pos, "no-policy", "no policy is left: no *.yaml or *.yml file in %s",
			   m->n_dirs == 1 ? "this directory" : "any policy directory");
		policy_set_done(&set);
		return -EINVAL;
	}
	*ret_set = set;
	return 0;
}

static int take_override(const char *name, int mode, void *userdata)
{
	if (mode < POLICY_MODE_ENFORCE || mode > POLICY_MODE_OFF)
		return 0;
	return manager_override_set(userdata, name, (enum manager_policy_mode)mode);
}

int manager_set_backend(struct manager *m, struct backend *b)
{
	struct revshell_mode_value mode;
	int r;

	m->backend = b;
	manager_forget_losses(m);
	if (!backend_is_adopted(b))
		return 0;
	m->mode_source = "kept";
	if (backend_get_mode(b, &mode) == 0)
		m->mode = mode.mode;
	r = manager_resume_trial(m);
	if (r < 0)
		return r;
	return backend_each_override(b, take_override, m);
}

/* hint: about where it stands. */
static int find_in(const struct ruleset *rs, const char *name, size_t hint)
{
	size_t n = rs->policies.n, first = MIN(hint, n);

	/* one more or one less before it */
	first -= first > 0;
	for (size_t k = 0; k < n; k++) {
		size_t i = first + k < n ? first + k : first + k - n;

		if (strcmp(rs->policies.policies[i]->name, name) == 0)
			return (int)i;
	}
	return -ENOENT;
}

ssize_t manager_find_policy(const struct manager *m, const char *name)
{
	const struct manager_generation *g = manager_current(m);

	return g ? find_in(g->rs, name, 0) : -ENOENT;
}

static bool same_text(const struct policy *a, const struct policy *b)
{
	return a == b || strcmp(a->source, b->source) == 0;
}

static bool policy_differs(const struct ruleset *a, size_t i, const struct ruleset *b, size_t j)
{
	return !same_text(a->policies.policies[i], b->policies.policies[j]) ||
	       a->effective[i].mode != b->effective[j].mode ||
	       a->effective[i].degraded != b->effective[j].degraded ||
	       a->effective[i].enabled != b->effective[j].enabled;
}

static void diff_done(struct manager_diff *diff)
{
	free(diff->added);
	free(diff->changed);
	free(diff->removed);
}

/* old may be NULL. -ENOMEM leaves nothing to free. */
static int diff_rulesets(const struct ruleset *old, const struct ruleset *new,
			 struct manager_diff *ret_diff)
{
	size_t n_old = old ? old->policies.n : 0, n_new = new->policies.n;
	struct manager_diff diff = {
		.added = calloc(n_new + 1, sizeof(char *)),
		.changed = calloc(n_new + 1, sizeof(char *)),
		.removed = calloc(n_old + 1, sizeof(char *)),
	};

	if (!diff.added || !diff.changed || !diff.removed) {
		diff_done(&diff);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n_new; i++) {
		const char *name = new->policies.policies[i]->name;
		int j = old ? find_in(old, name, i) : -ENOENT;

		if (j < 0)
			diff.added[diff.n_added++] = name;
		else if (policy_differs(old, (size_t)j, new, i))
			diff.changed[diff.n_changed++] = name;
	}
	for (size_t i = 0; i < n_old; i++)
		if (find_in(new, old->policies.policies[i]->name, i) < 0)
			diff.removed[diff.n_removed++] = old->policies.policies[i]->name;
	*ret_diff = diff;
	return 0;
}

/* A policy that is gone takes its override along: its name may come back meaning another thing. */
static void drop_stale_overrides(struct manager *m, const struct ruleset *rs)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_overrides; i++) {
		if (find_in(rs, m->overrides[i].name, 0) >= 0)
			m->overrides[n++] = m->overrides[i];
		else {
			backend_set_override(m->backend, m->overrides[i].name, -1);
			free(m->overrides[i].name);
		}
	}
	m->n_overrides = n;
}

static struct manager_counts *carry_counts(const struct manager_generation *old,
					   const struct ruleset *rs)
{
	struct manager_counts *counts = calloc(rs->policies.n + 1, sizeof(*counts));

	for (size_t i = 0; counts && old && i < rs->policies.n; i++) {
		int j = find_in(old->rs, rs->policies.policies[i]->name, i);

		if (j >= 0)
			counts[i] = old->counts[j];
	}
	return counts;
}

static uint64_t *carry_times(const struct manager_generation *old, const struct ruleset *rs)
{
	uint64_t *times = calloc(rs->policies.n + 1, sizeof(*times));

	for (size_t i = 0; times && i < rs->policies.n; i++) {
		int j = old ? find_in(old->rs, rs->policies.policies[i]->name, i) : -ENOENT;
		bool same = j >= 0 &&
			    same_text(old->rs->policies.policies[j], rs->policies.policies[i]);

		times[i] = same ? old->loaded_usec[j] : clock_ns(CLOCK_REALTIME) / 1000;
	}
	return times;
}

/* A text that has not changed is kept once, by the newest that has it. */
static void drop_same_sources(struct policy_set *old, const struct ruleset *rs)
{
	for (size_t i = 0; i < old->n; i++) {
		struct policy *p = old->policies[i];
		int j = find_in(rs, p->name, i);

		if (j < 0 || p == rs->policies.policies[j] ||
		    strcmp(p->source, rs->policies.policies[j]->source) != 0)
			continue;
		free(p->source);
		p->source = NULL;
	}
}

static void push_generation(struct manager *m, struct manager_generation *g)
{
	if (m->n_generations > 0)
		drop_same_sources(&m->generations[0].rs->policies, g->rs);
	if (m->n_generations == MANAGER_GENERATIONS) {
		manager_flush_generation(m, m->generations[m->n_generations - 1].number);
		generation_done(&m->generations[--m->n_generations]);
	}
	memmove(&m->generations[1], &m->generations[0],
		m->n_generations * sizeof(m->generations[0]));
	m->generations[0] = *g;
	m->n_generations++;
	*g = (struct manager_generation){};
	/* the one before may have to be compiled anew, if files cannot be written */
	for (size_t i = 1; i < m->n_generations; i++)
		ruleset_shed(m->generations[i].rs, m->generations[i - 1].rs, i == 1);
}

struct ruleset_options manager_ruleset_options(const struct manager *m)
{
	struct ruleset_options opts = backend_ruleset_options(m->backend);

	opts.fallback = m->fallback;
	return opts;
}

/* Not everything that is meant to be refused can be. */
static void log_degraded(const struct manager *m)
{
	static const char *const fields[] = {MESSAGE_FIELD(MESSAGE_DEGRADED), NULL};
	_cleanup_free_ char *why = NULL;

	if (m->mode != REVSHELL_MODE_ENFORCE || !manager_count_degraded(m))
		return;
	why = manager_why_degraded(m);
	log_fields(m->log, LOG_ERR, fields, "Mode enforce is in force in part only: %s",
		   why ? why : "out of memory");
}

/* For those who ask later what was warned of. */
static void keep_warnings(struct manager *m, const struct diag *d)
{
	diag_done(&m->warnings);
	m->warnings = (struct diag){};
	for (size_t i = 0; i < d->n_items; i++) {
		const struct diag_item *item = &d->items[i];
		const struct diag_pos pos = {item->file, item->line, item->column};

		if (item->severity == DIAG_WARNING && m->warnings.n_items < MAX_WARNINGS)
			diag_warning(&m->warnings, pos, item->code, "%s", item->message);
	}
	if (d->n_warnings > m->warnings.n_items)
		diag_warning(&m->warnings, (struct diag_pos){}, "more", "%zu more warnings",
			     d->n_warnings - m->warnings.n_items);
}

int manager_commit(struct manager *m, struct policy_set *set, struct diag *d)
{
	const struct ruleset_options opts = manager_ruleset_options(m);
	_cleanup_(ruleset_freep) struct ruleset *rs = NULL;
	size_t n_degraded = manager_count_degraded(m);
	_cleanup_free_ struct ruleset_mode *modes = manager_override_modes(m);
	_cleanup_free_ struct manager_counts *counts = NULL;
	_cleanup_free_ uint64_t *times = NULL;
	struct manager_generation new = {};
	struct manager_diff diff;
	int r;

	if (!modes)
		return -ENOMEM;
	r = ruleset_compile(set, &opts, modes, d, &rs);
	if (r < 0)
		return r;
	r = manager_check_lock(m, rs, d);
	if (r < 0)
		return r;
	r = plane_check(rs, "", d);
	if (r < 0)
		return r;
	/* From here on set is empty. Whatever can fail comes before the store that publishes. */
	counts = carry_counts(manager_current(m), rs);
	times = carry_times(manager_current(m), rs);
	if (!counts || !times)
		return -ENOMEM;
	r = diff_rulesets(m->n_generations > 0 ? m->generations[0].rs : NULL, rs, &diff);
	if (r < 0)
		return r;
	r = backend_publish(m->backend, rs, d, &new.number);
	if (r < 0) {
		diff_done(&diff);
		return r;
	}
	new.rs = TAKE_PTR(rs);
	new.counts = TAKE_PTR(counts);
	new.loaded_usec = TAKE_PTR(times);
	push_generation(m, &new);
	keep_warnings(m, d);
	(void)manager_hold(m); /* it has logged what went wrong */
	drop_stale_overrides(m, m->generations[0].rs);
	tally_keep(&m->tally, &m->generations[0].rs->policies);
	if (manager_count_degraded(m) > n_degraded)
		log_degraded(m);
	properties_changed(m, MANAGER_GENERATION |
				      (manager_count_degraded(m) != n_degraded ? MANAGER_MODE : 0));
	/* diff.removed points into the generation before, which is kept. */
	if (m->observer.policies_changed)
		m->observer.policies_changed(m->observer.userdata, m->generations[0].number, &diff);
	diff_done(&diff);
	malloc_trim(0); /* what parsing and compiling took is not needed until the next reload */
	return 0;
}

char *manager_format_errors(const struct diag *d, size_t max_items)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0, n = 0;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	for (size_t i = 0; i < d->n_items && n < max_items; i++) {
		_cleanup_free_ char *line = NULL;

		if (d->items[i].severity != DIAG_ERROR)
			continue;
		line = diag_format(&d->items[i]);
		fprintf(f, "%s%s", n++ > 0 ? "\n" : "", line ? line : "out of memory");
	}
	if (d->n_errors > n)
		fprintf(f, "%s%zu more errors", n > 0 ? "\n" : "", d->n_errors - n);
	if (fclose(f) != 0)
		return NULL;
	return TAKE_PTR(text);
}

static void set_last_error(struct manager *m, int error, const struct diag *d)
{
	char *text;

	if (error == 0)
		text = strdup("");
	else if (d->n_errors > 0)
		text = manager_format_errors(d, ERROR_LINES);
	else
		text = strdup(strerror(-error));
	m->last_reload_usec = clock_ns(CLOCK_REALTIME) / 1000;
	if (text) { /* else the older text is still better than none */
		free(m->last_error);
		m->last_error = text;
	}
	properties_changed(m, MANAGER_RELOAD);
}

int manager_reload(struct manager *m, const struct manager_who *who, struct diag *d)
{
	struct policy_set set = {};
	int r;

	if (m->observer.reloading)
		m->observer.reloading(m->observer.userdata, true);
	r = manager_read_policies(m, d, &set);
	if (r >= 0)
		r = manager_commit(m, &set, d);
	policy_set_done(&set);
	log_diag(m->log, d);
	if (r < 0)
		manager_log_message(m, LOG_ERR, MESSAGE_RELOAD_FAILED, who,
				    "Reload failed: %s; generation %" PRIu64 " stays in force",
				    d->n_errors > 0 ? "bad policies" : strerror(-r),
				    m->n_generations > 0 ? m->generations[0].number : 0);
	else
		manager_log_message(m, LOG_NOTICE, MESSAGE_RELOADED, who,
				    "Reloaded: generation %" PRIu64 ", %zu policies",
				    m->generations[0].number, m->generations[0].rs->policies.n);
	set_last_error(m, r, d);
	if (m->observer.reloading)
		m->observer.reloading(m->observer.userdata, false);
	return r;
}

/* Not at start, where the policies were just put in force with these warnings. */
static void log_plane(const struct manager *m, const struct manager_who *who)
{
	const struct manager_generation *g = manager_current(m);
	struct diag d = {};

	if (g && m->mode == REVSHELL_MODE_ENFORCE && strcmp(who->via, "start") != 0 &&
	    plane_check(g->rs, "", &d) == 0)
		log_diag(m->log, &d);
	diag_done(&d);
}

int manager_put_mode(struct manager *m, enum revshell_mode mode, uint64_t deadline_ns,
		     const struct manager_who *who)
{
	enum revshell_mode previous = m->mode;
	int r;

	if (backend_is_locked(m->backend) &&
	    (deadline_ns || (previous == REVSHELL_MODE_ENFORCE && mode != previous))) {
		manager_log_change(m, LOG_ERR, who, "Refused mode %s: locked until the next boot",
				   mode_name(mode));
		return MANAGER_LOCKED;
	}
	r = backend_set_mode(m->backend, mode, deadline_ns);
	if (r < 0) {
		manager_log_change(m, LOG_ERR, who, "Failed to set mode %s: %s", mode_name(mode),
				   strerror(-r));
		return r;
	}
	m->mode = mode;
	if (deadline_ns)
		m->mode_source = "trial";
	else if (strcmp(who->via, "start") != 0)
		m->mode_source = strcmp(who->via, "bus") == 0 ? "bus" : "rollback";
	manager_log_message(m, LOG_NOTICE, MESSAGE_MODE, who, "Mode %s%s (was %s)", mode_name(mode),
			    deadline_ns ? " until it is confirmed" : "", mode_name(previous));
	if (mode == REVSHELL_MODE_ENFORCE && backend_get_kind(m->backend) == BACKEND_NONE)
		log_warning(m->log, "Mode enforce has no effect: backend none reaches no kernel");
	log_degraded(m);
	log_plane(m, who);
	properties_changed(m, MANAGER_MODE);
	return 0;
}

size_t manager_count_degraded(const struct manager *m)
{
	const struct manager_generation *g = manager_current(m);
	size_t n = 0;

	for (size_t i = 0; g && i < g->rs->policies.n; i++)
		n += g->rs->effective[i].degraded;
	return n;
}

char *manager_why_degraded(const struct manager *m)
{
	const struct ruleset *rs = manager_current(m)->rs;
	const char *first = "";
	char *text;

	for (size_t i = rs->policies.n; i-- > 0;)
		if (rs->effective[i].degraded)
			first = rs->policies.policies[i]->name;
	if (asprintf(&text,
		     "backend %s cannot deny, which %zu of the policies want (%s%s); boot with "
		     "lsm=...,bpf for one that can, or name a substitute: option "
		     "override-fallback in the policy, or --override-fallback, sigkill or monitor",
		     backend_kind_name(backend_get_kind(m->backend)), manager_count_degraded(m),
		     first, manager_count_degraded(m) > 1 ? ", ..." : "") < 0)
		return NULL;
	return text;
}

int manager_set_mode(struct manager *m, enum revshell_mode mode, const struct manager_who *who)
{
	if (mode == REVSHELL_MODE_ENFORCE && manager_count_degraded(m))
		return -EOPNOTSUPP;
	return manager_start_mode(m, mode, who);
}

int manager_start_mode(struct manager *m, enum revshell_mode mode, const struct manager_who *who)
{
	return m->trial.deadline_ns ? -EBUSY : manager_put_mode(m, mode, 0, who);
}

const char *manager_effective_mode(const struct manager *m)
{
	struct revshell_mode_value v;

	if (!m->backend || backend_get_kind(m->backend) == BACKEND_NONE)
		return "off";
	if (backend_get_mode(m->backend, &v) < 0)
		return mode_name(m->mode);
	if (v.deadline_ns != 0 && clock_ns(CLOCK_BOOTTIME) >= v.deadline_ns)
		return mode_name(REVSHELL_MODE_MONITOR);
	if (v.mode == REVSHELL_MODE_ENFORCE && manager_count_degraded(m))
		return "degraded";
	return mode_name(v.mode == REVSHELL_MODE_ENFORCE ? REVSHELL_MODE_ENFORCE
							 : REVSHELL_MODE_MONITOR);
}

const char *manager_policy_mode(const struct manager *m, size_t policy)
{
	const struct ruleset *rs = manager_current(m)->rs;

	if (!rs->effective[policy].enabled)
		return "off";
	if (!rs->policies.policies[policy]->can_deny)
		return "monitor-only";
	return rs->effective[policy].degraded || rs->effective[policy].mode == POLICY_MODE_ENFORCE
		       ? "enforce"
		       : "monitor";
}

const char *manager_policy_effective(const struct manager *m, size_t policy)
{
	const struct ruleset *rs = manager_current(m)->rs;
	const char *mode = manager_effective_mode(m);

	if (!rs->effective[policy].enabled)
		return "off";
	if (strcmp(mode, "enforce") != 0 && strcmp(mode, "degraded") != 0)
		return mode;
	if (rs->effective[policy].degraded)
		return "degraded";
	if (!rs->policies.policies[policy]->can_deny ||
	    rs->effective[policy].mode != POLICY_MODE_ENFORCE)
		return "monitor";
	return mode_name(REVSHELL_MODE_ENFORCE);
}

int manager_validate(const struct manager *m, const char *text, size_t size, const char *origin,
		     struct diag *d)
{
	const struct ruleset_options ropts = manager_ruleset_options(m);
	const struct policy_options opts = {};
	_cleanup_(ruleset_freep) struct ruleset *rs = NULL;
	struct policy_set set = {};
	int r;

	r = policy_load_text(text, size, origin, &opts, d, &set);
	if (r >= 0)
		r = ruleset_compile(&set, &ropts, NULL, d, &rs);
	if (r >= 0)
		r = plane_check(rs, "", d);
	policy_set_done(&set);
	return r;
}
