/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What sim_report() found, for people; and the exit status that goes with it. */
#include <string.h>

#include "ctl.h"

static bool is(const json_t *obj, const char *key, const char *value)
{
	return strcmp(ctl_text(obj, key), value) == 0;
}

/* The items of an array: "a, b or c". */
static void print_list(const json_t *array, const char *prefix, const char *last)
{
	size_t n = json_array_size(array);

	for (size_t i = 0; i < n; i++)
		printf("%s%s%s",
		       i == 0	   ? ""
		       : i + 1 < n ? ", "
				   : last,
		       prefix, json_string_value(json_array_get(array, i)));
}

static void print_signals(json_t *signals, const char *sure)
{
	const char *name;
	json_t *value;

	json_object_foreach(signals, name, value) if (strcmp(json_string_value(value), sure) == 0)
		printf(", %s %s",
		       strcmp(sure, "maybe") == 0     ? "perhaps sent"
		       : strcmp(name, "SIGKILL") == 0 ? "killed by"
						      : "sent",
		       name);
}

static void print_verdict(const char *when, const json_t *v)
{
	const json_t *errors = json_object_get(v, "errno");
	json_t *signals = json_object_get(v, "signals");

	printf("%s: ", when);
	if (is(v, "denied", "yes")) {
		printf("denied with ");
		print_list(errors, "", " or ");
	} else if (is(v, "denied", "maybe")) {
		printf("allowed, or denied with ");
		print_list(errors, "", " or ");
	} else {
		printf("allowed");
	}
	print_signals(signals, "yes");
	print_signals(signals, "maybe");
	printf("%s\n", is(v, "reported", "yes")	    ? ", reported"
		       : is(v, "reported", "maybe") ? ", perhaps reported"
						    : "");
	if (json_object_get(v, "by") && (is(v, "denied", "yes") || is(v, "verdict", "killed"))) {
		const json_t *by = json_object_get(v, "by");

		printf("  by policy %s, selector %" JSON_INTEGER_FORMAT " of %s\n",
		       ctl_text(by, "policy"), json_integer_value(json_object_get(by, "selector")),
		       ctl_text(by, "call"));
	}
	if (json_array_size(json_object_get(v, "depends_on"))) {
		printf("  depends on ");
		print_list(json_object_get(v, "depends_on"), "--", " and ");
		putchar('\n');
	}
}

static void print_pos(const json_t *obj)
{
	ctl_put_quoted(ctl_text(obj, "file"));
	printf(":%" JSON_INTEGER_FORMAT ":%" JSON_INTEGER_FORMAT,
	       json_integer_value(json_object_get(obj, "line")),
	       json_integer_value(json_object_get(obj, "column")));
}

/* Whether there is an action that a policy in monitor mode does not carry out. */
static bool has_teeth(const json_t *actions)
{
	static const char *const of_teeth[] = {"Sigkill", "Signal", "Override", "NotifyEnforcer"};

	for (size_t i = 0; i < json_array_size(actions); i++)
		for (size_t k = 0; k < ARRAY_SIZE(of_teeth); k++)
			if (strncmp(json_string_value(json_array_get(actions, i)), of_teeth[k],
				    strlen(of_teeth[k])) == 0)
				return true;
	return false;
}

static void print_selector(const json_t *s)
{
	static const struct {
		const char *match, *words;
	} words[] = {
		{"yes", "matches"},
		{"maybe", "may match"},
		{"unless-earlier", "matches, unless one before it does"},
		{"shadowed", "comes after a match"},
		{"no", "does not match"},
	};

	printf("    selector %" JSON_INTEGER_FORMAT,
	       json_integer_value(json_object_get(s, "selector")));
	if (*ctl_text(s, "label")) {
		fputs(" '", stdout);
		ctl_put_quoted(ctl_text(s, "label"));
		putchar('\'');
	}
	printf(" of %s (", ctl_text(s, "call"));
	print_pos(s);
	printf(") ");
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (is(s, "match", words[i].match))
			fputs(words[i].words, stdout);
	if (!is(s, "match", "no") && !is(s, "match", "shadowed")) {
		fputs(": ", stdout);
		print_list(json_object_get(s, "actions"), "", ", ");
		if (is(s, "policy_mode", "monitor") && has_teeth(json_object_get(s, "actions")))
			fputs(" (only reported: the policy's mode is monitor)", stdout);
	}
	putchar('\n');
	if (!*ctl_text(s, "reason"))
		return;
	fputs("      ", stdout);
	print_pos(json_object_get(s, "filter"));
	printf(": %s\n", ctl_text(s, "reason"));
	if (json_array_size(json_object_get(s, "depends_on"))) {
		fputs("      depends on ", stdout);
		print_list(json_object_get(s, "depends_on"), "--", " and ");
		putchar('\n');
	}
}

static void print_selectors(const json_t *report)
{
	const json_t *selectors = json_object_get(report, "selectors");
	const json_t *enforce = json_object_get(report, "enforce");
	const char *hook = "", *policy = "";
	bool is_later;

	if (json_array_size(selectors) == 0)
		puts("\nNo policy has to do with it.");
	for (size_t i = 0; i < json_array_size(selectors); i++) {
		const json_t *s = json_array_get(selectors, i);

		if (!is(s, "hook", hook)) {
			/* a denial comes from the first one that can give it */
			is_later = *hook && is(enforce, "denied", "yes");
			hook = ctl_text(s, "hook");
			policy = "";
			printf("\n%s%s:\n", hook, is_later ? " (not reached under enforce)" : "");
		}
		if (!is(s, "policy", policy)) {
			policy = ctl_text(s, "policy");
			printf("  policy %s (%s)\n", policy, ctl_text(s, "policy_mode"));
		}
		print_selector(s);
	}
}

static int exit_status(const json_t *verdict)
{
	if (is(verdict, "verdict", "denied") || is(verdict, "verdict", "killed"))
		return CTL_DENIES;
	return is(verdict, "verdict", "depends") ? CTL_DEPENDS : CTL_OK;
}

int ctl_print_report(const struct ctl *c, json_t *report)
{
	const json_t *in_force = json_object_get(report, "in_force");
	const json_t *enforce = json_object_get(report, "enforce");
	int status = exit_status(in_force ? in_force : enforce);
	char when[64];

	if (c->json != CTL_JSON_OFF)
		return ctl_print_json(c, report) == CTL_OK ? status : CTL_FAILED;
	if (in_force) {
		snprintf(when, sizeof(when), "In force (%s)", ctl_text(in_force, "mode"));
		print_verdict(when, in_force);
	}
	if (!in_force || !is(in_force, "mode", "enforce"))
		print_verdict("Under enforce", enforce);
	print_selectors(report);
	json_decref(report);
	return status;
}
