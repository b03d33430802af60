/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the daemon was told: command line, over configuration files, over the defaults. */
#include <getopt.h>
#include <string.h>

#include "conf.h"
#include "config.h"
#include "log.h"
#include "mode.h"
#include "units.h"

#define PIN_DIR	  "/sys/fs/bpf/revshell"
#define STATE_DIR "/var/lib/revshell"

const char *const config_default_dirs[CONFIG_N_DEFAULT_DIRS] = {
	"/etc/revshell/policies.d",
	"/run/revshell/policies.d",
	"/usr/local/lib/revshell/policies.d",
	"/usr/lib/revshell/policies.d",
};

static int add_dir(struct config *c, const char *dir)
{
	char **dirs = reallocarray(c->policy_dirs, c->n_policy_dirs + 1, sizeof(*dirs));

	if (!dirs)
		return -ENOMEM;
	c->policy_dirs = dirs;
	dirs[c->n_policy_dirs] = strdup(dir);
	if (!dirs[c->n_policy_dirs])
		return -ENOMEM;
	c->n_policy_dirs++;
	return 0;
}

static int set_string(char **p, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*p);
	*p = copy;
	return 0;
}

/* An absolute path, or none. */
static int set_path(char **p, const char *value)
{
	if (value[0] == '/')
		return set_string(p, value);
	if (strcmp(value, "none") != 0)
		return -EINVAL;
	free(*p);
	*p = NULL;
	return 0;
}

enum {
	OPT_POLICY_DIR = 0x100,
	OPT_BUS,
	OPT_BACKEND,
	OPT_MODE,
	OPT_PIN_DIR,
	OPT_STATE_DIR,
	OPT_FALLBACK,
	OPT_SANDBOX,
	OPT_ALLOW_GROUP,
	OPT_STOP_DISARM,
	OPT_LOG_LEVEL,
	OPT_CONFIG,
	OPT_VERSION,
	OPT_EVENT_RING,
	OPT_JOURNAL_EVENTS,
	OPT_EXPORT_FILE,
	OPT_EXPORT_MAX_SIZE,
	OPT_EXPORT_FILES,
	OPT_METRICS_FILE,
	OPT_METRICS_INTERVAL,
	OPT_LOCK,
};

static const struct option long_options[] = {
	{"policy-dir", required_argument, NULL, OPT_POLICY_DIR},
	{"bus", required_argument, NULL, OPT_BUS},
	{"backend", required_argument, NULL, OPT_BACKEND},
	{"mode", required_argument, NULL, OPT_MODE},
	{"override-fallback", required_argument, NULL, OPT_FALLBACK},
	{"pin-dir", required_argument, NULL, OPT_PIN_DIR},
	{"state-dir", required_argument, NULL, OPT_STATE_DIR},
	{"sandbox", required_argument, NULL, OPT_SANDBOX},
	{"allow-group", required_argument, NULL, OPT_ALLOW_GROUP},
	{"lock", required_argument, NULL, OPT_LOCK},
	{"stop-disarm", no_argument, NULL, OPT_STOP_DISARM},
	{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
	{"config", required_argument, NULL, OPT_CONFIG},
	{"event-ring", required_argument, NULL, OPT_EVENT_RING},
	{"journal-events", required_argument, NULL, OPT_JOURNAL_EVENTS},
	{"export-file", required_argument, NULL, OPT_EXPORT_FILE},
	{"export-file-max-size", required_argument, NULL, OPT_EXPORT_MAX_SIZE},
	{"export-file-max-files", required_argument, NULL, OPT_EXPORT_FILES},
	{"metrics-file", required_argument, NULL, OPT_METRICS_FILE},
	{"metrics-interval", required_argument, NULL, OPT_METRICS_INTERVAL},
	{"version", no_argument, NULL, OPT_VERSION},
	{"help", no_argument, NULL, 'h'},
	{},
};

void config_print_help(void)
{
	printf("revshelld [OPTIONS...]\n\n"
	       "Stop reverse shells and bind shells where they start.\n\n"
	       "  --policy-dir=DIR   Read policies from DIR (repeatable, highest precedence "
	       "first)\n"
	       "  --bus=BUS          system, session, or a D-Bus address (default: system)\n"
	       "  --backend=KIND     auto, lsm, fmod-ret, kprobe or none (default: auto)\n"
	       "  --mode=MODE        enforce or monitor (default: what was in force before, else "
	       "monitor)\n"
	       "  --override-fallback=ACTION\n"
	       "                     Where the backend cannot deny: none, sigkill or monitor\n"
	       "  --pin-dir=DIR      Where enforcement outlives the daemon, or none "
	       "(default: " PIN_DIR ")\n"
	       "  --state-dir=DIR    Where a mode is kept that persists, or none "
	       "(default: " STATE_DIR ")\n"
	       "  --sandbox=MODE     enforce, log or off: what the daemon itself may do (default: "
	       "enforce)\n"
	       "  --allow-group=GROUP\n"
	       "                     Members may look, and strengthen, without polkit\n"
	       "  --lock=yes|no      Lock at the start: nothing may be weakened until the next "
	       "boot\n"
	       "  --stop-disarm      End the enforcement that outlived a daemon, and exit\n"
	       "  --log-level=LEVEL  emerg, alert, crit, err, warning, notice, info or debug\n"
	       "  --event-ring=SIZE  Kernel memory for events that wait for the daemon (default: "
	       "1M)\n"
	       "  --journal-events=WHICH\n"
	       "                     Events that go to the journal: verdicts (default), all or "
	       "none\n"
	       "  --export-file=FILE Write events there, one JSON line each; none: nowhere "
	       "(default)\n"
	       "  --export-file-max-size=SIZE, --export-file-max-files=N\n"
	       "                     Move it to FILE.1 at this size (default: 10M), keep so many "
	       "(5)\n"
	       "  --metrics-file=FILE\n"
	       "                     Write OpenMetrics text there; none: nowhere (default)\n"
	       "  --metrics-interval=TIME\n"
	       "                     So often (default: 15s)\n"
	       "  --config=FILE      Read this file instead of /etc/revshell/revshelld.conf and "
	       "its\n"
	       "                     kin, or none\n"
	       "  --version          Print the version and exit\n"
	       "  -h --help          Print this text and exit\n\n"
	       "Policy directories when none is given:\n");
	for (size_t i = 0; i < CONFIG_N_DEFAULT_DIRS; i++)
		printf("  %s\n", config_default_dirs[i]);
}

/*
 * Takes a value, from the command line or a file. -EINVAL: it is none of what *ret_wanted says.
 */
static int set_value(struct config *c, int opt, const char *arg, const char **ret_wanted)
{
	uint64_t n;
	int r;

	switch (opt) {
	case OPT_POLICY_DIR:
		*ret_wanted = "a directory is needed";
		return *arg ? add_dir(c, arg) : -EINVAL;
	case OPT_BUS:
		*ret_wanted = "system, session, or an address";
		if (strcmp(arg, "system") != 0 && strcmp(arg, "session") != 0 && !strchr(arg, ':'))
			return -EINVAL;
		return set_string(&c->bus, arg);
	case OPT_BACKEND:
		*ret_wanted = "auto, lsm, fmod-ret, kprobe, none";
		c->backend = backend_kind_parse(arg);
		return c->backend == BACKEND_MAX ? -EINVAL : 0;
	case OPT_MODE:
		*ret_wanted = "enforce or monitor";
		r = mode_parse(arg);
		if (r < 0)
			return -EINVAL;
		c->mode = (enum revshell_mode)r;
		c->mode_source = "option";
		return 0;
	case OPT_FALLBACK:
		*ret_wanted = "none, sigkill or monitor";
		r = policy_fallback_parse(arg);
		if (r < 0)
			return -EINVAL;
		c->fallback = (enum policy_fallback)r;
		return 0;
	case OPT_PIN_DIR:
		*ret_wanted = "a path, or none";
		return set_path(&c->pin_dir, arg);
	case OPT_STATE_DIR:
		*ret_wanted = "a path, or none";
		return set_path(&c->state_dir, arg);
	case OPT_SANDBOX:
		*ret_wanted = "enforce, log or off";
		c->sandbox = sandbox_mode_parse(arg);
		return c->sandbox == SANDBOX_MODE_MAX ? -EINVAL : 0;
	case OPT_ALLOW_GROUP:
		*ret_wanted = "a group's name or number";
		return *arg ? set_string(&c->allow_group, arg) : -EINVAL;
	case OPT_LOCK:
		*ret_wanted = "yes or no";
		c->lock = strcmp(arg, "yes") == 0;
		return c->lock || strcmp(arg, "no") == 0 ? 0 : -EINVAL;
	case OPT_LOG_LEVEL:
		*ret_wanted = "emerg .. debug, or 0 .. 7";
		r = log_level_parse(arg);
		if (r < 0)
			return -EINVAL;
		c->log_level = r;
		return 0;
	case OPT_EVENT_RING:
		*ret_wanted = "a power of 2 from 64K to 1G, bytes or with K, M or G";
		if (units_parse(arg, units_size, 1U << 30, &n) < 0 || n < 65536 || (n & (n - 1)))
			return -EINVAL;
		c->event_ring = n;
		return 0;
	case OPT_JOURNAL_EVENTS:
		*ret_wanted = "verdicts, all or none";
		r = sink_journal_events_parse(arg);
		if (r < 0)
			return r;
		c->sinks.journal = (enum sink_journal_events)r;
		return 0;
	case OPT_EXPORT_FILE:
		*ret_wanted = "a path, or none";
		return set_path(&c->sinks.export_file, arg);
	case OPT_EXPORT_MAX_SIZE:
		*ret_wanted = "0 for no bound, or bytes from 4K on, with K, M or G";
		if (units_parse(arg, units_size, INT64_MAX, &n) < 0 || (n > 0 && n < 4096))
			return -EINVAL;
		c->sinks.export_max_size = n;
		return 0;
	case OPT_EXPORT_FILES:
		*ret_wanted = "a number from 0 to 100";
		if (units_parse(arg, units_none, SINK_FILE_MAX_FILES, &n) < 0)
			return -EINVAL;
		c->sinks.export_files = (unsigned int)n;
		return 0;
	case OPT_METRICS_FILE:
		*ret_wanted = "a path, or none";
		return set_path(&c->sinks.metrics_file, arg);
	case OPT_METRICS_INTERVAL:
		*ret_wanted = "from 1s to 24h, a number with s, m, h or d";
		if (units_parse(arg, units_usec, 24ULL * 60 * 60 * 1000000, &n) < 0 || n == 0)
			return -EINVAL;
		c->sinks.metrics_interval_usec = n;
		return 0;
	}
	return -ENOENT;
}

static const char *option_name(int opt)
{
	for (const struct option *o = long_options; o->name; o++)
		if (o->val == opt)
			return o->name;
	return "";
}

static void clear_dirs(struct config *c)
{
	for (size_t i = 0; i < c->n_policy_dirs; i++)
		free(c->policy_dirs[i]);
	free(c->policy_dirs);
	c->policy_dirs = NULL;
	c->n_policy_dirs = 0;
}

static int config_option(struct config *c, int opt, const char *arg, bool *dirs_given)
{
	const char *wanted = "";
	int r;

	switch (opt) {
	case OPT_CONFIG:
		return 0; /* was looked at before */
	case OPT_STOP_DISARM:
		c->stop_disarm = true;
		return 0;
	case OPT_VERSION:
		c->version = true;
		return 0;
	case 'h':
		c->help = true;
		return 0;
	case OPT_POLICY_DIR:
		/* the command line's take the place of the files' */
		if (!*dirs_given)
			clear_dirs(c);
		*dirs_given = true;
		break;
	}
	r = set_value(c, opt, arg, &wanted);
	if (r == -EINVAL)
		fprintf(stderr, "revshelld: Bad value for --%s: '%s' (%s)\n", option_name(opt), arg,
			wanted);
	return r == -ENOENT ? -EINVAL : r; /* getopt has told what */
}

static const struct {
	const char *key;
	int opt;
} conf_keys[] = {
	{"AllowGroup", OPT_ALLOW_GROUP},
	{"Backend", OPT_BACKEND},
	{"Bus", OPT_BUS},
	{"EventRing", OPT_EVENT_RING},
	{"ExportFile", OPT_EXPORT_FILE},
	{"ExportFileMaxFiles", OPT_EXPORT_FILES},
	{"ExportFileMaxSize", OPT_EXPORT_MAX_SIZE},
	{"JournalEvents", OPT_JOURNAL_EVENTS},
	{"Lock", OPT_LOCK},
	{"LogLevel", OPT_LOG_LEVEL},
	{"MetricsFile", OPT_METRICS_FILE},
	{"MetricsInterval", OPT_METRICS_INTERVAL},
	{"Mode", OPT_MODE},
	{"OverrideFallback", OPT_FALLBACK},
	{"PinDirectory", OPT_PIN_DIR},
	{"PolicyDirectory", OPT_POLICY_DIR},
	{"Sandbox", OPT_SANDBOX},
	{"StateDirectory", OPT_STATE_DIR},
};

static int conf_pair(const char *section, const char *key, const char *value,
		     struct diag_pos position, struct diag *d, void *userdata)
{
	struct config *c = userdata;
	const char *wanted = "";
	size_t i = 0;
	int r;

	if (strcmp(section, "Daemon") != 0) {
		diag_error(d, position, "unknown-section",
			   "there is no section [%s], only [Daemon]", section);
		return -EINVAL;
	}
	while (i < ARRAY_SIZE(conf_keys) && strcmp(conf_keys[i].key, key) != 0)
		i++;
	if (i == ARRAY_SIZE(conf_keys)) {
		diag_error(d, position, "unknown-key", "unknown key \"%s\"", key);
		return -EINVAL;
	}
	/* as in systemd's files, nothing takes back what stood before */
	if (conf_keys[i].opt == OPT_POLICY_DIR && !*value) {
		clear_dirs(c);
		return 0;
	}
	r = set_value(c, conf_keys[i].opt, value, &wanted);
	if (r == -EINVAL)
		diag_error(d, position, "bad-value", "%s is %s, not \"%s\"", key, wanted, value);
	return r;
}

int config_read_dirs(struct config *c, const char *const *dirs, size_t n_dirs, struct diag *d)
{
	return conf_read_dirs(dirs, n_dirs, "revshelld", conf_pair, c, d);
}

/* The files, and what is wrong with them. */
static int read_files(struct config *c, const char *file)
{
	static const char *const dirs[] = {"/etc/revshell", "/run/revshell",
					   "/usr/local/lib/revshell", "/usr/lib/revshell"};
	struct diag d = {};
	int r = 0;

	if (!file)
		r = config_read_dirs(c, dirs, ARRAY_SIZE(dirs), &d);
	else if (strcmp(file, "none") != 0)
		r = conf_read_file(file, conf_pair, c, &d);
	for (size_t i = 0; i < d.n_items; i++) {
		_cleanup_free_ char *line = diag_format(&d.items[i]);

		fprintf(stderr, "%s\n", line ? line : "out of memory");
	}
	diag_done(&d);
	return r;
}

/* revshell.mode= on the kernel's command line: for the boot that went wrong, above all else. */
static void read_kernel_mode(struct config *c, const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char line[4096], *save = NULL;

	if (!f || !fgets(line, sizeof(line), f))
		return;
	for (char *word = strtok_r(line, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		static const char key[] = "revshell.mode=";
		const char *value = word + strlen(key);

		if (strncmp(word, key, strlen(key)) != 0)
			continue;
		if (strcmp(value, "off") == 0)
			c->backend = BACKEND_NONE;
		else if (mode_parse(value) >= 0)
			c->mode = (enum revshell_mode)mode_parse(value);
		else
			continue;
		c->mode_source = "kernel";
	}
}

/* The service manager's credentials stand between what is local and what packages bring. */
static int add_default_dirs(struct config *c)
{
	const char *credentials = secure_getenv("CREDENTIALS_DIRECTORY");
	int r = 0;

	for (size_t i = 0; r == 0 && i < CONFIG_N_DEFAULT_DIRS; i++) {
		if (i == CONFIG_N_LOCAL_DIRS && credentials && *credentials == '/')
			r = add_dir(c, credentials);
		if (r == 0)
			r = add_dir(c, config_default_dirs[i]);
	}
	return r;
}

int config_parse(int argc, char *const *argv, struct config *ret_config)
{
	struct config c = {
		.backend = BACKEND_AUTO,
		.mode = REVSHELL_MODE_MONITOR,
		.log_level = LOG_INFO,
		.sinks = {.export_max_size = 10 << 20,
			  .export_files = 5,
			  .metrics_interval_usec = 15 * 1000000},
	};
	bool asked = false, dirs_given = false;
	const char *file = NULL;
	int opt, r = 0;

	r = set_string(&c.pin_dir, PIN_DIR);
	if (r == 0)
		r = set_string(&c.state_dir, STATE_DIR);
	/* files first, so that the command line has the last word; but it says which, and --help
	 * none */
	optind = 0; /* glibc: start afresh */
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (opt == OPT_CONFIG)
			file = optarg;
		asked = asked || opt == 'h' || opt == OPT_VERSION;
	}
	if (r == 0 && !asked)
		r = read_files(&c, file);
	optind = 0;
	opterr = 1;
	while (r == 0 && (opt = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
		r = config_option(&c, opt, optarg, &dirs_given);
	if (r == 0 && optind < argc) {
		fprintf(stderr, "revshelld: Unexpected argument '%s'\n", argv[optind]);
		r = -EINVAL;
	}
	if (r == 0 && !c.bus)
		r = set_string(&c.bus, "system");
	if (r == 0)
		read_kernel_mode(&c, "/proc/cmdline");
	c.default_dirs = c.n_policy_dirs == 0;
	if (r == 0 && c.default_dirs)
		r = add_default_dirs(&c);
	if (r < 0) {
		config_done(&c);
		return r;
	}
	*ret_config = c;
	return 0;
}

void config_done(struct config *c)
{
	clear_dirs(c);
	free(c->bus);
	free(c->pin_dir);
	free(c->state_dir);
	free(c->sinks.export_file);
	free(c->sinks.metrics_file);
	free(c->allow_group);
	*c = (struct config){};
}
