/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The client's side of org.revshell1: connection, calls, and what is said when they fail. */
#include <errno.h>
#include <string.h>

#include "bus.h"
#include "bus-error.h"
#include "ctl.h"

/*
 * Somebody may be asked for a password, and what is the first to need a hook loads programs, which
 * slow machines are long about.
 */
#define CALL_USEC   (300 * 1000 * 1000ULL)

#define HINT_ABSENT "Hint: start it with 'systemctl start revshelld', or name its bus with --bus=."
#define HINT_DENIED "Hint: only root, and whom polkit allows, may do that; try sudo."

int ctl_fail_text(const char *action, const char *reason, const char *hint)
{
	fprintf(stderr, "revshellctl: Failed to %s: %s\n", action, reason);
	if (hint)
		fprintf(stderr, "%s\n", hint);
	return CTL_FAILED;
}

int ctl_fail_reply(const char *action, int r)
{
	return ctl_fail_text(action, r == -ENOMEM ? "out of memory" : "the reply makes no sense",
			     "Hint: are revshellctl and revshelld of the same version?");
}

/* Not of the agreed form, or refused: the change that they belong to has gone well all the same. */
void ctl_tell_warnings(struct ctl *c)
{
	sd_bus_message *reply = NULL;
	struct diag_pos pos;
	const char *code, *message;
	struct diag d = {};
	int r;

	r = sd_bus_get_property(c->bus, BUS_NAME, BUS_PATH, BUS_MANAGER_INTERFACE, "Warnings", NULL,
				&reply, "a(suuss)");
	if (r >= 0)
		r = sd_bus_message_enter_container(reply, 'a', "(suuss)");
	while (r >= 0 && sd_bus_message_read(reply, "(suuss)", &pos.file, &pos.line, &pos.column,
					     &code, &message) > 0) {
		if (!*pos.file)
			pos.file = NULL;
		diag_warning(&d, pos, "", "%s", message);
	}
	ctl_print_diag(stderr, &d);
	diag_done(&d);
	sd_bus_message_unref(reply);
}

static bool error_is_any(const sd_bus_error *e, const char *const *names)
{
	for (; *names; names++)
		if (sd_bus_error_has_name(e, *names))
			return true;
	return false;
}

/* A refused policy set comes as one diagnostic a line. */
static int fail_policies(const char *action, const sd_bus_error *error)
{
	if (error->message && *error->message)
		fprintf(stderr, "%s\n", error->message);
	return ctl_fail_text(
		action, "the policies have errors",
		"Hint: nothing was changed; 'revshellctl policy check FILE' tells more.");
}

/* What helps, where the error alone says so; or NULL. */
static const char *hint_of(const sd_bus_error *error)
{
	static const struct {
		const char *name, *hint;
	} hints[] = {
		{BUS_ERROR_NO_SUCH_POLICY, "Hint: 'revshellctl policy list' shows which are."},
		{BUS_ERROR_POLICY_IS_VENDOR, "Hint: --mask hides it."},
		{BUS_ERROR_POLICY_EXISTS,
		 "Hint: without --runtime it is written where it replaces that one."},
		{BUS_ERROR_NOTHING_PENDING,
		 "Hint: 'revshellctl enforce on --confirm=5m' would begin a trial."},
		{BUS_ERROR_CHANGE_PENDING,
		 "Hint: 'revshellctl confirm' keeps it, 'revshellctl rollback' takes it back."},
		{BUS_ERROR_LOCKED, "Hint: only a reboot ends the lock."},
		{BUS_ERROR_BACKEND_UNAVAILABLE,
		 "Hint: 'revshellctl doctor' tells what stands in the way."},
	};

	for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
		if (sd_bus_error_has_name(error, hints[i].name))
			return hints[i].hint;
	return NULL;
}

int ctl_fail(const char *action, int r, const sd_bus_error *error)
{
	static const char *const absent[] = {
		SD_BUS_ERROR_SERVICE_UNKNOWN,
		SD_BUS_ERROR_NAME_HAS_NO_OWNER,
		SD_BUS_ERROR_NO_REPLY,
		SD_BUS_ERROR_DISCONNECTED,
		NULL,
	};

	if (error && error_is_any(error, absent)) {
		ctl_fail_text(action, "the daemon is not running", HINT_ABSENT);
		return CTL_ABSENT;
	}
	if (error && sd_bus_error_has_name(error, SD_BUS_ERROR_ACCESS_DENIED)) {
		ctl_fail_text(action, "access denied", HINT_DENIED);
		return CTL_DENIED;
	}
	if (error && (sd_bus_error_has_name(error, BUS_ERROR_POLICY_INVALID) ||
		      (sd_bus_error_has_name(error, BUS_ERROR_LIMIT_EXCEEDED) && error->message &&
		       strstr(error->message, ": error: "))))
		return fail_policies(action, error);
	if (r == -ECONNRESET || r == -ENOTCONN) {
		ctl_fail_text(action, "the bus went away", HINT_ABSENT);
		return CTL_ABSENT;
	}
	if (error && error->message)
		return ctl_fail_text(action, error->message, hint_of(error));
	return ctl_fail_text(action, strerror(-r), NULL);
}

/* sd_bus_open_*() honour DBUS_SYSTEM_BUS_ADDRESS and DBUS_SESSION_BUS_ADDRESS. */
static int open_bus(const struct ctl *c, sd_bus **ret_bus)
{
	sd_bus *bus = NULL;
	int r;

	if (c->host)
		return sd_bus_open_system_remote(ret_bus, c->host);
	if (strcmp(c->where, "system") == 0)
		return sd_bus_open_system(ret_bus);
	if (strcmp(c->where, "session") == 0)
		return sd_bus_open_user(ret_bus);
	r = sd_bus_new(&bus);
	if (r >= 0)
		r = sd_bus_set_address(bus, c->where);
	if (r >= 0)
		r = sd_bus_set_bus_client(bus, true);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r < 0) {
		sd_bus_unref(bus);
		return r;
	}
	*ret_bus = bus;
	return 0;
}

int ctl_open(struct ctl *c)
{
	int r = c->bus ? 0 : open_bus(c, &c->bus);

	return r < 0 ? r : 0;
}

bool ctl_is_running(struct ctl *c)
{
	sd_bus_message *reply = NULL;
	int r, owned = 0;

	r = sd_bus_call_method(c->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
			       "org.freedesktop.DBus", "NameHasOwner", NULL, &reply, "s", BUS_NAME);
	if (r >= 0)
		r = sd_bus_message_read(reply, "b", &owned);
	sd_bus_message_unref(reply);
	return r >= 0 && owned;
}

/* ssh may fail at any time: while the connection is made, or only with the first call. */
static bool is_broken(int r)
{
	return r == -ECONNRESET || r == -ENOTCONN || r == -EPIPE;
}

static int fail_host(const struct ctl *c, const char *action)
{
	char reason[256], hint[256];

	snprintf(reason, sizeof(reason), "no connection to the bus of %s", c->host);
	snprintf(hint, sizeof(hint), "Hint: 'ssh %s systemd-stdio-bridge' has to work.", c->host);
	ctl_fail_text(action, reason, hint);
	return CTL_ABSENT;
}

int ctl_connect(struct ctl *c, const char *action)
{
	char text[256];
	int r;

	r = ctl_open(c);
	if (r >= 0)
		return 0;
	if (c->host && is_broken(r))
		return fail_host(c, action);
	snprintf(text, sizeof(text), "no connection to the bus%s%s: %s", c->host ? " of " : "",
		 c->host ? c->host : "", strerror(-r));
	switch (r) {
	case -ENOENT:
	case -ECONNREFUSED:
	case -ENOMEDIUM:
		ctl_fail_text(action, text, HINT_ABSENT);
		return CTL_ABSENT;
	case -EACCES:
	case -EPERM:
		ctl_fail_text(action, text, HINT_DENIED);
		return CTL_DENIED;
	}
	return ctl_fail_text(action, text, NULL);
}

int ctl_new_call(struct ctl *c, const char *interface, const char *member, sd_bus_message **ret_m)
{
	sd_bus_message *m;
	int r;

	r = sd_bus_message_new_method_call(c->bus, &m, BUS_NAME, BUS_PATH,
					   interface ? interface : BUS_MANAGER_INTERFACE, member);
	if (r < 0)
		return r;
	/* To ask for the status must not start the daemon. */
	r = sd_bus_message_set_auto_start(m, false);
	if (r >= 0) /* polkit may ask for a password */
		r = sd_bus_message_set_allow_interactive_authorization(m, true);
	if (r < 0) {
		sd_bus_message_unref(m);
		return r;
	}
	*ret_m = m;
	return 0;
}

int ctl_call(struct ctl *c, const char *action, sd_bus_message *m, int r,
	     sd_bus_message **ret_reply)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;

	if (r < 0) {
		sd_bus_message_unref(m);
		return c->host && is_broken(r) ? fail_host(c, action) : ctl_fail(action, r, NULL);
	}
	r = sd_bus_call(c->bus, m, CALL_USEC, &error, ret_reply);
	sd_bus_message_unref(m);
	if (r < 0 && c->host && is_broken(r))
		r = fail_host(c, action);
	else if (r < 0)
		r = ctl_fail(action, r, sd_bus_error_is_set(&error) ? &error : NULL);
	else
		r = 0;
	sd_bus_error_free(&error);
	return r;
}

int ctl_append_reason(const struct ctl *c, sd_bus_message *m)
{
	if (!c->reason)
		return sd_bus_message_append(m, "a{sv}", 0);
	return sd_bus_message_append(m, "a{sv}", 1, "reason", "s", c->reason);
}

int ctl_append_mode_options(const struct ctl *c, sd_bus_message *m)
{
	int r = sd_bus_message_open_container(m, 'a', "{sv}");

	if (r >= 0 && c->reason)
		r = sd_bus_message_append(m, "{sv}", "reason", "s", c->reason);
	if (r >= 0 && c->confirm_usec)
		r = sd_bus_message_append(m, "{sv}", "confirm-usec", "t", c->confirm_usec);
	if (r >= 0 && c->persist)
		r = sd_bus_message_append(m, "{sv}", "persist", "b", 1);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

int ctl_append_change_options(const struct ctl *c, sd_bus_message *m)
{
	const struct {
		const char *key;
		bool on;
	} flags[] = {
		{"dry-run", c->dry_run},
		{"runtime", c->runtime},
		{"mask", c->mask},
		{"replace-all", c->replace_all},
	};
	int r;

	r = sd_bus_message_open_container(m, 'a', "{sv}");
	if (r >= 0 && c->reason)
		r = sd_bus_message_append(m, "{sv}", "reason", "s", c->reason);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(flags); i++)
		if (flags[i].on)
			r = sd_bus_message_append(m, "{sv}", flags[i].key, "b", 1);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int read_text(sd_bus_message *m, char **ret)
{
	const char *s;
	char *copy;
	int r;

	r = sd_bus_message_read(m, "v", "s", &s);
	if (r < 0)
		return r;
	copy = strdup(s);
	if (!copy)
		return -ENOMEM;
	free(*ret);
	*ret = copy;
	return 0;
}

int ctl_read_names(sd_bus_message *m, void (*fn)(const char *name, void *userdata), void *userdata)
{
	const char *name;
	int r;

	r = sd_bus_message_enter_container(m, 'v', "as");
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "s");
	while (r >= 0 && (r = sd_bus_message_read(m, "s", &name)) > 0)
		fn(name, userdata);
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* What of the features is asked for somewhere. */
static void on_feature(const char *name, void *userdata)
{
	struct ctl_state *s = userdata;

	s->can_lock = s->can_lock || strcmp(name, "lock") == 0;
}

static int read_property(sd_bus_message *m, const char *name, struct ctl_state *s)
{
	const struct {
		const char *name;
		char **text;
	} texts[] = {
		{"Version", &s->version},
		{"Mode", &s->mode},
		{"EffectiveMode", &s->effective},
		{"Backend", &s->backend},
		{"SelfTest", &s->self_test},
		{"PolicySetDigest", &s->digest},
		{"LastReloadError", &s->reload_error},
		{"ModeSource", &s->mode_source},
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (strcmp(name, texts[i].name) == 0)
			return read_text(m, texts[i].text);
	if (strcmp(name, "Sandbox") == 0)
		return read_text(m, &s->sandbox);
	if (strcmp(name, "Generation") == 0)
		return sd_bus_message_read(m, "v", "t", &s->generation);
	if (strcmp(name, "RollbackAtUSec") == 0)
		return sd_bus_message_read(m, "v", "t", &s->rollback_usec);
	if (strcmp(name, "LastReloadUSec") == 0)
		return sd_bus_message_read(m, "v", "t", &s->reload_usec);
	if (strcmp(name, "Features") == 0)
		return ctl_read_names(m, on_feature, s);
	if (strcmp(name, "Locked") == 0)
		return sd_bus_message_read(m, "v", "b", &s->locked);
	if (strcmp(name, "NPolicies") == 0)
		return sd_bus_message_read(m, "v", "u", &s->n_policies);
	return sd_bus_message_skip(m, "v"); /* of a newer daemon */
}

static int read_state(sd_bus_message *m, struct ctl_state *s)
{
	const char *name;
	int r;

	r = sd_bus_message_enter_container(m, 'a', "{sv}");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = sd_bus_message_read(m, "s", &name);
		if (r >= 0)
			r = read_property(m, name, s);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	return s->version && s->mode && s->effective && s->backend && s->self_test && s->digest &&
			       s->reload_error
		       ? 0
		       : -EBADMSG;
}

int ctl_get_state(struct ctl *c, const char *action, struct ctl_state *ret_state)
{
	sd_bus_message *m = NULL, *reply = NULL;
	struct ctl_state s = {};
	int r;

	r = ctl_connect(c, action);
	if (r != 0)
		return r;
	r = ctl_new_call(c, "org.freedesktop.DBus.Properties", "GetAll", &m);
	if (r >= 0)
		r = sd_bus_message_append(m, "s", BUS_MANAGER_INTERFACE);
	r = ctl_call(c, action, m, r, &reply);
	if (r != 0)
		return r;
	r = read_state(reply, &s);
	sd_bus_message_unref(reply);
	if (r < 0) {
		ctl_state_done(&s);
		return ctl_fail_reply(action, r);
	}
	*ret_state = s;
	return 0;
}

void ctl_state_done(struct ctl_state *s)
{
	free(s->version);
	free(s->mode);
	free(s->effective);
	free(s->backend);
	free(s->self_test);
	free(s->sandbox);
	free(s->digest);
	free(s->reload_error);
	free(s->mode_source);
	*s = (struct ctl_state){};
}

int ctl_state_exit(const struct ctl_state *s)
{
	if (strcmp(s->effective, s->mode) != 0)
		return CTL_DEGRADED;
	return strcmp(s->mode, "enforce") == 0 ? CTL_OK : CTL_MONITOR;
}
