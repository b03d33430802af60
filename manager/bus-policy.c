/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.revshell1.Policy: one object a policy, found by the path at each call. */
#include <inttypes.h>
#include <string.h>

#include "bus-internal.h"

int bus_no_such_policy(sd_bus_error *error, const char *id)
{
	return sd_bus_error_setf(error, BUS_ERROR_NO_SUCH_POLICY, "No policy '%s' is loaded", id);
}

/* The index of the policy that a path stands for, and its id; or -ENOENT. */
static ssize_t find_path(const struct bus *b, const char *path, char **ret_id)
{
	_cleanup_free_ char *id = NULL;
	ssize_t i;
	int r;

	r = sd_bus_path_decode(path, BUS_POLICY_PATH, &id);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	i = manager_find_policy(b->manager, id);
	if (i >= 0 && ret_id)
		*ret_id = TAKE_PTR(id);
	return i;
}

int bus_policy_find(sd_bus *c, const char *path, const char *interface, void *userdata,
		    void **ret_found, sd_bus_error *error)
{
	ssize_t i = find_path(userdata, path, NULL);

	if (i == -ENOMEM)
		return -ENOMEM;
	*ret_found = userdata;
	return i >= 0;
}

static void strv_free(char **strv)
{
	for (size_t i = 0; strv && strv[i]; i++)
		free(strv[i]);
	free(strv);
}

int bus_policy_enumerate(sd_bus *c, const char *prefix, void *userdata, char ***ret_nodes,
			 sd_bus_error *error)
{
	const struct bus *b = userdata;
	const struct policy_set *set = &manager_current(b->manager)->rs->policies;
	char **nodes = calloc(set->n + 1, sizeof(*nodes));

	if (!nodes)
		return -ENOMEM;
	for (size_t i = 0; i < set->n; i++)
		if (sd_bus_path_encode(BUS_POLICY_PATH, set->policies[i]->name, &nodes[i]) < 0) {
			strv_free(nodes);
			return -ENOMEM;
		}
	*ret_nodes = nodes;
	return 0;
}

int bus_method_get_policy(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	_cleanup_free_ char *path = NULL;
	const char *id;
	int r;

	r = bus_check_caller(m, NULL, error);
	if (r >= 0)
		r = sd_bus_message_read(m, "s", &id);
	if (r < 0)
		return r;
	if (manager_find_policy(b->manager, id) < 0)
		return bus_no_such_policy(error, id);
	r = sd_bus_path_encode(BUS_POLICY_PATH, id, &path);
	return r < 0 ? r : sd_bus_reply_method_return(m, "o", path);
}

int bus_method_get_policy_source(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	const char *id;
	ssize_t i;
	int r;

	r = bus_check_caller(m, NULL, error);
	if (r >= 0)
		r = sd_bus_message_read(m, "s", &id);
	if (r < 0)
		return r;
	i = manager_find_policy(b->manager, id);
	if (i < 0)
		return bus_no_such_policy(error, id);
	return sd_bus_reply_method_return(
		m, "s", manager_current(b->manager)->rs->policies.policies[i]->source);
}

static int method_get_source(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;
	ssize_t i;
	int r;

	r = bus_check_caller(m, NULL, error);
	if (r < 0)
		return r;
	i = find_path(b, sd_bus_message_get_path(m), NULL);
	if (i < 0)
		return (int)i;
	return sd_bus_reply_method_return(
		m, "s", manager_current(b->manager)->rs->policies.policies[i]->source);
}

static int method_set_mode(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_free_ char *id = NULL;
	ssize_t i = find_path(userdata, sd_bus_message_get_path(m), &id);

	return i < 0 ? (int)i : bus_set_policy_mode(userdata, m, id, error);
}

static int method_remove(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_free_ char *id = NULL;
	ssize_t i = find_path(userdata, sd_bus_message_get_path(m), &id);

	return i < 0 ? (int)i : bus_remove_policy(userdata, m, id, error);
}

static int get_text(sd_bus *c, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;
	ssize_t i = find_path(b, path, NULL);
	const struct policy *p;
	const char *value = "";
	char digest[17];

	if (i < 0)
		return (int)i;
	p = manager_current(b->manager)->rs->policies.policies[i];
	if (strcmp(property, "Id") == 0) {
		value = p->name;
	} else if (strcmp(property, "Description") == 0) {
		value = p->description ? p->description : "";
	} else if (strcmp(property, "Path") == 0) {
		value = p->origin;
	} else if (strcmp(property, "Mode") == 0) {
		value = manager_policy_mode(b->manager, (size_t)i);
	} else if (strcmp(property, "EffectiveMode") == 0) {
		value = manager_policy_effective(b->manager, (size_t)i);
	} else if (strcmp(property, "Digest") == 0) {
		snprintf(digest, sizeof(digest), "%016" PRIx64, p->digest);
		value = digest;
	} else if (strcmp(property, "Origin") == 0) {
		value = strncmp(p->origin, "/etc/", 5) == 0   ? "admin"
			: strncmp(p->origin, "/run/", 5) == 0 ? "runtime"
			: strncmp(p->origin, "/usr/", 5) == 0 ? "vendor"
							      : "other";
	}
	return sd_bus_message_append(reply, "s", value);
}

static int get_enabled(sd_bus *c, const char *path, const char *interface, const char *property,
		       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;
	ssize_t i = find_path(b, path, NULL);

	if (i < 0)
		return (int)i;
	return sd_bus_message_append(reply, "b",
				     (int)manager_current(b->manager)->rs->effective[i].enabled);
}

static int get_n_rules(sd_bus *c, const char *path, const char *interface, const char *property,
		       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;
	ssize_t i = find_path(b, path, NULL);
	const struct policy *p;
	uint32_t n = 0;

	if (i < 0)
		return (int)i;
	p = manager_current(b->manager)->rs->policies.policies[i];
	for (size_t k = 0; k < p->n_entries; k++)
		n += (uint32_t)p->entries[k].n_selectors;
	return sd_bus_message_append(reply, "u", n);
}

static int get_number(sd_bus *c, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;
	const struct manager_generation *g = manager_current(b->manager);
	ssize_t i = find_path(b, path, NULL);

	if (i < 0)
		return (int)i;
	return sd_bus_message_append(reply, "t",
				     strcmp(property, "Matches") == 0	? g->counts[i].matches
				     : strcmp(property, "Denials") == 0 ? g->counts[i].denials
									: g->loaded_usec[i]);
}

#define CHECKED SD_BUS_VTABLE_UNPRIVILEGED
#define CONST	SD_BUS_VTABLE_PROPERTY_CONST
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

const sd_bus_vtable bus_policy_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("SetMode", SD_BUS_ARGS("s", mode, "a{sv}", options),
				SD_BUS_NO_RESULT, method_set_mode, CHECKED),
	SD_BUS_METHOD_WITH_ARGS("Remove", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
				method_remove, CHECKED),
	SD_BUS_METHOD_WITH_ARGS("GetSource", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", text),
				method_get_source, CHECKED),
	SD_BUS_PROPERTY("Id", "s", get_text, 0, CONST),
	/* Explicit: InterfacesAdded, which every user hears, leaves it out. So does GetAll. */
	SD_BUS_PROPERTY("Description", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EXPLICIT),
	SD_BUS_PROPERTY("Origin", "s", get_text, 0, CHANGES),
	SD_BUS_PROPERTY("Path", "s", get_text, 0, CHANGES),
	SD_BUS_PROPERTY("Mode", "s", get_text, 0, CHANGES),
	SD_BUS_PROPERTY("EffectiveMode", "s", get_text, 0, CHANGES),
	SD_BUS_PROPERTY("Enabled", "b", get_enabled, 0, CHANGES),
	SD_BUS_PROPERTY("Digest", "s", get_text, 0, CHANGES),
	SD_BUS_PROPERTY("NRules", "u", get_n_rules, 0, CHANGES),
	SD_BUS_PROPERTY("LoadedUSec", "t", get_number, 0, CHANGES),
	/* These change with every event: to be asked for, never sent. */
	SD_BUS_PROPERTY("Matches", "t", get_number, 0, 0),
	SD_BUS_PROPERTY("Denials", "t", get_number, 0, 0),
	SD_BUS_VTABLE_END,
};

enum object_signal {
	OBJECT_ADDED,
	OBJECT_CHANGED,
	OBJECT_REMOVED,
	OBJECT_MODE,
};

static int emit_object(struct bus *b, const char *id, enum object_signal what)
{
	_cleanup_free_ char *path = NULL;
	sd_bus *c = b->connection;
	int r;

	r = sd_bus_path_encode(BUS_POLICY_PATH, id, &path);
	if (r < 0)
		return r;
	switch (what) {
	case OBJECT_ADDED:
		return sd_bus_emit_interfaces_added(c, path, BUS_POLICY_INTERFACE, NULL);
	case OBJECT_REMOVED:
		return sd_bus_emit_interfaces_removed(c, path, BUS_POLICY_INTERFACE, NULL);
	case OBJECT_CHANGED:
		return sd_bus_emit_properties_changed(c, path, BUS_POLICY_INTERFACE, "Origin",
						      "Path", "Mode", "EffectiveMode", "Enabled",
						      "Digest", "NRules", "LoadedUSec", NULL);
	default:
		return sd_bus_emit_properties_changed(c, path, BUS_POLICY_INTERFACE,
						      "EffectiveMode", NULL);
	}
}

static int emit_objects(struct bus *b, const char *const *ids, size_t n, enum object_signal what)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i++)
		r = emit_object(b, ids[i], what);
	return r;
}

int bus_emit_policy_objects(struct bus *b, const struct manager_diff *diff)
{
	int r;

	r = emit_objects(b, diff->removed, diff->n_removed, OBJECT_REMOVED);
	if (r >= 0)
		r = emit_objects(b, diff->added, diff->n_added, OBJECT_ADDED);
	if (r >= 0)
		r = emit_objects(b, diff->changed, diff->n_changed, OBJECT_CHANGED);
	return r;
}

int bus_emit_policy_modes(struct bus *b)
{
	const struct policy_set *set = &manager_current(b->manager)->rs->policies;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < set->n; i++)
		r = emit_object(b, set->policies[i]->name, OBJECT_MODE);
	return r;
}
