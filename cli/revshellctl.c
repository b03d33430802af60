/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* revshellctl: options and the table of verbs. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <string.h>

#include "bus-error.h"
#include "ctl.h"
#include "distance.h"

struct verb {
	const char *group; /* "policy", or NULL for a verb of one word */
	const char *name;
	int min_args, max_args; /* -1: any number */
	unsigned int options;	/* enum ctl_option bits it takes */
	int (*run)(struct ctl *c, int argc, char **argv);
	const char *args;
	const char *help;
};

static int verb_help(struct ctl *c, int argc, char **argv);

static const struct verb verbs[] = {
	{NULL, "status", 0, 0, 0, verb_status, "", "Show mode, backend and policies"},
	{NULL, "enforce", 0, 1, CTL_OPT_REASON | CTL_OPT_CONFIRM, verb_enforce, "[on|off|status]",
	 "Carry verdicts out, only report them, or show which"},
	{"policy", "list", 0, 0, 0, verb_policy_list, "", "List the loaded policies"},
	{"policy", "check", 1, -1, CTL_OPT_CHECK | CTL_OPT_OFFLINE, verb_policy_check,
	 "FILE|DIR...", "Check policies without daemon and root"},
	{"policy", "cat", 1, 1, 0, verb_policy_cat, "ID",
	 "Print the text a policy was loaded from"},
	{"policy", "show", 1, 1, 0, verb_policy_show, "ID", "Show what is known of a policy"},
	{"policy", "diff", 0, 1, 0, verb_policy_diff, "[FILE|DIR]",
	 "Compare the policies in force with those of files"},
	{"policy", "add", 1, 1, CTL_OPT_REASON | CTL_OPT_CHANGE, verb_policy_add, "FILE|-",
	 "Add or replace the policies of a file"},
	{"policy", "remove", 1, 1, CTL_OPT_REASON | CTL_OPT_CHANGE | CTL_OPT_MASK,
	 verb_policy_remove, "ID", "Remove a policy and its file"},
	{"policy", "mode", 2, 2, CTL_OPT_REASON, verb_policy_mode, "ID MODE",
	 "Set one policy to enforce, monitor, off, or its own default"},
	{"policy", "enable", 1, 1, CTL_OPT_REASON, verb_policy_enable, "ID",
	 "Let a policy count again that was disabled"},
	{"policy", "disable", 1, 1, CTL_OPT_REASON, verb_policy_disable, "ID",
	 "Leave a policy out, without removing it"},
	{NULL, "confirm", 0, 0, 0, verb_confirm, "", "Keep the mode that is on trial"},
	{NULL, "rollback", 0, 0, 0, verb_rollback, "", "Bring back the mode before the trial"},
	{NULL, "lock", 0, 0, CTL_OPT_REASON, verb_lock, "",
	 "Let nothing be weakened until the next boot"},
	{NULL, "apply", 1, 1, CTL_OPT_REASON | CTL_OPT_CHANGE | CTL_OPT_REPLACE, verb_apply,
	 "FILE|DIR|-", "Put the policies of a file or directory in force, all or nothing"},
	{NULL, "reload", 0, 0, CTL_OPT_REASON, verb_reload, "",
	 "Load the policy directories anew, all or nothing"},
	{NULL, "events", 0, 0,
	 CTL_OPT_FOLLOW | CTL_OPT_LINES | CTL_OPT_OUTPUT | CTL_OPT_FILTER | CTL_OPT_EXE |
		 CTL_OPT_SINCE,
	 verb_events, "", "Show the last events, or follow them"},
	{NULL, "explain", 0, -1, CTL_OPT_FILTER | CTL_OPT_EXE | CTL_OPT_OFFLINE, verb_explain,
	 "[NUMBER|-]", "Tell why an event (the last one) came about"},
	{NULL, "simulate", 0, -1, CTL_OPT_EXE | CTL_OPT_FACTS | CTL_OPT_OFFLINE, verb_simulate,
	 "[FILE|DIR...]", "Tell what would come of a call, and why"},
	{NULL, "stats", 0, 0, CTL_OPT_METRICS, verb_stats, "", "Show counters"},
	{NULL, "doctor", 0, 0, 0, verb_doctor, "", "Tell what of this host stands in the way"},
	{NULL, "stop", 0, 0, CTL_OPT_DISARM, verb_stop, "",
	 "End the daemon; enforcement stays, unless --disarm"},
	{NULL, "version", 0, 0, 0, verb_version, "", "Show the client's and the daemon's version"},
	{NULL, "help", 0, -1, 0, verb_help, "[VERB]", "Show this text, or the options of a verb"},
};

static void print_usage(const struct verb *v, bool is_default)
{
	char text[64];

	snprintf(text, sizeof(text), "%s%s%s%s%s", v->group ? v->group : "", v->group ? " " : "",
		 v->name, *v->args ? " " : "", v->args);
	printf("  %-28s %s%s\n", text, v->help, is_default ? " (the default)" : "");
}

static void print_help(void)
{
	printf("revshellctl [OPTIONS...] [VERB] [ARGUMENTS...]\n\n"
	       "Ask and steer revshelld, which stops reverse shells.\n\nVerbs:\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		print_usage(&verbs[i], i == 0);
	printf("\nOptions of all verbs:\n");
	ctl_print_options(0);
	printf("\n'revshellctl help VERB' shows the options of a verb, revshellctl(1) "
	       "everything.\n\n"
	       "Exit status: 0 success, 1 failure, 3 no daemon, 4 no permission; of status and\n"
	       "enforce also 0 enforcing, 5 monitor, 7 degraded; of simulate 0 allowed, 10 "
	       "denied,\n"
	       "11 dependent on what was not told.\n");
}

static void print_verb_help(const struct verb *v)
{
	printf("revshellctl [OPTIONS...] %s%s%s%s%s\n\n%s.\n", v->group ? v->group : "",
	       v->group ? " " : "", v->name, *v->args ? " " : "", v->args, v->help);
	if (v->options) {
		printf("\nOptions:\n");
		ctl_print_options(v->options);
	}
	printf("\nOptions of all verbs:\n");
	ctl_print_options(0);
}

/* The tables, for what completes and documents them. */
static json_t *help_json(void)
{
	json_t *array = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		const struct verb *v = &verbs[i];

		json_array_append_new(
			array, json_pack("{s:s*, s:s, s:s, s:s, s:o}", "group", v->group, "verb",
					 v->name, "arguments", v->args, "help", v->help, "options",
					 v->options ? ctl_options_json(v->options) : json_array()));
	}
	return json_pack("{s:o, s:o}", "verbs", array, "options", ctl_options_json(0));
}

static int usage_error(const char *fmt, ...) _printf_(1, 2);

static int usage_error(const char *fmt, ...)
{
	va_list ap;

	fputs("revshellctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\n" CTL_HINT_HELP "\n", stderr);
	return CTL_FAILED;
}

static const struct verb *find_verb(const char *group, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0 &&
		    (group ? verbs[i].group && strcmp(verbs[i].group, group) == 0
			   : !verbs[i].group))
			return &verbs[i];
	return NULL;
}

static bool is_group(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (verbs[i].group && strcmp(verbs[i].group, name) == 0)
			return true;
	return false;
}

static int unknown_verb(const char *group, const char *name)
{
	const struct verb *nearest = NULL;
	const char *meant = "";
	size_t least = 3; /* more letters off is another word */

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		const struct verb *v = &verbs[i];
		const char *word = group || !v->group ? v->name : v->group;
		size_t d = word_distance(name, word, least);

		/* a verb of the group may have been meant without it */
		if (group && (!v->group || strcmp(v->group, group) != 0))
			continue;
		if (!group && v->group && strcmp(v->name, name) == 0)
			nearest = v;
		if (d < least && d < strlen(word)) {
			least = d;
			meant = word;
		}
	}
	fprintf(stderr, "revshellctl: Unknown verb '%s%s%s'\n", group ? group : "",
		group ? " " : "", name);
	if (nearest)
		fprintf(stderr, "Hint: did you mean '%s %s'?\n", nearest->group, nearest->name);
	else if (*meant)
		fprintf(stderr, "Hint: did you mean '%s%s%s'?\n", group ? group : "",
			group ? " " : "", meant);
	else
		fputs(CTL_HINT_HELP "\n", stderr);
	return CTL_FAILED;
}

/* The verb that argv begins with; ret_n: how many words it has. NULL after telling why not. */
static const struct verb *parse_verb(int argc, char **argv, int *ret_n)
{
	const struct verb *v;
	bool grouped = is_group(argv[0]);

	if (grouped && argc < 2) {
		fprintf(stderr, "revshellctl: '%s' needs a verb\nHint:", argv[0]);
		for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
			if (verbs[i].group && strcmp(verbs[i].group, argv[0]) == 0)
				fprintf(stderr, " %s", verbs[i].name);
		fputc('\n', stderr);
		return NULL;
	}
	v = grouped ? find_verb(argv[0], argv[1]) : find_verb(NULL, argv[0]);
	if (!v)
		unknown_verb(grouped ? argv[0] : NULL, argv[grouped]);
	*ret_n = 1 + grouped;
	return v;
}

static int verb_help(struct ctl *c, int argc, char **argv)
{
	const struct verb *v;
	int n;

	if (c->json != CTL_JSON_OFF)
		return ctl_print_json(c, help_json());
	if (argc < 2) {
		print_help();
		return CTL_OK;
	}
	v = parse_verb(argc - 1, argv + 1, &n);
	if (!v)
		return CTL_FAILED;
	if (n < argc - 1)
		return usage_error("Too many arguments for verb 'help'");
	print_verb_help(v);
	return CTL_OK;
}

static int run_verb(struct ctl *c, const struct verb *v, int argc, char **argv)
{
	const char *surplus = ctl_surplus_option(c, v->options);
	int n = argc - 1;

	if (c->help) {
		print_verb_help(v);
		return CTL_OK;
	}
	if (n < v->min_args)
		return usage_error("Verb '%s' needs %s", v->name, v->args);
	if (v->max_args >= 0 && n > v->max_args)
		return usage_error("Too many arguments for verb '%s'", v->name);
	if (surplus)
		return usage_error("Verb '%s' does not take --%s", v->name, surplus);
	return v->run(c, argc, argv);
}

static int dispatch(struct ctl *c, int argc, char **argv)
{
	static char *const status[] = {(char *)"status", NULL};
	static char *const version[] = {(char *)"version", NULL};
	const struct verb *v;
	int n;

	if (c->version)
		return verb_version(c, 1, (char **)version);
	if (argc == 0 && c->help)
		return verb_help(c, 0, NULL);
	if (argc == 0)
		return run_verb(c, &verbs[0], 1, (char **)status);
	v = parse_verb(argc, argv, &n);
	return v ? run_verb(c, v, argc - n + 1, argv + n - 1) : CTL_FAILED;
}

int main(int argc, char **argv)
{
	struct ctl c = {
		.where = "system",
		.format = EVENT_COMPACT,
	};
	int r;

	r = ctl_read_options(&c, argc, argv);
	if (r != 0)
		return r;
	if (bus_error_register() < 0)
		return ctl_fail("start", -ENOMEM, NULL);
	r = dispatch(&c, argc - optind, argv + optind);
	sd_bus_flush_close_unref(c.bus);
	/* a long text may have failed before its end */
	if ((fflush(stdout) != 0 || ferror(stdout)) && errno != EPIPE && r == CTL_OK)
		return ctl_fail("write", errno ? -errno : -EIO, NULL);
	return r;
}
