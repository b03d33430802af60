/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What comes of an operation, and of each selector that has to do with it. */
#include <signal.h>
#include <string.h>

#include "event-internal.h"
#include "macro.h"
#include "mode.h"
#include "simulate.h"

/* Facts */

static const char *int_name(enum revshell_hook hook, uint32_t n)
{
	static const char *const of_create[] = {"family", "type", "protocol"};

	return hook == REVSHELL_HOOK_CREATE && n < ARRAY_SIZE(of_create) ? of_create[n] : "arg";
}

static const char *dim_name(enum revshell_hook hook, enum revshell_dim dim)
{
	switch (dim) {
	case REVSHELL_DIM_EXE:
		return "exe";
	case REVSHELL_DIM_PARENT:
		return "parent";
	case REVSHELL_DIM_SK_FAMILY:
		return "family";
	case REVSHELL_DIM_SK_TYPE:
		return "type";
	case REVSHELL_DIM_SK_PROTOCOL:
		return "protocol";
	case REVSHELL_DIM_SK_STATE:
		return "state";
	case REVSHELL_DIM_SK_SPORT:
	case REVSHELL_DIM_SK_SADDR:
		return "src";
	case REVSHELL_DIM_SK_DPORT:
	case REVSHELL_DIM_SK_DADDR:
		return "dst";
	case REVSHELL_DIM_INT0:
	case REVSHELL_DIM_INT1:
	case REVSHELL_DIM_INT2:
	case REVSHELL_DIM_INT3:
		return int_name(hook, dim - REVSHELL_DIM_INT0);
	default: /* of the socket address */
		return hook == REVSHELL_HOOK_BIND ? "src" : "dst";
	}
}

static const char *fact_name(enum revshell_fact fact)
{
	switch (fact) {
	case REVSHELL_FACT_UID:
		return "uid";
	case REVSHELL_FACT_GID:
		return "gid";
	case REVSHELL_FACT_LOGINUID:
		return "auid";
	case REVSHELL_FACT_PID:
	case REVSHELL_FACT_NSPID:
		return "pid";
	case REVSHELL_FACT_FORK:
	case REVSHELL_FACT_NSPID_FORK:
		return "ancestors";
	case REVSHELL_FACT_LINEAGE:
	case REVSHELL_FACT_PARENT_LINEAGE:
		return "lineage";
	case REVSHELL_FACT_UNIT:
		return "unit";
	case REVSHELL_FACT_CAP_EFFECTIVE:
	case REVSHELL_FACT_CAP_INHERITABLE:
	case REVSHELL_FACT_CAP_PERMITTED:
		return "caps";
	case REVSHELL_FACT_STDIO:
		return "stdio";
	default:
		return "namespaces";
	}
}

static bool is_listed(const json_t *array, const char *text)
{
	for (size_t i = 0; i < json_array_size(array); i++)
		if (strcmp(json_string_value(json_array_get(array, i)), text) == 0)
			return true;
	return false;
}

/* Names of facts, those of the options that tell them, each once; NULL on lack of memory. */
static json_t *fact_names(uint64_t facts, enum revshell_hook hook)
{
	json_t *names = json_array();

	for (uint32_t i = 0; names && i < 64; i++) {
		const char *name =
			i < REVSHELL_DIM_MAX ? dim_name(hook, i) : fact_name(i - REVSHELL_DIM_MAX);

		if (!(facts >> i & 1) || is_listed(names, name))
			continue;
		if (json_array_append_new(names, json_string(name)) < 0) {
			json_decref(names);
			return NULL;
		}
	}
	return names;
}

/* Selectors */

static json_t *signal_text(int signo)
{
	const char *name = sigabbrev_np(signo);

	return name ? json_sprintf("SIG%s", name) : json_sprintf("%d", signo);
}

static json_t *action_text(const struct policy_action *a)
{
	const char *name = policy_action_name(a->kind);
	char buf[12];

	if (a->error)
		return json_sprintf("%s %s", name, event_errno_name(a->error, buf));
	if (a->signal)
		return json_sprintf("%s %d", name, a->signal);
	return json_string(name);
}

static json_t *actions_of(const struct policy_selector *s)
{
	json_t *actions = json_array();
	bool oom = !actions;

	for (size_t i = 0; !oom && i < s->n_actions; i++)
		oom = json_array_append_new(actions, action_text(&s->actions[i])) < 0;
	for (size_t i = 0; !oom && i < s->n_return_actions; i++)
		oom = json_array_append_new(actions, action_text(&s->return_actions[i])) < 0;
	if (!oom)
		return actions;
	json_decref(actions);
	return NULL;
}

static void put_pos(json_t *obj, const struct diag_pos *pos, bool *oom)
{
	event_put_text(obj, "file", pos->file ? pos->file : "", oom);
	event_put_number(obj, "line", pos->line, oom);
	event_put_number(obj, "column", pos->column, oom);
}

/*
 * yes: the first match of its entry; unless-earlier: if none before it matches, which some may;
 * shadowed: it matches, but so does one before it.
 */
static const char *match_name(const struct sim_decision *d, uint32_t bit)
{
	if (ruleset_has_bit(d->first, bit))
		return "yes";
	if (ruleset_has_bit(d->may_first, bit))
		return ruleset_has_bit(d->match, bit) ? "unless-earlier" : "maybe";
	return ruleset_has_bit(d->may_match, bit) ? "shadowed" : "no";
}

static void put_reason(json_t *obj, const struct sim_reason *reason, const char *match,
		       enum revshell_hook hook, bool *oom)
{
	json_t *filter;

	/* which facts may be what they like, the engine has the last word */
	if (!reason->text || (strcmp(match, "maybe") != 0 && strcmp(match, "no") != 0))
		return;
	event_put_text(obj, "reason", reason->text, oom);
	filter = json_object();
	if (filter)
		put_pos(filter, &reason->pos, oom);
	event_put(obj, "filter", filter, oom);
	if (reason->facts)
		event_put(obj, "depends_on", fact_names(reason->facts, hook), oom);
}

/* Adds one selector's object to the array. */
static int add_selector(json_t *selectors, const struct ruleset *rs, enum revshell_hook hook,
			uint32_t bit, const struct sim_decision *d, const struct sim_reason *reason)
{
	const struct ruleset_selector *sel = &rs->hooks[hook].selectors[bit];
	const struct policy *p = rs->policies.policies[sel->policy];
	const struct policy_entry *e = &p->entries[sel->entry];
	const struct policy_selector *s = &e->selectors[sel->selector];
	bool enforce = rs->effective[sel->policy].mode == POLICY_MODE_ENFORCE;
	const char *match = match_name(d, bit);
	json_t *obj = json_object();
	bool oom = !obj;

	if (!obj)
		return -ENOMEM;
	event_put(obj, "hook", json_string(ruleset_hook_name(hook)), &oom);
	event_put_text(obj, "policy", p->name, &oom);
	event_put(obj, "policy_mode", json_string(enforce ? "enforce" : "monitor"), &oom);
	event_put_text(obj, "call", e->call->name, &oom);
	event_put(obj, "selector", json_integer(sel->selector), &oom);
	if (s->label)
		event_put_text(obj, "label", s->label, &oom);
	put_pos(obj, &s->pos, &oom);
	event_put(obj, "actions", actions_of(s), &oom);
	event_put(obj, "match", json_string(match), &oom);
	put_reason(obj, reason, match, hook, &oom);
	if (oom) {
		json_decref(obj);
		return -ENOMEM;
	}
	return json_array_append_new(selectors, obj) < 0 ? -ENOMEM : 0;
}

/* What follows */

#define MAX_ERRORS 8 /* different ones of a verdict that is open; more are not told */

struct verdict {
	enum sim_answer denied, reported;
	int errors[MAX_ERRORS];
	size_t n_errors;
	uint64_t signals, may_signals; /* bit per signal number */
	uint64_t facts;
	enum revshell_hook facts_hook;
	const struct ruleset_selector *by; /* whose denial counts, or else the first that matches */
};

static void add_error(struct verdict *v, int error)
{
	for (size_t i = 0; i < v->n_errors; i++)
		if (v->errors[i] == error)
			return;
	if (v->n_errors < MAX_ERRORS)
		v->errors[v->n_errors++] = error;
}

/* Adds what one call does, which comes surely or (reach) perhaps. */
static void add_decision(struct verdict *v, const struct ruleset_hook *h,
			 const struct sim_decision *d, bool enforcing, enum sim_answer reach)
{
	if (d->may.report)
		v->reported = MAX(v->reported, d->outcome.report ? reach : SIM_MAYBE);
	if (!enforcing)
		return;
	if (d->may.deny >= 0)
		v->denied = MAX(v->denied, d->outcome.deny >= 0 ? reach : SIM_MAYBE);
	for (uint32_t i = 0; i < h->n_selectors; i++)
		if (ruleset_has_bit(d->denials, i))
			add_error(v, h->denials[i].error);
	for (uint32_t i = 0; i < h->cfg.n_signals; i++) {
		uint64_t bit = 1ULL << (h->cfg.signals[i] & 63);

		if (d->outcome.signals >> i & 1 && reach == SIM_YES)
			v->signals |= bit;
		if (d->may.signals >> i & 1)
			v->may_signals |= bit;
	}
}

/* The facts of selectors that may be a first match, which is what an open verdict depends on. */
static int add_facts(struct verdict *v, const struct ruleset *rs,
		     const struct ruleset_options *opts, const struct sim_call *call,
		     const struct sim_decision *d)
{
	const struct ruleset_hook *h = &rs->hooks[call->hook];

	for (uint32_t i = 0; i < h->n_selectors; i++) {
		struct sim_reason reason;

		if (!ruleset_has_bit(d->may_first, i) || ruleset_has_bit(d->match, i))
			continue;
		if (sim_explain(rs, opts, call, i, &reason) < 0)
			return -ENOMEM;
		v->facts |= reason.facts;
		sim_reason_done(&reason);
	}
	return 0;
}

/* The first selector that matches for sure, or NULL. */
static const struct ruleset_selector *first_match(const struct ruleset_hook *h,
						  const struct sim_decision *d)
{
	for (uint32_t i = 0; i < h->n_selectors; i++)
		if (h->selectors[i].selector != UINT32_MAX && ruleset_has_bit(d->first, i))
			return &h->selectors[i];
	return NULL;
}

static int judge(const struct ruleset *rs, const struct ruleset_options *opts,
		 const struct sim_operation *op, bool enforcing, struct verdict *ret_verdict)
{
	struct verdict v = {.facts_hook = op->calls[0].hook};
	enum sim_answer reach = SIM_YES;

	for (size_t i = 0; i < op->n_calls; i++) {
		const struct sim_call *call = &op->calls[i];
		struct sim_decision d;

		if (i > 0 && op->if_facts)
			reach = SIM_MAYBE;
		sim_decide(rs, call, enforcing, &d);
		add_decision(&v, &rs->hooks[call->hook], &d, enforcing, reach);
		if (add_facts(&v, rs, opts, call, &d) < 0)
			return -ENOMEM;
		if (i > 0 && (d.may.report || d.may.signals))
			v.facts |= op->if_facts;
		if (enforcing && d.outcome.deny >= 0 && reach == SIM_YES)
			v.by = &rs->hooks[call->hook].selectors[d.outcome.deny];
		else if (!v.by && reach == SIM_YES)
			v.by = first_match(&rs->hooks[call->hook], &d);
		if (enforcing && d.outcome.deny >= 0)
			break;
		if (enforcing && d.may.deny >= 0)
			reach = SIM_MAYBE;
	}
	*ret_verdict = v;
	return 0;
}

static const char *verdict_name(const struct verdict *v)
{
	if (v->signals >> SIGKILL & 1)
		return "killed";
	if (v->denied == SIM_YES)
		return "denied";
	return v->denied == SIM_NO && v->signals == v->may_signals ? "allowed" : "depends";
}

static json_t *by_json(const struct ruleset *rs, const struct ruleset_selector *by)
{
	const struct policy *p = rs->policies.policies[by->policy];

	return json_pack("{s:s, s:s, s:I}", "policy", p->name, "call",
			 p->entries[by->entry].call->name, "selector", (json_int_t)by->selector);
}

static json_t *verdict_json(const struct verdict *v, const struct ruleset *rs,
			    enum revshell_mode mode)
{
	json_t *obj = json_object(), *errors = json_array(), *signals = json_object();
	bool oom = !obj || !errors || !signals;
	char buf[12];

	for (size_t i = 0; !oom && i < v->n_errors; i++)
		oom = json_array_append_new(errors,
					    json_string(event_errno_name(v->errors[i], buf))) < 0;
	for (int i = 1; !oom && i < 64; i++) {
		json_t *name = v->may_signals >> i & 1 ? signal_text(i) : NULL;

		if (!(v->may_signals >> i & 1))
			continue;
		event_put(signals, name ? json_string_value(name) : "",
			  json_string(v->signals >> i & 1 ? "yes" : "maybe"), &oom);
		json_decref(name);
	}
	if (oom) {
		json_decref(obj);
		json_decref(errors);
		json_decref(signals);
		return NULL;
	}
	event_put(obj, "mode", json_string(mode_name(mode)), &oom);
	event_put(obj, "verdict", json_string(verdict_name(v)), &oom);
	event_put(obj, "denied", json_string(sim_answer_name(v->denied)), &oom);
	event_put(obj, "errno", errors, &oom);
	event_put(obj, "signals", signals, &oom);
	event_put(obj, "reported", json_string(sim_answer_name(v->reported)), &oom);
	if (v->denied == SIM_MAYBE || v->n_errors > 1 || v->reported == SIM_MAYBE ||
	    v->signals != v->may_signals)
		event_put(obj, "depends_on", fact_names(v->facts, v->facts_hook), &oom);
	if (v->by)
		event_put(obj, "by", by_json(rs, v->by), &oom);
	if (oom) {
		json_decref(obj);
		return NULL;
	}
	return obj;
}

static int put_verdict(json_t *report, const char *key, const struct ruleset *rs,
		       const struct ruleset_options *opts, const struct sim_operation *op,
		       enum revshell_mode mode)
{
	struct verdict v;

	if (judge(rs, opts, op, mode == REVSHELL_MODE_ENFORCE, &v) < 0)
		return -ENOMEM;
	return json_object_set_new(report, key, verdict_json(&v, rs, mode)) < 0 ? -ENOMEM : 0;
}

static int put_selectors(json_t *selectors, const struct ruleset *rs,
			 const struct ruleset_options *opts, const struct sim_call *call)
{
	const struct ruleset_hook *h = &rs->hooks[call->hook];
	struct sim_decision d;
	int r = 0;

	/* which selectors match does not hang on the mode, only what is done then */
	sim_decide(rs, call, true, &d);
	for (uint32_t i = 0; r == 0 && i < h->n_selectors; i++) {
		struct sim_reason reason;

		if (h->selectors[i].selector == UINT32_MAX)
			continue;
		r = sim_explain(rs, opts, call, i, &reason);
		if (r < 0)
			return r;
		r = add_selector(selectors, rs, call->hook, i, &d, &reason);
		sim_reason_done(&reason);
	}
	return r;
}

int sim_report(const struct ruleset *rs, const struct ruleset_options *opts,
	       const struct sim_operation *op, int mode, json_t **ret_report)
{
	json_t *report = json_object(), *selectors = json_array();
	int r = report && selectors ? 0 : -ENOMEM;

	if (r == 0 && mode >= 0)
		r = put_verdict(report, "in_force", rs, opts, op, (enum revshell_mode)mode);
	if (r == 0)
		r = put_verdict(report, "enforce", rs, opts, op, REVSHELL_MODE_ENFORCE);
	for (size_t i = 0; r == 0 && i < op->n_calls; i++)
		r = put_selectors(selectors, rs, opts, &op->calls[i]);
	if (r == 0 && json_object_set(report, "selectors", selectors) < 0)
		r = -ENOMEM;
	json_decref(selectors);
	if (r < 0) {
		json_decref(report);
		return r;
	}
	*ret_report = report;
	return 0;
}
