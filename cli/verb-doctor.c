/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verb doctor: what of this host stands in the way, with or without a daemon. */
#include <string.h>

#include "config.h"
#include "ctl.h"
#include "doctor.h"

struct report {
	const struct ctl *c;
	json_t *array; /* or NULL: lines are printed */
	bool failed;
};

static const char *color_of(enum doctor_state state)
{
	switch (state) {
	case DOCTOR_OK:
		return "32";
	case DOCTOR_WARN:
		return "33";
	case DOCTOR_FAIL:
		return "31";
	default:
		return "2";
	}
}

static int on_finding(const struct doctor_finding *f, void *userdata)
{
	const char *word = doctor_state_name(f->state);
	bool color = ctl_use_color();
	struct report *r = userdata;

	if (f->state == DOCTOR_FAIL)
		r->failed = true;
	if (r->array)
		return json_array_append_new(r->array, json_pack("{s:s, s:s, s:s, s:s}", "state",
								 word, "name", f->name, "text",
								 f->text, "hint", f->hint));
	printf("[%s%s%s%s%s] %s: %s\n", color ? "\033[" : "", color ? color_of(f->state) : "",
	       color ? "m" : "", strcmp(word, "ok") == 0 ? " ok " : word, color ? "\033[0m" : "",
	       f->name, f->text);
	if (*f->hint)
		printf("       %s\n", f->hint);
	return 0;
}

/* What this process cannot see for itself: the daemon's limits, and what its policies close. */
static bool daemon_knows(const char *name)
{
	return strcmp(name, "memlock") == 0 || strcmp(name, "management") == 0;
}

static int ask_diagnose(struct ctl *c, struct report *report)
{
	const char *action = "diagnose the host", *word;
	sd_bus_message *m = NULL, *reply = NULL;
	struct doctor_finding f;
	int r;

	r = ctl_new_call(c, NULL, "Diagnose", &m);
	r = ctl_call(c, action, m, r, &reply);
	if (r != 0)
		return r;
	r = sd_bus_message_enter_container(reply, 'a', "(ssss)");
	while (r >= 0 &&
	       (r = sd_bus_message_read(reply, "(ssss)", &word, &f.name, &f.text, &f.hint)) > 0) {
		if (!c->host && !daemon_knows(f.name))
			continue;
		for (f.state = DOCTOR_OK; f.state < DOCTOR_SKIP; f.state++)
			if (strcmp(word, doctor_state_name(f.state)) == 0)
				break;
		r = on_finding(&f, report);
	}
	sd_bus_message_unref(reply);
	return r < 0 ? ctl_fail_reply(action, r) : 0;
}

/* Another host is looked at by the daemon there. */
static int ask_host(struct ctl *c, struct report *report)
{
	int r = ctl_connect(c, "diagnose the host");

	return r != 0 ? r : ask_diagnose(c, report);
}

static int look_here(struct report *report)
{
	char *args[] = {(char *)"revshelld", NULL};
	struct config config;
	int r;

	if (config_parse(1, args, &config) < 0)
		return CTL_FAILED;
	r = doctor_run(
		&(struct doctor_options){
			.root = "",
			.dirs = config.policy_dirs,
			.n_dirs = config.n_policy_dirs,
		},
		on_finding, report);
	config_done(&config);
	return r;
}

/* What only the daemon knows, if one runs. */
static int ask_daemon(struct ctl *c, struct report *report)
{
	_cleanup_free_ char *text = NULL;
	struct ctl_state s = {};
	enum doctor_state state = DOCTOR_OK;
	int r;

	if (ctl_open(c) < 0 || !ctl_is_running(c))
		return on_finding(
			&(struct doctor_finding){DOCTOR_SKIP, "daemon",
						 "revshelld does not run, or is not on this bus",
						 "systemctl start revshelld"},
			report);
	r = ctl_get_state(c, "ask the daemon", &s);
	if (r != 0)
		return on_finding(&(struct doctor_finding){DOCTOR_SKIP, "daemon",
							   "it did not answer", "ask as root"},
				  report);
	if (ctl_state_exit(&s) == CTL_DEGRADED)
		state = DOCTOR_FAIL;
	if (asprintf(&text,
		     "version %s, mode %s (in effect: %s), backend %s, self-test %s, %u policies",
		     s.version, s.mode, s.effective, s.backend,
		     *s.self_test ? s.self_test : "not told", s.n_policies) < 0)
		text = NULL;
	r = text ? on_finding(&(struct doctor_finding){state, "daemon", text, ""}, report) : -1;
	/* a daemon that was asked about its host has said it then */
	if (r >= 0 && s.sandbox && !c->host)
		r = doctor_judge_sandbox(s.sandbox, on_finding, report);
	if (r >= 0 && !c->host)
		r = doctor_judge_lock(
			s.locked, s.can_lock ? NULL : "it takes a backend that denies, and pins",
			on_finding, report);
	if (r >= 0 && !c->host)
		r = ask_diagnose(c, report);
	if (r >= 0 && *s.reload_error)
		r = on_finding(&(struct doctor_finding){DOCTOR_FAIL, "reload", s.reload_error,
							"the rule set before it is in force"},
			       report);
	ctl_state_done(&s);
	return r;
}

int verb_doctor(struct ctl *c, int argc, char **argv)
{
	struct report report = {.c = c};
	int r;

	if (c->json != CTL_JSON_OFF)
		report.array = json_array();
	r = c->host ? ask_host(c, &report) : look_here(&report);
	if (r > 0) {
		json_decref(report.array);
		return r;
	}
	if (r == 0)
		r = ask_daemon(c, &report);
	if (report.array && ctl_print_json(c, report.array) != CTL_OK)
		return CTL_FAILED;
	return r < 0 || report.failed ? CTL_FAILED : CTL_OK;
}
