/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon's state: backend, rule sets by generation, modes, reload, statistics per policy. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <systemd/sd-event.h>

#include "backend.h"
#include "diag.h"
#include "event-reader.h"
#include "history.h"
#include "log.h"
#include "ratelimit.h"
#include "ruleset.h"
#include "sink.h"
#include "stream.h"
#include "symbols.h"
#include "tally.h"

/* Rule sets kept, the current one included: events of an older one may still be on their way. */
#define MANAGER_GENERATIONS	4U

/* Events handled in one turn of the event loop, so that a storm leaves time for the bus. */
#define MANAGER_EVENTS_PER_TURN 512U

#define MANAGER_MAX_OVERRIDES	4096U

/* Who asked for a change: goes to the log, decides nothing. */
struct manager_who {
	const char *via; /* "bus", "signal", "start" */
	uid_t uid;
	pid_t pid;
	const char *reason; /* in their words, or NULL */
};

/* Since the policy was first loaded; kept across reloads by name. */
struct manager_counts {
	uint64_t matches;
	uint64_t denials;      /* denied or killed, not would-deny */
	uint64_t denials_told; /* of these, to the observer */
};

struct manager_generation {
	uint64_t number;
	struct ruleset *rs;
	uint64_t *loaded_usec; /* rs->policies.n; CLOCK_REALTIME, when the text came in force */
	struct manager_counts
		*counts; /* rs->policies.n; only the newest generation's are current */
};

/* A policy's mode as set at run time, above its own option. */
struct manager_override {
	char *name;
	enum policy_mode mode;
};

enum manager_property {
	MANAGER_MODE = 1,	/* Mode, EffectiveMode, ModeSource */
	MANAGER_GENERATION = 2, /* Generation, NPolicies, PolicySetDigest */
	MANAGER_RELOAD = 4,	/* LastReloadError, LastReloadUSec */
	MANAGER_EVENTS = 8,	/* whether events are read: no property */
	MANAGER_LOCK = 16,	/* Locked */
};

/* How two policy sets differ; strings are owned by the rule sets they came from. */
struct manager_diff {
	const char **added;
	size_t n_added;
	const char **changed; /* text or mode */
	size_t n_changed;
	const char **removed;
	size_t n_removed;
};

/* What others want to hear of changes; every member may be NULL. */
struct manager_observer {
	void *userdata;
	void (*properties_changed)(void *userdata, unsigned int properties);
	void (*policies_changed)(void *userdata, uint64_t generation,
				 const struct manager_diff *diff);
	void (*reloading)(void *userdata, bool begin);
	/* More denials of a policy, and all since it was first loaded; once a second at most. */
	void (*denied)(void *userdata, const char *policy, uint64_t n, uint64_t total);
};

struct manager {
	const struct log *log;
	sd_event *event;
	char *const *dirs; /* not owned */
	size_t n_dirs;
	enum policy_fallback fallback; /* of policies that name none, where nothing can be denied */
	enum sandbox_mode sandbox;     /* that the daemon has entered */
	const char *state_dir;	       /* of the mode that persists, or NULL */
	bool mode_is_configured;       /* each start sets it */
	bool may_be_empty; /* a set without policies is fine as long as none were loaded */
	struct backend *backend;
	sd_event_source *events_source;
	sd_event_source *backlog_source; /* on: records wait in the queue */
	struct event_reader reader;
	struct manager_generation generations[MANAGER_GENERATIONS]; /* newest first */
	size_t n_generations;
	struct manager_override *overrides;
	size_t n_overrides;
	enum revshell_mode mode;
	const char *mode_source; /* default, option, kernel, kept, persisted, bus, trial or
				    rollback */
	struct manager_trial {
		uint64_t deadline_ns; /* CLOCK_BOOTTIME; 0: no mode is on trial */
		enum revshell_mode previous;
		sd_event_source *timer;
	} trial;
	struct diag warnings; /* of the generation in force */
	char *last_error; /* of the last reload, lines of FILE:LINE:COLUMN: ...; "" if it went well
			   */
	uint64_t last_reload_usec; /* CLOCK_REALTIME */
	int64_t boot_offset_ns;	   /* CLOCK_REALTIME minus CLOCK_BOOTTIME, as events are told */
	struct history history;
	struct stream_set streams;
	struct sink *sinks;
	struct tally tally;
	sd_event_source *denied_timer; /* on: denials were told less than a second ago */
	sd_event_source *loss_timer;
	uint64_t losses_told;
	struct manager_watchdog {
		sd_event_source *timer;
		uint64_t interval_usec;
		bool feeds;    /* the service manager waits for it */
		bool starved;  /* and why was told */
		bool waiting;  /* events waited at the last look */
		uint64_t seen; /* events_read at the last look */
	} watchdog;
	uint64_t events_read;
	uint64_t events_stale;			    /* of a generation no longer kept */
	uint64_t events_refused;		    /* contradicting their rule set */
	uint64_t events_lost;			    /* no memory */
	uint64_t events_limited[REVSHELL_HOOK_MAX]; /* kept back by a rateLimit here */
	struct ratelimit *ratelimit;
	struct symbols *symbols;
	int events_failure; /* -errno of the last reading that failed, as told */
	bool events_deaf;   /* given up for it */
	char node[65];	    /* host name */
	struct manager_observer observer;
};

/* dirs and log must outlive the manager. Nothing is loaded yet. */
int manager_new(sd_event *event, const struct log *log, char *const *dirs, size_t n_dirs,
		struct manager **ret_manager);
void manager_free(struct manager *m);
DEFINE_CLEANUP(struct manager *, manager_free)

/*
 * Reads the policy directories into ret_set, which must be empty. Returns 0, or -errno with the
 * reasons in d.
 */
int manager_read_policies(struct manager *m, struct diag *d, struct policy_set *ret_set);

/* Opens what is configured, which must outlive the manager. Files that cannot be opened are logged
 * and tried again; -errno only for what will not come right. */
int manager_open_sinks(struct manager *m, const struct sink_config *config);

/*
 * From now on looks after what enforces, and feeds the service manager's watchdog (of so many
 * microseconds; 0: there is none) only while that is whole and events are read.
 */
int manager_watch(struct manager *m, uint64_t watchdog_usec);

/* Takes over an open backend. */
int manager_set_backend(struct manager *m, struct backend *b);

/*
 * From now on takes events from the backend, by a thread that enters a sandbox of its own. Returns
 * 0, or -errno and what it could not do.
 */
int manager_listen(struct manager *m, enum sandbox_mode sandbox, const char **ret_step);

/* The lock is on, and this would weaken what is enforced. */
#define MANAGER_LOCKED (-EKEYREJECTED)

/*
 * Until the next boot nothing may be weakened: policies that are enforced stay as they are, the
 * mode is not taken back, and the kernel keeps root from our programs, maps, pins and processes. 0
 * also if it is locked already. -EBUSY: a change waits for confirmation. Else -errno, and a reason
 * or NULL.
 */
int manager_lock(struct manager *m, const struct manager_who *who, char **ret_reason);

/*
 * Compiles set, publishes it, and makes it the current generation; takes the policies on success
 * only. On error the generation in force stays whole. MANAGER_LOCKED: with the policies in d.
 */
int manager_commit(struct manager *m, struct policy_set *set, struct diag *d);

/* Every change is logged with who asked for it. id: one of messages.h, or NULL. */
void manager_log_message(const struct manager *m, int level, const char *id,
			 const struct manager_who *who, const char *fmt, ...) _printf_(5, 6);
#define manager_log_change(m, level, who, ...) manager_log_message(m, level, NULL, who, __VA_ARGS__)

/* Reads, compiles and publishes anew: all or nothing. last_error tells the outcome. */
int manager_reload(struct manager *m, const struct manager_who *who, struct diag *d);

/*
 * -EBUSY: a change waits for confirmation. -EOPNOTSUPP: policies could not be carried out, see
 * manager_why_degraded(). Or MANAGER_LOCKED.
 */
int manager_set_mode(struct manager *m, enum revshell_mode mode, const struct manager_who *who);

/*
 * The same, also for the next start that finds nothing in force. Where that cannot be kept nothing
 * changes, and *ret_kept is the -errno of it, which is returned too.
 */
int manager_persist_mode(struct manager *m, enum revshell_mode mode, const struct manager_who *who,
			 int *ret_kept);

/* The mode that was kept so. Whatever is wrong with it is logged. */
bool manager_persisted_mode(const struct manager *m, enum revshell_mode *ret_mode);

/* The same at start, where what can be carried out of it is better than nothing. */
int manager_start_mode(struct manager *m, enum revshell_mode mode, const struct manager_who *who);

#define MANAGER_MAX_TRIAL_USEC (24ULL * 60 * 60 * 1000000)

/*
 * Enforces for so long; without manager_confirm() in that time the mode before comes back. The
 * deadline stands in the kernel too, so it holds if the daemon dies. Where enforcement is on
 * already nothing changes. -EBUSY: a change waits. -ERANGE: no time at all, or more than a day.
 * MANAGER_LOCKED: what is on trial may fall back.
 */
int manager_try_enforce(struct manager *m, uint64_t confirm_usec, const struct manager_who *who);

/* Ends the daemon. disarm: nothing stays in force behind it; or MANAGER_LOCKED. */
int manager_stop(struct manager *m, bool disarm, const struct manager_who *who);

/* -ENODATA: nothing waits for confirmation. */
int manager_confirm(struct manager *m, const struct manager_who *who);
int manager_rollback(struct manager *m, const struct manager_who *who);

/* What compile has to know: the backend, and what was configured. */
struct ruleset_options manager_ruleset_options(const struct manager *m);

/* How many policies want to deny what this backend cannot, and what would help; or NULL. */
size_t manager_count_degraded(const struct manager *m);
char *manager_why_degraded(const struct manager *m);

/*
 * What happens to verdicts now: "enforce", "monitor", "degraded" where some policies cannot be
 * carried out, or "off" where nothing reaches the kernel.
 */
const char *manager_effective_mode(const struct manager *m);

enum manager_policy_mode {
	MANAGER_POLICY_ENFORCE = POLICY_MODE_ENFORCE,
	MANAGER_POLICY_MONITOR = POLICY_MODE_MONITOR,
	MANAGER_POLICY_OFF = POLICY_MODE_OFF,
	MANAGER_POLICY_DEFAULT, /* as its own option says */
	MANAGER_POLICY_MODES,
};

const char *manager_policy_mode_name(enum manager_policy_mode mode);
/* An enum manager_policy_mode, or -EINVAL. */
int manager_policy_mode_parse(const char *s);

enum manager_change_kind {
	MANAGER_PUT,
	MANAGER_REMOVE,
	MANAGER_SET_MODE,
};

struct manager_change {
	enum manager_change_kind kind;
	const char *id;		       /* with MANAGER_PUT "": whatever text says */
	const char *text;	       /* MANAGER_PUT: one document; with id "" any number */
	enum manager_policy_mode mode; /* MANAGER_SET_MODE */
};

/* Changes that come into force together, as one generation, or not at all. */
struct manager_transaction {
	const struct manager_change *changes;
	size_t n;
	uint64_t expected; /* generation that must be in force, or 0 */
	bool dry_run;	   /* check only */
	bool runtime;	   /* files go to the directory below /run */
	bool replace_all;  /* policies that are not put are removed */
	bool mask;	   /* policies of a lower directory may be removed, by hiding their file */
	uint64_t *ret_generation;
	char **ret_id; /* which policy an error is about, or NULL */
};

/*
 * Files first, kernel second, and back if that fails. Modes are not written to files. Errors:
 * -ESTALE: another generation. -ENOENT: no such policy. -EPERM: it holds no action that enforces.
 * -EROFS: it is in a directory of lower precedence. -EEXIST: in one of higher precedence.
 * -EOPNOTSUPP: there is no directory below /run. -EIO: what was there could not be brought back.
 * -EINVAL, -E2BIG with errors in d. -EUCLEAN: its file was not read from a directory. Others are of
 * the disk, or of manager_commit.
 */
int manager_apply(struct manager *m, const struct manager_transaction *t,
		  const struct manager_who *who, struct diag *d);

/* Settles what an earlier run left half done in the policy directories. Before they are read. */
void manager_recover(struct manager *m);

/* "enforce", "monitor", "monitor-only" for a policy that holds no action that enforces, or "off".
 */
const char *manager_policy_mode(const struct manager *m, size_t policy);

/* The weaker of its mode and manager_effective_mode(), "off" being the weakest; "degraded" if it
 * cannot be carried out. */
const char *manager_policy_effective(const struct manager *m, size_t policy);

/* The index into the current set, or -ENOENT. */
ssize_t manager_find_policy(const struct manager *m, const char *name);

/* The current generation; never NULL once manager_commit has returned 0. */
static inline const struct manager_generation *manager_current(const struct manager *m)
{
	return m->n_generations > 0 ? &m->generations[0] : NULL;
}

/* For a forked process that has no use for policies. */
void manager_forget_generations(struct manager *m);

/* Tells the service manager state ("READY=1\n" or "") and a STATUS= line. Needs a generation. */
void manager_notify(const struct manager *m, const char *state);

/* Checks text as a reload would, without effect. Results go to d; returns as policy_load_text. */
int manager_validate(const struct manager *m, const char *text, size_t size, const char *origin,
		     struct diag *d);

/* The errors in d, one formatted line each, at most max_items; new string or NULL. */
char *manager_format_errors(const struct diag *d, size_t max_items);
