/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lock, and the property that tells of it. */
#include <string.h>

#include "bus-internal.h"

int bus_method_lock(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_free_ char *reason = NULL;
	struct bus *b = userdata;
	struct manager_who who;
	int r;

	r = bus_check_caller(m, &who, error);
	if (r >= 0)
		r = bus_read_reason(m, &who, error);
	if (r < 0)
		return r;
	r = manager_lock(b->manager, &who, &reason);
	if (r == -EBUSY)
		return sd_bus_error_set(error, BUS_ERROR_CHANGE_PENDING,
					"A change waits for Confirm or Rollback");
	if (r < 0)
		return sd_bus_error_setf(error, BUS_ERROR_BACKEND_UNAVAILABLE, "Failed to lock: %s",
					 reason ? reason : strerror(-r));
	return sd_bus_reply_method_return(m, NULL);
}

int bus_property_locked(sd_bus *bus, const char *path, const char *interface, const char *property,
			sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;

	return sd_bus_message_append(reply, "b", (int)backend_is_locked(b->manager->backend));
}
