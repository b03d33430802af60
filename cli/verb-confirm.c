/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verbs confirm, rollback, lock, stop. */
#include "ctl.h"

/* append: the method's arguments, or NULL. */
static int call_without_reply(struct ctl *c, const char *action, const char *member,
			      int (*append)(const struct ctl *c, sd_bus_message *m))
{
	sd_bus_message *m = NULL, *reply = NULL;
	int r;

	r = ctl_connect(c, action);
	if (r != 0)
		return r;
	r = ctl_new_call(c, NULL, member, &m);
	if (r >= 0 && append)
		r = append(c, m);
	r = ctl_call(c, action, m, r, &reply);
	sd_bus_message_unref(reply);
	return r;
}

int verb_confirm(struct ctl *c, int argc, char **argv)
{
	return call_without_reply(c, "confirm the mode", "Confirm", NULL);
}

int verb_rollback(struct ctl *c, int argc, char **argv)
{
	return call_without_reply(c, "bring the mode back", "Rollback", NULL);
}

int verb_lock(struct ctl *c, int argc, char **argv)
{
	return call_without_reply(c, "lock", "Lock", ctl_append_reason);
}

static int append_disarm(const struct ctl *c, sd_bus_message *m)
{
	return sd_bus_message_append(m, "b", c->disarm);
}

int verb_stop(struct ctl *c, int argc, char **argv)
{
	return call_without_reply(c, "stop the daemon", "Stop", append_disarm);
}
