/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verbs status, enforce, reload, version. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "ctl.h"

static const char *state_word(const struct ctl_state *s)
{
	switch (ctl_state_exit(s)) {
	case CTL_OK:
		return "enforcing";
	case CTL_MONITOR:
		return "monitoring";
	}
	return "degraded";
}

static json_t *state_json(const struct ctl_state *s)
{
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:s?, s:I, s:I, s:s, s:s, s:I, s:s*, s:I, s:b}",
		"state", state_word(s), "version", s->version, "mode", s->mode, "effective_mode",
		s->effective, "backend", s->backend, "self_test", s->self_test, "sandbox",
		s->sandbox, "generation", (json_int_t)s->generation, "policies",
		(json_int_t)s->n_policies, "policy_set_digest", s->digest, "last_reload_error",
		s->reload_error, "last_reload_usec", (json_int_t)s->reload_usec, "mode_source",
		s->mode_source, "rollback_at_usec", (json_int_t)s->rollback_usec, "locked",
		s->locked);
}

static void print_reload(const struct ctl_state *s)
{
	time_t t = (time_t)(s->reload_usec / 1000000);
	char text[64] = "never";
	struct tm tm;

	if (s->reload_usec > 0 && localtime_r(&t, &tm))
		strftime(text, sizeof(text), "%F %T %Z", &tm);
	printf("  Reload: %s%s\n", text, *s->reload_error ? ", failed:" : "");
	/* One diagnostic a line; control characters were escaped by the daemon. */
	for (const char *p = s->reload_error; *p;) {
		size_t len = strcspn(p, "\n");

		printf("          %.*s\n", (int)len, p);
		p += len + (p[len] == '\n');
	}
}

static void print_state(const struct ctl_state *s)
{
	static const char *const colors[] = {
		[CTL_OK] = "32",
		[CTL_MONITOR] = "33",
		[CTL_DEGRADED] = "31",
	};
	bool color = ctl_use_color();

	printf("%s%s%srevshelld %s: %s%s\n", color ? "\033[1;" : "",
	       color ? colors[ctl_state_exit(s)] : "", color ? "m" : "", s->version, state_word(s),
	       color ? "\033[0m" : "");
	printf("    Mode: %s", s->mode);
	if (strcmp(s->mode, s->effective) != 0)
		printf(" (in effect: %s)", s->effective);
	if (s->rollback_usec)
		printf(", on trial: 'revshellctl confirm' keeps it");
	if (s->locked)
		printf(", locked until the next boot");
	printf("\n Backend: %s%s%s\n", s->backend, *s->self_test ? ", self-test: " : "",
	       s->self_test);
	printf("Policies: %" PRIu32 ", generation %" PRIu64 ", digest %s\n", s->n_policies,
	       s->generation, s->digest);
	print_reload(s);
	if (s->sandbox)
		printf(" Sandbox: %s\n", s->sandbox);
}

int verb_status(struct ctl *c, int argc, char **argv)
{
	struct ctl_state s = {};
	int r;

	r = ctl_get_state(c, "get the status", &s);
	if (r != 0)
		return r;
	if (c->json != CTL_JSON_OFF)
		r = ctl_print_json(c, state_json(&s));
	else
		print_state(&s);
	if (r == 0)
		r = ctl_state_exit(&s);
	ctl_state_done(&s);
	return r;
}

static int enforce_status(struct ctl *c)
{
	struct ctl_state s = {};
	int r;

	r = ctl_get_state(c, "get the mode", &s);
	if (r != 0)
		return r;
	if (c->json != CTL_JSON_OFF)
		r = ctl_print_json(c, json_pack("{s:s, s:s}", "mode", s.mode, "effective_mode",
						s.effective));
	else if (strcmp(s.mode, s.effective) != 0)
		printf("%s (in effect: %s)\n", s.mode, s.effective);
	else
		printf("%s\n", s.mode);
	if (r == 0)
		r = ctl_state_exit(&s);
	ctl_state_done(&s);
	return r;
}

/* What was asked for is in force only if the kernel does it: say so if it does not. */
static int check_enforcing(struct ctl *c)
{
	struct ctl_state s = {};
	int r;

	r = ctl_get_state(c, "get the mode", &s);
	if (r != 0)
		return r;
	r = ctl_state_exit(&s);
	if (r == CTL_DEGRADED)
		fprintf(stderr,
			"revshellctl: Mode %s is set, but backend %s leaves it at: %s\n"
			"Hint: 'revshellctl status' shows the backend's self-test.\n",
			s.mode, s.backend, s.effective);
	ctl_state_done(&s);
	return r;
}

int verb_enforce(struct ctl *c, int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "status";
	sd_bus_message *m = NULL, *reply = NULL;
	const char *action;
	bool on;
	int r;

	if (strcmp(word, "status") == 0)
		return enforce_status(c);
	on = strcmp(word, "on") == 0;
	action = on ? "switch enforcement on" : "switch enforcement off";
	if (!on && strcmp(word, "off") != 0) {
		fprintf(stderr, "revshellctl: '%s' is none of on, off, status\n" CTL_HINT_HELP "\n",
			word);
		return CTL_FAILED;
	}
	r = ctl_connect(c, action);
	if (r != 0)
		return r;
	r = ctl_new_call(c, NULL, "SetMode", &m);
	if (r >= 0)
		r = sd_bus_message_append(m, "s", on ? "enforce" : "monitor");
	if (r >= 0)
		r = ctl_append_mode_options(c, m);
	r = ctl_call(c, action, m, r, &reply);
	sd_bus_message_unref(reply);
	if (r != 0)
		return r;
	if (on && c->confirm_usec)
		fprintf(stderr, "Enforcing on trial: 'revshellctl confirm' keeps it.\n");
	return on ? check_enforcing(c) : CTL_OK;
}

int verb_reload(struct ctl *c, int argc, char **argv)
{
	sd_bus_message *m = NULL, *reply = NULL;
	uint64_t generation;
	int r;

	r = ctl_connect(c, "reload");
	if (r != 0)
		return r;
	r = ctl_new_call(c, NULL, "Reload", &m);
	if (r >= 0)
		r = ctl_append_reason(c, m);
	r = ctl_call(c, "reload", m, r, &reply);
	if (r != 0)
		return r;
	r = sd_bus_message_read(reply, "t", &generation);
	sd_bus_message_unref(reply);
	if (r < 0)
		return ctl_fail_reply("reload", r);
	ctl_tell_warnings(c);
	if (c->json != CTL_JSON_OFF)
		return ctl_print_json(c, json_pack("{s:I}", "generation", (json_int_t)generation));
	printf("Generation %" PRIu64 " is in force.\n", generation);
	return CTL_OK;
}

/* The daemon's version is a courtesy: its absence is no error. */
int verb_version(struct ctl *c, int argc, char **argv)
{
	sd_bus_message *m = NULL, *reply = NULL;
	sd_bus_error error = SD_BUS_ERROR_NULL;
	const char *daemon = NULL;
	int r = ctl_open(c);

	if (r >= 0)
		r = ctl_new_call(c, "org.freedesktop.DBus.Properties", "Get", &m);
	if (r >= 0)
		r = sd_bus_message_append(m, "ss", "org.revshell1.Manager", "Version");
	if (r >= 0)
		r = sd_bus_call(c->bus, m, 0, &error, &reply);
	if (r >= 0)
		r = sd_bus_message_read(reply, "v", "s", &daemon);
	if (c->json != CTL_JSON_OFF)
		r = ctl_print_json(c, json_pack("{s:s, s:s?}", "revshellctl", REVSHELL_VERSION,
						"revshelld", r < 0 ? NULL : daemon));
	else
		r = printf("revshellctl %s\n", REVSHELL_VERSION) < 0 ||
		    (daemon && printf("revshelld %s\n", daemon) < 0);
	sd_bus_error_free(&error);
	sd_bus_message_unref(reply);
	sd_bus_message_unref(m);
	return r == 0 ? CTL_OK : CTL_FAILED;
}
