/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.freedesktop.LogControl1: what "systemctl service-log-level" speaks to. */
#include "bus-internal.h"

/* What is logged no more is told before it ends. */
static int log_change(struct bus *b, sd_bus_message *m, const char *what, const char *value,
		      sd_bus_error *error)
{
	struct manager_who who;
	int r = bus_check_caller(m, &who, error);

	if (r >= 0)
		manager_log_change(b->manager, LOG_NOTICE, &who, "%s %s", what, value);
	return r;
}

static int get_level(sd_bus *c, const char *path, const char *interface, const char *property,
		     sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;

	return sd_bus_message_append(reply, "s", log_level_name(b->log->max_level));
}

static int set_level(sd_bus *c, const char *path, const char *interface, const char *property,
		     sd_bus_message *value, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	const char *s;
	int r, level;

	r = sd_bus_message_read(value, "s", &s);
	if (r < 0)
		return r;
	r = log_level_parse(s);
	if (r < 0)
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "Bad log level '%s'", s);
	level = b->log->max_level;
	b->log->max_level = MAX(level, r);
	r = log_change(b, value, "Log level", s, error);
	b->log->max_level = r < 0 ? level : log_level_parse(s);
	return r;
}

static int get_target(sd_bus *c, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct bus *b = userdata;

	return sd_bus_message_append(reply, "s", log_target_name(b->log->target));
}

static int set_target(sd_bus *c, const char *path, const char *interface, const char *property,
		      sd_bus_message *value, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	const char *s;
	int r, target;

	r = sd_bus_message_read(value, "s", &s);
	if (r < 0)
		return r;
	r = log_target_parse(s);
	if (r < 0)
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "Bad log target '%s'",
					 s);
	target = r;
	r = log_change(b, value, "Log target", s, error);
	if (r >= 0)
		b->log->target = (enum log_target)target;
	return r;
}

static int get_identifier(sd_bus *c, const char *path, const char *interface, const char *property,
			  sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	return sd_bus_message_append(reply, "s", LOG_IDENTIFIER);
}

/* Without SD_BUS_VTABLE_UNPRIVILEGED sd-bus itself lets only root and the own user write. */
const sd_bus_vtable bus_log_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_WRITABLE_PROPERTY("LogLevel", "s", get_level, set_level, 0, 0),
	SD_BUS_WRITABLE_PROPERTY("LogTarget", "s", get_target, set_target, 0, 0),
	SD_BUS_PROPERTY("SyslogIdentifier", "s", get_identifier, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_VTABLE_END,
};
