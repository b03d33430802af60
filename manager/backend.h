/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel side as the manager sees it: load, attach, self-test, publish a rule set, read events.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "diag.h"
#include "revshell-abi.h"
#include "ruleset.h"
#include "sandbox.h"

enum backend_kind {
	BACKEND_AUTO,
	BACKEND_LSM,
	BACKEND_FMOD_RET,
	BACKEND_KPROBE,
	BACKEND_NONE, /* rule sets are compiled and kept, nothing reaches the kernel */
	BACKEND_MAX,
};

const char *backend_kind_name(enum backend_kind kind); /* "lsm" */
enum backend_kind backend_kind_parse(const char *s);   /* BACKEND_MAX if unknown */

struct backend;

/*
 * Called for each event. ev is valid during the call only; size, in bytes, tells whether it is a
 * struct revshell_event_more. Returns 0, or negative to stop.
 */
typedef int (*backend_event_fn)(const struct revshell_event *ev, size_t size, void *userdata);

struct backend_options {
	enum backend_kind kind;
	size_t ring_size;    /* bytes, a power of two; 0: default */
	const char *pin_dir; /* in a BPF file system; NULL: nothing outlives the daemon */
};

/*
 * Loads and attaches the programs and runs the self-test; every verdict hook must prove itself.
 * Takes over what a daemon before pinned in pin_dir: rule set, mode and, if they are the same,
 * programs. Without that the mode starts as monitor, with an empty rule set. On failure ret_reason
 * (if not NULL) receives a new string that says what failed and what would help, and nothing stays
 * attached. Returns 0 or -errno; -EOPNOTSUPP: this kernel cannot.
 */
int backend_open(const struct backend_options *opts, struct backend **ret_backend,
		 char **ret_reason);

/* Lets go of everything. What is pinned stays attached and in force; the rest is detached. */
void backend_close(struct backend *b);
DEFINE_CLEANUP(struct backend *, backend_close)

enum backend_kind backend_get_kind(const struct backend *b);

/* What compile has to know about this backend. */
struct ruleset_options backend_ruleset_options(const struct backend *b);

/*
 * Builds rs beside the current generation and makes it current by one store; when it returns 0 no
 * program can still see the generation before. On error the current generation is untouched.
 * Also learns the kernel's inode and device numbers of rs's exempting paths. Files that are missing
 * are warned about in d. The first after a take-over with the same programs keeps the generation in
 * force, and its number, where all that it was made of is the same.
 */
int backend_publish(struct backend *b, struct ruleset *rs, struct diag *d,
		    uint64_t *ret_generation);

/* One store. deadline_ns: CLOCK_BOOTTIME, 0 none. */
int backend_set_mode(struct backend *b, enum revshell_mode mode, uint64_t deadline_ns);
int backend_get_mode(struct backend *b, struct revshell_mode_value *ret_mode);

/* A descriptor that becomes readable when events wait, for sd-event; owned by the backend. */
int backend_events_fd(struct backend *b);

/* Hands all waiting events to fn. Returns their number or -errno. */
int backend_events_consume(struct backend *b, backend_event_fn fn, void *userdata);

/* What the kernel counted, summed over the CPUs, by place and enum revshell_stat. */
struct backend_stats {
	uint64_t at[REVSHELL_PLACES][REVSHELL_STAT_MAX];
};

int backend_get_stats(struct backend *b, struct backend_stats *ret_stats);

static inline uint64_t backend_stats_total(const struct backend_stats *stats,
					   enum revshell_stat stat)
{
	uint64_t total = 0;

	for (int place = 0; place < REVSHELL_PLACES; place++)
		total += stats->at[place][stat];
	return total;
}

/* The counter's name in statistics, "events-sent". */
const char *backend_stat_name(enum revshell_stat stat);

/* Whether rule set and mode were taken over from a daemon before. */
bool backend_is_adopted(const struct backend *b);

/* The mode that a daemon before left in force, even one whose rule set could not be taken over. */
bool backend_left_mode(const struct backend *b, enum revshell_mode *ret_mode);

/*
 * Once rule set and mode are as they are to be: pins all that is attached, and only then removes
 * what another daemon left. 0 or -errno; then nothing outlives this daemon but what did before.
 */
int backend_settle(struct backend *b);

/*
 * Before the daemon enters its sandbox: leaves the loading of programs to a process of its own, in
 * a sandbox of its own, where forget() frees what that process has no use for. None with
 * SANDBOX_OFF or without a kernel. 0 or -errno.
 */
int backend_confine(struct backend *b, enum sandbox_mode mode, void (*forget)(void *userdata),
		    void *userdata);

/* That process; 0: there is none; -ESRCH: it has ended. */
pid_t backend_loader_pid(const struct backend *b);

/*
 * Looks whether what is pinned is there and the loader lives, and puts back pins that are gone.
 * Returns how many those were, or -errno and why it does not hold, as a new string.
 */
int backend_check(struct backend *b, char **ret_reason);

/*
 * Locks until the next boot: nothing that is pinned can be taken away by anybody but this daemon,
 * or the same program when it is started next. 0 if it is locked, by now or before. Else -errno and
 * a reason; -EOPNOTSUPP: this backend or kernel cannot.
 */
int backend_lock(struct backend *b, char **ret_reason);
bool backend_is_locked(const struct backend *b);

/* Why backend_lock() would fail for certain, or NULL. */
const char *backend_why_no_lock(const struct backend *b);

/*
 * Policies that the lock holds: they were enforced since it is on. text is remembered by a keyed
 * hash. backend_holds(): 1 if name is held with this text, 0 if with another.
 */
int backend_hold(struct backend *b, const char *name, const char *text);
int backend_holds(struct backend *b, const char *name, const char *text);
typedef int (*backend_held_fn)(const char *name, void *userdata);
int backend_each_held(struct backend *b, backend_held_fn fn, void *userdata);

/* Whether all that is attached is pinned, and so outlives the daemon. */
bool backend_is_persistent(const struct backend *b);

/* What the administrator should know of the pins, or NULL. */
const char *backend_note(const struct backend *b);

/* Keeps a policy's mode beside the rule set, for the next daemon. mode -1: forgets it. */
int backend_set_override(struct backend *b, const char *name, int mode);
typedef int (*backend_override_fn)(const char *name, int mode, void *userdata);
int backend_each_override(struct backend *b, backend_override_fn fn, void *userdata);

/*
 * Whether what is pinned below a folder is locked, asked before the sandbox: 0, 1, or -EPERM: it
 * is, and not for this process to have.
 */
int backend_pins_locked(const char *pin_dir);

/*
 * Removes all pins below a folder, so that what no running daemon holds is detached; they are
 * marked as incomplete first. b: what pinned them, or NULL in another process. Returns the number
 * of versions that were there, or -errno.
 */
int backend_disarm(const struct backend *b, const char *pin_dir);

/* Where it pins, or NULL. */
const char *backend_pin_dir(const struct backend *b);

/* Bit per enum revshell_hook on which a program is attached now. */
uint64_t backend_attached_hooks(const struct backend *b);

/* Bytes of kernel memory that its maps are charged for, as /proc/self/fdinfo tells; 0: unknown. */
uint64_t backend_map_bytes(const struct backend *b);

/* The result of the self-test in words, for status and doctor. */
const char *backend_selftest_result(const struct backend *b);
