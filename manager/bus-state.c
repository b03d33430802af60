/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What state the daemon is in, in words: ModeSource, Features, and the signal Degraded. */
#include <string.h>

#include "bus-internal.h"
#include "mode.h"

int bus_property_mode_source(sd_bus *c, const char *path, const char *interface,
			     const char *property, sd_bus_message *reply, void *userdata,
			     sd_bus_error *error)
{
	const struct bus *b = userdata;

	return sd_bus_message_append(reply, "s", b->manager->mode_source);
}

/* What hangs on the kernel, so that a client need not try. */
int bus_property_features(sd_bus *c, const char *path, const char *interface, const char *property,
			  sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;
	const struct backend *backend = b->manager->backend;
	const struct ruleset_options opts = backend_ruleset_options(backend);
	bool any = backend_get_kind(backend) != BACKEND_NONE;
	const struct {
		const char *name;
		bool there;
	} features[] = {
		{"report", any},
		{"deny", any && !opts.cannot_deny},
		{"persist", backend_is_persistent(backend)},
		{"track-sock", any && !opts.no_track_sock},
		{"lock", !backend_why_no_lock(backend)},
	};
	int r = sd_bus_message_open_container(reply, 'a', "s");

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(features); i++)
		if (features[i].there)
			r = sd_bus_message_append(reply, "s", features[i].name);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

enum {
	ENFORCEMENT,
	POLICIES,
	EVENTS,
	N_COMPONENTS,
};

/* What to call the trouble of a component; NULL: there is none. */
static const char *trouble_of(const struct manager *m, int component)
{
	switch (component) {
	case ENFORCEMENT:
		return strcmp(manager_effective_mode(m), mode_name(m->mode)) == 0
			       ? NULL
			       : manager_effective_mode(m);
	case POLICIES:
		return *m->last_error ? "reload-failed" : NULL;
	default:
		return m->events_deaf ? "unread" : NULL;
	}
}

void bus_emit_degraded(struct bus *b)
{
	static const char *const names[] = {
		[ENFORCEMENT] = "enforcement",
		[POLICIES] = "policies",
		[EVENTS] = "events",
	};

	for (int i = 0; i < N_COMPONENTS; i++) {
		const char *trouble = trouble_of(b->manager, i);
		unsigned int bit = 1U << i;
		int r;

		if (!(b->degraded & bit) == !trouble)
			continue;
		b->degraded ^= bit;
		r = sd_bus_emit_signal(b->connection, BUS_PATH, BUS_MANAGER_INTERFACE, "Degraded",
				       "ss", names[i], trouble ? trouble : "ok");
		if (r < 0)
			log_warning(b->log, "Failed to send a signal: %s", strerror(-r));
	}
}
