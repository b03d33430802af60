/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls a method of org.revshell1 that takes a descriptor, which busctl cannot: fd-call ADDRESS
 * MEMBER [ID]. The descriptor is standard input; prints the error's name, or "ok".
 */
#include <stdbool.h>
#include <string.h>

#include <systemd/sd-bus.h>

#include "bus.h"

static int connect_to(const char *address, sd_bus **ret)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	int r;

	r = sd_bus_new(&bus);
	if (r >= 0)
		r = sd_bus_set_address(bus, address);
	if (r >= 0)
		r = sd_bus_set_bus_client(bus, true);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(bus);
	return 0;
}

int main(int argc, char **argv)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	int r;

	if (argc < 3)
		return 2;
	r = connect_to(argv[1], &bus);
	if (r >= 0)
		r = sd_bus_message_new_method_call(bus, &m, BUS_NAME, BUS_PATH,
						   BUS_MANAGER_INTERFACE, argv[2]);
	if (r >= 0 && argc > 3)
		r = sd_bus_message_append(m, "s", argv[3]);
	if (r >= 0)
		r = sd_bus_message_append(m, "h", STDIN_FILENO);
	if (r >= 0 && strcmp(argv[2], "ValidatePolicyFd") != 0)
		r = sd_bus_message_append(m, "a{sv}", 0);
	if (r < 0)
		return 2;
	r = sd_bus_call(bus, m, 0, &error, &reply);
	puts(r >= 0 ? "ok" : error.name);
	return r < 0;
}
