/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon on D-Bus: org.revshell1, for as long as and whenever there is a bus. */
#pragma once

#include <systemd/sd-event.h>

#include "log.h"
#include "macro.h"
#include "manager.h"

#define BUS_NAME	      "org.revshell1"
#define BUS_PATH	      "/org/revshell1"
#define BUS_POLICY_PATH	      "/org/revshell1/policy"
#define BUS_MANAGER_INTERFACE "org.revshell1.Manager"
#define BUS_POLICY_INTERFACE  "org.revshell1.Policy"
#define BUS_LOG_PATH	      "/org/freedesktop/LogControl1"
#define BUS_LOG_INTERFACE     "org.freedesktop.LogControl1"

struct bus;

/*
 * Called once: the name is ours, or the first attempt has failed. Either way the daemon is as
 * reachable as it can be for now.
 */
typedef void (*bus_settled_fn)(void *userdata);

/*
 * Starts to connect to where ("system", "session", or an address), and keeps at it: a bus that is
 * not there yet or goes away is tried again every few seconds. Registers as the manager's
 * observer. log may be changed through LogControl1. manager and log must outlive the bus.
 */
int bus_new(sd_event *event, struct manager *manager, struct log *log, const char *where,
	    bus_settled_fn settled, void *userdata, struct bus **ret_bus);
/* As polkit_allow_group(). */
void bus_allow_group(struct bus *b, gid_t gid);

void bus_free(struct bus *b);
DEFINE_CLEANUP(struct bus *, bus_free)
