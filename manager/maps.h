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

/* Which elements of the outer maps a slot has filled, so that the next user empties the rest. */
struct maps_slot {
	bool paths[2];
	bool prefixes[2];
	bool postfixes[2];
	bool cidr6[REVSHELL_HOOK_MAX][REVSHELL_ADDR_DIMS];
	bool numbers;
	bool unix_paths;
	bool units;
	uint64_t bytes; /* estimate of the kernel memory that its inner maps take */
};

/*
 * Builds all inner maps of rs and hangs them into slot of the outer maps, which must not be
 * current. filled says what the slot held and receives what it holds. The rows, pages, nodes
 * and tries are created new, so nothing that a running program may still read is written. secret
 * keys the hashes of long paths. ret_active receives the map that, put into outer->active, makes
 * the generation current, ret_digest what maps_digest() then says. Returns 0 or -errno with an
 * error in d.
 */
int maps_build(const struct maps_outer *outer, const struct ruleset *rs, uint32_t slot,
	       uint64_t generation, const struct revshell_secret *secret, struct maps_slot *filled,
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
