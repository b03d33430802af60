/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the bus share among themselves. */
#pragma once

#include <stdbool.h>

#include <systemd/sd-bus.h>

#include "bus.h"
#include "bus-error.h"
#include "polkit.h"

struct bus {
	sd_event *event;
	struct manager *manager;
	struct log *log;
	struct polkit *polkit;
	char *address;
	sd_bus *connection;	 /* NULL between attempts */
	sd_event_source *retry;	 /* one-shot */
	sd_event_source *settle; /* one-shot */
	uint64_t retry_usec;	 /* until the next attempt; doubles up to a bound */
	bool named;		 /* the name is ours */
	bool told;		 /* the present trouble has been logged */
	unsigned int degraded;	 /* bit per component that Degraded has told of */
	bus_settled_fn settled;	 /* NULL once called */
	void *settled_userdata;
};

/* Vtables. Userdata is the struct bus. */
extern const sd_bus_vtable bus_manager_vtable[];
extern const sd_bus_vtable bus_log_vtable[];
extern const sd_bus_vtable bus_policy_vtable[];

/*
 * Passes root and the daemon's own user by the sender's effective uid as the bus knows it, and
 * what polkit has let through; all else gets AccessDenied. ret_who may be NULL; only with it the
 * sender's pid is asked for.
 */
int bus_check_caller(sd_bus_message *m, struct manager_who *ret_who, sd_bus_error *error);

/* One key of an a{sv}: type is "s", "b", "t" or "u", ret a const char **, int *, uint64_t * ... */
struct bus_option {
	const char *key;
	const char *type;
	void *ret;
};

/*
 * Reads an a{sv}. An unknown key or a wrong type is InvalidArgs. options ends with a NULL key;
 * strings point into the message.
 */
int bus_read_options(sd_bus_message *m, const struct bus_option *options, sd_bus_error *error);

/* bus-stream.c */
int bus_method_open_event_stream(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_list_events(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* bus-manager.c: the observer's side. */
void bus_emit_properties(struct bus *b, unsigned int properties);
void bus_emit_policies(struct bus *b, uint64_t generation, const struct manager_diff *diff);
void bus_emit_reloading(struct bus *b, bool begin);
void bus_emit_denied(struct bus *b, const char *policy, uint64_t n, uint64_t total);

#define BUS_MAX_REASON 256 /* bytes of the option "reason" */

/* Errors of a change of the rule set. Diagnostics travel in the message, one a line. */
int bus_commit_error(sd_bus_error *error, int r, const struct diag *d);
int bus_check_reason(const struct manager_who *who, sd_bus_error *error);
/* An a{sv} of which only "reason" is known. */
int bus_read_reason(sd_bus_message *m, struct manager_who *who, sd_bus_error *error);
/* Sends reply, or only drops it if r says that building it has failed. */
int bus_send_and_unref(sd_bus_message *reply, int r);
int bus_append_diag(sd_bus_message *reply, const struct diag *d);

/* bus-doctor.c */

/* Begins and ends an entry of an a{sv} that is a list of strings. r: what has come of it so far. */
int bus_open_list(sd_bus_message *reply, const char *key);
int bus_close_list(sd_bus_message *reply, int r);
int bus_method_diagnose(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_get_capabilities(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_property_sandbox(sd_bus *bus, const char *path, const char *interface, const char *property,
			 sd_bus_message *reply, void *userdata, sd_bus_error *error);

/* bus-lock.c */
int bus_method_lock(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_property_locked(sd_bus *bus, const char *path, const char *interface, const char *property,
			sd_bus_message *reply, void *userdata, sd_bus_error *error);

/* bus-simulate.c */
int bus_method_simulate(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_explain(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* bus-state.c */
int bus_property_mode_source(sd_bus *c, const char *path, const char *interface,
			     const char *property, sd_bus_message *reply, void *userdata,
			     sd_bus_error *error);
int bus_property_features(sd_bus *c, const char *path, const char *interface, const char *property,
			  sd_bus_message *reply, void *userdata, sd_bus_error *error);
/* Tells of every component whose state is another than was told last. */
void bus_emit_degraded(struct bus *b);

/* bus-confirm.c */
int bus_method_confirm(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_stop(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_rollback(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_property_rollback_at(sd_bus *bus, const char *path, const char *interface,
			     const char *property, sd_bus_message *reply, void *userdata,
			     sd_bus_error *error);

/* bus-apply.c: transactions. */
int bus_method_validate_policy_fd(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_put_policy(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_put_policy_fd(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_remove_policy(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_set_policy_mode(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_apply(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_apply_fd(sd_bus_message *m, void *userdata, sd_bus_error *error);
/* The rest of a call: the mode or the options that follow the policy's id. */
int bus_set_policy_mode(struct bus *b, sd_bus_message *m, const char *id, sd_bus_error *error);
int bus_remove_policy(struct bus *b, sd_bus_message *m, const char *id, sd_bus_error *error);

/* bus-policy.c: objects below BUS_POLICY_PATH. */
int bus_method_get_policy(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_method_get_policy_source(sd_bus_message *m, void *userdata, sd_bus_error *error);
int bus_no_such_policy(sd_bus_error *error, const char *id);
int bus_policy_find(sd_bus *c, const char *path, const char *interface, void *userdata,
		    void **ret_found, sd_bus_error *error);
int bus_policy_enumerate(sd_bus *c, const char *prefix, void *userdata, char ***ret_nodes,
			 sd_bus_error *error);
int bus_emit_policy_objects(struct bus *b, const struct manager_diff *diff);
int bus_emit_policy_modes(struct bus *b);
