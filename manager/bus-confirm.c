/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Confirm and Rollback: what becomes of a mode that is on trial. Stop. */
#include <inttypes.h>
#include <string.h>

#include "bus-internal.h"

static int settle(sd_bus_message *m, struct bus *b, sd_bus_error *error,
		  int (*fn)(struct manager *m, const struct manager_who *who))
{
	struct manager_who who;
	int r;

	r = bus_check_caller(m, &who, error);
	if (r < 0)
		return r;
	r = fn(b->manager, &who);
	if (r == -ENODATA)
		return sd_bus_error_set(error, BUS_ERROR_NOTHING_PENDING,
					"No change waits for confirmation");
	if (r < 0)
		return sd_bus_error_setf(error, BUS_ERROR_BACKEND_UNAVAILABLE,
					 "Failed to set the mode: %s", strerror(-r));
	return sd_bus_reply_method_return(m, NULL);
}

int bus_method_confirm(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return settle(m, userdata, error, manager_confirm);
}

int bus_method_rollback(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return settle(m, userdata, error, manager_rollback);
}

/* CLOCK_BOOTTIME, since that is what the kernel holds the deadline in. */
int bus_property_rollback_at(sd_bus *bus, const char *path, const char *interface,
			     const char *property, sd_bus_message *reply, void *userdata,
			     sd_bus_error *error)
{
	const struct bus *b = userdata;

	return sd_bus_message_append(reply, "t", b->manager->trial.deadline_ns / 1000);
}

int bus_method_stop(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	struct manager_who who;
	int r, disarm;

	r = bus_check_caller(m, &who, error);
	if (r >= 0)
		r = sd_bus_message_read(m, "b", &disarm);
	if (r < 0)
		return r;
	r = manager_stop(b->manager, disarm, &who);
	if (r == MANAGER_LOCKED)
		return sd_bus_error_set(error, BUS_ERROR_LOCKED, "Locked until the next boot");
	if (r < 0)
		return sd_bus_error_setf(error, BUS_ERROR_BACKEND_UNAVAILABLE,
					 "Failed to disarm: %s", strerror(-r));
	r = sd_bus_reply_method_return(m, NULL);
	return r < 0 ? r : sd_bus_flush(b->connection);
}
