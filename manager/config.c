/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the daemon was told on its command line, over the defaults. */
#include <getopt.h>
#include <string.h>

#include "config.h"
#include "log.h"
#include "mode.h"

#define PIN_DIR "/sys/fs/bpf/revshell"

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

static int bad_value(const char *option, const char *value, const char *wanted)
{
	fprintf(stderr, "revshelld: Bad value for %s: '%s' (%s)\n", option, value, wanted);
	return -EINVAL;
}

enum {
	OPT_POLICY_DIR = 0x100,
	OPT_BUS,
	OPT_BACKEND,
	OPT_MODE,
	OPT_PIN_DIR,
	OPT_FALLBACK,
	OPT_STOP_DISARM,
	OPT_LOG_LEVEL,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{"policy-dir", required_argument, NULL, OPT_POLICY_DIR},
	{"bus", required_argument, NULL, OPT_BUS},
	{"backend", required_argument, NULL, OPT_BACKEND},
	{"mode", required_argument, NULL, OPT_MODE},
	{"override-fallback", required_argument, NULL, OPT_FALLBACK},
	{"pin-dir", required_argument, NULL, OPT_PIN_DIR},
	{"stop-disarm", no_argument, NULL, OPT_STOP_DISARM},
	{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
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
	       "  --stop-disarm      End the enforcement that outlived a daemon, and exit\n"
	       "  --log-level=LEVEL  emerg, alert, crit, err, warning, notice, info or debug\n"
	       "  --version          Print the version and exit\n"
	       "  -h --help          Print this text and exit\n\n"
	       "Policy directories when none is given:\n");
	for (size_t i = 0; i < CONFIG_N_DEFAULT_DIRS; i++)
		printf("  %s\n", config_default_dirs[i]);
}

static int config_option(struct config *c, int opt, const char *arg)
{
	int r;

	switch (opt) {
	case OPT_POLICY_DIR:
		if (!*arg)
			return bad_value("--policy-dir", arg, "a directory is needed");
		return add_dir(c, arg);
	case OPT_BUS:
		if (strcmp(arg, "system") != 0 && strcmp(arg, "session") != 0 && !strchr(arg, ':'))
			return bad_value("--bus", arg, "system, session, or an address");
		return set_string(&c->bus, arg);
	case OPT_BACKEND:
		c->backend = backend_kind_parse(arg);
		if (c->backend == BACKEND_MAX)
			return bad_value("--backend", arg, "auto, lsm, fmod-ret, kprobe, none");
		return 0;
	case OPT_MODE:
		r = mode_parse(arg);
		if (r < 0)
			return bad_value("--mode", arg, "enforce or monitor");
		c->mode = (enum revshell_mode)r;
		c->mode_source = "option";
		return 0;
	case OPT_FALLBACK:
		r = policy_fallback_parse(arg);
		if (r < 0)
			return bad_value("--override-fallback", arg, "none, sigkill or monitor");
		c->fallback = (enum policy_fallback)r;
		return 0;
	case OPT_PIN_DIR:
		if (strcmp(arg, "none") != 0 && arg[0] != '/')
			return bad_value("--pin-dir", arg, "a path, or none");
		free(c->pin_dir);
		c->pin_dir = NULL;
		return strcmp(arg, "none") == 0 ? 0 : set_string(&c->pin_dir, arg);
	case OPT_STOP_DISARM:
		c->stop_disarm = true;
		return 0;
	case OPT_LOG_LEVEL:
		r = log_level_parse(arg);
		if (r < 0)
			return bad_value("--log-level", arg, "emerg .. debug, or 0 .. 7");
		c->log_level = r;
		return 0;
	case OPT_VERSION:
		c->version = true;
		return 0;
	case 'h':
		c->help = true;
		return 0;
	}
	return -EINVAL; /* getopt has told what */
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

int config_parse(int argc, char *const *argv, struct config *ret_config)
{
	struct config c = {
		.backend = BACKEND_AUTO,
		.mode = REVSHELL_MODE_MONITOR,
		.log_level = LOG_INFO,
	};
	int opt, r = 0;

	r = set_string(&c.pin_dir, PIN_DIR);
	optind = 0; /* glibc: start afresh */
	while (r == 0 && (opt = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
		r = config_option(&c, opt, optarg);
	if (r == 0 && optind < argc) {
		fprintf(stderr, "revshelld: Unexpected argument '%s'\n", argv[optind]);
		r = -EINVAL;
	}
	if (r == 0 && !c.bus)
		r = set_string(&c.bus, "system");
	if (r == 0)
		read_kernel_mode(&c, "/proc/cmdline");
	c.default_dirs = c.n_policy_dirs == 0;
	for (size_t i = 0; r == 0 && c.default_dirs && i < CONFIG_N_DEFAULT_DIRS; i++)
		r = add_dir(&c, config_default_dirs[i]);
	if (r < 0) {
		config_done(&c);
		return r;
	}
	*ret_config = c;
	return 0;
}

void config_done(struct config *c)
{
	for (size_t i = 0; i < c->n_policy_dirs; i++)
		free(c->policy_dirs[i]);
	free(c->policy_dirs);
	free(c->bus);
	free(c->pin_dir);
	*c = (struct config){};
}
