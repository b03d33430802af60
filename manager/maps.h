/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a compiled rule set to the kernel maps of one generation. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "diag.h"
#include "revshell-abi.h"
#include "ruleset.h"

/* Descriptors of the outer maps; not owned. */
struct maps_outer {
	int active;
	int hooks;
	int rows;
	int pages;
	int nodes;
	int denials;
	int paths;
	int prefixes;
	int postfixes;
	int cidr6;
	int numbers;
	int unix_paths;
	int units;
};

/* What hangs in a slot, by its place in struct maps_slot. */
enum maps_which {
	MAPS_ROWS,
	MAPS_PAGES,
	MAPS_NODES,
	MAPS_DENIALS,
	MAPS_NUMBERS,
	MAPS_UNIX,
	MAPS_UNITS,
	MAPS_PATHS, /* of the executable, and of its parent */
	MAPS_PREFIXES = MAPS_PATHS + 2,
	MAPS_POSTFIXES = MAPS_PREFIXES + 2,
	MAPS_CIDR6 = MAPS_POSTFIXES + 2, /* by hook, then dimension */
	MAPS_INNERS = MAPS_CIDR6 + REVSHELL_HOOK_MAX * REVSHELL_ADDR_DIMS,
};

/* What the slot's last generation hung into the outer maps; zeroed: nothing. */
struct maps_slot {
	struct maps_inner {
		bool hangs;	 /* some map does */
		bool kept;	 /* this one: */
		int fd;		 /* owned */
		uint64_t digest; /* of its content, under the secret */
	} inners[MAPS_INNERS];
};

/* Lets go of the maps that a slot keeps. hangs: some may hang in each element, nobody knows what.
 */
void maps_slot_forget(struct maps_slot *slot, bool hangs);

/*
 * Hangs all inner maps of rs into a slot of the outer maps, which must not be current. slots,
 * REVSHELL_SLOTS of them, say what hangs where and receive it. Maps are new or hold the same as
 * before, so nothing that a running program may still read is written. secret keys the hashes of
 * long paths. ret_active receives the map that, put into outer->active, makes the generation
 * current, ret_digest what maps_digest() then says. Returns 0 or -errno with an error in d.
 */
int maps_build(const struct maps_outer *outer, const struct ruleset *rs, uint32_t slot,
	       uint64_t generation, const struct revshell_secret *secret, struct maps_slot *slots,
	       struct diag *d, int *ret_active, uint64_t *ret_digest);

/*
 * A digest of all that maps_build() writes of rs into a slot under secret, but for the generation's
 * number, and of which maps it hangs there, the current one included. Names and texts of the
 * policies are part of it: a generation's number stands for them too. 0 or -errno.
 */
int maps_digest(const struct maps_outer *outer, const struct ruleset *rs, uint32_t slot,
		const struct revshell_secret *secret, uint64_t *ret_digest);

/* One store; waits until no program run can still see the generation before. */
int maps_activate(const struct maps_outer *outer, int active);

/* The key of a path as the programs make it. */
void maps_path_key(const char *path, size_t len, const struct revshell_secret *secret,
		   struct revshell_path_key *ret_key);

/*
 * The number trie's entries for rs, lineage by its hashes under secret included: ret_keys and
 * ret_values receive new arrays of *ret_n.
 */
int maps_numbers(const struct ruleset *rs, const struct revshell_secret *secret,
		 struct revshell_number_key **ret_keys, uint64_t **ret_values, size_t *ret_n);
