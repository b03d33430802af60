/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the manager share among themselves. */
#pragma once

#include <stdint.h>

#include <systemd/sd-event.h>

#include "manager.h"

/*
 * manager-events.c. Tells what waits: all, or what stands before the first record of a younger
 * generation.
 */
void manager_flush_events(struct manager *m);
void manager_flush_generation(struct manager *m, uint64_t generation);

/*
 * CLOCK_REALTIME minus CLOCK_BOOTTIME, the same from event to event unless the clock is set: two
 * readings never come at one moment, and a process must not seem to start anew with each event.
 */
int64_t manager_boot_offset_ns(struct manager *m);

/* manager-told.c: what is told at a bounded rate. After each turn of events; timers do the rest. */
int manager_told_init(struct manager *m);
void manager_told_done(struct manager *m);
void manager_tell_denials(struct manager *m);
void manager_tell_losses(struct manager *m);
/* What was lost before this daemon is not its own loss. */
void manager_forget_losses(struct manager *m);

void manager_watchdog_done(struct manager *m);

/* The override table as compile wants it: ends with a NULL name. */
struct ruleset_mode *manager_override_modes(const struct manager *m);

/* manager-lock.c: whether rs has all that is held, MANAGER_LOCKED with reasons in d if not; and
 * holds what the current generation enforces. */
int manager_check_lock(const struct manager *m, const struct ruleset *rs, struct diag *d);
int manager_hold(struct manager *m);

/* One store, logged. deadline_ns: CLOCK_BOOTTIME, 0 none. */
int manager_put_mode(struct manager *m, enum revshell_mode mode, uint64_t deadline_ns,
		     const struct manager_who *who);
void manager_trial_end(struct manager *m);

/* A trial that began under the daemon before this one. */
int manager_resume_trial(struct manager *m);

/* Sets, replaces or (DEFAULT) removes an override. Returns 0 or -errno. */
int manager_override_set(struct manager *m, const char *name, enum manager_policy_mode mode);

void manager_overrides_free(struct manager_override *overrides, size_t n);
