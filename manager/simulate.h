/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What would become of a call: the engine as compiled natively, and why each selector answers so.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>

#include "ruleset.h"

/* What a hook shows of a call. Addresses in network, ports in host byte order. */
struct sim_object {
	unsigned int sk_family;
	unsigned int sk_type;
	unsigned int sk_protocol;
	unsigned int sk_state;
	uint16_t sport;
	uint16_t dport;
	uint8_t saddr[16];
	uint8_t daddr[16];
	unsigned int sa_family;
	uint16_t sa_port;
	uint8_t sa_addr[16];
	bool sa_is_destination;
	const char *un_path;	     /* of AF_UNIX addresses; NULL: unnamed */
	int64_t ints[REVSHELL_INTS]; /* as the kernel passes them */
};

/* An executable as its process was started from it. */
struct sim_exe {
	const char *path; /* NULL: could not be had */
	bool same_file;	  /* it is the file that this path names on the host */
	bool foreign;	  /* reached in another mount namespace */
};

#define SIM_ANCESTORS 8

/* What is asked of the calling process besides its executable. */
struct sim_process {
	uint32_t uid;
	uint32_t gid;
	uint32_t loginuid;
	uint32_t pids[SIM_ANCESTORS]; /* its own, then its ancestors' */
	uint32_t nspids[SIM_ANCESTORS];
	uint64_t ns[NS_MAX];
	uint64_t caps[3];		       /* by enum policy_cap_set */
	unsigned int stdio;		       /* bit n: descriptor n is an inet socket */
	const char *units[SIM_ANCESTORS];      /* NULL: none */
	bool units_lost;		       /* there are more */
	struct sim_exe lineage[SIM_ANCESTORS]; /* earlier executables; path NULL: none */
	size_t n_inherited;		       /* the first of them: the parent's */
	bool lineage_lost;		       /* there were more */
	bool inherited_lost;		       /* of the parent's */
};

/*
 * Facts, for sets of them: what dimensions ask, and what predicates ask. EXE and PARENT stand for
 * the dimensions of beginnings and ends of paths as well; integers are dimensions.
 */
#define SIM_DIM_BIT(dim)   (1ULL << (dim))
#define SIM_FACT_BIT(fact) (1ULL << (REVSHELL_DIM_MAX + (fact)))
#define SIM_DIM(id)	   SIM_DIM_BIT(REVSHELL_DIM_##id)
#define SIM_FACT(id)	   SIM_FACT_BIT(REVSHELL_FACT_##id)

_Static_assert(REVSHELL_DIM_MAX + REVSHELL_FACT_MAX <= 64, "facts fit a set");

struct sim_call {
	enum revshell_hook hook;
	uint64_t unknown; /* facts that nobody told: they may be anything */
	__u64 answered;	  /* predicates whose answers are told all the same, by whom asked them */
	__u64 answers;
	struct sim_object object;
	struct sim_exe exe;
	struct sim_exe parent;
	struct sim_process process;
};

struct sim_outcome {
	int deny;	  /* lowest selector whose denial counts, or -1 */
	uint32_t signals; /* bit per cfg.signals[] */
	bool report;
};

/*
 * Where facts are not known there are two answers, of which the truth is between: what holds
 * whatever they are, and what does for some of them. Otherwise the two are the same.
 */
struct sim_decision {
	__u64 match[REVSHELL_WORDS]; /* selectors that match */
	__u64 may_match[REVSHELL_WORDS];
	__u64 first[REVSHELL_WORDS]; /* first match of each group */
	__u64 may_first[REVSHELL_WORDS];
	__u64 denials[REVSHELL_WORDS]; /* those whose denial counts, or may */
	struct sim_outcome outcome;
	struct sim_outcome may;
};

enum sim_answer {
	SIM_NO,
	SIM_MAYBE,
	SIM_YES,
};

const char *sim_answer_name(enum sim_answer answer); /* "maybe" */

/* simulate-engine.c */
void sim_decide(const struct ruleset *rs, const struct sim_call *call, bool enforcing,
		struct sim_decision *ret_decision);

/* What a program finds out about the caller and its UNIX address before the rest of a decision. */
__u64 sim_predicates(const struct ruleset *rs, const struct sim_call *call);
__u32 sim_unix_row(const struct ruleset *rs, const struct sim_call *call);

/*
 * simulate-unknown.c: a hook's configuration in which whatever is not known has a row of its own,
 * behind those of the rule set: the selectors that some value of it satisfies, or that all do.
 */
#define SIM_MORE_ROWS  0xff00U /* number of the first, above REVSHELL_MAX_ROWS */
#define SIM_MORE_PAGES 0xff00U /* likewise: pages of ports that stand for one row each */

struct sim_more {
	struct revshell_hook_cfg cfg;
	struct revshell_row rows[REVSHELL_DIM_MAX + REVSHELL_PREDICATES];
};

/* The facts of call->unknown that matter: what is no IP address has no port, and so on. */
uint64_t sim_open_facts(const struct sim_call *call);

/*
 * What the answers that came with a call say of a selector's filter on these facts; SIM_MAYBE: they
 * do not settle it.
 */
enum sim_answer sim_answered(const struct ruleset *rs, const struct sim_call *call,
			     uint32_t selector, uint64_t facts);

void sim_more_fill(const struct ruleset *rs, const struct sim_call *call, bool all,
		   struct sim_more *ret_more);

/* simulate-filter.c */

/* Why a selector of a hook matches a call, or does not: its filters one by one. */
struct sim_reason {
	enum sim_answer answer;
	struct diag_pos pos; /* of the first filter that is not satisfied, or may not be */
	char *text;	     /* "matchArgs[1] SPort 4444: port is 80"; NULL: all are */
	uint64_t facts;	     /* that the answer depends on */
};

/* selector: its number on the call's hook, not of padding. Returns 0 or -ENOMEM. */
int sim_explain(const struct ruleset *rs, const struct ruleset_options *opts,
		const struct sim_call *call, uint32_t selector, struct sim_reason *ret_reason);
void sim_reason_done(struct sim_reason *r);

/* simulate-report.c */

/* The calls that one operation makes, in the order in which they come: until one is denied. */
struct sim_operation {
	const struct sim_call *calls;
	size_t n_calls;
	uint64_t if_facts; /* facts that decide whether those after the first come at all; 0: they
			      do */
};

/*
 * What comes of an operation and why, as revshellctl(1) describes it under simulate. mode: an enum
 * revshell_mode in force, or -1 where there is none. Returns 0 or -ENOMEM.
 */
int sim_report(const struct ruleset *rs, const struct ruleset_options *opts,
	       const struct sim_operation *op, int mode, json_t **ret_report);
