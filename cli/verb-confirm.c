/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verbs confirm, rollback, lock, stop. */
#include "ctl.h"

static int call_without_reply(struct ctl *c, const char *action, const char *member, int disarm)
{
	sd_bus_message *m = NULL, *reply = NULL;
	int r;

	r = ctl_connect(c, action);
	if (r != 0)
		return r;
	r = ctl_new_call(c, NULL, member, &m);
	if (r >= 0 && disarm >= 0)
		r = sd_bus_message_append(m, "b", disarm);
	r = ctl_call(c, action, m, r, &reply);
	sd_bus_message_unref(reply);
	return r;
}

int verb_confirm(struct ctl *c, int argc, char **argv)
{
	return call_without_reply(c, "confirm the mode", "Confirm", -1);
}

int verb_rollback(struct ctl *c, int argc, char **argv)
{
	return call_without_reply(c, "bring the mode back", "Rollback", -1);
}

int verb_lock(struct ctl *c, int argc, char **argv)
{
	sd_bus_message *m = NULL, *reply = NULL;
	int r;

	r = ctl_connect(c, "lock");
	if (r != 0)
		return r;
	r = ctl_new_call(c, NULL, "Lock", &m);
	if (r >= 0)
		r = ctl_append_reason(c, m);
	r = ctl_call(c, "lock", m, r, &reply);
	sd_bus_message_unref(reply);
	return r;
}

int verb_stop(struct ctl *c, int argc, char **argv)
{
	return call_without_reply(c, "stop the daemon", "Stop", c->disarm);
}
