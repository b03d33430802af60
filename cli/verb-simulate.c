/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verb simulate: what would come of a call, and why. */
#include <errno.h>

#include "ctl.h"

static const char *const action = "simulate";

static int read_facts(const struct sim_words *words, struct sim_facts *facts)
{
	struct sim_mistake mistake = {};
	char hint[256];
	int r;

	r = sim_facts_read(words, facts, &mistake);
	if (r == -EINVAL) {
		snprintf(hint, sizeof(hint), "Hint: %s.", mistake.hint ? mistake.hint : "");
		return ctl_fail_text(action, mistake.text, mistake.hint ? hint : NULL);
	}
	return r < 0 ? ctl_fail(action, r, NULL) : 0;
}

int verb_simulate(struct ctl *c, int argc, char **argv)
{
	const struct ruleset_options host = ctl_offline_options();
	struct sim_facts facts = {};
	struct ctl_rules rules = {};
	json_t *report = NULL;
	int r;

	c->words.host_ns = host.host_ns;
	r = read_facts(&c->words, &facts);
	if (r == 0)
		r = ctl_get_rules(c, action, argc - 1, argv + 1, &rules);
	if (r == 0 && sim_report(rules.rs, &rules.opts, &facts.op, rules.mode, &report) < 0)
		r = ctl_fail(action, -ENOMEM, NULL);
	if (r == 0)
		r = ctl_print_report(c, report);
	ctl_rules_done(&rules);
	sim_facts_done(&facts);
	return r;
}
