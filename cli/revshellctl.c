/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* revshellctl: options and the table of verbs. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>

#include "bus-error.h"
#include "ctl.h"
#include "units.h"

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
	 "Set one policy to enforce, monitor, or its own default"},
	{NULL, "confirm", 0, 0, 0, verb_confirm, "", "Keep the mode that is on trial"},
	{NULL, "rollback", 0, 0, 0, verb_rollback, "", "Bring back the mode before the trial"},
	{NULL, "apply", 1, 1, CTL_OPT_REASON | CTL_OPT_CHANGE | CTL_OPT_REPLACE, verb_apply,
	 "FILE|DIR|-", "Put the policies of a file or directory in force, all or nothing"},
	{NULL, "reload", 0, 0, CTL_OPT_REASON, verb_reload, "",
	 "Load the policy directories anew, all or nothing"},
	{NULL, "events", 0, 0,
	 CTL_OPT_FOLLOW | CTL_OPT_LINES | CTL_OPT_OUTPUT | CTL_OPT_FILTER | CTL_OPT_EXE,
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
	{NULL, "help", 0, -1, 0, verb_help, "", "Show this text"},
};

enum {
	OPT_BUS = 0x100,
	OPT_JSON,
	OPT_NO_LEGEND,
	OPT_REASON,
	OPT_CONFIRM,
	OPT_DISARM,
	OPT_POLICY,
	OPT_EXE,
	OPT_VERDICT,
	OPT_TETRAGON,
	OPT_OFFLINE,
	OPT_DRY_RUN,
	OPT_RUNTIME,
	OPT_MASK,
	OPT_REPLACE_ALL,
	OPT_OPENMETRICS,
	OPT_VERSION,
	OPT_FACT, /* and as many as there are facts */
};

static const struct option long_options[] = {
	{"bus", required_argument, NULL, OPT_BUS},
	{"host", required_argument, NULL, 'H'},
	{"json", required_argument, NULL, OPT_JSON},
	{"no-legend", no_argument, NULL, OPT_NO_LEGEND},
	{"reason", required_argument, NULL, OPT_REASON},
	{"confirm", required_argument, NULL, OPT_CONFIRM},
	{"disarm", no_argument, NULL, OPT_DISARM},
	{"follow", no_argument, NULL, 'f'},
	{"lines", required_argument, NULL, 'n'},
	{"output", required_argument, NULL, 'o'},
	{"policy", required_argument, NULL, OPT_POLICY},
	{"exe", required_argument, NULL, OPT_EXE},
	{"verdict", required_argument, NULL, OPT_VERDICT},
	{"tetragon", no_argument, NULL, OPT_TETRAGON},
	{"offline", no_argument, NULL, OPT_OFFLINE},
	{"dry-run", no_argument, NULL, OPT_DRY_RUN},
	{"runtime", no_argument, NULL, OPT_RUNTIME},
	{"mask", no_argument, NULL, OPT_MASK},
	{"openmetrics", no_argument, NULL, OPT_OPENMETRICS},
	{"replace-all", no_argument, NULL, OPT_REPLACE_ALL},
#define FACT(name, id)                                                  \
	{                                                               \
		name, required_argument, NULL, OPT_FACT + CTL_FACT_##id \
	}
	FACT("hook", HOOK),
	FACT("dst", DST),
	FACT("src", SRC),
	FACT("family", FAMILY),
	FACT("type", TYPE),
	FACT("protocol", PROTOCOL),
	FACT("state", STATE),
	FACT("arg", ARG),
	FACT("parent", PARENT),
	FACT("lineage", LINEAGE),
	FACT("uid", UID),
	FACT("gid", GID),
	FACT("auid", AUID),
	FACT("pid", PID),
	FACT("ancestors", ANCESTORS),
	FACT("unit", UNIT),
	FACT("stdio", STDIO),
	FACT("caps", CAPS),
	FACT("namespaces", NAMESPACES),
#undef FACT
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPT_VERSION},
	{},
};

static int verb_help(struct ctl *c, int argc, char **argv)
{
	printf("revshellctl [OPTIONS...] [VERB] [ARGUMENTS...]\n\n"
	       "Ask and steer revshelld, which stops reverse shells.\n\nVerbs:\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		const struct verb *v = &verbs[i];
		char text[64];

		snprintf(text, sizeof(text), "%s%s%s%s%s", v->group ? v->group : "",
			 v->group ? " " : "", v->name, *v->args ? " " : "", v->args);
		printf("  %-28s %s%s\n", text, v->help, i == 0 ? " (the default)" : "");
	}
	printf("\nOptions:\n"
	       "  --bus=BUS          system, session, or a D-Bus address (default: system)\n"
	       "  -H --host=HOST     Ask the daemon of another host, by ssh\n"
	       "  --json=FORMAT      off, short or pretty (default: off)\n"
	       "  --no-legend        No headings on tables\n"
	       "  -h --help          Show this text\n"
	       "  --version          Show the version\n"
	       "Options of enforce, reload, apply, policy add, remove and mode:\n"
	       "  --reason=TEXT      For the log\n"
	       "Options of enforce on, and of stop:\n"
	       "  --confirm=TIME     Only on trial: 'confirm' must follow within 30s, 5m, 1h\n"
	       "  --disarm           (stop) Take enforcement away as well\n"
	       "Options of apply, policy add and remove:\n"
	       "  --dry-run          Only check\n"
	       "  --runtime          Write below /run: until the next boot\n"
	       "  --mask             (remove) Hide the file of a lower directory\n"
	       "  --replace-all      (apply) Remove all other policies\n"
	       "Options of events:\n"
	       "  -f --follow        Show events as they come, until interrupted\n"
	       "  -n --lines=N       Begin with the last N events\n"
	       "  -o --output=FORMAT compact, json or tetragon (default: compact)\n"
	       "  --policy=ID        Only events of this policy\n"
	       "  --exe=PATH         Only events of this executable\n"
	       "  --verdict=VERDICT  Only allowed, would-deny, denied or killed\n"
	       "Options of explain: --policy, --exe, --verdict as of events, and\n"
	       "  --offline          By the policies of files, instead of those in force\n"
	       "Options of simulate, --exe=PATH and --offline FILE|DIR... besides:\n"
	       "  --hook=HOOK        connect, listen, bind, sendmsg, ... (default: connect)\n"
	       "  --dst=ADDR:PORT    Where to; [ADDR6]:PORT; /path or @name of a UNIX socket\n"
	       "  --src=ADDR:PORT    Where from; what is bound to or listened at\n"
	       "  --protocol=NAME    tcp, udp, ... or a number\n"
	       "  --family=NAME --type=NAME --state=NAME   Of the socket: inet, stream, close\n"
	       "  --arg=N:VALUE      The integer argument at position N\n"
	       "  --parent=PATH --lineage=PATH,...   Executables of the parent, and earlier ones\n"
	       "  --uid=USER --gid=GROUP --auid=USER --pid=PID --ancestors=PID,...\n"
	       "  --unit=NAME,...    Units that the process belongs to\n"
	       "  --stdio=FDS        Standard descriptors that are sockets: none, socket, 0,1\n"
	       "  --caps=CAP,...     none, all, or names\n"
	       "  --namespaces=host  The process is in those of the host\n"
	       "Options of stats:\n"
	       "  --openmetrics      As OpenMetrics text\n"
	       "Options of policy check:\n"
	       "  --tetragon         Warn about what Tetragon would not load\n"
	       "  --offline          Do not look at this host's files and users\n\n"
	       "Exit status: 0 success, 1 failure, 3 no daemon, 4 no permission; of status and\n"
	       "enforce also 0 enforcing, 5 monitor, 7 degraded; of simulate 0 allowed, 10 "
	       "denied,\n"
	       "11 dependent on what was not told.\n");
	return CTL_OK;
}

static int usage_error(const char *fmt, ...) _printf_(1, 2);

static int usage_error(const char *fmt, ...)
{
	va_list ap;

	fputs("revshellctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\nSee 'revshellctl help'.\n", stderr);
	return CTL_FAILED;
}

/* The position of value in a NULL-terminated list, or -EINVAL after telling. */
static int choose(const char *option, const char *value, const char *const *list)
{
	for (int i = 0; list[i]; i++)
		if (strcmp(value, list[i]) == 0)
			return i;
	usage_error("Bad value for %s: '%s'", option, value);
	return -EINVAL;
}

static int parse_lines(struct ctl *c, const char *arg)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(arg, &end, 10);
	if (arg[0] < '0' || arg[0] > '9' || *end || errno || n > UINT32_MAX) {
		usage_error("Bad value for --lines: '%s'", arg);
		return -EINVAL;
	}
	c->lines = (uint32_t)n;
	return 0;
}

/* A number of seconds, or of what s, m or h stands for. */
static int parse_confirm(struct ctl *c, const char *arg)
{
	if (units_parse(arg, units_usec, UINT64_MAX, &c->confirm_usec) == 0 &&
	    c->confirm_usec > 0) {
		c->options |= CTL_OPT_CONFIRM;
		return 0;
	}
	usage_error("Bad value for --confirm: '%s' (a number with s, m or h)", arg);
	return -EINVAL;
}

static int parse_change_option(struct ctl *c, int opt)
{
	switch (opt) {
	case OPT_DRY_RUN:
		c->options |= CTL_OPT_CHANGE;
		c->dry_run = true;
		return 0;
	case OPT_RUNTIME:
		c->options |= CTL_OPT_CHANGE;
		c->runtime = true;
		return 0;
	case OPT_MASK:
		c->options |= CTL_OPT_MASK;
		c->mask = true;
		return 0;
	case OPT_REPLACE_ALL:
		c->options |= CTL_OPT_REPLACE;
		c->replace_all = true;
		return 0;
	}
	fputs("See 'revshellctl help'.\n", stderr); /* getopt has told what */
	return -EINVAL;
}

static int parse_option(struct ctl *c, int opt, const char *arg)
{
	static const char *const json_names[] = {"off", "short", "pretty", NULL};
	static const char *const formats[] = {"json", "tetragon", "compact", NULL};
	int r;

	if (opt >= OPT_FACT) {
		c->options |= CTL_OPT_FACTS;
		c->facts[opt - OPT_FACT] = arg;
		return 0;
	}
	switch (opt) {
	case OPT_BUS:
		if (strcmp(arg, "system") != 0 && strcmp(arg, "session") != 0 &&
		    !strchr(arg, ':')) {
			usage_error("Bad value for --bus: '%s'", arg);
			return -EINVAL;
		}
		c->where = arg;
		return 0;
	case 'H':
		c->host = arg;
		return 0;
	case OPT_JSON:
		r = choose("--json", arg, json_names);
		if (r >= 0)
			c->json = (enum ctl_json)r;
		return r;
	case OPT_NO_LEGEND:
		c->legend = false;
		return 0;
	case OPT_VERSION:
		c->version = true;
		return 0;
	case OPT_REASON:
		c->options |= CTL_OPT_REASON;
		c->reason = arg;
		return 0;
	case OPT_CONFIRM:
		return parse_confirm(c, arg);
	case OPT_DISARM:
		c->options |= CTL_OPT_DISARM;
		c->disarm = true;
		return 0;
	case OPT_OPENMETRICS:
		c->options |= CTL_OPT_METRICS;
		c->openmetrics = true;
		return 0;
	case 'f':
		c->options |= CTL_OPT_FOLLOW;
		c->follow = true;
		return 0;
	case 'n':
		c->options |= CTL_OPT_LINES;
		return parse_lines(c, arg);
	case 'o':
		c->options |= CTL_OPT_OUTPUT;
		r = choose("--output", arg, formats);
		if (r >= 0)
			c->format = (enum event_format)r; /* in the order of its constants */
		return r;
	case OPT_POLICY:
		c->options |= CTL_OPT_FILTER;
		c->policy = arg;
		return 0;
	case OPT_EXE:
		c->options |= CTL_OPT_EXE;
		c->exe = arg;
		return 0;
	case OPT_VERDICT:
		c->options |= CTL_OPT_FILTER;
		c->verdict = arg;
		return 0;
	case OPT_TETRAGON:
		c->options |= CTL_OPT_CHECK;
		c->tetragon = true;
		return 0;
	case OPT_OFFLINE:
		c->options |= CTL_OPT_OFFLINE;
		c->offline = true;
		return 0;
	}
	return parse_change_option(c, opt);
}

_Static_assert(EVENT_JSON == 0 && EVENT_TETRAGON == 1 && EVENT_COMPACT == 2, "order of formats");

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

static int run_verb(struct ctl *c, const struct verb *v, int argc, char **argv)
{
	int n = argc - 1;

	if (n < v->min_args)
		return usage_error("Verb '%s' needs %s", v->name, v->args);
	if (v->max_args >= 0 && n > v->max_args)
		return usage_error("Too many arguments for verb '%s'", v->name);
	if (c->options & ~v->options)
		return usage_error("Verb '%s' does not take one of these options", v->name);
	return v->run(c, argc, argv);
}

static int dispatch(struct ctl *c, int argc, char **argv)
{
	static char *const status[] = {(char *)"status", NULL};
	static char *const version[] = {(char *)"version", NULL};
	const struct verb *v;

	if (c->version)
		return verb_version(c, 1, (char **)version);
	if (argc == 0)
		return run_verb(c, &verbs[0], 1, (char **)status);
	if (is_group(argv[0])) {
		if (argc < 2)
			return usage_error("'%s' needs a verb", argv[0]);
		v = find_verb(argv[0], argv[1]);
		if (!v)
			return usage_error("Unknown verb '%s %s'", argv[0], argv[1]);
		return run_verb(c, v, argc - 1, argv + 1);
	}
	v = find_verb(NULL, argv[0]);
	if (!v)
		return usage_error("Unknown verb '%s'", argv[0]);
	return run_verb(c, v, argc, argv);
}

int main(int argc, char **argv)
{
	struct ctl c = {
		.where = "system",
		.legend = true,
		.format = EVENT_COMPACT,
	};
	int opt, r;

	while ((opt = getopt_long(argc, argv, "hH:fn:o:", long_options, NULL)) != -1) {
		if (opt == 'h')
			return verb_help(&c, 0, NULL);
		if (parse_option(&c, opt, optarg) < 0)
			return CTL_FAILED;
	}
	if (bus_error_register() < 0)
		return ctl_fail("start", -ENOMEM, NULL);
	r = dispatch(&c, argc - optind, argv + optind);
	sd_bus_flush_close_unref(c.bus);
	/* a long text may have failed before its end */
	if ((fflush(stdout) != 0 || ferror(stdout)) && errno != EPIPE && r == CTL_OK)
		return ctl_fail("write", errno ? -errno : -EIO, NULL);
	return r;
}
