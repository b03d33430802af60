/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A compiled rule set: what one generation's maps will hold, and what its selectors mean. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "diag.h"
#include "policy.h"
#include "revshell-abi.h"

/* What selector number i of a hook stands for: the way from an event back to its policy. */
struct ruleset_selector {
	uint32_t policy;   /* index into ruleset.policies */
	uint32_t entry;	   /* index into its entries */
	uint32_t selector; /* index into the entry's selectors; padding: UINT32_MAX */
	bool early;	   /* stands here ahead of its own hook */
};

struct ruleset_hook {
	size_t n_selectors; /* padding included; 0: hook not needed */
	struct ruleset_selector *selectors;
	struct revshell_hook_cfg cfg;	 /* generation and slot are filled in when maps are built */
	struct revshell_denial *denials; /* n_selectors */
};

struct ruleset_path {
	char *path; /* as compared */
	size_t len;
	bool exempts; /* file identity is compared: value.ino and dev are learned by the backend */
	struct revshell_path_value value;
};

struct ruleset_affix {
	char *text; /* postfixes are stored as written, not reversed */
	size_t len;
	struct revshell_affix_value value;
};

struct ruleset_cidr {	  /* IPv6 */
	uint8_t prefix;	  /* bits */
	uint8_t addr[16]; /* network byte order, host bits zero */
	uint32_t row;
};

struct ruleset_trie {
	struct ruleset_cidr *v6; /* sorted by addr, then prefix */
	size_t n_v6;
	size_t n_v4; /* prefixes that the hook's address tree was made of */
};

/* A prefix in the number trie; those of one space are disjoint. */
struct ruleset_number {
	uint32_t space; /* REVSHELL_SPACE_* */
	uint8_t bits;	/* leading bits of value that count */
	uint64_t value; /* as in the key, host byte order; the other bits are zero */
	uint64_t result;
};

/* A UNIX socket's path with its NUL, or the beginning of paths, without. */
struct ruleset_unix {
	enum revshell_hook hook;
	uint32_t row;
	uint8_t len; /* bytes of data in use */
	char data[sizeof(((struct revshell_unix_key *)NULL)->data)];
};

struct ruleset_unit {
	char *name; /* of the cgroup */
	uint64_t word;
};

/* An executable that LINEAGE or PARENT_LINEAGE predicates name. Goes into the number trie by its
 * path's hash. */
struct ruleset_lineage {
	enum revshell_fact fact;
	char *path;
	uint64_t host;	  /* word for one reached in the host's mount namespace */
	uint64_t foreign; /* in another one */
};

struct ruleset {
	struct policy_set policies; /* owned; selectors refer into it */
	struct policy_effective {
		enum policy_mode mode; /* as in force for this policy, global mode aside */
		bool enabled;
		bool degraded;	    /* it wants to deny, the backend cannot, and nothing was named
				       that would do in its place: mode is monitor */
		bool kills_instead; /* what it denies is killed, since that is all that can be done
				     */
		bool track_sock;    /* its events name the creator of the socket */
	} * effective;		    /* policies.n */
	struct ruleset_hook hooks[REVSHELL_HOOK_MAX];
	struct revshell_row *rows; /* row 0: every bit set */
	size_t n_rows;
	struct revshell_port_page *pages;
	size_t n_pages;
	struct revshell_addr_node *nodes; /* of address trees; the roots are in the hooks' cfg */
	size_t n_nodes;
	struct ruleset_path *paths[2]; /* [0] executable, [1] parent; sorted by path */
	size_t n_paths[2];
	struct ruleset_affix *prefixes[2]; /* sorted by text */
	size_t n_prefixes[2];
	struct ruleset_affix *postfixes[2];
	size_t n_postfixes[2];
	struct ruleset_trie tries[REVSHELL_HOOK_MAX][REVSHELL_ADDR_DIMS];
	struct ruleset_number *numbers; /* sorted by space, value */
	size_t n_numbers;
	struct ruleset_unix *unix_paths; /* sorted by hook, data */
	size_t n_unix_paths;
	struct ruleset_unit *units; /* sorted by name */
	size_t n_units;
	struct ruleset_lineage *lineage; /* sorted by fact, path */
	size_t n_lineage;
	size_t n_predicates;
	bool track_sock; /* some entry asks for the owners of sockets */
	uint64_t digest; /* over the digests of policies, tells sets apart */
};

struct ruleset_options {
	/* Backend facts that change what is compiled. */
	bool observe_tcp_connect;  /* a program on tcp_connect exists to report what it sees */
	bool observe_listen_start; /* one on inet_csk_listen_start */
	uint64_t hooks;		   /* bit per enum revshell_hook that has a program; 0: all have */
	bool cannot_deny;	   /* programs only see, and send signals after the fact */
	enum policy_fallback fallback; /* then: for policies that name none themselves */
	bool no_track_sock;	       /* sockets cannot remember who created them */
	uint64_t host_ns[NS_MAX];      /* inode numbers of the host's namespaces; 0: not known */
};

/* The mode wanted for one policy, over its own option; NULL name ends the array. */
struct ruleset_mode {
	const char *name;
	enum policy_mode mode;
};

/*
 * Compiles a set. Pure: the same input gives the same rule set, nothing is read from the host.
 * Takes the policies (set is left empty) on success only. modes may be NULL.
 * Returns 0, -E2BIG when a limit of revshell-abi.h is exceeded, -EINVAL (both with an error in d),
 * or -ENOMEM.
 */
int ruleset_compile(struct policy_set *set, const struct ruleset_options *opts,
		    const struct ruleset_mode *modes, struct diag *d, struct ruleset **ret_rs);

/* Whether a match of the selector refuses the call, where its policy enforces and the hook can. */
bool ruleset_selector_denies(const struct policy_selector *s);

/* The name of a hook, "socket_connect", and back (REVSHELL_HOOK_MAX: none). */
const char *ruleset_hook_name(enum revshell_hook hook);
enum revshell_hook ruleset_hook_parse(const char *name);

/* Whether a socket of the protocol can match any selector of the hook, as far as that tells. */
bool ruleset_admits_protocol(const struct ruleset *rs, enum revshell_hook hook,
			     unsigned int protocol);

/* struct revshell_hook_cfg.fold_bits of a hook with n_words words, which are at least one. */
uint32_t ruleset_fold_bits(size_t n_words);

/* The fold of a row of such a hook. */
uint64_t ruleset_fold(const __u64 *words, size_t n_words);

/* Whether selector number bit is among those of words. */
static inline bool ruleset_has_bit(const __u64 *words, uint32_t bit)
{
	return words[bit / 64] >> bit % 64 & 1;
}

/* An empty rule set: every hook unused. */
int ruleset_new_empty(struct ruleset **ret_rs);

void ruleset_free(struct ruleset *rs);
DEFINE_CLEANUP(struct ruleset *, ruleset_free)

/*
 * Frees what a rule set that is no longer current is not asked for: what maps are built of, and
 * its policies' filters. Events are still told by it. keep_sources: policies keep their texts.
 * newer: the rule set after it, or NULL; policies that both hold keep all they have.
 */
void ruleset_shed(struct ruleset *rs, const struct ruleset *newer, bool keep_sources);

/* The most specific IPv6 prefix that holds addr, 16 bytes in network byte order, or NULL. */
const struct ruleset_cidr *ruleset_lookup_cidr(const struct ruleset_cidr *cidrs, size_t n,
					       const uint8_t *addr);

/* A page of ports by its number in a hook's port_page, or NULL. */
const struct revshell_port_page *ruleset_page(const struct ruleset *rs,
					      const struct revshell_hook_cfg *cfg, uint32_t index);

/*
 * Calls fn for each run of IPv4 addresses that an address dimension of a hook tells apart, in
 * order: its first address in host byte order, its row.
 */
void ruleset_each_run(const struct ruleset *rs, enum revshell_hook hook, enum revshell_dim dim,
		      void (*fn)(uint32_t first, uint32_t row, void *userdata), void *userdata);

/* The prefix that holds a value of a space, or NULL. */
const struct ruleset_number *ruleset_lookup_number(const struct ruleset *rs, uint32_t space,
						   uint64_t value);

/* The longest entry that data begins with, or NULL. data: a path and its NUL. */
const struct ruleset_unix *ruleset_lookup_unix(const struct ruleset *rs, enum revshell_hook hook,
					       const char *data, size_t len);
