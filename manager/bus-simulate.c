/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Simulate and Explain: what would come of a call, or came of one, by the policies in force. */
#include <inttypes.h>
#include <string.h>

#include "bus-internal.h"
#include "cgroup.h"
#include "simulate-facts.h"

static const char *text_of(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "";
}

static int append_text(sd_bus_message *reply, const char *key, const char *value)
{
	return sd_bus_message_append(reply, "{sv}", key, "s", value);
}

/* A list of words, as an entry of the reply. */
static int append_words(sd_bus_message *reply, const char *key, const json_t *array)
{
	int r = bus_open_list(reply, key);

	for (size_t i = 0; r >= 0 && i < json_array_size(array); i++)
		r = sd_bus_message_append(reply, "s", json_string_value(json_array_get(array, i)));
	return bus_close_list(reply, r);
}

/* Which selector it is about: of a verdict's "by", or of an event. */
static int append_selector(sd_bus_message *reply, const json_t *obj)
{
	return sd_bus_message_append(
		reply, "{sv}{sv}{sv}", "policy", "s", text_of(obj, "policy"), "call", "s",
		text_of(obj, "call"), "selector", "u",
		(uint32_t)json_integer_value(json_object_get(obj, "selector")));
}

/* The whole report, as "revshellctl --json=short" prints it. */
static int append_report(sd_bus_message *reply, const json_t *report)
{
	_cleanup_free_ char *text = json_dumps(report, JSON_COMPACT);

	return text ? append_text(reply, "json", text) : -ENOMEM;
}

static int append_simulated(sd_bus_message *reply, const json_t *report)
{
	const json_t *now = json_object_get(report, "in_force");
	const json_t *enforce = json_object_get(report, "enforce");
	const json_t *by = json_object_get(now, "by");
	int r;

	r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}{sv}", "mode", "s", text_of(now, "mode"),
				  "verdict", "s", text_of(now, "verdict"), "denied", "s",
				  text_of(now, "denied"), "reported", "s", text_of(now, "reported"),
				  "enforce-verdict", "s", text_of(enforce, "verdict"));
	if (r >= 0)
		r = append_words(reply, "errno", json_object_get(enforce, "errno"));
	if (r >= 0)
		r = append_words(reply, "depends-on", json_object_get(enforce, "depends_on"));
	if (r >= 0 && by)
		r = append_selector(reply, by);
	return r < 0 ? r : append_report(reply, report);
}

static int append_explained(sd_bus_message *reply, const json_t *report)
{
	const json_t *e = json_object_get(report, "event");
	int r;

	r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}", "number", "t",
				  (uint64_t)json_integer_value(json_object_get(e, "number")),
				  "verdict", "s", text_of(e, "verdict"), "errno", "s",
				  text_of(e, "errno"), "hook", "s", text_of(e, "hook"), "mode", "s",
				  text_of(e, "mode"), "policy-mode", "s", text_of(e, "policy_mode"),
				  "generation", "t",
				  (uint64_t)json_integer_value(json_object_get(e, "generation")));
	if (r >= 0)
		r = append_selector(reply, e);
	if (r >= 0)
		r = sd_bus_message_append(reply, "{sv}{sv}{sv}", "changed", "b",
					  (int)json_is_true(json_object_get(report, "changed")),
					  "match-now", "s", text_of(report, "match_now"),
					  "verdict-now", "s",
					  text_of(json_object_get(report, "in_force"), "verdict"));
	return r < 0 ? r : append_report(reply, report);
}

/* Takes the report. */
static int reply_report(sd_bus_message *m, json_t *report,
			int (*append)(sd_bus_message *reply, const json_t *report))
{
	sd_bus_message *reply = NULL;
	int r;

	r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "{sv}");
	if (r >= 0)
		r = append(reply, report);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	json_decref(report);
	return bus_send_and_unref(reply, r);
}

int bus_method_simulate(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;
	const struct ruleset_options opts = manager_ruleset_options(b->manager);
	struct sim_words words = {.numeric = true, .host_ns = opts.host_ns};
	struct bus_option options[SIM_WORD_MAX + 1] = {};
	struct sim_mistake mistake;
	struct sim_facts facts;
	json_t *report;
	int r;

	for (enum sim_word word = 0; word < SIM_WORD_MAX; word++)
		options[word] = (struct bus_option){sim_word_name(word), "s", &words.told[word]};
	r = bus_check_caller(m, NULL, error);
	if (r >= 0)
		r = bus_read_options(m, options, error);
	if (r < 0)
		return r;
	r = sim_facts_read(&words, &facts, &mistake);
	if (r == -EINVAL)
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "%s%s%s", mistake.text,
					 mistake.hint ? "; " : "",
					 mistake.hint ? mistake.hint : "");
	if (r < 0)
		return r;
	r = sim_report(manager_current(b->manager)->rs, &opts, &facts.op, (int)b->manager->mode,
		       &report);
	sim_facts_done(&facts);
	return r < 0 ? r : reply_report(m, report, append_simulated);
}

/* The text of the event of a number, or (0) of the newest; NULL: there is none. */
static const char *find_event(const struct history *h, uint64_t number)
{
	const struct event_filter every = {};
	const struct event_record *record = NULL;

	if (history_pick(h, 0, number ? number : UINT64_MAX, 1, &every, &record) == 0 ||
	    (number && record->number != number))
		return NULL;
	return record->text;
}

/* That of the caller, as long as it is there: its number is not given twice. */
static int find_cgroup(const json_t *event, char **ret_path)
{
	const json_t *id = json_object_get(sim_event_body(event), "cgroup_id");
	const char *root = cgroup_root();

	return id && root ? cgroup_find(root, (uint64_t)json_integer_value(id), ret_path) : -ENOENT;
}

int bus_method_explain(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;
	const struct ruleset_options opts = manager_ruleset_options(b->manager);
	const struct manager_generation *g = manager_current(b->manager);
	_cleanup_free_ char *cgroup = NULL;
	json_t *event, *report = NULL;
	const char *text;
	uint64_t number;
	int r;

	r = bus_check_caller(m, NULL, error);
	if (r >= 0)
		r = sd_bus_message_read(m, "t", &number);
	if (r < 0)
		return r;
	text = find_event(&b->manager->history, number);
	if (!text)
		return sd_bus_error_setf(error, BUS_ERROR_NO_SUCH_EVENT,
					 "No event %" PRIu64 " is in memory", number);
	event = json_loads(text, 0, NULL);
	if (!event)
		return -ENOMEM;
	if (find_cgroup(event, &cgroup) == -ENOMEM)
		r = -ENOMEM;
	else
		r = sim_explain_event(event, g->rs, &opts, (int)b->manager->mode, g->number,
				      &(struct sim_own){cgroup}, &report);
	json_decref(event);
	return r < 0 ? r : reply_report(m, report, append_explained);
}
