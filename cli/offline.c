/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verb policy check: the daemon's own parser and compiler, without daemon and root. */
#include <string.h>
#include <sys/stat.h>

#include "config.h"
#include "ctl.h"
#include "diag.h"
#include "macro.h"
#include "policy.h"
#include "ruleset.h"

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int load_default_dirs(const struct policy_options *opts, struct diag *d,
			     struct policy_set *set)
{
	char *dirs[CONFIG_N_DEFAULT_DIRS];

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		dirs[i] = (char *)config_default_dirs[i];
	return policy_load_dirs(dirs, ARRAY_SIZE(dirs), opts, d, set);
}

int ctl_load_policies(char *path, const struct policy_options *opts, struct diag *d,
		      struct policy_set *set)
{
	if (!path)
		return load_default_dirs(opts, d, set);
	if (is_directory(path))
		return policy_load_dirs(&path, 1, opts, d, set);
	return policy_load_file(path, opts, d, set);
}

struct ruleset_options ctl_offline_options(void)
{
	struct ruleset_options opts = {.observe_tcp_connect = true, .observe_listen_start = true};

	for (size_t i = 0; i < ARRAY_SIZE(opts.host_ns); i++)
		opts.host_ns[i] = 1;
	return opts;
}

/* Loads path and compiles what it holds, so that limits are checked too. */
static int check_path(const struct ctl *c, char *path, struct diag *d, size_t *ret_n_policies)
{
	const struct policy_options opts = {.tetragon = c->tetragon, .offline = c->offline};
	const struct ruleset_options ropts = ctl_offline_options();
	_cleanup_(ruleset_freep) struct ruleset *rs = NULL;
	struct diag_pos pos = {.file = path};
	struct policy_set set = {};
	size_t n;
	int r;

	r = ctl_load_policies(path, &opts, d, &set);
	n = set.n;
	if (r >= 0 && n == 0) {
		diag_error(d, pos, "no-policy", "no *.yaml or *.yml file in this directory");
		r = -EINVAL;
	}
	if (r >= 0)
		r = ruleset_compile(&set, &ropts, NULL, d, &rs);
	policy_set_done(&set);
	if (r < 0 && d->n_errors == 0)
		diag_error(d, pos, "system", "%s", strerror(-r));
	if (r >= 0)
		*ret_n_policies = n;
	return r;
}

static json_t *diag_json(const struct diag_item *item)
{
	return json_pack("{s:s?, s:I, s:I, s:s, s:s, s:s}", "file", item->file, "line",
			 (json_int_t)item->line, "column", (json_int_t)item->column, "severity",
			 diag_severity_name(item->severity), "code", item->code ? item->code : "",
			 "message", item->message);
}

void ctl_print_diag(FILE *f, const struct diag *d)
{
	for (size_t i = 0; i < d->n_items; i++) {
		_cleanup_free_ char *line = diag_format(&d->items[i]);

		fprintf(f, "%s\n", line ? line : "out of memory");
	}
}

int verb_policy_check(struct ctl *c, int argc, char **argv)
{
	json_t *array = c->json != CTL_JSON_OFF ? json_array() : NULL;
	int result = CTL_OK;

	for (int i = 1; i < argc; i++) {
		struct diag d = {};
		size_t n = 0;
		int r = check_path(c, argv[i], &d, &n);

		if (r < 0)
			result = CTL_FAILED;
		if (array) {
			for (size_t j = 0; j < d.n_items; j++)
				json_array_append_new(array, diag_json(&d.items[j]));
		} else {
			ctl_print_diag(stdout, &d);
			if (r >= 0)
				printf("%s: %zu %s, no error\n", argv[i], n,
				       n == 1 ? "policy" : "policies");
		}
		diag_done(&d);
	}
	if (array && ctl_print_json(c, array) != CTL_OK)
		result = CTL_FAILED;
	return result;
}
