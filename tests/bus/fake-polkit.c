/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns org.freedesktop.PolicyKit1 on a private bus: fake-polkit ADDRESS RULES LOG. RULES is read at
 * every question and has lines "yes ACTION", "ask ACTION" (yes if interaction is allowed) or "hold
 * ACTION" (never answered); all else is no. LOG gets "ACTION FLAGS" a question.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-bus.h>

#include "macro.h"

static char *const *args;

/* The word that RULES has for an action, or "no". */
static void look_up(const char *action, char *ret_word, size_t size)
{
	_cleanup_fclose_ FILE *f = fopen(args[2], "r");
	char word[16], name[128];

	snprintf(ret_word, size, "no");
	while (f && fscanf(f, "%15s %127s", word, name) == 2)
		if (strcmp(name, action) == 0)
			snprintf(ret_word, size, "%s", word);
}

static int check(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *kind, *key, *name, *action;
	_cleanup_fclose_ FILE *log = NULL;
	uint32_t flags;
	char word[16];
	int r, yes;

	r = sd_bus_message_enter_container(m, 'r', "sa{sv}");
	if (r >= 0)
		r = sd_bus_message_read(m, "sa{sv}", &kind, 1, &key, "s", &name);
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	if (r >= 0)
		r = sd_bus_message_read(m, "s", &action);
	if (r >= 0)
		r = sd_bus_message_skip(m, "a{ss}");
	if (r >= 0)
		r = sd_bus_message_read(m, "u", &flags);
	if (r < 0)
		return r;
	if (strcmp(kind, "system-bus-name") != 0 || strcmp(key, "name") != 0 || name[0] != ':')
		return -EINVAL;
	log = fopen(args[3], "a");
	/* written down before the answer, which whoever reads it waits for */
	if (log) {
		fprintf(log, "%s %u\n", action, flags);
		fflush(log);
	}
	look_up(action, word, sizeof(word));
	if (strcmp(word, "hold") == 0)
		return 1;
	yes = strcmp(word, "yes") == 0 || (strcmp(word, "ask") == 0 && flags & 1);
	return sd_bus_reply_method_return(m, "(bba{ss})", yes, strcmp(word, "ask") == 0, 0);
}

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", check,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

int main(int argc, char **argv)
{
	sd_bus *bus;
	int r;

	args = argv;
	if (argc != 4)
		return 2;
	r = sd_bus_new(&bus);
	if (r >= 0)
		r = sd_bus_set_address(bus, argv[1]);
	if (r >= 0)
		r = sd_bus_set_bus_client(bus, true);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r >= 0)
		r = sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/PolicyKit1/Authority",
					     "org.freedesktop.PolicyKit1.Authority", vtable, NULL);
	if (r >= 0)
		r = sd_bus_request_name(bus, "org.freedesktop.PolicyKit1", 0);
	while (r >= 0) {
		r = sd_bus_process(bus, NULL);
		if (r == 0)
			r = sd_bus_wait(bus, UINT64_MAX);
	}
	return 1;
}
