/* SPDX-License-Identifier: GPL-2.0-only */
/* The one header both sides share: maps' keys and values, event records, limits. */
#pragma once

#ifndef __bpf__
#include <linux/types.h>
#include <stddef.h>
#endif

/*
 * Raised whenever a layout below or the meaning of a field changes: it names the directory that
 * pinned maps live in, so that a daemon never reads what another layout wrote.
 */
#define REVSHELL_ABI		 7

/* Limits. Each is checked in user space with an error that names it. */
#define REVSHELL_SELECTORS	 1024 /* selectors on one hook in one generation */
#define REVSHELL_WORDS		 (REVSHELL_SELECTORS / 64)
#define REVSHELL_GROUP_SELECTORS 64 /* selectors of one entry: an entry never crosses a word */
#define REVSHELL_MAX_ROWS	 60000
#define REVSHELL_MAX_PAGES	 4096
#define REVSHELL_MAX_BINARIES	 16384	/* exact paths in one generation */
#define REVSHELL_MAX_CIDRS	 100000 /* prefixes in one generation, both families */
#define REVSHELL_MAX_NUMBERS	 100000 /* prefixes of numbers in one generation */
#define REVSHELL_MAX_UNIX	 16384	/* paths and prefixes of UNIX sockets */
#define REVSHELL_MAX_UNITS	 4096
#define REVSHELL_PATH_INLINE	 256 /* bytes of a path kept inline, with its NUL */
#define REVSHELL_PATH_MAX	 4096
#define REVSHELL_PREFIX_MAX	 255 /* bytes of a Prefix value; an LPM key holds 256 */
#define REVSHELL_POSTFIX_MAX	 127
#define REVSHELL_SIGNALS	 8   /* distinct signals on one hook */
#define REVSHELL_PREDICATES	 64  /* distinct predicates in one generation */
#define REVSHELL_MASKS		 16  /* mask predicates on one hook */
#define REVSHELL_INTS		 4   /* integer arguments of a call */
#define REVSHELL_LINEAGE	 8   /* earlier executables that a label remembers */
#define REVSHELL_UNIT_LEVELS	 8   /* cgroups above a process's own that are looked at */
#define REVSHELL_UNIT_NAME	 128 /* bytes of a unit's name with its NUL */
#define REVSHELL_FORK_LEVELS	 9   /* ancestors that followForks looks at, the process included */
#define REVSHELL_FOLDS		 256 /* rows whose fold a hook's part of the rule set has at hand */
#define REVSHELL_HOOK_PAGES	 4   /* pages of ports likewise */
#define REVSHELL_NODE_RUNS	 64  /* runs of addresses in one node of an address tree */
#define REVSHELL_SLOTS		 2

/*
 * Hooks: the places where programs run. X(id, name of the function or LSM hook, arguments)
 * The order is ABI.
 */
#define REVSHELL_HOOKS(X)                         \
	X(CONNECT, "socket_connect")              \
	X(LISTEN, "socket_listen")                \
	X(SENDMSG, "socket_sendmsg")              \
	X(BIND, "socket_bind")                    \
	X(CREATE, "socket_create")                \
	X(ACCEPT, "socket_accept")                \
	X(SETSOCKOPT, "socket_setsockopt")        \
	X(SCTP_BIND_CONNECT, "sctp_bind_connect") \
	X(FILE_RECEIVE, "file_receive")           \
	X(TUN_DEV_CREATE, "tun_dev_create")       \
	X(PTRACE_ACCESS, "ptrace_access_check")   \
	X(PTRACE_TRACEME, "ptrace_traceme")       \
	X(TCP_CONNECT, "tcp_connect")             \
	X(LISTEN_START, "inet_csk_listen_start")  \
	X(TCP_CLOSE, "tcp_close")                 \
	X(TCP_SENDMSG, "tcp_sendmsg")             \
	X(TCP_SET_STATE, "tcp_set_state")         \
	X(UDP_SENDMSG, "udp_sendmsg")             \
	X(SK_ALLOC, "sk_alloc")                   \
	X(SK_FREE, "sk_free")                     \
	X(UNDER_SK_FREE, "__sk_free")

enum revshell_hook {
#define X(id, name) REVSHELL_HOOK_##id,
	REVSHELL_HOOKS(X)
#undef X
		REVSHELL_HOOK_MAX,
};

/*
 * Dimensions: the questions a selector can ask. A dimension maps the value at hand to a row, the
 * bitmap of the selectors which that value satisfies; selectors that do not ask are always set.
 * Evaluated in this order. Path dimensions are resolved once per process and generation.
 */
#define REVSHELL_DIMS(X)  \
	X(EXE)            \
	X(EXE_PREFIX)     \
	X(EXE_POSTFIX)    \
	X(PARENT)         \
	X(PARENT_PREFIX)  \
	X(PARENT_POSTFIX) \
	X(SK_FAMILY)      \
	X(SK_TYPE)        \
	X(SK_PROTOCOL)    \
	X(SK_STATE)       \
	X(SA_FAMILY)      \
	X(SK_SPORT)       \
	X(SK_DPORT)       \
	X(SA_PORT)        \
	X(SK_SADDR)       \
	X(SK_DADDR)       \
	X(SA_ADDR)        \
	X(UN_PATH)        \
	X(INT0)           \
	X(INT1)           \
	X(INT2)           \
	X(INT3)           \
	X(PREDICATE)

enum revshell_dim {
#define X(id) REVSHELL_DIM_##id,
	REVSHELL_DIMS(X)
#undef X
		REVSHELL_DIM_MAX,
};

/*
 * Predicates: yes-or-no questions, numbered once per generation, for all that is asked too rarely
 * to have a dimension of its own. The answers to all of them are one 64-bit word; a hook has a pair
 * of rows for each predicate that its selectors ask. Kinds, by how the answer is found: from VALUE
 * on, a number is looked up in the slot's number trie, whose value is the word of predicates that
 * the number satisfies; from MASK on, predicate and mask stand in hook_cfg.masks and the answer is
 * whether the number has a bit of the mask.
 */
#define REVSHELL_FACTS(X)                                                                        \
	X(UID) /* effective */                                                                   \
	X(GID) /* effective */                                                                   \
	X(LOGINUID)                                                                              \
	X(PID)		  /* tgid in the initial pid namespace */                                \
	X(NSPID)	  /* tgid in the innermost pid namespace */                              \
	X(FORK)		  /* tgid of the process or of an ancestor: any of them */               \
	X(NSPID_FORK)	  /* the same by the innermost namespace's numbers */                    \
	X(LINEAGE)	  /* hash of the executable or of an earlier one: any of them */         \
	X(PARENT_LINEAGE) /* the same of the parent: its executable and earlier ones */          \
	X(UNIT)		  /* name of the cgroup or of one above it: any of them; not a number */ \
	X(NS_UTS)	  /* namespaces: inode number */                                         \
	X(NS_IPC)                                                                                \
	X(NS_MNT)                                                                                \
	X(NS_PID)                                                                                \
	X(NS_PID_FOR_CHILDREN)                                                                   \
	X(NS_NET)                                                                                \
	X(NS_TIME)                                                                               \
	X(NS_TIME_FOR_CHILDREN)                                                                  \
	X(NS_CGROUP)                                                                             \
	X(NS_USER)                                                                               \
	X(CAP_EFFECTIVE) /* masks from here on: bit n is capability n */                         \
	X(CAP_INHERITABLE)                                                                       \
	X(CAP_PERMITTED)                                                                         \
	X(STDIO) /* bit n: descriptor n, 0 to 2, is an IPv4 or IPv6 socket */                    \
	X(INT0)	 /* the integer arguments */                                                     \
	X(INT1)                                                                                  \
	X(INT2)                                                                                  \
	X(INT3)

enum revshell_fact {
#define X(id) REVSHELL_FACT_##id,
	REVSHELL_FACTS(X)
#undef X
		REVSHELL_FACT_MAX,
};

#define REVSHELL_FACT_FIRST_MASK REVSHELL_FACT_CAP_EFFECTIVE

#define REVSHELL_PATH_DIMS	 6 /* EXE .. PARENT_POSTFIX */
#define REVSHELL_PORT_DIMS	 3 /* SK_SPORT, SK_DPORT, SA_PORT */
#define REVSHELL_ADDR_DIMS	 3 /* SK_SADDR, SK_DADDR, SA_ADDR */

/* Sizes of the direct tables; a value at or above the size takes the dimension's default row. */
#define REVSHELL_FAMILIES	 48
#define REVSHELL_TYPES		 16
#define REVSHELL_PROTOCOLS	 264 /* up to IPPROTO_MPTCP, 262 */
#define REVSHELL_STATES		 16

/*
 * A set of selectors of one hook. fold is tested before any word is read: with one word in use it
 * is that word, else each bit stands for a few selectors that are next to each other, as many for
 * all bits, a power of two, and is set if one of them is. See revshell_hook_cfg.fold_bits.
 */
struct revshell_row {
	__u64 fold;
	__u64 words[REVSHELL_WORDS];
};

/*
 * What a path means in one generation: an offset that, added to a hook's path_rows[dim], is the
 * row's index; and the hooks on which that row is not empty (bit per enum revshell_hook).
 */
struct revshell_class {
	__u32 id;
	__u32 hooks;
};

/* 256 ports of one page: row by port & 255. */
struct revshell_port_page {
	__u16 row[256];
};

/*
 * Node of a search tree over the runs of IPv4 addresses that mean the same. Run i goes from
 * before[i] + 1 up to where the next begins; numbers are in host byte order, so that before[0] of
 * the first address, 0, is UINT32_MAX, and is not compared with. Runs that a node does not need
 * have UINT32_MAX too and lead where the last one does.
 */
struct revshell_addr_node {
	__u32 before[REVSHELL_NODE_RUNS];
	__u16 to[REVSHELL_NODE_RUNS]; /* lowest level: row; else index into the slot's nodes */
};

/*
 * One hook's part of a generation: element of the inner map of rs_active, indexed by
 * enum revshell_hook. Rows are indices into the slot's row map. Row 0 has every selector set.
 */
struct revshell_hook_cfg {
	__u64 generation; /* counts from 1 */
	__u32 slot;	  /* 0 or 1: which half of each outer map holds this generation */
	__u32 n_words;	  /* words of rows in use; 0: no selector on this hook */
	__u64 used;	  /* bit per enum revshell_dim that some selector asks */
	__u32 fold_bits;  /* bits of a fold that stand for one word: 64, 32, 16, 8 or 4 */
	__u32 pad0;
	__u64 families; /* bit f: an object of address family f may match; 63: f >= 63. 0
			   without selectors */
	__u64 fold[REVSHELL_FOLDS]; /* of the first rows; the others' are in the rows themselves */
	__u32 path_rows[REVSHELL_PATH_DIMS];
	struct revshell_class path_default[REVSHELL_PATH_DIMS]; /* path without an entry */
	struct revshell_class path_unknown[REVSHELL_PATH_DIMS]; /* path that could not be had */
	__u32 dim_default[REVSHELL_DIM_MAX];  /* row of a value without an entry */
	__u32 no_address[REVSHELL_ADDR_DIMS]; /* row of an object that has no IP address */
	__u16 sk_family[REVSHELL_FAMILIES];   /* rows from here on */
	__u16 sa_family[REVSHELL_FAMILIES];
	__u16 sk_type[REVSHELL_TYPES];
	__u16 sk_protocol[REVSHELL_PROTOCOLS];
	__u16 sk_state[REVSHELL_STATES];
	/* By port >> 8: index into page, or REVSHELL_HOOK_PAGES plus that into the slot's pages. */
	__u16 port_page[REVSHELL_PORT_DIMS][256];
	struct revshell_port_page page[REVSHELL_HOOK_PAGES];
	__u32 addr4_below[REVSHELL_ADDR_DIMS]; /* levels of nodes below the root, 0 to 2 */
	struct revshell_addr_node addr4[REVSHELL_ADDR_DIMS]; /* IPv4 addresses: roots */
	/* Groups: one per policy entry, its selectors adjacent, the first match wins within it. */
	__u64 start[REVSHELL_WORDS]; /* first selector of each group */
	__u64 high[REVSHELL_WORDS];  /* last bit of each group, padding included */
	/* What a group's first match does. deny holds only selectors whose policy enforces. */
	__u64 deny[REVSHELL_WORDS];
	__u64 report[REVSHELL_WORDS]; /* an event is wanted */
	__u64 early[REVSHELL_WORDS];  /* decided ahead of the policy's own hook: counts only
					 while enforcing, else that hook reports */
	/* Predicates: rows by answer, 0 and 1; set for those in predicates only. */
	__u64 predicates;  /* bit per predicate that some selector asks */
	__u32 facts;	   /* bit per enum revshell_fact that these need */
	__u32 track_sock;  /* 1: events name the socket's creator; the same on every hook */
	__u32 stacks;	   /* REVSHELL_STACK_*: call stacks that some selector's events show */
	__u32 label_facts; /* those of LINEAGE, PARENT_LINEAGE, FORK, NSPID_FORK that any hook of
			      the generation needs: the label answers them for all at once */
	__u32 ints_signed; /* bit n: integer argument n is signed */
	__u32 ints_low32;  /* bit n: only its low 32 bits count, as an unsigned number */
	__u32 n_masks;
	/* Of events that are alike, one in this time, where all that ask for one are in limited. */
	__u32 rate_ms;	  /* the shortest limit of a selector on this hook; 0: none */
	__u32 rate_scope; /* enum revshell_rate_scope: the narrowest */
	__u32 pad;
	__u64 limited[REVSHELL_WORDS];
	struct revshell_mask {
		__u32 fact; /* enum revshell_fact */
		__u32 predicate;
		__u64 mask;
	} masks[REVSHELL_MASKS];
	__u32 predicate_row[REVSHELL_PREDICATES][2];
	__u32 n_signals;
	__u32 signals[REVSHELL_SIGNALS];		/* signal numbers */
	__u64 signal[REVSHELL_SIGNALS][REVSHELL_WORDS]; /* selectors that send signals[i] */
};

#define REVSHELL_STACK_KERNEL 1
#define REVSHELL_STACK_USER   2

/* Whose events are compared; from the narrowest to the widest. */
enum revshell_rate_scope {
	REVSHELL_RATE_THREAD,
	REVSHELL_RATE_PROCESS,
	REVSHELL_RATE_GLOBAL,
};

/* Per selector, read only for a denial: index hook * REVSHELL_SELECTORS + selector. */
struct revshell_denial {
	__s32 error; /* -4095 .. -1 */
};

/*
 * Exact path. len is the path's length in bytes without NUL. path holds its first 255 bytes, padded
 * with zeros. hash is 0 up to 255 bytes; above, the 64-bit SipHash-1-3 of the whole path under the
 * key of rs_secret, low word first.
 */
struct revshell_path_key {
	__u32 len;
	char path[REVSHELL_PATH_INLINE];
	__u32 hash[2];
};

struct revshell_path_value {
	struct revshell_class same;  /* the executable is the file the path names on the host */
	struct revshell_class other; /* it has that path, but is another file */
	__u64 ino;		     /* inode number; 0: not known, so never the same */
	__u32 dev;		     /* s_dev of the superblock as the kernel keeps it */
	__u32 any;		     /* 1: no exemption hangs on this path, do not compare files */
};

/* LPM keys: prefixlen in bits, then bytes. Postfix tries hold and are asked reversed paths. */
struct revshell_prefix_key {
	__u32 prefixlen;
	char data[256];
};

struct revshell_postfix_key {
	__u32 prefixlen;
	char data[128];
};

struct revshell_affix_value {
	struct revshell_class host;    /* executable reached in the host's mount namespace */
	struct revshell_class foreign; /* in another one */
};

/* Key of IPv6 prefixes: network byte order. Value: __u32 row. */
struct revshell_cidr6_key {
	__u32 prefixlen; /* 0 .. 128 */
	__u32 addr[4];
};

/* Index of a trie of IPv6 prefixes in the outer map. dim counts from REVSHELL_DIM_SK_SADDR. */
#define REVSHELL_TRIE_INDEX(slot, hook, dim) \
	(((slot)*REVSHELL_HOOK_MAX + (hook)) * REVSHELL_ADDR_DIMS + (dim))
#define REVSHELL_TRIES (REVSHELL_SLOTS * REVSHELL_HOOK_MAX * REVSHELL_ADDR_DIMS)

/*
 * Number trie. space tells what the number is: REVSHELL_SPACE_INT(hook, n) for integer argument n,
 * then the trie's value is a row; REVSHELL_SPACE_FACT(fact), then it is a word of predicates.
 * value: big-endian; signed arguments sign-extended to 64 bits with the top bit flipped, so that
 * they sort as numbers; unsigned ones and facts as they are. prefixlen: 32 plus leading bits.
 */
struct revshell_number_key {
	__u32 prefixlen;
	__u32 space; /* big-endian */
	__u8 value[8];
};

#define REVSHELL_SPACE_INT(hook, n)  (0x10000U | (hook) << 8 | (n))
#define REVSHELL_SPACE_FACT(fact)    (0x20000U | (fact))

/*
 * A word of its own, under value 0, for a fact that could not be had, whole or in part: predicates
 * that are then taken to hold besides those that do. Kept for LINEAGE (the executable's path is not
 * known, lineage_lost, no label at all), PARENT_LINEAGE (likewise) and UNIT (no cgroup, or more
 * levels than are looked at).
 */
#define REVSHELL_SPACE_UNKNOWN(fact) (0x30000U | (fact))

/*
 * UNIX socket paths. Value: __u32 row. data: the path, an abstract name with '@' for its leading
 * NUL, then a NUL, so that an entry for one whole path is its bytes and that NUL.
 * prefixlen: 32 plus 8 for each byte.
 */
struct revshell_unix_key {
	__u32 prefixlen;
	__u32 hook; /* big-endian */
	char data[112];
};

/* Unit names, zero-padded. Value: __u64 word of predicates. */
struct revshell_unit_key {
	char name[REVSHELL_UNIT_NAME];
};

/* Index of a path map: dim EXE and PARENT share their maps' meaning but not their classes. */
#define REVSHELL_PATH_INDEX(slot, parent) ((slot)*2 + (parent))

enum revshell_mode {
	REVSHELL_MODE_MONITOR = 0,
	REVSHELL_MODE_ENFORCE = 1,
};

/* rs_mode, one element. */
struct revshell_mode_value {
	__u32 mode;	   /* enum revshell_mode */
	__u32 epoch;	   /* counts changes */
	__u64 deadline_ns; /* CLOCK_BOOTTIME; past it the mode is monitor; 0: none */
};

/* rs_meta, one element, for daemons only: whose pins these are. */
struct revshell_meta {
	__u64 object_hash; /* 64-bit FNV-1a of the object that the programs came from */
	__u16 kind;	   /* enum backend_kind */
	__u16 kernel_has;  /* bits of what was found of the kernel that they were loaded for */
	__u32 complete;	   /* 1: every map and link was pinned */
};

/*
 * rs_in_force, one element, for daemons only: what tells the next one that the generation in force
 * is the one it would publish. Written after that is current, so it may be of one before.
 */
struct revshell_in_force {
	__u64 generation;
	__u64 digest; /* of all that was written, and of the maps' numbers; keyed by rs_secret */
};

/* What the iterator over tasks writes: the host, and the rule set in force. */
struct revshell_host {
	__u64 mnt_ns;	  /* inode number of the first process's mount namespace */
	__u64 generation; /* 0: none was published */
};

/* rs_overrides, for daemons only: modes of single policies set at run time. */
struct revshell_override_key {
	char name[256]; /* of the policy, zero-padded */
};

/* rs_secret, one element, written once before programs are attached. */
struct revshell_secret {
	__u64 key[2];	   /* SipHash key */
	__u64 host_mnt_ns; /* inode number of the host's mount namespace */
};

/*
 * A process's executable as fixed at exec. From path_len on it is a revshell_path_key, so of a path
 * above 255 bytes it has the head and a hash.
 */
struct revshell_exe {
	__u64 ino;
	__u32 dev;   /* s_dev as the kernel keeps it */
	__u32 flags; /* REVSHELL_EXE_* */
	__u32 pad;
	__u32 path_len; /* of the whole path; 0: not known */
	char path[REVSHELL_PATH_INLINE];
	__u32 hash[2];
	__u64 path_hash; /* SipHash-1-3 of the whole path, of any length */
};

#define REVSHELL_EXE_KNOWN   1 /* path could be had */
#define REVSHELL_EXE_FOREIGN 2 /* fixed in a mount namespace other than the host's */
#define REVSHELL_EXE_DELETED 4 /* the file had no name left */

/*
 * What a lineage keeps of an executable and LINEAGE is asked about. The lowest bit tells where it
 * was reached, since a file mounted over an exempted path in another namespace exempts nobody.
 */
#define REVSHELL_LINEAGE_HASH(path_hash, flags) \
	(((path_hash) & ~1ULL) | !!((flags)&REVSHELL_EXE_FOREIGN))

/* What an identity means in the generation of one slot. generation is written last. */
struct revshell_label_cache {
	__u64 generation; /* 0: nothing here yet */
	__u32 hooks;	  /* hooks on which some selector's process side may match */
	__u32 class_id[REVSHELL_PATH_DIMS];
	__u32 pad;
	__u64 predicates; /* answers that only exec and fork change: those of label_facts */
	__u64 connect;	  /* AND of the folds of its rows on socket_connect */
};

/* The process label: task storage of the group leader, or a hash by tgid. */
struct revshell_label {
	struct revshell_label_cache cache[REVSHELL_SLOTS]; /* by slot: writers of two generations
							      never share one */
	__u32 flags;					   /* REVSHELL_LABEL_* */
	__u32 parent_pid; /* tgid of the process that forked this one */
	__u64 start_ns;	  /* start_boottime of the group leader: tells reused tgids apart */
	__u64 exec_ns;	  /* CLOCK_BOOTTIME of the exec that fixed exe; 0: computed later */
	__u64 parent_start_ns;
	struct revshell_exe exe;
	struct revshell_exe parent; /* executable of the process that forked this one */
	/* SipHash-1-3 of the paths of the executables it and its ancestors had before, no two the
	 * same; the oldest stay */
	__u64 lineage[REVSHELL_LINEAGE];
	__u32 n_lineage;
	__u32 n_inherited;    /* the first of them: those that the parent had at the fork */
	__u32 lineage_lost;   /* 1: there were more */
	__u32 inherited_lost; /* 1: already for the parent */
};

#define REVSHELL_LABEL_EXEC 1 /* fixed by exec, not computed later */
#define REVSHELL_LABEL_FORK 2 /* copied by clone */

/*
 * Why a decision or an event went another way than usual, counted by place: the hook, or
 * REVSHELL_PLACE_OTHER for exec, fork, the creation of sockets and rows of predicates. Index into
 * rs_stats (per CPU,
 * __u64): REVSHELL_STAT_INDEX.
 */
#define REVSHELL_STATS(X)                         \
	X(EVENTS, "events-sent")                  \
	X(RING_FULL, "events-dropped-ring-full")  \
	X(RATE_LIMITED, "events-rate-limited")    \
	X(DENIED, "denied")                       \
	X(WOULD_DENY, "would-deny")               \
	X(SIGNALLED, "signalled")                 \
	X(LABEL_RESOLVED, "labels-resolved")      \
	X(LABEL_COMPUTED, "labels-computed-late") \
	X(LABEL_FAILED, "labels-without-memory")  \
	X(OWNER_FAILED, "owners-without-memory")  \
	X(PATH_UNKNOWN, "paths-unknown")          \
	X(CWD_UNKNOWN, "directories-unknown")     \
	X(UNIT_UNKNOWN, "units-unknown")          \
	X(SCRATCH_BUSY, "path-buffers-busy")      \
	X(LOOKUP_FAILED, "lookups-failed")

enum revshell_stat {
#define X(id, name) REVSHELL_STAT_##id,
	REVSHELL_STATS(X)
#undef X
		REVSHELL_STAT_MAX,
};

#define REVSHELL_PLACE_OTHER		 REVSHELL_HOOK_MAX
#define REVSHELL_PLACES			 (REVSHELL_HOOK_MAX + 1)
#define REVSHELL_STAT_INDEX(place, stat) ((place)*REVSHELL_STAT_MAX + (stat))

#define REVSHELL_ARGS_SIZE		 512
#define REVSHELL_COMM_SIZE		 16

enum revshell_verdict {
	REVSHELL_VERDICT_ALLOW = 0,
	REVSHELL_VERDICT_DENY = 1,   /* returned event.error to the caller */
	REVSHELL_VERDICT_SIGNAL = 2, /* sent event.signal; combines with DENY */
};

/* What the socket showed when the hook ran. Addresses in network, ports in host byte order. */
struct revshell_sock {
	__u64 cookie;	/* 0: none assigned */
	__u16 family;	/* AF_* */
	__u16 type;	/* SOCK_* */
	__u16 protocol; /* IPPROTO_* */
	__u8 state;	/* TCP_* */
	__u8 pad;
	__u32 mark;
	__u32 priority;
	__u16 sport;
	__u16 dport;
	__u32 pad2;
	__u8 saddr[16]; /* AF_INET: first four bytes */
	__u8 daddr[16];
};

struct revshell_sockaddr {
	__u16 family;	/* AF_* */
	__u16 port;	/* host byte order; 0 where the family has none */
	__u32 len;	/* as passed by the caller, bytes */
	__u8 addr[16];	/* network byte order; AF_INET: first four bytes */
	char path[108]; /* AF_UNIX; an abstract name keeps its leading NUL */
	__u32 path_len; /* bytes of path in use */
};

/* Who created a socket: its storage, where the kernel has that. */
struct revshell_owner {
	__u32 pid; /* tgid in the initial pid namespace; 0: not known */
	__u32 tid;
	__u32 uid; /* effective */
	__u32 loginuid;
	__u64 start_ns; /* of the group leader, CLOCK_BOOTTIME */
	__u64 exec_ns;
	__u64 parent_start_ns;
	__u32 parent_pid;
	__u32 label_flags;
	__u32 args_len; /* as in struct revshell_event */
	__u32 cwd_len;
	struct revshell_exe exe;
	struct revshell_exe parent;
	char args[REVSHELL_ARGS_SIZE];
	char cwd[REVSHELL_PATH_INLINE];
};

/* Which of the integers is the argument at a prototype position; no call has two for one. */
#define REVSHELL_INT_SLOT(position) ((position) < REVSHELL_INTS ? (position) : REVSHELL_INTS - 1)

/* One decision, in the ring buffer rs_events. Times are CLOCK_BOOTTIME nanoseconds. */
struct revshell_event {
	__u64 time_ns;
	__u64 generation;
	__u16 hook;    /* enum revshell_hook */
	__u16 verdict; /* enum revshell_verdict bits: what was really done */
	__s32 error;   /* of a denial, -errno; else 0 */
	__u32 mode;    /* enum revshell_mode in force at the decision */
	__u32 n_words;
	__u64 match[REVSHELL_WORDS]; /* first match of each group that asked for an event */
	/* caller */
	__u32 pid; /* tgid in the initial pid namespace */
	__u32 tid;
	__u32 uid; /* effective */
	__u32 gid;
	__u32 loginuid; /* 4294967295: unset */
	__u32 label_flags;
	__u64 start_ns; /* of the group leader */
	__u64 exec_ns;
	__u64 cgroup_id;
	__u32 parent_pid;
	__u32 parent_uid;
	__u64 parent_start_ns;
	__u32 mnt_ns;
	__u32 net_ns; /* of the socket where there is one, else of the task */
	char comm[REVSHELL_COMM_SIZE];
	char parent_comm[REVSHELL_COMM_SIZE];
	/* object */
	struct revshell_sock sk;
	struct revshell_sockaddr sa;
	__s64 ints[REVSHELL_INTS]; /* integer arguments, by REVSHELL_INT_SLOT */
	__u64 predicates;	   /* answers, where the hook asks any */
	/* strings */
	__u32 args_len; /* bytes of args in use, NUL-separated, argv[0] first; the rest is random */
	__u32 cwd_len;	/* likewise */
	__u32 suppressed; /* records like this one that rate limits kept back since the last */
	__u32 via;	  /* REVSHELL_VIA_*: what carried the address, where the hook is CONNECT */
	struct revshell_exe exe;    /* of a path what is in use; the rest is random */
	struct revshell_exe parent; /* likewise */
	char args[REVSHELL_ARGS_SIZE];
	char cwd[REVSHELL_PATH_INLINE];
};

/* struct revshell_event.via */
enum revshell_via {
	REVSHELL_VIA_CONNECT, /* connect(2), or another hook */
	REVSHELL_VIA_SENDMSG, /* a message */
	REVSHELL_VIA_SCTP,    /* the list of sctp_connectx(), which has an event for each address */
	REVSHELL_VIA_MAX,
};

#define REVSHELL_STACK_FRAMES 16

/* A record of a hook whose cfg asks for track_sock or stacks; told by its size. */
struct revshell_event_more {
	struct revshell_event ev;
	__u32 n_kernel_stack; /* frames, innermost first */
	__u32 n_user_stack;
	__u64 kernel_stack[REVSHELL_STACK_FRAMES];
	__u64 user_stack[REVSHELL_STACK_FRAMES];
	struct revshell_owner owner; /* of the socket, while some policy tracks sockets */
};

/* What the iterator over the loader's own descriptors writes, one after another. */
struct revshell_file_id {
	__u32 fd;
	__u32 dev; /* s_dev as the kernel keeps it */
	__u64 ino;
	__u64 start_ns; /* of the loader's group leader, CLOCK_BOOTTIME */
};

/* The loader's self-test, in the object's own data: each loaded object has its own. */
struct revshell_selftest {
	__u32 tgid;		       /* process whose calls are denied and counted; 0: none */
	__u32 hits[REVSHELL_HOOK_MAX]; /* calls denied */
};

/* The lock, in rs_lock. All zero until somebody locks. */
struct revshell_lock {
	__u64 since_ns; /* CLOCK_BOOTTIME; 0: it is off, and its programs let all pass */
	__u64 start_ns; /* of the daemon's group leader */
	__u32 tgid;	/* of the daemon; 0: there is none */
	__u32 host_mnt_ns;
	__u64 key[2]; /* SipHash, of the policies in rs_held */
};

/* Files that the lock knows, as the kernel calls them. ino 0: the whole file system. */
struct revshell_lock_key {
	__u64 ino;
	__u32 dev; /* s_dev */
	__u32 pad;
};

enum revshell_lock_file {
	REVSHELL_LOCK_PROGRAM = 1, /* the daemon's executable */
	REVSHELL_LOCK_CODE = 2,	   /* what it runs: this and its libraries; not to be written to */
	REVSHELL_LOCK_PINS = 4,	   /* a folder of pins; nothing is taken out of it */
	REVSHELL_LOCK_MOUNT = 8,   /* nothing is mounted over it; with ino 0: it stays mounted */
	REVSHELL_LOCK_ABOVE = 16,  /* a file system that MOUNT is mounted in */
};

#ifndef __bpf__
_Static_assert(sizeof(struct revshell_row) == 136, "ABI");
_Static_assert(sizeof(struct revshell_path_key) == 268, "ABI");
_Static_assert(sizeof(struct revshell_path_value) == 32, "ABI");
_Static_assert(sizeof(struct revshell_exe) == 296, "ABI");
_Static_assert(offsetof(struct revshell_exe, path_hash) - offsetof(struct revshell_exe, path_len) ==
		       sizeof(struct revshell_path_key),
	       "a label's path is a key");
_Static_assert(offsetof(struct revshell_event, match) == 32, "ABI");
_Static_assert(REVSHELL_HOOK_MAX <= 32, "hooks fit a class's mask");
_Static_assert(REVSHELL_DIM_MAX <= 64, "dimensions fit hook_cfg.used");
#endif
