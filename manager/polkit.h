/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether a caller who is not root may: asked of polkit, without waiting for the answer. */
#pragma once

#include <stdbool.h>

#include <systemd/sd-bus.h>

#include "log.h"
#include "macro.h"

/* Questions that may be open at once, over all callers. */
#define POLKIT_MAX_PENDING 100U

struct polkit;

int polkit_new(const struct log *log, struct polkit **ret_polkit);
void polkit_free(struct polkit *p);
DEFINE_CLEANUP(struct polkit *, polkit_free)

/*
 * Every message that comes in passes here before its method is found. Returns 0 to let it on, 1 if
 * it is kept back until polkit has answered, when it comes in once more, or -errno with error set.
 */
int polkit_filter(struct polkit *p, sd_bus_message *m, sd_bus_error *error);

/* Lets a group's members inspect and strengthen without polkit; they gain no other right by it. */
void polkit_allow_group(struct polkit *p, gid_t gid);

/* Whether the message that is handled now has come through: by polkit's word, or by the group's. */
bool polkit_has_passed(const struct polkit *p, sd_bus_message *m);

/* The connection goes away: so do all questions. */
void polkit_forget(struct polkit *p);
