/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verb simulate: what would come of a call, and why. */
#include <errno.h>

#include "ctl.h"

int verb_simulate(struct ctl *c, int argc, char **argv)
{
	static const char *const action = "simulate";
	struct ctl_operation o = {};
	struct ctl_rules rules = {};
	json_t *report = NULL;
	int r;

	r = ctl_read_facts(c, &o);
	if (r == 0)
		r = ctl_get_rules(c, action, argc - 1, argv + 1, &rules);
	if (r == 0 && sim_report(rules.rs, &rules.opts, &o.op, rules.mode, &report) < 0)
		r = ctl_fail(action, -ENOMEM, NULL);
	if (r == 0)
		r = ctl_print_report(c, report);
	ctl_rules_done(&rules);
	ctl_operation_done(&o);
	return r;
}
