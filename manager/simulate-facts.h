/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The facts of a call in words, as the command line and Simulate tell them, and those of an event.
 */
#pragma once

#include "policy.h"
#include "simulate.h"

/* What may be told of a call: an option of revshellctl, and a key of Simulate. */
#define SIM_WORDS(X)              \
	X(EXE, "exe")             \
	X(HOOK, "hook")           \
	X(DST, "dst")             \
	X(SRC, "src")             \
	X(FAMILY, "family")       \
	X(TYPE, "type")           \
	X(PROTOCOL, "protocol")   \
	X(STATE, "state")         \
	X(ARG, "arg")             \
	X(PARENT, "parent")       \
	X(LINEAGE, "lineage")     \
	X(UID, "uid")             \
	X(GID, "gid")             \
	X(AUID, "auid")           \
	X(PID, "pid")             \
	X(ANCESTORS, "ancestors") \
	X(UNIT, "unit")           \
	X(STDIO, "stdio")         \
	X(CAPS, "caps")           \
	X(NAMESPACES, "namespaces")

enum sim_word {
#define X(id, name) SIM_WORD_##id,
	SIM_WORDS(X)
#undef X
		SIM_WORD_MAX,
};

const char *sim_word_name(enum sim_word word);

struct sim_words {
	const char *told[SIM_WORD_MAX]; /* NULL: not told */
	bool numeric;			/* users and groups by number only: nobody else is asked */
	const uint64_t *host_ns;	/* as of struct ruleset_options */
};

/* What is wrong with a word. */
struct sim_mistake {
	char text[512];
	const char *hint; /* or NULL */
};

/* An operation with its calls. Strings are those of the words, an event's, or owned. */
struct sim_facts {
	struct sim_call calls[2];
	struct sim_operation op;
	char *owned; /* lists cut into their parts, each a string after the other */
	size_t owned_size;
};

/* Returns 0, -ENOMEM, or -EINVAL with what is wrong. Words have to outlive the facts. */
int sim_facts_read(const struct sim_words *words, struct sim_facts *ret_facts,
		   struct sim_mistake *ret_mistake);
void sim_facts_done(struct sim_facts *f);

/* A call of which nothing is known. */
struct sim_call sim_unknown_call(enum revshell_hook hook);

/* simulate-event.c */

/* The part of an event that all is in, or NULL. */
const json_t *sim_event_body(const json_t *event);

/* With it the answers count that the programs of the generation gave. */
struct sim_own {
	char *cgroup; /* path of the caller's, found by its number; NULL: it is gone. Is written to.
		       */
};

/*
 * What sim_report() says of an event's call, and besides: "event", what it says of itself, and
 * "match_now", what its selector does now. mode as of sim_report(); generation: in force, or 0.
 * own: what the daemon knows of events of its own; NULL: rs is not the very one that it compiled.
 * Returns 0, -ENOMEM, or -EINVAL: it is no event of this daemon.
 */
int sim_explain_event(const json_t *event, const struct ruleset *rs,
		      const struct ruleset_options *opts, int mode, uint64_t generation,
		      const struct sim_own *own, json_t **ret_report);

/* What the files of facts share. */

struct sim_reading {
	const struct sim_words *words;
	struct sim_facts *facts;
	struct sim_mistake *mistake;
};

/* Says "bad value for --WORD", with a hint or NULL. Returns -EINVAL. */
int sim_bad_word(const struct sim_reading *r, enum sim_word word, const char *hint);

/* NAME in any case, with or without prefix, by the names that policies have; or a number. */
bool sim_parse_name(const char *s, const char *prefix, int (*parse)(const char *s), uint64_t max,
		    uint64_t *ret_number);

static inline void sim_know(struct sim_call *call, uint64_t facts)
{
	call->unknown &= ~facts;
}

static inline void sim_put_int(struct sim_call *call, unsigned int slot, int64_t value)
{
	call->object.ints[slot] = value;
	sim_know(call, SIM_DIM_BIT(REVSHELL_DIM_INT0 + slot));
}

/* simulate-facts-process.c: what is told of the process, and integer arguments. */
int sim_read_process(const struct sim_reading *r, struct sim_call *call);
