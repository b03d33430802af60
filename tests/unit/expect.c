/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What must follow from a call, by the policies taken literally, in the numbers of a rule set. */
#include <errno.h>
#include <signal.h>

#include "expect.h"

/* Number of the hook's selector that stands for this one of the policies, or -1. */
static int find_selector(const struct ruleset_hook *h, uint32_t policy, uint32_t entry,
			 uint32_t selector, bool early)
{
	for (size_t i = 0; i < h->n_selectors; i++) {
		const struct ruleset_selector *s = &h->selectors[i];

		if (s->policy == policy && s->entry == entry && s->selector == selector &&
		    s->early == early)
			return (int)i;
	}
	return -1;
}

/* What follows from a selector that is its group's first match. */
static void expect_effects(struct expected *x, const struct policy_selector *s, bool ahead,
			   enum revshell_hook hook, enum policy_mode mode, unsigned int bit)
{
	bool report = true;

	for (size_t i = 0; i < s->n_actions; i++)
		if (s->actions[i].kind == ACTION_NOPOST)
			report = false;
	if (report && (!ahead || naive_denies(s)))
		x->report[bit / 64] |= 1ULL << bit % 64;
	if (mode != POLICY_MODE_ENFORCE || (ahead && !naive_denies(s)))
		return;
	if (naive_denies(s) && hook < REVSHELL_HOOK_TCP_CONNECT &&
	    (x->deny < 0 || (int)bit < x->deny))
		x->deny = (int)bit;
	for (size_t i = 0; i < s->n_actions; i++) {
		const struct policy_action *a = &s->actions[i];

		if (a->kind == ACTION_SIGKILL)
			x->signals |= 1ULL << SIGKILL;
		else if (a->signal)
			x->signals |= 1ULL << a->signal;
	}
}

int expect_call(const struct ruleset *rs, const struct ruleset_options *opts,
		const struct sim_call *call, bool enforcing, struct expected *ret_expected)
{
	const struct ruleset_hook *h = &rs->hooks[call->hook];
	struct expected x = {.deny = -1};

	for (size_t i = 0; i < rs->policies.n; i++) {
		const struct policy *p = rs->policies.policies[i];

		for (size_t k = 0; k < p->n_entries; k++) {
			const struct policy_entry *e = &p->entries[k];
			enum policy_mode mode = rs->effective[i].mode;
			enum naive_place place = naive_place(p, e, mode, call->hook, opts);
			bool ahead = place == NAIVE_AHEAD;
			int selector, bit;

			if (place == NAIVE_ABSENT || (ahead && !enforcing))
				continue;
			selector = naive_match(p, e, place, call, opts);
			if (selector < 0)
				continue;
			bit = find_selector(h, i, k, selector, ahead);
			if (bit < 0)
				return -ENOENT;
			x.first[bit / 64] |= 1ULL << bit % 64;
			expect_effects(&x, &e->selectors[selector], ahead, call->hook, mode, bit);
			x.n_matches++;
		}
	}
	*ret_expected = x;
	return 0;
}
