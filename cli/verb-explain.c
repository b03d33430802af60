/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verb explain: which selector an event is of, and why the others are not in it. */
#include <errno.h>
#include <string.h>

#include "ctl.h"

static const char *const action = "explain the event";

static int no_event(uint64_t number)
{
	if (number == UINT64_MAX)
		return ctl_fail_text(action, "there is none, or none that fits",
				     "Hint: 'revshellctl events' shows which there are.");
	return ctl_fail_text(action, "there is no event of that number in memory",
			     "Hint: 'revshellctl events -o json' shows each one's \"number\".");
}

static uint64_t number_of(const json_t *event)
{
	return (uint64_t)json_integer_value(json_object_get(sim_event_body(event), "number"));
}

/* The event of a number, or (UINT64_MAX) the newest that fits the filter. */
static int get_event(struct ctl *c, uint64_t number, json_t **ret_event)
{
	sd_bus_message *m = NULL, *reply = NULL;
	json_t *event = NULL;
	const char *line;
	int r;

	r = ctl_connect(c, action);
	if (r != 0)
		return r;
	r = ctl_new_call(c, NULL, "ListEvents", &m);
	if (r >= 0)
		r = sd_bus_message_append(m, "tu", (uint64_t)0, (uint32_t)1);
	if (r >= 0)
		r = ctl_append_filter(c, m, number);
	r = ctl_call(c, action, m, r, &reply);
	if (r != 0)
		return r;
	r = sd_bus_message_enter_container(reply, 'a', "s");
	if (r >= 0)
		r = sd_bus_message_read(reply, "s", &line);
	if (r > 0)
		event = json_loads(line, 0, NULL);
	sd_bus_message_unref(reply);
	if (r == 0 || (event && number != UINT64_MAX && number_of(event) != number)) {
		json_decref(event);
		return no_event(number);
	}
	if (!event)
		return ctl_fail_reply(action, r < 0 ? r : -EBADMSG);
	*ret_event = event;
	return 0;
}

static int read_event(json_t **ret_event)
{
	json_error_t error;
	json_t *event = json_loadf(stdin, JSON_DISABLE_EOF_CHECK, &error);

	if (!event)
		return ctl_fail_text(action, "standard input is no event", error.text);
	*ret_event = event;
	return 0;
}

static int find_event(struct ctl *c, const char *which, json_t **ret_event)
{
	uint64_t number = UINT64_MAX;

	if (which && strcmp(which, "-") == 0)
		return read_event(ret_event);
	if (which && (!number_parse_decimal(which, UINT64_MAX - 1, &number) || number == 0))
		return ctl_fail_text(action, "an event is named by its number",
				     "Hint: '-' reads one from standard input.");
	return get_event(c, number, ret_event);
}

/* An event may come from anywhere, and be of anything. */
static void put(const char *before, const char *s, const char *after)
{
	fputs(before, stdout);
	ctl_put_quoted(s);
	fputs(after, stdout);
}

static void put_number(const char *before, const json_t *obj, const char *key, const char *after)
{
	printf("%s%" JSON_INTEGER_FORMAT "%s", before,
	       json_integer_value(json_object_get(obj, key)), after);
}

static void print_summary(const json_t *event, const json_t *report)
{
	const json_t *summary = json_object_get(report, "event");
	const json_t *body = sim_event_body(event);
	const json_t *process = json_object_get(body, "current");
	const char *now = ctl_text(report, "match_now"), *binary;

	if (!process)
		process = json_object_get(body, "process");
	binary = ctl_text(process, "binary");
	fputs("Event", stdout);
	if (json_object_get(summary, "number"))
		put_number(" ", summary, "number", "");
	put(": ", ctl_text(summary, "verdict"), *ctl_text(summary, "errno") ? " with " : "");
	put("", ctl_text(summary, "errno"), "");
	put(", by policy ", ctl_text(summary, "policy"), "");
	put_number(", selector ", summary, "selector", "");
	put(" of ", ctl_text(summary, "call"), "\n");
	put("  ", *binary ? binary : "an unknown executable", "");
	put(" on ", ctl_text(summary, "hook"), "");
	put(", mode ", ctl_text(summary, "mode"), "");
	put(", the policy's own ", ctl_text(summary, "policy_mode"), "\n");
	if (*ctl_text(report, "cgroup"))
		put("  in ", ctl_text(report, "cgroup"),
		    " (looked up now, by the cgroup's number)\n");
	if (json_is_true(json_object_get(report, "changed"))) {
		put_number("The policies or their modes have changed since then: generation ",
			   summary, "generation", "");
		put_number(" is now ", report, "generation", ".\n");
	}
	if (!*now)
		puts("That selector is not there any more.");
	else if (strcmp(now, "no") == 0 || strcmp(now, "shadowed") == 0)
		puts("That selector is not the one that would match now.");
	putchar('\n');
}

/* By files, or of an event from elsewhere by the policies in force. */
static int explain_here(struct ctl *c, const json_t *event, int argc, char **argv,
			json_t **ret_report)
{
	struct ctl_rules rules = {};
	int r;

	r = ctl_get_rules(c, action, argc, argv, &rules);
	if (r != 0)
		return r;
	r = sim_explain_event(event, rules.rs, &rules.opts, rules.mode, rules.generation, NULL,
			      ret_report);
	ctl_rules_done(&rules);
	if (r == -EINVAL)
		return ctl_fail_text(action, "it is no event of revshelld", NULL);
	return r < 0 ? ctl_fail(action, r, NULL) : 0;
}

/* The report among what Explain replies. */
static int read_report(sd_bus_message *m, json_t **ret_report)
{
	json_t *report = NULL;
	const char *key, *text;
	int r;

	r = sd_bus_message_enter_container(m, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = sd_bus_message_read(m, "s", &key);
		if (r >= 0 && strcmp(key, "json") == 0) {
			r = sd_bus_message_read(m, "v", "s", &text);
			if (r >= 0 && !report)
				report = json_loads(text, 0, NULL);
		} else if (r >= 0) {
			r = sd_bus_message_skip(m, "v");
		}
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	if (r < 0 || !report) {
		json_decref(report);
		return r < 0 ? r : -EBADMSG;
	}
	*ret_report = report;
	return 0;
}

/* By the daemon, which knows more of its own events than they show. */
static int explain_there(struct ctl *c, const json_t *event, json_t **ret_report)
{
	sd_bus_message *m = NULL, *reply = NULL;
	int r;

	r = ctl_new_call(c, NULL, "Explain", &m);
	if (r >= 0)
		r = sd_bus_message_append(m, "t", number_of(event));
	r = ctl_call(c, action, m, r, &reply);
	if (r != 0)
		return r;
	r = read_report(reply, ret_report);
	sd_bus_message_unref(reply);
	return r < 0 ? ctl_fail_reply(action, r) : 0;
}

int verb_explain(struct ctl *c, int argc, char **argv)
{
	const char *which = argc > 1 ? argv[1] : NULL;
	json_t *event = NULL, *report = NULL;
	int r;

	r = find_event(c, which, &event);
	if (r != 0)
		return r;
	if (c->offline || argc > 2 || (which && strcmp(which, "-") == 0))
		r = explain_here(c, event, argc > 2 ? argc - 2 : 0, argv + 2, &report);
	else
		r = explain_there(c, event, &report);
	if (r == 0 && c->json == CTL_JSON_OFF)
		print_summary(event, report);
	if (r == 0 && ctl_print_report(c, report) == CTL_FAILED)
		r = CTL_FAILED;
	json_decref(event);
	return r;
}
