/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verbs policy list, cat, mode, enable, disable. */
#include <string.h>

#include "ctl.h"

int ctl_read_policy(sd_bus_message *m, struct ctl_policy *line)
{
	return sd_bus_message_read(m, "(ssssbso)", &line->id, &line->origin, &line->mode,
				   &line->effective, &line->enabled, &line->digest, &line->path);
}

static int list_table(const struct ctl *c, sd_bus_message *m)
{
	static const char *const headings[] = {"POLICY", "MODE", "IN EFFECT", "ORIGIN", NULL};
	struct libscols_table *t = ctl_table_new(c, headings);
	struct ctl_policy line;
	int r;

	if (!t)
		return ctl_fail("print", -ENOMEM, NULL);
	while ((r = ctl_read_policy(m, &line)) > 0) {
		const char *cells[] = {line.id, line.mode, line.effective, line.origin, NULL};

		r = ctl_table_add(t, cells);
		if (r < 0)
			break;
	}
	if (r < 0)
		return ctl_fail_reply("list the policies", r);
	return ctl_table_print(t);
}

static int list_json(const struct ctl *c, sd_bus_message *m)
{
	json_t *array = json_array();
	struct ctl_policy line;
	int r;

	while ((r = ctl_read_policy(m, &line)) > 0)
		json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:s}", "id",
						       line.id, "origin", line.origin, "mode",
						       line.mode, "effective_mode", line.effective,
						       "enabled", line.enabled, "digest",
						       line.digest, "path", line.path));
	if (r < 0) {
		json_decref(array);
		return ctl_fail_reply("list the policies", r);
	}
	return ctl_print_json(c, array);
}

int ctl_list_policies(struct ctl *c, const char *action, sd_bus_message **ret_reply)
{
	sd_bus_message *m = NULL, *reply = NULL;
	int r;

	r = ctl_connect(c, action);
	if (r != 0)
		return r;
	r = ctl_new_call(c, NULL, "ListPolicies", &m);
	r = ctl_call(c, action, m, r, &reply);
	if (r != 0)
		return r;
	r = sd_bus_message_enter_container(reply, 'a', "(ssssbso)");
	if (r < 0) {
		sd_bus_message_unref(reply);
		return ctl_fail_reply(action, r);
	}
	*ret_reply = reply;
	return 0;
}

int verb_policy_list(struct ctl *c, int argc, char **argv)
{
	sd_bus_message *reply = NULL;
	int r;

	r = ctl_list_policies(c, "list the policies", &reply);
	if (r != 0)
		return r;
	r = c->json != CTL_JSON_OFF ? list_json(c, reply) : list_table(c, reply);
	sd_bus_message_unref(reply);
	return r;
}

int ctl_get_source(struct ctl *c, const char *action, const char *id, char **ret_text)
{
	sd_bus_message *m = NULL, *reply = NULL;
	const char *text;
	int r;

	r = ctl_connect(c, action);
	if (r != 0)
		return r;
	r = ctl_new_call(c, NULL, "GetPolicySource", &m);
	if (r >= 0)
		r = sd_bus_message_append(m, "s", id);
	r = ctl_call(c, action, m, r, &reply);
	if (r != 0)
		return r;
	r = sd_bus_message_read(reply, "s", &text);
	if (r >= 0) {
		*ret_text = strdup(text);
		r = *ret_text ? 0 : -ENOMEM;
	}
	sd_bus_message_unref(reply);
	return r < 0 ? ctl_fail_reply(action, r) : 0;
}

int verb_policy_cat(struct ctl *c, int argc, char **argv)
{
	_cleanup_free_ char *text = NULL;
	int r;

	r = ctl_get_source(c, "get the policy", argv[1], &text);
	if (r != 0 || !text)
		return r;
	if (c->json != CTL_JSON_OFF)
		return ctl_print_json(c, json_pack("{s:s, s:s}", "id", argv[1], "text", text));
	return fputs(text, stdout) < 0 ? CTL_FAILED : CTL_OK;
}

static int set_mode(struct ctl *c, const char *action, const char *id, const char *mode)
{
	sd_bus_message *m = NULL, *reply = NULL;
	int r;

	r = ctl_connect(c, action);
	if (r != 0)
		return r;
	r = ctl_new_call(c, NULL, "SetPolicyMode", &m);
	if (r >= 0)
		r = sd_bus_message_append(m, "ss", id, mode);
	if (r >= 0)
		r = ctl_append_reason(c, m);
	r = ctl_call(c, action, m, r, &reply);
	sd_bus_message_unref(reply);
	return r;
}

int verb_policy_mode(struct ctl *c, int argc, char **argv)
{
	return set_mode(c, "set the policy's mode", argv[1], argv[2]);
}

int verb_policy_disable(struct ctl *c, int argc, char **argv)
{
	return set_mode(c, "disable the policy", argv[1], "off");
}

/* What is not disabled keeps the mode that it was given. */
int verb_policy_enable(struct ctl *c, int argc, char **argv)
{
	const char *action = "enable the policy";
	sd_bus_message *reply = NULL;
	struct ctl_policy line;
	bool enabled = false;
	int r;

	r = ctl_list_policies(c, action, &reply);
	if (r != 0)
		return r;
	while ((r = ctl_read_policy(reply, &line)) > 0)
		enabled = enabled || (line.enabled && strcmp(line.id, argv[1]) == 0);
	sd_bus_message_unref(reply);
	if (r < 0)
		return ctl_fail_reply(action, r);
	return enabled ? CTL_OK : set_mode(c, action, argv[1], "default");
}
