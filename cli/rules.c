/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The policies that a call is held against: those in force, or those of files. */
#include <inttypes.h>
#include <string.h>

#include "ctl.h"
#include "mode.h"

void ctl_rules_done(struct ctl_rules *r)
{
	ruleset_free(r->rs);
	*r = (struct ctl_rules){};
}

/* Compiles, and takes the set in any case. */
static int compile(const char *action, struct policy_set *set, const struct ruleset_mode *modes,
		   struct diag *d, struct ctl_rules *rules)
{
	int r;

	r = ruleset_compile(set, &rules->opts, modes, d, &rules->rs);
	policy_set_done(set);
	if (r >= 0)
		return 0;
	ctl_print_diag(stderr, d);
	return ctl_fail_text(action, d->n_errors ? "the policies have errors" : strerror(-r), NULL);
}

/* Of files */

static int load_files(const char *action, int argc, char **argv, struct ctl_rules *rules)
{
	const struct policy_options opts = {};
	struct policy_set set = {};
	struct diag d = {};
	int r = 0;

	if (argc == 0)
		r = ctl_load_policies(NULL, &opts, &d, &set);
	for (int i = 0; r >= 0 && i < argc; i++)
		r = ctl_load_policies(argv[i], &opts, &d, &set);
	if (r < 0) {
		ctl_print_diag(stderr, &d);
		r = ctl_fail_text(action, d.n_errors ? "the files have errors" : strerror(-r),
				  NULL);
		policy_set_done(&set);
	} else if (set.n == 0) {
		r = ctl_fail_text(action, "there is no policy in these files", NULL);
	} else {
		r = compile(action, &set, NULL, &d, rules);
	}
	diag_done(&d);
	return r;
}

/* In force */

static void on_hook(const char *name, void *userdata)
{
	struct ruleset_options *opts = userdata;
	enum revshell_hook hook = ruleset_hook_parse(name);

	if (hook != REVSHELL_HOOK_MAX)
		opts->hooks |= 1ULL << hook;
}

static int read_capabilities(sd_bus_message *m, struct ruleset_options *opts)
{
	const char *key;
	int r, track_sock;

	r = sd_bus_message_enter_container(m, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = sd_bus_message_read(m, "s", &key);
		if (r < 0)
			break;
		if (strcmp(key, "hooks") == 0) {
			r = ctl_read_names(m, on_hook, opts);
		} else if (strcmp(key, "track-sock") == 0) {
			r = sd_bus_message_read(m, "v", "b", &track_sock);
			opts->no_track_sock = r >= 0 && !track_sock;
		} else {
			r = sd_bus_message_skip(m, "v");
		}
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	return r;
}

static int get_options(struct ctl *c, const char *action, struct ruleset_options *opts)
{
	sd_bus_message *m = NULL, *reply = NULL;
	int r;

	r = ctl_new_call(c, NULL, "GetCapabilities", &m);
	r = ctl_call(c, action, m, r, &reply);
	if (r != 0)
		return r;
	r = read_capabilities(reply, opts);
	sd_bus_message_unref(reply);
	return r < 0 ? ctl_fail_reply(action, r) : 0;
}

/* What is asked of the daemon, one policy after the other. */
struct fetched {
	struct policy_set set;
	struct ruleset_mode *modes; /* names are those of the set's policies */
	struct diag d;
};

static void fetched_done(struct fetched *f)
{
	policy_set_done(&f->set);
	free(f->modes);
	diag_done(&f->d);
}

/* Moves the policy of that name to f; a file may hold others too. Returns 0, -ENOENT or -ENOMEM. */
static int take_policy(struct fetched *f, struct policy_set *from, const char *id, const char *mode)
{
	for (size_t i = 0; i < from->n; i++) {
		struct policy **policies;
		struct ruleset_mode *modes;

		if (strcmp(from->policies[i]->name, id) != 0)
			continue;
		policies = reallocarray(f->set.policies, f->set.n + 1, sizeof(*policies));
		if (!policies)
			return -ENOMEM;
		f->set.policies = policies;
		modes = reallocarray(f->modes, f->set.n + 2, sizeof(*modes));
		if (!modes)
			return -ENOMEM;
		f->modes = modes;
		modes[f->set.n] = (struct ruleset_mode){
			.name = from->policies[i]->name,
			.mode = strcmp(mode, "enforce") == 0 ? POLICY_MODE_ENFORCE
				: strcmp(mode, "off") == 0   ? POLICY_MODE_OFF
							     : POLICY_MODE_MONITOR,
		};
		modes[f->set.n + 1] = (struct ruleset_mode){};
		policies[f->set.n++] = from->policies[i];
		from->policies[i] = from->policies[--from->n];
		return 0;
	}
	return -ENOENT;
}

static int fetch_policy(struct ctl *c, const char *action, const json_t *line, struct fetched *f)
{
	/* another host's files and users are not those of this one */
	const struct policy_options opts = {.offline = c->host != NULL};
	const char *id = json_string_value(json_object_get(line, "id"));
	const char *mode = json_string_value(json_object_get(line, "mode"));
	const char *origin = json_string_value(json_object_get(line, "origin"));
	_cleanup_free_ char *text = NULL;
	struct policy_set set = {};
	int r;

	r = ctl_get_source(c, action, id, &text);
	if (r != 0)
		return r;
	r = policy_load_text(text, strlen(text), origin, &opts, &f->d, &set);
	if (r >= 0)
		r = take_policy(f, &set, id, mode);
	policy_set_done(&set);
	if (r >= 0)
		return 0;
	ctl_print_diag(stderr, &f->d);
	return ctl_fail_text(action, "a policy in force cannot be read here", NULL);
}

static int list_policies(struct ctl *c, const char *action, json_t **ret_lines)
{
	sd_bus_message *reply = NULL;
	json_t *lines = json_array();
	struct ctl_policy line;
	int r;

	r = ctl_list_policies(c, action, &reply);
	if (r != 0) {
		json_decref(lines);
		return r;
	}
	while ((r = ctl_read_policy(reply, &line)) > 0) {
		if (json_array_append_new(lines, json_pack("{s:s, s:s, s:s}", "id", line.id, "mode",
							   line.mode, "origin", line.origin)) < 0) {
			r = -ENOMEM;
			break;
		}
	}
	sd_bus_message_unref(reply);
	if (r < 0) {
		json_decref(lines);
		return ctl_fail_reply(action, r);
	}
	*ret_lines = lines;
	return 0;
}

static int fetch_set(struct ctl *c, const char *action, struct ctl_rules *rules)
{
	struct fetched f = {};
	json_t *lines = NULL;
	int r;

	r = list_policies(c, action, &lines);
	for (size_t i = 0; r == 0 && i < json_array_size(lines); i++)
		r = fetch_policy(c, action, json_array_get(lines, i), &f);
	json_decref(lines);
	if (r == 0)
		r = compile(action, &f.set, f.modes, &f.d, rules);
	fetched_done(&f);
	return r;
}

/* The digest is over names and texts: it tells whether they changed while they were read. */
static int fetch(struct ctl *c, const char *action, struct ctl_rules *rules)
{
	struct ctl_state state;
	char digest[17];
	bool same;
	int r;

	r = ctl_connect(c, action);
	if (r == 0)
		r = get_options(c, action, &rules->opts);
	if (r == 0)
		r = fetch_set(c, action, rules);
	if (r == 0)
		r = ctl_get_state(c, action, &state);
	if (r != 0)
		return r;
	snprintf(digest, sizeof(digest), "%016" PRIx64, rules->rs->digest);
	same = strcmp(digest, state.digest) == 0;
	rules->generation = state.generation;
	rules->mode = mode_parse(state.mode);
	ctl_state_done(&state);
	return same ? 0
		    : ctl_fail_text(action, "the policies changed while they were read",
				    "Hint: try again.");
}

int ctl_get_rules(struct ctl *c, const char *action, int argc, char **argv,
		  struct ctl_rules *ret_rules)
{
	struct ctl_rules rules = {.opts = ctl_offline_options(), .mode = -1};
	int r;

	if (c->offline)
		r = load_files(action, argc, argv, &rules);
	else if (argc > 0)
		r = ctl_fail_text(action, "policies in force and files do not go together",
				  "Hint: --offline takes files instead.");
	else
		r = fetch(c, action, &rules);
	if (r != 0) {
		ctl_rules_done(&rules);
		return r;
	}
	*ret_rules = rules;
	return 0;
}
