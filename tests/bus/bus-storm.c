/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client that behaves badly:
 *   bus-storm ADDRESS subscribe N         opens N event streams and never reads; prints how many it
 *                                         got and how many were refused, and stays until its
 *                                         standard input ends
 *   bus-storm ADDRESS garbage N MEMBER... calls each N times with arguments that no method takes;
 *                                         prints how many were refused as such
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#include "bus.h"
#include "bus-error.h"

static int subscribe(sd_bus *bus, unsigned int n)
{
	sd_bus_message *kept[1024] = {};
	unsigned int n_kept = 0, refused = 0;
	char c;

	for (unsigned int i = 0; i < n; i++) {
		_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
		sd_bus_message *reply = NULL;
		int r = sd_bus_call_method(bus, BUS_NAME, BUS_PATH, BUS_MANAGER_INTERFACE,
					   "OpenEventStream", &error, &reply, "a{sv}", 0);

		if (r >= 0 && n_kept < ARRAY_SIZE(kept))
			kept[n_kept++] = reply; /* and its descriptor with it */
		else if (sd_bus_error_has_name(&error, BUS_ERROR_LIMIT_EXCEEDED))
			refused++;
		else
			return 1;
	}
	printf("%u %u\n", n_kept, refused);
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	for (unsigned int i = 0; i < n_kept; i++)
		sd_bus_message_unref(kept[i]);
	return 0;
}

static int append_random(sd_bus_message *m)
{
	char text[64];
	size_t n = (size_t)(rand() % (int)sizeof(text));

	for (size_t i = 0; i < n; i++)
		text[i] = (char)(1 + rand() % 127);
	text[n ? n - 1 : 0] = '\0';
	switch (rand() % 8) {
	case 0:
		return sd_bus_message_append(m, "s", text);
	case 1:
		return sd_bus_message_append(m, "t", (uint64_t)rand() << 33);
	case 2:
		return sd_bus_message_append(m, "a{sv}", 1, text, "v", "s", text);
	case 3:
		return sd_bus_message_append(m, "a{sv}", 2, text, "i", rand(), text, "as", 0);
	case 4:
		return sd_bus_message_append(m, "(dnx)", 1.5, rand(), (int64_t)rand());
	case 5:
		return sd_bus_message_append(m, "ao", 1, "/");
	case 6:
		return sd_bus_message_append(m, "h", STDOUT_FILENO);
	default:
		return sd_bus_message_append(m, "a(sss)", 1, text, text, text);
	}
}

static int call_with_garbage(sd_bus *bus, const char *member, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
	int r = sd_bus_message_new_method_call(bus, &m, BUS_NAME, BUS_PATH, BUS_MANAGER_INTERFACE,
					       member);

	for (int n = rand() % 5; r >= 0 && n > 0; n--)
		r = append_random(m);
	/* so that by no chance it is what the method takes */
	if (r >= 0)
		r = sd_bus_message_append(m, "y", rand() & 255);
	return r < 0 ? r : sd_bus_call(bus, m, 0, error, &reply);
}

static int garbage(sd_bus *bus, unsigned int n, char **members)
{
	unsigned int refused = 0;

	srand(1);
	for (; *members; members++) {
		for (unsigned int i = 0; i < n; i++) {
			_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
			int r = call_with_garbage(bus, *members, &error);

			if (r >= 0 || !sd_bus_error_has_name(&error, SD_BUS_ERROR_INVALID_ARGS)) {
				printf("%s: %s\n", *members, r >= 0 ? "ok" : error.name);
				return 1;
			}
			refused++;
		}
	}
	printf("%u\n", refused);
	return 0;
}

int main(int argc, char **argv)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	unsigned int n;

	if (argc < 4)
		return 2;
	n = (unsigned int)strtoul(argv[3], NULL, 10);
	if (sd_bus_new(&bus) < 0 || sd_bus_set_address(bus, argv[1]) < 0 ||
	    sd_bus_set_bus_client(bus, true) < 0 || sd_bus_negotiate_fds(bus, true) < 0 ||
	    sd_bus_start(bus) < 0)
		return 2;
	return strcmp(argv[2], "garbage") == 0 ? garbage(bus, n, argv + 4) : subscribe(bus, n);
}
