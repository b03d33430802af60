/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verbs of revshellctl share: options, the connection, errors, output. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>

#include <systemd/sd-bus.h>

#include "diag.h"
#include "event.h"
#include "macro.h"
#include "policy.h"
#include "ruleset.h"
#include "simulate-facts.h"

/* Exit statuses, as in revshellctl(1). */
enum {
	CTL_OK = 0, /* status: enforcing */
	CTL_FAILED = 1,
	CTL_ABSENT = 3, /* no daemon */
	CTL_DENIED = 4, /* no permission */
	CTL_MONITOR = 5,
	CTL_DEGRADED = 7, /* enforcement was asked for, or nothing is seen at all */
	CTL_DENIES = 10,  /* simulate: the call would not come through */
	CTL_DEPENDS = 11, /* simulate: that depends on what was not told */
};

enum ctl_json {
	CTL_JSON_OFF,
	CTL_JSON_SHORT,
	CTL_JSON_PRETTY,
};

/* The options after the verb; a verb names those it takes. */
enum ctl_option {
	CTL_OPT_REASON = 1,
	CTL_OPT_FOLLOW = 2,
	CTL_OPT_LINES = 4,
	CTL_OPT_OUTPUT = 8,
	CTL_OPT_FILTER = 16, /* --policy, --verdict */
	CTL_OPT_CHECK = 32,  /* --tetragon */
	CTL_OPT_CHANGE = 64, /* --dry-run, --runtime */
	CTL_OPT_MASK = 128,
	CTL_OPT_REPLACE = 256,
	CTL_OPT_CONFIRM = 512,
	CTL_OPT_DISARM = 1024,
	CTL_OPT_METRICS = 2048,
	CTL_OPT_EXE = 4096,
	CTL_OPT_OFFLINE = 8192,
	CTL_OPT_FACTS = 16384, /* of a call: all of enum sim_word but the executable */
	CTL_OPT_SINCE = 32768,
};

struct ctl {
	const char *where; /* "system", "session", or an address */
	const char *host;  /* ssh destination, or NULL */
	unsigned int json; /* enum ctl_json */
	bool no_legend;
	bool help, version; /* whatever the verb */
	uint64_t given;	    /* bit per option */
	const char *reason;
	bool follow;
	uint32_t lines;
	unsigned int format; /* enum event_format */
	const char *policy, *verdict;
	char since[32]; /* as events tell time, in whole seconds; "": not given */
	bool tetragon, offline;
	uint64_t confirm_usec; /* of --confirm; 0: not given */
	bool persist;
	bool disarm;
	bool openmetrics;
	struct sim_words words; /* of simulate; the executable is one of events too */
	bool dry_run, runtime, mask, replace_all;
	sd_bus *bus; /* opened by the first call */
};

#define CTL_HINT_HELP "Hint: see 'revshellctl help'."

/* options.c */

/* Reads all options; optind is then that of the first other argument. Returns 0, or CTL_FAILED
 * after telling what is wrong. */
int ctl_read_options(struct ctl *c, int argc, char **argv);

/* An option that was given and is of none of these groups (enum ctl_option), or NULL. */
const char *ctl_surplus_option(const struct ctl *c, unsigned int groups);

/* Whether one of the group was given. */
bool ctl_has_option(const struct ctl *c, unsigned int group);

/* Those of these groups; 0: those that every verb takes. */
void ctl_print_options(unsigned int groups);
json_t *ctl_options_json(unsigned int groups);

/* client.c */

/* Opens the connection if there is none. Returns 0 or -errno, and tells nothing. */
int ctl_open(struct ctl *c);

/* Whether a daemon has the name on the open connection; asking starts none. */
bool ctl_is_running(struct ctl *c);

/* The same for all others: returns 0 or an exit status after telling why. */
int ctl_connect(struct ctl *c, const char *action);

/* A call of a Manager method, ready to be appended to, or of another interface's. */
int ctl_new_call(struct ctl *c, const char *interface, const char *member, sd_bus_message **ret_m);

/*
 * Sends m and waits. Takes m in any case. r is what building it returned: negative fails here.
 * Returns 0, or an exit status after "revshellctl: Failed to ACTION: ..." and a hint.
 */
int ctl_call(struct ctl *c, const char *action, sd_bus_message *m, int r,
	     sd_bus_message **ret_reply);

/* Tells a failure on standard error and returns the exit status that fits. */
int ctl_fail(const char *action, int r, const sd_bus_error *error);

/* Replies that are not of the agreed form. */
int ctl_fail_reply(const char *action, int r);

/* What was warned of in what is in force, on standard error; nothing if that cannot be had. */
void ctl_tell_warnings(struct ctl *c);

/* A failure with reason and hint (or NULL) in words; returns CTL_FAILED. */
int ctl_fail_text(const char *action, const char *reason, const char *hint);

/* Reads a variant that holds an array of names. 0 or -errno. */
int ctl_read_names(sd_bus_message *m, void (*fn)(const char *name, void *userdata), void *userdata);

/* The a{sv} of SetMode. */
int ctl_append_mode_options(const struct ctl *c, sd_bus_message *m);
int ctl_append_reason(const struct ctl *c, sd_bus_message *m); /* the whole a{sv} */

/* The a{sv} of a change of policies, as the options say. */
int ctl_append_change_options(const struct ctl *c, sd_bus_message *m);

/* The Manager's properties that decide on the exit status, and those that status shows. */
struct ctl_state {
	char *version, *mode, *effective, *backend, *self_test, *digest, *reload_error;
	char *mode_source;	/* NULL: of an older daemon */
	uint64_t rollback_usec; /* 0: no mode is on trial */
	int locked;
	bool can_lock;
	char *sandbox; /* NULL: of a daemon that has none */
	uint64_t generation, reload_usec;
	uint32_t n_policies;
};

int ctl_get_state(struct ctl *c, const char *action, struct ctl_state *ret_state);
void ctl_state_done(struct ctl_state *s);
int ctl_state_exit(const struct ctl_state *s);

/* verb-policy.c: for all that asks for policies. They return 0 or an exit status after telling why.
 */

struct ctl_policy { /* texts point into the message */
	const char *id, *origin, *mode, *effective, *digest, *path;
	int enabled;
};

/* The reply of ListPolicies, in whose array ctl_read_policy reads on; the caller drops it. */
int ctl_list_policies(struct ctl *c, const char *action, sd_bus_message **ret_reply);

/* Returns 1, 0 at the end, or -errno. */
int ctl_read_policy(sd_bus_message *m, struct ctl_policy *line);

int ctl_get_source(struct ctl *c, const char *action, const char *id, char **ret_text);

/* offline.c */

/* As the daemon's backend compiles, on a host whose namespaces need not be known here. */
struct ruleset_options ctl_offline_options(void);

/*
 * The policies of a file or a directory, or (path NULL) of the package's directories. Returns as
 * policy_load_file does.
 */
int ctl_load_policies(char *path, const struct policy_options *opts, struct diag *d,
		      struct policy_set *set);

void ctl_print_diag(FILE *f, const struct diag *d);

/* verb-events.c: the a{sv} that picks events, none numbered above until (0: not asked). */
int ctl_append_filter(const struct ctl *c, sd_bus_message *m, uint64_t until);

/* rules.c */

/* The policies that a call is held against, and what compiled them. */
struct ctl_rules {
	struct ruleset *rs;
	struct ruleset_options opts;
	int mode;	     /* enum revshell_mode in force; -1: they are files */
	uint64_t generation; /* 0 likewise */
};

/* Those of files and directories, or (without --offline) those in force. Returns 0 or an exit
 * status after telling why. */
int ctl_get_rules(struct ctl *c, const char *action, int argc, char **argv,
		  struct ctl_rules *ret_rules);
void ctl_rules_done(struct ctl_rules *r);

/* report.c: prints what sim_report() found, and drops the reference. Returns an exit status. */
int ctl_print_report(const struct ctl *c, json_t *report);

/* output.c */

/* The text of a key, "" if there is none. */
const char *ctl_text(const json_t *obj, const char *key);

/* Prints what policies and events say, whatever bytes they put there. */
void ctl_put_quoted(const char *s);

/* Prints as --json asks and drops the reference; with CTL_JSON_OFF as if pretty. */
int ctl_print_json(const struct ctl *c, json_t *value);

struct libscols_table;

/* A table with the headings, ended by NULL; headings that begin with '>' align right. */
struct libscols_table *ctl_table_new(const struct ctl *c, const char *const *headings);

/* Adds a line; cells ends with NULL. */
int ctl_table_add(struct libscols_table *t, const char *const *cells);

/* Prints and frees. */
int ctl_table_print(struct libscols_table *t);

bool ctl_use_color(void);

/* Verbs: argv[0] is the verb's last word. Each returns an exit status. */
int verb_status(struct ctl *c, int argc, char **argv);
int verb_enforce(struct ctl *c, int argc, char **argv);
int verb_reload(struct ctl *c, int argc, char **argv);
int verb_stats(struct ctl *c, int argc, char **argv);
int verb_version(struct ctl *c, int argc, char **argv);
int verb_events(struct ctl *c, int argc, char **argv);
int verb_simulate(struct ctl *c, int argc, char **argv);
int verb_explain(struct ctl *c, int argc, char **argv);
int verb_policy_list(struct ctl *c, int argc, char **argv);
int verb_policy_check(struct ctl *c, int argc, char **argv);
int verb_policy_cat(struct ctl *c, int argc, char **argv);
int verb_policy_diff(struct ctl *c, int argc, char **argv);
int verb_policy_show(struct ctl *c, int argc, char **argv);
int verb_policy_add(struct ctl *c, int argc, char **argv);
int verb_policy_remove(struct ctl *c, int argc, char **argv);
int verb_apply(struct ctl *c, int argc, char **argv);
int verb_doctor(struct ctl *c, int argc, char **argv);
int verb_confirm(struct ctl *c, int argc, char **argv);
int verb_lock(struct ctl *c, int argc, char **argv);
int verb_rollback(struct ctl *c, int argc, char **argv);
int verb_stop(struct ctl *c, int argc, char **argv);
int verb_policy_mode(struct ctl *c, int argc, char **argv);
int verb_policy_enable(struct ctl *c, int argc, char **argv);
int verb_policy_disable(struct ctl *c, int argc, char **argv);
