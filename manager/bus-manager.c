/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.revshell1.Manager: methods, properties, signals. */
#include <inttypes.h>
#include <string.h>

#include "bus-internal.h"
#include "mode.h"
#include "statistics.h"

#define MAX_ERROR_LINES 100 /* of a refused policy set that go into one D-Bus error */

/* Errors of a change of the rule set. Diagnostics travel in the message, one a line. */
int bus_commit_error(sd_bus_error *error, int r, const struct diag *d)
{
	_cleanup_free_ char *text = NULL;
	const char *name = r == -E2BIG		 ? BUS_ERROR_LIMIT_EXCEEDED
			   : r == MANAGER_LOCKED ? BUS_ERROR_LOCKED
						 : BUS_ERROR_POLICY_INVALID;

	if (d->n_errors > 0) {
		text = manager_format_errors(d, MAX_ERROR_LINES);
		return sd_bus_error_set(error, name, text ? text : "Out of memory");
	}
	if (r == -ENOMEM)
		return sd_bus_error_set(error, SD_BUS_ERROR_NO_MEMORY, "Out of memory");
	return sd_bus_error_setf(error, BUS_ERROR_BACKEND_UNAVAILABLE,
				 "Failed to publish the rule set: %s", strerror(-r));
}

int bus_check_reason(const struct manager_who *who, sd_bus_error *error)
{
	if (who->reason && strlen(who->reason) > BUS_MAX_REASON)
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
					 "Option 'reason' is longer than %d bytes", BUS_MAX_REASON);
	return 0;
}

int bus_read_reason(sd_bus_message *m, struct manager_who *who, sd_bus_error *error)
{
	const struct bus_option options[] = {{"reason", "s", &who->reason}, {}};
	int r;

	r = bus_read_options(m, options, error);
	if (r < 0)
		return r;
	return bus_check_reason(who, error);
}

static int set_mode(struct bus *b, enum revshell_mode mode, uint64_t confirm_usec, bool persist,
		    const struct manager_who *who, sd_bus_error *error)
{
	int kept = 0, r;

	if (persist)
		r = manager_persist_mode(b->manager, mode, who, &kept);
	else
		r = confirm_usec ? manager_try_enforce(b->manager, confirm_usec, who)
				 : manager_set_mode(b->manager, mode, who);
	if (kept < 0)
		return sd_bus_error_set_errnof(error, kept, "Failed to keep mode %s: %s",
					       mode_name(mode), strerror(-kept));
	if (r == -EBUSY)
		return sd_bus_error_set(error, BUS_ERROR_CHANGE_PENDING,
					"A change waits for Confirm or Rollback");
	if (r == MANAGER_LOCKED)
		return sd_bus_error_set(error, BUS_ERROR_LOCKED, "Locked until the next boot");
	if (r == -ERANGE)
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
					"Option 'confirm-usec' is more than a day");
	if (r == -EOPNOTSUPP) {
		_cleanup_free_ char *why = manager_why_degraded(b->manager);

		return why ? sd_bus_error_set(error, BUS_ERROR_BACKEND_UNAVAILABLE, why) : -ENOMEM;
	}
	if (r < 0)
		return sd_bus_error_setf(error, BUS_ERROR_BACKEND_UNAVAILABLE,
					 "Failed to set mode %s: %s", mode_name(mode),
					 strerror(-r));
	return 0;
}

static int method_set_enforce(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	struct manager_who who;
	int r, on;

	r = bus_check_caller(m, &who, error);
	if (r >= 0)
		r = sd_bus_message_read(m, "b", &on);
	if (r >= 0)
		r = set_mode(b, on ? REVSHELL_MODE_ENFORCE : REVSHELL_MODE_MONITOR, 0, false, &who,
			     error);
	if (r < 0)
		return r;
	return sd_bus_reply_method_return(m, NULL);
}

static int method_set_mode(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	enum revshell_mode previous = b->manager->mode;
	struct manager_who who;
	uint64_t confirm_usec = 0;
	int persist = 0;
	const struct bus_option options[] = {
		{"persist", "b", &persist},
		{"reason", "s", &who.reason},
		{"confirm-usec", "t", &confirm_usec},
		{},
	};
	const char *text;
	int r, mode;

	r = bus_check_caller(m, &who, error);
	if (r >= 0)
		r = sd_bus_message_read(m, "s", &text);
	if (r < 0)
		return r;
	mode = mode_parse(text);
	if (mode < 0)
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
					 "Mode '%s' is neither enforce nor monitor", text);
	r = bus_read_options(m, options, error);
	if (r >= 0)
		r = bus_check_reason(&who, error);
	if (r >= 0 && confirm_usec && mode != REVSHELL_MODE_ENFORCE)
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
					"Option 'confirm-usec' goes with mode enforce only");
	if (r >= 0 && confirm_usec && persist)
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
					"Options 'confirm-usec' and 'persist' exclude each other");
	if (r >= 0)
		r = set_mode(b, (enum revshell_mode)mode, confirm_usec, persist, &who, error);
	if (r < 0)
		return r;
	return sd_bus_reply_method_return(m, "s", mode_name(previous));
}

static int method_reload(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	struct manager_who who;
	struct diag d = {};
	int r;

	r = bus_check_caller(m, &who, error);
	if (r >= 0)
		r = bus_read_reason(m, &who, error);
	if (r < 0)
		return r;
	r = manager_reload(b->manager, &who, &d);
	if (r < 0)
		r = bus_commit_error(error, r, &d);
	else
		r = sd_bus_reply_method_return(m, "t", manager_current(b->manager)->number);
	diag_done(&d);
	return r;
}

static int append_policy(sd_bus_message *reply, const struct manager *m, size_t i)
{
	const struct ruleset *rs = manager_current(m)->rs;
	const struct policy *p = rs->policies.policies[i];
	_cleanup_free_ char *path = NULL;
	char digest[17];
	int r;

	r = sd_bus_path_encode(BUS_POLICY_PATH, p->name, &path);
	if (r < 0)
		return r;
	snprintf(digest, sizeof(digest), "%016" PRIx64, p->digest);
	return sd_bus_message_append(reply, "(ssssbso)", p->name, p->origin,
				     manager_policy_mode(m, i), manager_policy_effective(m, i),
				     rs->effective[i].enabled, digest, path);
}

/* Sends reply, or only drops it if r says that building it has failed. */
int bus_send_and_unref(sd_bus_message *reply, int r)
{
	if (r >= 0)
		r = sd_bus_message_send(reply);
	sd_bus_message_unref(reply);
	return r;
}

static int method_list_policies(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	sd_bus_message *reply = NULL;
	int r;

	r = bus_check_caller(m, NULL, error);
	if (r >= 0)
		r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "(ssssbso)");
	for (size_t i = 0; r >= 0 && i < manager_current(b->manager)->rs->policies.n; i++)
		r = append_policy(reply, b->manager, i);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return bus_send_and_unref(reply, r);
}

int bus_append_diag(sd_bus_message *reply, const struct diag *d)
{
	int r;

	r = sd_bus_message_open_container(reply, 'a', "(suuss)");
	for (size_t i = 0; r >= 0 && i < d->n_items; i++) {
		const struct diag_item *item = &d->items[i];

		r = sd_bus_message_append(reply, "(suuss)", diag_severity_name(item->severity),
					  item->line, item->column, item->code ? item->code : "",
					  item->message);
	}
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int method_validate_policy(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	sd_bus_message *reply = NULL;
	struct diag d = {};
	const char *text;
	int r;

	r = bus_check_caller(m, NULL, error);
	if (r >= 0)
		r = sd_bus_message_read(m, "s", &text);
	if (r < 0)
		return r;
	r = manager_validate(b->manager, text, strlen(text), "policy", &d);
	if (r < 0 && d.n_errors == 0) {
		diag_done(&d);
		return sd_bus_error_set_errnof(error, r, "Failed to check: %s", strerror(-r));
	}
	r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = bus_append_diag(reply, &d);
	diag_done(&d);
	return bus_send_and_unref(reply, r);
}

static int append_stat(const char *name, uint64_t value, void *userdata)
{
	sd_bus_message *reply = userdata;

	return sd_bus_message_append(reply, "{st}", name, value);
}

static int method_get_statistics(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	sd_bus_message *reply = NULL;
	int r;

	r = bus_check_caller(m, NULL, error);
	if (r >= 0)
		r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "{st}");
	if (r >= 0)
		r = statistics_each(b->manager, append_stat, reply);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return bus_send_and_unref(reply, r);
}

#define PROPERTY(name)                                                                          \
	static int property_##name(sd_bus *c, const char *path, const char *interface,          \
				   const char *property, sd_bus_message *reply, void *userdata, \
				   sd_bus_error *error)
#define PROPERTY_MANAGER (((struct bus *)userdata)->manager)

PROPERTY(version)
{
	return sd_bus_message_append(reply, "s", REVSHELL_VERSION);
}

PROPERTY(mode)
{
	return sd_bus_message_append(reply, "s", mode_name(PROPERTY_MANAGER->mode));
}

PROPERTY(effective_mode)
{
	return sd_bus_message_append(reply, "s", manager_effective_mode(PROPERTY_MANAGER));
}

PROPERTY(backend)
{
	return sd_bus_message_append(
		reply, "s", backend_kind_name(backend_get_kind(PROPERTY_MANAGER->backend)));
}

PROPERTY(self_test)
{
	const char *result = backend_selftest_result(PROPERTY_MANAGER->backend);

	return sd_bus_message_append(reply, "s", result ? result : "");
}

PROPERTY(generation)
{
	return sd_bus_message_append(reply, "t", manager_current(PROPERTY_MANAGER)->number);
}

PROPERTY(n_policies)
{
	return sd_bus_message_append(reply, "u",
				     (uint32_t)manager_current(PROPERTY_MANAGER)->rs->policies.n);
}

PROPERTY(policy_set_digest)
{
	char digest[17];

	snprintf(digest, sizeof(digest), "%016" PRIx64,
		 manager_current(PROPERTY_MANAGER)->rs->digest);
	return sd_bus_message_append(reply, "s", digest);
}

PROPERTY(warnings)
{
	const struct diag *d = &PROPERTY_MANAGER->warnings;
	int r = sd_bus_message_open_container(reply, 'a', "(suuss)");

	for (size_t i = 0; r >= 0 && i < d->n_items; i++) {
		const struct diag_item *item = &d->items[i];

		r = sd_bus_message_append(reply, "(suuss)", item->file ? item->file : "",
					  item->line, item->column, item->code, item->message);
	}
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

PROPERTY(last_reload_error)
{
	return sd_bus_message_append(reply, "s", PROPERTY_MANAGER->last_error);
}

PROPERTY(last_reload_usec)
{
	return sd_bus_message_append(reply, "t", PROPERTY_MANAGER->last_reload_usec);
}

/* Callers are checked by each method: sd-bus's own check knows no reason to give. */
#define CHECKED	    SD_BUS_VTABLE_UNPRIVILEGED
#define CONST	    SD_BUS_VTABLE_PROPERTY_CONST
#define CHANGES	    SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define INVALIDATES SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION

const sd_bus_vtable bus_manager_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("SetEnforce", SD_BUS_ARGS("b", on), SD_BUS_NO_RESULT,
				method_set_enforce, CHECKED),
	SD_BUS_METHOD("Confirm", "", "", bus_method_confirm, CHECKED),
	SD_BUS_METHOD_WITH_ARGS("GetCapabilities", SD_BUS_NO_ARGS,
				SD_BUS_RESULT("a{sv}", capabilities), bus_method_get_capabilities,
				CHECKED),
	SD_BUS_METHOD_WITH_ARGS("Diagnose", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(ssss)", findings),
				bus_method_diagnose, CHECKED),
	SD_BUS_METHOD_WITH_ARGS("Stop", SD_BUS_ARGS("b", disarm), SD_BUS_NO_RESULT, bus_method_stop,
				CHECKED),
	SD_BUS_METHOD("Rollback", "", "", bus_method_rollback, CHECKED),
	SD_BUS_METHOD_WITH_ARGS("SetMode", SD_BUS_ARGS("s", mode, "a{sv}", options),
				SD_BUS_RESULT("s", previous), method_set_mode, CHECKED),
	SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_ARGS("a{sv}", options),
				SD_BUS_RESULT("t", generation), method_reload, CHECKED),
	SD_BUS_METHOD_WITH_ARGS("ListPolicies", SD_BUS_NO_ARGS,
				SD_BUS_RESULT("a(ssssbso)", policies), method_list_policies,
				CHECKED),
	SD_BUS_METHOD_WITH_ARGS("ValidatePolicy", SD_BUS_ARGS("s", text),
				SD_BUS_RESULT("a(suuss)", diagnostics), method_validate_policy,
				CHECKED),
	SD_BUS_METHOD_WITH_ARGS("ValidatePolicyFd", SD_BUS_ARGS("h", text),
				SD_BUS_RESULT("a(suuss)", diagnostics),
				bus_method_validate_policy_fd, CHECKED),
	SD_BUS_METHOD_WITH_ARGS("GetPolicy", SD_BUS_ARGS("s", id), SD_BUS_RESULT("o", path),
				bus_method_get_policy, CHECKED),
	SD_BUS_METHOD_WITH_ARGS("GetPolicySource", SD_BUS_ARGS("s", id), SD_BUS_RESULT("s", text),
				bus_method_get_policy_source, CHECKED),
	SD_BUS_METHOD_WITH_ARGS("PutPolicy", SD_BUS_ARGS("s", id, "s", text, "a{sv}", options),
				SD_BUS_RESULT("o", path), bus_method_put_policy, CHECKED),
	SD_BUS_METHOD_WITH_ARGS("PutPolicyFd", SD_BUS_ARGS("s", id, "h", text, "a{sv}", options),
				SD_BUS_RESULT("o", path), bus_method_put_policy_fd, CHECKED),
	SD_BUS_METHOD_WITH_ARGS("RemovePolicy", SD_BUS_ARGS("s", id, "a{sv}", options),
				SD_BUS_NO_RESULT, bus_method_remove_policy, CHECKED),
	SD_BUS_METHOD_WITH_ARGS("SetPolicyMode", SD_BUS_ARGS("s", id, "s", mode, "a{sv}", options),
				SD_BUS_NO_RESULT, bus_method_set_policy_mode, CHECKED),
	SD_BUS_METHOD_WITH_ARGS("Apply", SD_BUS_ARGS("a(sss)", changes, "a{sv}", options),
				SD_BUS_RESULT("t", generation), bus_method_apply, CHECKED),
	SD_BUS_METHOD_WITH_ARGS("ApplyFd", SD_BUS_ARGS("h", text, "a{sv}", options),
				SD_BUS_RESULT("t", generation), bus_method_apply_fd, CHECKED),
	SD_BUS_METHOD_WITH_ARGS("GetStatistics", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{st}", statistics),
				method_get_statistics, CHECKED),
	SD_BUS_METHOD_WITH_ARGS("OpenEventStream", SD_BUS_ARGS("a{sv}", filter),
				SD_BUS_RESULT("h", stream, "t", last), bus_method_open_event_stream,
				CHECKED),
	SD_BUS_METHOD_WITH_ARGS("ListEvents", SD_BUS_ARGS("t", after, "u", max, "a{sv}", filter),
				SD_BUS_RESULT("as", events, "t", last), bus_method_list_events,
				CHECKED),
	SD_BUS_METHOD_WITH_ARGS("Explain", SD_BUS_ARGS("t", event),
				SD_BUS_RESULT("a{sv}", explanation), bus_method_explain, CHECKED),
	SD_BUS_METHOD_WITH_ARGS("Simulate", SD_BUS_ARGS("a{sv}", call),
				SD_BUS_RESULT("a{sv}", outcome), bus_method_simulate, CHECKED),
	SD_BUS_METHOD_WITH_ARGS("Lock", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
				bus_method_lock, CHECKED),
	SD_BUS_PROPERTY("Version", "s", property_version, 0, CONST),
	SD_BUS_PROPERTY("Mode", "s", property_mode, 0, CHANGES),
	SD_BUS_PROPERTY("EffectiveMode", "s", property_effective_mode, 0, CHANGES),
	SD_BUS_PROPERTY("ModeSource", "s", bus_property_mode_source, 0, CHANGES),
	SD_BUS_PROPERTY("Locked", "b", bus_property_locked, 0, CHANGES),
	SD_BUS_PROPERTY("Features", "as", bus_property_features, 0, CONST),
	SD_BUS_PROPERTY("Backend", "s", property_backend, 0, CONST),
	SD_BUS_PROPERTY("SelfTest", "s", property_self_test, 0, CONST),
	SD_BUS_PROPERTY("Sandbox", "s", bus_property_sandbox, 0, 0),
	SD_BUS_PROPERTY("RollbackAtUSec", "t", bus_property_rollback_at, 0, CHANGES),
	SD_BUS_PROPERTY("Generation", "t", property_generation, 0, CHANGES),
	SD_BUS_PROPERTY("NPolicies", "u", property_n_policies, 0, CHANGES),
	SD_BUS_PROPERTY("PolicySetDigest", "s", property_policy_set_digest, 0, CHANGES),
	SD_BUS_PROPERTY("Warnings", "a(suuss)", property_warnings, 0,
			SD_BUS_VTABLE_PROPERTY_EXPLICIT),
	/* Signals reach every user of the host: an error may quote a policy, so it is not sent. */
	SD_BUS_PROPERTY("LastReloadError", "s", property_last_reload_error, 0, INVALIDATES),
	SD_BUS_PROPERTY("LastReloadUSec", "t", property_last_reload_usec, 0, CHANGES),
	SD_BUS_SIGNAL_WITH_ARGS(
		"PolicySetChanged",
		SD_BUS_ARGS("t", generation, "as", added, "as", changed, "as", removed), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Degraded", SD_BUS_ARGS("s", component, "s", state), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Reloading", SD_BUS_ARGS("b", begin), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Denied", SD_BUS_ARGS("s", policy, "t", n, "t", total), 0),
	SD_BUS_VTABLE_END,
};

static void emit_failed(struct bus *b, int r)
{
	log_warning(b->log, "Failed to send a signal: %s", strerror(-r));
}

void bus_emit_properties(struct bus *b, unsigned int properties)
{
	const char *names[12] = {NULL};
	size_t n = 0;
	int r;

	if (properties & MANAGER_MODE) {
		names[n++] = "Mode";
		names[n++] = "EffectiveMode";
		names[n++] = "ModeSource";
		names[n++] = "RollbackAtUSec";
	}
	if (properties & MANAGER_GENERATION) {
		names[n++] = "Generation";
		names[n++] = "NPolicies";
		names[n++] = "PolicySetDigest";
	}
	if (properties & MANAGER_RELOAD) {
		names[n++] = "LastReloadError";
		names[n++] = "LastReloadUSec";
	}
	if (properties & MANAGER_LOCK)
		names[n++] = "Locked";
	r = n == 0 ? 0
		   : sd_bus_emit_properties_changed_strv(b->connection, BUS_PATH,
							 BUS_MANAGER_INTERFACE, (char **)names);
	if (r >= 0 && properties & MANAGER_MODE)
		r = bus_emit_policy_modes(b);
	if (r < 0)
		emit_failed(b, r);
	bus_emit_degraded(b);
}

static int append_names(sd_bus_message *m, const char *const *names, size_t n)
{
	int r = sd_bus_message_open_container(m, 'a', "s");

	for (size_t i = 0; r >= 0 && i < n; i++)
		r = sd_bus_message_append(m, "s", names[i]);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

void bus_emit_policies(struct bus *b, uint64_t generation, const struct manager_diff *diff)
{
	sd_bus_message *m = NULL;
	int r;

	r = sd_bus_message_new_signal(b->connection, &m, BUS_PATH, BUS_MANAGER_INTERFACE,
				      "PolicySetChanged");
	if (r >= 0)
		r = sd_bus_message_append(m, "t", generation);
	if (r >= 0)
		r = append_names(m, diff->added, diff->n_added);
	if (r >= 0)
		r = append_names(m, diff->changed, diff->n_changed);
	if (r >= 0)
		r = append_names(m, diff->removed, diff->n_removed);
	r = bus_send_and_unref(m, r);
	if (r >= 0)
		r = bus_emit_policy_objects(b, diff);
	if (r < 0)
		emit_failed(b, r);
}

void bus_emit_reloading(struct bus *b, bool begin)
{
	int r = sd_bus_emit_signal(b->connection, BUS_PATH, BUS_MANAGER_INTERFACE, "Reloading", "b",
				   (int)begin);

	if (r < 0)
		emit_failed(b, r);
}

void bus_emit_denied(struct bus *b, const char *policy, uint64_t n, uint64_t total)
{
	int r = sd_bus_emit_signal(b->connection, BUS_PATH, BUS_MANAGER_INTERFACE, "Denied", "stt",
				   policy, n, total);

	if (r < 0)
		emit_failed(b, r);
}
