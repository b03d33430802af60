/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why a selector matches a call or does not: its filters one by one, for people to read. */
#include <string.h>

#include "macro.h"
#include "simulate-internal.h"

const char *sim_answer_name(enum sim_answer answer)
{
	static const char *const names[] = {
		[SIM_NO] = "no", [SIM_MAYBE] = "maybe", [SIM_YES] = "yes"};

	return names[answer];
}

/* One filter: what it is called, where it stands, and how to ask it. */
struct filter {
	const char *list;
	size_t index;
	const struct policy_path_filter *path;
	const struct policy_arg_filter *arg;
	const struct policy_arg *of; /* of arg */
	const struct sim_process_filters *process;
	bool parent;
	bool implied;
};

/* Calls fn for each filter, in the order of cost, until it returns other than 0. */
typedef int (*filter_fn)(const struct sim_asking *a, const struct filter *f, void *userdata);

static int each_path(const struct sim_asking *a, bool parent, filter_fn fn, void *userdata)
{
	const struct policy_selector *s = a->selector;
	size_t n = parent ? s->n_parent_binaries : s->n_binaries;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = fn(a,
		       &(const struct filter){
			       .list = parent ? "matchParentBinaries" : "matchBinaries",
			       .index = i,
			       .path = parent ? &s->parent_binaries[i] : &s->binaries[i],
			       .parent = parent,
		       },
		       userdata);
	return r;
}

static int each_process(const struct sim_asking *a, filter_fn fn, void *userdata)
{
	int r = 0;

	for (size_t k = 0; k < n_sim_process_filters; k++) {
		const struct sim_process_filters *p = &sim_process_filters[k];

		for (size_t i = 0; r == 0 && i < p->count(a->selector); i++)
			r = fn(a, &(const struct filter){.list = p->name, .index = i, .process = p},
			       userdata);
	}
	return r;
}

static int each_arg(const struct sim_asking *a, filter_fn fn, void *userdata)
{
	const struct policy_selector *s = a->selector;
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->n_args; i++)
		r = fn(a,
		       &(const struct filter){
			       .list = "matchArgs",
			       .index = i,
			       .arg = &s->args[i],
			       .of = &a->entry->args[s->args[i].arg],
		       },
		       userdata);
	for (size_t i = 0; r == 0 && i < s->n_return_args; i++)
		r = fn(a,
		       &(const struct filter){
			       .list = "matchReturnArgs",
			       .index = i,
			       .arg = &s->return_args[i],
			       .of = &a->entry->return_arg,
		       },
		       userdata);
	return r;
}

static int each_filter(const struct sim_asking *a, filter_fn fn, void *userdata)
{
	int r;

	r = each_path(a, false, fn, userdata);
	if (r == 0)
		r = each_path(a, true, fn, userdata);
	if (r == 0)
		r = each_process(a, fn, userdata);
	if (r == 0 && a->place != SIM_OWN)
		r = fn(a, &(const struct filter){.implied = true}, userdata);
	if (r == 0)
		r = each_arg(a, fn, userdata);
	return r;
}

static enum sim_answer ask(const struct sim_asking *a, const struct filter *f, uint64_t *facts,
			   FILE *why)
{
	if (f->implied)
		return sim_ask_implied(a, facts, why);
	if (f->path)
		return sim_ask_path(a, f->path, f->parent, facts, why);
	if (f->process)
		return f->process->ask(a, f->index, facts, why);
	return sim_ask_arg(a, f->arg, f->of, facts, why);
}

static struct diag_pos describe(const struct sim_asking *a, const struct filter *f, FILE *text)
{
	if (f->implied) {
		fprintf(text, "%s is about TCP sockets", a->entry->call->name);
		return a->entry->pos;
	}
	fprintf(text, "%s[%zu] ", f->list, f->index);
	if (f->path) {
		fputs(policy_op_name(f->path->op), text);
		sim_put_strings(text, &f->path->values);
		if (f->path->follow_children)
			fputs(" and their children", text);
		return f->path->pos;
	}
	if (f->process)
		return f->process->describe(a->selector, f->index, text);
	if (!f->arg || !f->of)
		return a->selector->pos;
	sim_put_arg_filter(text, f->arg, f->of->type);
	return f->arg->pos;
}

/* Takes the answer of one more filter in; the first that is not satisfied is the one to tell. */
static int take_answer(const struct sim_asking *a, const struct filter *f, void *userdata)
{
	struct sim_reason *r = userdata;
	uint64_t facts = 0;
	enum sim_answer answer = ask(a, f, &facts, NULL);
	bool told = false; /* not what it has there, but how the filter was answered */
	size_t size;
	FILE *text;

	if (answer == SIM_MAYBE && (f->process || (f->path && f->path->follow_children))) {
		answer = sim_answered(a->rs, a->call, a->number, facts);
		told = answer == SIM_NO;
	}
	if (answer == SIM_MAYBE)
		r->facts |= facts;
	if (answer >= r->answer && r->text)
		return 0;
	if (answer == SIM_YES)
		return 0;
	free(r->text);
	r->text = NULL;
	r->answer = answer;
	text = open_memstream(&r->text, &size);
	if (!text)
		return -ENOMEM;
	r->pos = describe(a, f, text);
	if (told) {
		fputs(": it was not so", text);
	} else if (answer == SIM_NO) {
		fputs(": ", text);
		ask(a, f, &facts, text);
	}
	if (fclose(text) != 0)
		return -ENOMEM;
	return answer == SIM_NO;
}

static bool shields(const struct policy_entry *e, uint32_t selector)
{
	for (size_t i = selector + 1; i < e->n_selectors; i++)
		if (ruleset_selector_denies(&e->selectors[i]))
			return true;
	return false;
}

int sim_explain(const struct ruleset *rs, const struct ruleset_options *opts,
		const struct sim_call *call, uint32_t selector, struct sim_reason *ret_reason)
{
	const struct ruleset_selector *sel = &rs->hooks[call->hook].selectors[selector];
	const struct policy *p = rs->policies.policies[sel->policy];
	const struct policy_entry *e = &p->entries[sel->entry];
	struct sim_asking a = {
		.rs = rs,
		.number = selector,
		.opts = opts,
		.call = call,
		.unknown = sim_open_facts(call),
		.policy = p,
		.entry = e,
		.selector = &e->selectors[sel->selector],
		.place = sel->early		       ? SIM_AHEAD
			 : e->call->hook == call->hook ? SIM_OWN
						       : SIM_MOVED,
		.denies = ruleset_selector_denies(&e->selectors[sel->selector]),
	};
	struct sim_reason reason = {.answer = SIM_YES, .pos = a.selector->pos};
	int r;

	a.shields = !a.denies && shields(e, sel->selector);
	r = each_filter(&a, take_answer, &reason);
	if (r < 0) {
		sim_reason_done(&reason);
		return r;
	}
	if (reason.answer == SIM_NO)
		reason.facts = 0;
	*ret_reason = reason;
	return 0;
}

void sim_reason_done(struct sim_reason *r)
{
	free(r->text);
	*r = (struct sim_reason){};
}
