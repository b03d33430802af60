/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All counters by name, as GetStatistics and the metrics file have them. */
#pragma once

#include <stdint.h>

#include "manager.h"

/*
 * "NAME", "hook.HOOK.NAME", "policy.ID.matches", "policy.ID.denials",
 * "policy.ID.events.HOOK.ACTION.VERDICT"; an ID may hold dots, what follows it does not. A negative
 * result ends the walk and is returned.
 */
typedef int (*statistics_fn)(const char *name, uint64_t value, void *userdata);

int statistics_each(const struct manager *m, statistics_fn fn, void *userdata);
