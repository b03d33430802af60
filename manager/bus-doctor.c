/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Diagnose and GetCapabilities: what of this host stands in the way, and what is there. */
#include <string.h>

#include "bus-internal.h"
#include "doctor.h"
#include "plane.h"

static int on_finding(const struct doctor_finding *f, void *userdata)
{
	return sd_bus_message_append(userdata, "(ssss)", doctor_state_name(f->state), f->name,
				     f->text, f->hint);
}

/* "enforce; capabilities ...", as the kernel tells it, of the daemon and of its loader. */
static char *describe_sandbox(const struct manager *m)
{
	pid_t loader = backend_loader_pid(m->backend);
	_cleanup_free_ char *own = sandbox_describe(0);
	_cleanup_free_ char *of_loader = loader > 0 ? sandbox_describe(loader) : NULL;
	char *text;

	if (asprintf(&text, "%s; %s%s%s", sandbox_mode_name(m->sandbox),
		     own ? own : "what is in force cannot be seen",
		     of_loader	  ? "; loader: "
		     : loader < 0 ? "; loader: gone, no further program can be loaded"
				  : "",
		     of_loader ? of_loader : "") < 0)
		return NULL;
	return text;
}

static int find_sandbox(const struct manager *m, sd_bus_message *reply)
{
	_cleanup_free_ char *text = describe_sandbox(m);

	return text ? doctor_judge_sandbox(text, on_finding, reply) : -ENOMEM;
}

static int find_plane(const struct manager *m, sd_bus_message *reply)
{
	struct diag d = {};
	int r = plane_check(manager_current(m)->rs, "", &d);

	if (r >= 0)
		r = doctor_judge_plane(&d, on_finding, reply);
	diag_done(&d);
	return r;
}

int bus_property_sandbox(sd_bus *bus, const char *path, const char *interface, const char *property,
			 sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;
	_cleanup_free_ char *text = describe_sandbox(b->manager);

	return text ? sd_bus_message_append(reply, "s", text) : -ENOMEM;
}

int bus_method_diagnose(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;
	const struct doctor_options options = {
		.root = "",
		.dirs = b->manager->dirs,
		.n_dirs = b->manager->n_dirs,
		.pin_dir = backend_pin_dir(b->manager->backend),
		.daemon = true,
	};
	sd_bus_message *reply = NULL;
	int r;

	r = bus_check_caller(m, NULL, error);
	if (r < 0)
		return r;
	r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "(ssss)");
	if (r >= 0)
		r = doctor_run(&options, on_finding, reply);
	if (r >= 0)
		r = find_sandbox(b->manager, reply);
	if (r >= 0)
		r = doctor_judge_lock(backend_is_locked(b->manager->backend),
				      backend_why_no_lock(b->manager->backend), on_finding, reply);
	if (r >= 0)
		r = find_plane(b->manager, reply);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return bus_send_and_unref(reply, r);
}

int bus_open_list(sd_bus_message *reply, const char *key)
{
	int r;

	r = sd_bus_message_open_container(reply, 'e', "sv");
	if (r >= 0)
		r = sd_bus_message_append(reply, "s", key);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'v', "as");
	return r < 0 ? r : sd_bus_message_open_container(reply, 'a', "s");
}

int bus_close_list(sd_bus_message *reply, int r)
{
	for (int i = 0; r >= 0 && i < 3; i++)
		r = sd_bus_message_close_container(reply);
	return r;
}

/* Names of hooks, as an entry of the reply. */
static int append_hooks(sd_bus_message *reply, const char *key, uint64_t hooks)
{
	int r = bus_open_list(reply, key);

	for (enum revshell_hook hook = 0; r >= 0 && hook < REVSHELL_HOOK_MAX; hook++)
		if (hooks >> hook & 1)
			r = sd_bus_message_append(reply, "s", ruleset_hook_name(hook));
	return bus_close_list(reply, r);
}

int bus_method_get_capabilities(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;
	const struct backend *backend = b->manager->backend;
	const struct ruleset_options opts = backend_ruleset_options(backend);
	const char *self_test = backend_selftest_result(backend);
	sd_bus_message *reply = NULL;
	int r;

	r = bus_check_caller(m, NULL, error);
	if (r < 0)
		return r;
	r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "{sv}");
	if (r >= 0)
		r = sd_bus_message_append(reply, "{sv}{sv}{sv}", "can-deny", "b",
					  (int)!opts.cannot_deny, "degraded", "u",
					  (uint32_t)manager_count_degraded(b->manager), "map-bytes",
					  "t", backend_map_bytes(backend));
	if (r >= 0)
		r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}{sv}", "backend", "s",
					  backend_kind_name(backend_get_kind(backend)), "self-test",
					  "s", self_test ? self_test : "", "abi", "u",
					  (uint32_t)REVSHELL_ABI, "persistent", "b",
					  (int)backend_is_persistent(backend), "track-sock", "b",
					  (int)!opts.no_track_sock);
	if (r >= 0)
		r = append_hooks(reply, "hooks", opts.hooks ? opts.hooks : ~0ULL);
	if (r >= 0)
		r = append_hooks(reply, "attached", backend_attached_hooks(backend));
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return bus_send_and_unref(reply, r);
}
