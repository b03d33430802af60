/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The connection to D-Bus: connect, take the name, come back after a restart, check callers. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "bus-internal.h"

#define RETRY_MIN_USEC	  (500 * 1000ULL)
#define RETRY_MAX_USEC	  (4 * 1000 * 1000ULL)
#define SETTLE_USEC	  (3 * 1000 * 1000ULL) /* the bus accepts, but says nothing */
#define CALL_TIMEOUT_USEC (5 * 1000 * 1000ULL) /* of our calls to the bus itself */

static void bus_settle(struct bus *b)
{
	bus_settled_fn settled = b->settled;

	b->settled = NULL;
	if (settled)
		settled(b->settled_userdata);
}

static int on_settle_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	bus_settle(userdata);
	return 0;
}

static void bus_disconnect(struct bus *b)
{
	b->named = false;
	polkit_forget(b->polkit);
	b->connection = sd_bus_close_unref(b->connection);
}

/* Drops the connection soon (never under a callback of its own) and tries again later. */
static void bus_retry(struct bus *b, const char *what, int error)
{
	int r;

	if (!b->told)
		log_warning(b->log, "%s: %s; trying again", what, strerror(-error));
	b->told = true;
	b->named = false;
	r = sd_event_source_set_time_relative(b->retry, b->retry_usec);
	if (r >= 0)
		r = sd_event_source_set_enabled(b->retry, SD_EVENT_ONESHOT);
	if (r < 0)
		log_error(b->log, "Failed to arm the bus timer: %s", strerror(-r));
	b->retry_usec = MIN(b->retry_usec * 2, RETRY_MAX_USEC);
	bus_settle(b);
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	bus_retry(userdata, "Disconnected from the bus", -ECONNRESET);
	return 0;
}

static int on_name(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	uint32_t code;
	int r;

	if (sd_bus_message_is_method_error(m, NULL)) {
		const sd_bus_error *e = sd_bus_message_get_error(m);

		if (!b->told)
			log_warning(b->log, "The bus refuses the name " BUS_NAME ": %s",
				    e->message ? e->message : e->name);
		b->told = true;
		bus_retry(b, "Failed to take the name " BUS_NAME, -sd_bus_error_get_errno(e));
		return 0;
	}
	r = sd_bus_message_read(m, "u", &code);
	if (r < 0 || (code != 1 && code != 4)) { /* primary owner, already owner */
		bus_retry(b, "Another process owns the name " BUS_NAME, -EEXIST);
		return 0;
	}
	b->named = true;
	b->told = false;
	b->retry_usec = RETRY_MIN_USEC;
	log_info(b->log, "On the bus as " BUS_NAME);
	b->degraded = 0; /* nobody there has heard of anything */
	bus_emit_degraded(b);
	bus_settle(b);
	return 0;
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;

	return polkit_filter(b->polkit, m, error);
}

static int bus_export(struct bus *b)
{
	sd_bus *c = b->connection;
	int r;

	r = sd_bus_add_filter(c, NULL, on_message, b);
	if (r >= 0)
		r = sd_bus_add_object_vtable(c, NULL, BUS_PATH, BUS_MANAGER_INTERFACE,
					     bus_manager_vtable, b);
	if (r >= 0)
		r = sd_bus_add_object_manager(c, NULL, BUS_PATH);
	if (r >= 0)
		r = sd_bus_add_fallback_vtable(c, NULL, BUS_POLICY_PATH, BUS_POLICY_INTERFACE,
					       bus_policy_vtable, bus_policy_find, b);
	if (r >= 0)
		r = sd_bus_add_node_enumerator(c, NULL, BUS_POLICY_PATH, bus_policy_enumerate, b);
	if (r >= 0)
		r = sd_bus_add_object_vtable(c, NULL, BUS_LOG_PATH, BUS_LOG_INTERFACE,
					     bus_log_vtable, b);
	return r;
}

static int bus_connect(struct bus *b)
{
	sd_bus *c;
	int r;

	r = sd_bus_new(&c);
	if (r < 0)
		return r;
	b->connection = c;
	r = sd_bus_set_address(c, b->address);
	if (r >= 0)
		r = sd_bus_set_bus_client(c, true);
	if (r >= 0)
		r = sd_bus_negotiate_fds(c, true);
	if (r >= 0)
		r = sd_bus_set_description(c, "revshelld");
	if (r >= 0)
		r = sd_bus_set_method_call_timeout(c, CALL_TIMEOUT_USEC);
	if (r >= 0)
		r = bus_export(b);
	if (r >= 0)
		r = sd_bus_match_signal_async(c, NULL, "org.freedesktop.DBus.Local",
					      "/org/freedesktop/DBus/Local",
					      "org.freedesktop.DBus.Local", "Disconnected",
					      on_disconnected, NULL, b);
	if (r >= 0)
		r = sd_bus_attach_event(c, b->event, SD_EVENT_PRIORITY_NORMAL);
	if (r >= 0)
		r = sd_bus_start(c);
	if (r >= 0)
		r = sd_bus_request_name_async(c, NULL, BUS_NAME, 0, on_name, b);
	return r;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bus *b = userdata;
	int r;

	bus_disconnect(b);
	r = bus_connect(b);
	if (r < 0)
		bus_retry(b, "Failed to connect to the bus", r);
	return 0;
}

/* The system and session bus as sd_bus_default() finds them; anything else is an address. */
static char *bus_resolve_address(const char *where)
{
	bool session = strcmp(where, "session") == 0;
	const char *e, *dir;
	char *s;

	if (!session && strcmp(where, "system") != 0)
		return strdup(where);
	e = secure_getenv(session ? "DBUS_SESSION_BUS_ADDRESS" : "DBUS_SYSTEM_BUS_ADDRESS");
	if (e)
		return strdup(e);
	if (!session)
		return strdup("unix:path=/run/dbus/system_bus_socket");
	dir = secure_getenv("XDG_RUNTIME_DIR");
	if (asprintf(&s, "unix:path=%s/bus", dir ? dir : "/run/user/0") < 0)
		return NULL;
	return s;
}

static void on_properties_changed(void *userdata, unsigned int properties)
{
	struct bus *b = userdata;

	if (b->named)
		bus_emit_properties(b, properties);
}

static void on_policies_changed(void *userdata, uint64_t generation,
				const struct manager_diff *diff)
{
	struct bus *b = userdata;

	if (b->named)
		bus_emit_policies(b, generation, diff);
}

static void on_reloading(void *userdata, bool begin)
{
	struct bus *b = userdata;

	if (b->named)
		bus_emit_reloading(b, begin);
}

static void on_denied(void *userdata, const char *policy, uint64_t n, uint64_t total)
{
	struct bus *b = userdata;

	if (b->named)
		bus_emit_denied(b, policy, n, total);
}

int bus_new(sd_event *event, struct manager *manager, struct log *log, const char *where,
	    bus_settled_fn settled, void *userdata, struct bus **ret_bus)
{
	_cleanup_(bus_freep) struct bus *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return -ENOMEM;
	b->event = sd_event_ref(event);
	b->manager = manager;
	b->log = log;
	b->settled = settled;
	b->settled_userdata = userdata;
	b->retry_usec = RETRY_MIN_USEC;
	b->address = bus_resolve_address(where);
	if (!b->address)
		return -ENOMEM;
	r = polkit_new(log, &b->polkit);
	if (r < 0)
		return r;
	r = bus_error_register();
	if (r < 0)
		return r;
	/* The first attempt is made from the loop too, so that there is one way to connect. */
	r = sd_event_add_time_relative(event, &b->retry, CLOCK_MONOTONIC, 0, 100 * 1000, on_retry,
				       b);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &b->settle, CLOCK_MONOTONIC, SETTLE_USEC, 0,
					       on_settle_timeout, b);
	if (r < 0)
		return r;
	manager->observer = (struct manager_observer){
		.userdata = b,
		.properties_changed = on_properties_changed,
		.policies_changed = on_policies_changed,
		.reloading = on_reloading,
		.denied = on_denied,
	};
	*ret_bus = TAKE_PTR(b);
	return 0;
}

void bus_allow_group(struct bus *b, gid_t gid)
{
	polkit_allow_group(b->polkit, gid);
}

void bus_free(struct bus *b)
{
	if (!b)
		return;
	if (b->manager->observer.userdata == b)
		b->manager->observer = (struct manager_observer){};
	sd_event_source_disable_unref(b->retry);
	sd_event_source_disable_unref(b->settle);
	if (b->connection) {
		sd_bus_flush(b->connection);
		bus_disconnect(b);
	}
	polkit_free(b->polkit);
	free(b->address);
	sd_event_unref(b->event);
	free(b);
}

int bus_check_caller(sd_bus_message *m, struct manager_who *ret_who, sd_bus_error *error)
{
	/* Userdata of every vtable, and so of the handler that runs now. */
	const struct bus *b = sd_bus_get_current_userdata(sd_bus_message_get_bus(m));
	uint64_t mask = SD_BUS_CREDS_EUID | (ret_who ? SD_BUS_CREDS_PID : 0);
	sd_bus_creds *creds = NULL;
	pid_t pid = 0;
	uid_t uid;
	int r;

	r = sd_bus_query_sender_creds(m, mask, &creds);
	if (r >= 0)
		r = sd_bus_creds_get_euid(creds, &uid);
	if (r >= 0 && ret_who)
		(void)sd_bus_creds_get_pid(creds, &pid); /* for the log only */
	sd_bus_creds_unref(creds);
	if (r < 0)
		return sd_bus_error_set_errnof(error, r, "Cannot tell who calls: %s", strerror(-r));
	if (uid != 0 && uid != geteuid() && !polkit_has_passed(b->polkit, m))
		return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED,
					 "Only root may call %s, not uid %u",
					 sd_bus_message_get_member(m), uid);
	if (ret_who)
		*ret_who = (struct manager_who){.via = "bus", .uid = uid, .pid = pid};
	return 0;
}

static int read_option(sd_bus_message *m, const char *key, const struct bus_option *options,
		       sd_bus_error *error)
{
	const char *contents;
	char type;
	int r;

	while (options->key && strcmp(options->key, key) != 0)
		options++;
	if (!options->key)
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
					 "Unknown or not yet supported option '%s'", key);
	r = sd_bus_message_peek_type(m, &type, &contents);
	if (r < 0)
		return r;
	if (!contents || strcmp(contents, options->type) != 0)
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
					 "Option '%s' must be of type %s", key, options->type);
	return sd_bus_message_read(m, "v", options->type, options->ret);
}

int bus_read_options(sd_bus_message *m, const struct bus_option *options, sd_bus_error *error)
{
	const char *key;
	int r;

	r = sd_bus_message_enter_container(m, 'a', "{sv}");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = sd_bus_message_read(m, "s", &key);
		if (r >= 0)
			r = read_option(m, key, options, error);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	return sd_bus_message_exit_container(m);
}
