/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The typed model of a TracingPolicy: what a file says, checked, before any rule set exists. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "diag.h"
#include "yaml.h"
#include "revshell-abi.h"

#define POLICY_MAX_NAME	   253U
#define POLICY_MAX_MESSAGE 256U /* bytes, before escapes; longer ones are cut with a warning */
#define POLICY_MAX_TAGS	   16U
#define POLICY_MAX_TAG	   128U
#define POLICY_MAX_ARGS	   5U
#define POLICY_MAX_ACTIONS 16U
#define POLICY_MAX_PATH	   4096U   /* bytes of one matchBinaries value */
#define POLICY_MAX_VALUES  400000U /* values of all filters of one file, macros and lists copied */
#define POLICY_MAX_FILES   1024U

/* Where in a policy a call may stand. */
enum policy_section {
	SECTION_KPROBES = 1,
	SECTION_LSMHOOKS = 2,
	SECTION_FENTRIES = 4,
};

/* What the kernel passes at a position of a call's prototype. */
enum policy_arg_type {
	ARG_NONE,
	ARG_SOCK,	 /* struct sock * */
	ARG_SOCKET,	 /* struct socket * */
	ARG_SOCKADDR,	 /* struct sockaddr * */
	ARG_SOCKADDR_UN, /* the same, read as a UNIX address */
	ARG_INT,	 /* int, int32, sint32 */
	ARG_UINT32,
	ARG_SIZE,   /* size_t: 64 bits read, compared on the low 32 as unsigned */
	ARG_UINT64, /* uint64, ulong */
	ARG_LONG,   /* long, int64, sint64 */
	ARG_INT8,
	ARG_INT16,
	ARG_UINT8,
	ARG_UINT16,
	ARG_NOP,
	ARG_TYPE_MAX,
};

/* The canonical spelling, "sock"; policy_arg_type_parse accepts the aliases too. */
const char *policy_arg_type_name(enum policy_arg_type type);
enum policy_arg_type policy_arg_type_parse(const char *s); /* ARG_NONE if unknown */
bool policy_arg_type_is_integer(enum policy_arg_type type);

/* A function or hook that policies may name: one row of the table in policy-calls.c. */
struct policy_call {
	const char *name;	  /* as in YAML: "tcp_connect", "socket_listen" */
	unsigned int sections;	  /* enum policy_section bits */
	enum revshell_hook hook;  /* the program that sees the call */
	enum revshell_hook early; /* where a denial is decided before it, or REVSHELL_HOOK_MAX */
	bool can_override;	  /* Override is accepted (security_* and LSM hooks) */
	unsigned int n_args;
	/* natural types by prototype position, and of the return value; ARG_NOP: not readable */
	enum policy_arg_type args[5];
	enum policy_arg_type ret;
};

extern const struct policy_call policy_calls[];
extern const size_t n_policy_calls;

/* NULL if no call of that name may stand in that section. */
const struct policy_call *policy_call_find(const char *name, enum policy_section section);

enum policy_op {
	OP_NONE,
	/* address sets */
	OP_SADDR,
	OP_DADDR,
	OP_NOT_SADDR,
	OP_NOT_DADDR,
	/* number sets on a tuple */
	OP_SPORT,
	OP_DPORT,
	OP_NOT_SPORT,
	OP_NOT_DPORT,
	OP_SPORT_PRIV,
	OP_DPORT_PRIV,
	OP_NOT_SPORT_PRIV,
	OP_NOT_DPORT_PRIV,
	OP_PROTOCOL,
	OP_FAMILY,
	OP_STATE,
	/* integers, and Equal/NotEqual also strings (sockaddr_un path) */
	OP_EQUAL,
	OP_NOT_EQUAL,
	OP_GT,
	OP_LT,
	OP_MASK,
	OP_IN_RANGE,
	OP_NOT_IN_RANGE,
	OP_IN_MAP,
	OP_NOT_IN_MAP,
	/* strings: binaries and sockaddr_un paths */
	OP_IN,
	OP_NOT_IN,
	OP_PREFIX,
	OP_NOT_PREFIX,
	OP_POSTFIX,
	OP_NOT_POSTFIX,
	OP_MAX,
};

/* The canonical spelling; policy_op_parse accepts the aliases too. */
const char *policy_op_name(enum policy_op op);
enum policy_op policy_op_parse(const char *s); /* OP_NONE if unknown */
bool policy_op_negative(enum policy_op op);
/* Whether matchArgs takes this operator on an argument of this type. */
bool policy_op_allowed(enum policy_op op, enum policy_arg_type type);

/*
 * An inclusive range, lo <= hi in the order of the argument's type: signed types hold their two's
 * complement sign-extended to 64 bits, uint64 holds its bits (compare as uint64_t), the smaller
 * unsigned types are never negative. size_t holds the low 32 bits, which are what is compared.
 */
struct policy_range {
	int64_t lo;
	int64_t hi;
};

/* Network byte order, host bits cleared; for AF_INET addr[0..3] and prefix <= 32. IPv4-mapped IPv6
 * literals of 96 bits or more have been turned into AF_INET. */
struct policy_cidr {
	uint8_t family; /* 4 or 6 */
	uint8_t prefix; /* bits */
	uint8_t addr[16];
};

struct policy_value_string {
	struct diag_pos pos;
	char *text;
};

/* The values of one filter; which array is used follows from the operator and type. */
struct policy_values {
	struct policy_range *ranges;
	size_t n_ranges;
	struct policy_cidr *cidrs;
	size_t n_cidrs;
	struct policy_value_string *strings;
	size_t n_strings;
};

/* matchBinaries, matchParentBinaries: one entry */
struct policy_path_filter {
	struct diag_pos pos;
	enum policy_op op;	     /* OP_IN .. OP_NOT_POSTFIX */
	struct policy_values values; /* strings */
	bool follow_children;
};

/* matchPIDs: one entry */
struct policy_pid_filter {
	struct diag_pos pos;
	enum policy_op op;	     /* OP_IN, OP_NOT_IN */
	struct policy_values values; /* ranges with lo == hi */
	bool follow_forks;
	bool is_namespace_pid;
};

enum policy_namespace {
	NS_UTS,
	NS_IPC,
	NS_MNT,
	NS_PID,
	NS_PID_FOR_CHILDREN,
	NS_NET,
	NS_TIME,
	NS_TIME_FOR_CHILDREN,
	NS_CGROUP,
	NS_USER,
	NS_MAX,
};

/* matchNamespaces: one entry; "host_ns" becomes a range of the host's inode at compile time */
struct policy_namespace_filter {
	struct diag_pos pos;
	enum policy_namespace ns;
	enum policy_op op;	     /* OP_IN, OP_NOT_IN */
	struct policy_values values; /* ranges: inode numbers */
	bool host;		     /* "host_ns" is among the values */
};

enum policy_cap_set {
	CAP_SET_EFFECTIVE,
	CAP_SET_INHERITABLE,
	CAP_SET_PERMITTED,
};

/* matchCapabilities: one entry */
struct policy_cap_filter {
	struct diag_pos pos;
	enum policy_op op; /* OP_IN: any of them held; OP_NOT_IN: none */
	enum policy_cap_set set;
	uint64_t caps; /* bit n: capability n of linux/capability.h */
	bool is_namespace_capability;
};

enum policy_user_kind {
	USER_UID, /* effective uid, as the event's uid */
	USER_GID,
	USER_LOGINUID,
};

/* matchUsers: {type: uid|gid|auid, operator: In|NotIn, values: [names, numbers, lo:hi]} */
struct policy_user_filter {
	struct diag_pos pos;
	enum policy_op op;
	enum policy_user_kind kind;
	struct policy_values values; /* ranges; names have been resolved */
};

/* matchUnits: {operator: In|NotIn, values: [ssh.service, system.slice]} */
struct policy_unit_filter {
	struct diag_pos pos;
	enum policy_op op;
	struct policy_values values; /* strings: unit or slice names */
};

/* matchStdio: {operator: In|NotIn, values: ["0", "1", "2"]}: those descriptors are inet sockets */
struct policy_stdio_filter {
	struct diag_pos pos;
	enum policy_op op; /* OP_IN: any of them; OP_NOT_IN: none */
	unsigned int fds;  /* bit n: descriptor n */
};

/* matchArgs, matchReturnArgs: one entry */
struct policy_arg_filter {
	struct diag_pos pos;
	unsigned int arg; /* position in entry->args; for matchReturnArgs unused */
	enum policy_op op;
	struct policy_values values;
};

enum policy_action_kind {
	ACTION_NONE,
	ACTION_POST,
	ACTION_NOPOST,
	ACTION_SIGKILL,
	ACTION_SIGNAL,
	ACTION_OVERRIDE,
	ACTION_NOTIFY_ENFORCER,
	ACTION_TRACK_SOCK,
	ACTION_UNTRACK_SOCK,
	ACTION_GET_URL,	   /* accepted, does nothing, warned about */
	ACTION_DNS_LOOKUP, /* the same */
	ACTION_MAX,
};

const char *policy_action_name(enum policy_action_kind kind); /* "Post" */

enum policy_rate_scope {
	RATE_THREAD,
	RATE_PROCESS,
	RATE_GLOBAL,
};

struct policy_action {
	struct diag_pos pos;
	enum policy_action_kind kind;
	int error;  /* Override, NotifyEnforcer: -errno, -4095..-1; 0 where NotifyEnforcer only
		       signals */
	int signal; /* Signal, NotifyEnforcer: number; 0 none */
	unsigned int arg_sock;	/* TrackSock, UntrackSock: position in entry->args */
	uint64_t rate_limit_ms; /* Post: 0 none */
	enum policy_rate_scope rate_scope;
	bool kernel_stack;
	bool user_stack;
};

struct policy_selector {
	struct diag_pos pos;
	char *label; /* or NULL */
	struct policy_path_filter *binaries;
	size_t n_binaries;
	struct policy_path_filter *parent_binaries;
	size_t n_parent_binaries;
	struct policy_pid_filter *pids;
	size_t n_pids;
	struct policy_namespace_filter *namespaces;
	size_t n_namespaces;
	struct policy_cap_filter *caps;
	size_t n_caps;
	struct policy_user_filter *users;
	size_t n_users;
	struct policy_unit_filter *units;
	size_t n_units;
	struct policy_stdio_filter *stdio;
	size_t n_stdio;
	struct policy_arg_filter *args;
	size_t n_args;
	struct policy_arg_filter *return_args;
	size_t n_return_args;
	struct policy_action *actions; /* never empty: a selector without actions has one Post */
	size_t n_actions;
	struct policy_action *return_actions;
	size_t n_return_actions;
};

struct policy_arg {
	struct diag_pos pos;
	unsigned int index; /* position in the prototype, from 0 */
	enum policy_arg_type type;
	char *label; /* or NULL */
};

/* One item of kprobes, fentries or lsmhooks. */
struct policy_entry {
	struct diag_pos pos;
	enum policy_section section;
	const struct policy_call *call;
	char *message; /* or NULL */
	char **tags;
	size_t n_tags;
	struct policy_arg *args; /* in YAML order, which is output order */
	size_t n_args;
	bool has_return;
	struct policy_arg return_arg;	       /* type ARG_NONE if there is none */
	enum policy_action_kind return_action; /* TrackSock, UntrackSock or none */
	struct policy_selector
		*selectors; /* never empty: none in the file is one that always matches */
	size_t n_selectors;
	bool ignore_not_found;
};

enum policy_mode {
	POLICY_MODE_ENFORCE,
	POLICY_MODE_MONITOR,
	POLICY_MODE_OFF, /* loaded, but left out: set at run time only */
};

enum policy_fallback {
	FALLBACK_NONE,
	FALLBACK_SIGKILL,
	FALLBACK_MONITOR,
};

/* Of "none", "sigkill", "monitor"; -EINVAL: another word. */
int policy_fallback_parse(const char *s);

/* One document. */
struct policy {
	struct diag_pos pos;
	char *name;	 /* metadata.name */
	char *origin;	 /* the file it came from, as given to policy_load_text */
	char *source;	 /* the text of its document's file; NULL: a newer rule set has the same */
	uint64_t digest; /* 64-bit FNV-1a over name and source, with their NULs */
	bool namespaced;
	enum policy_mode mode; /* option policy-mode, default enforce */
	bool can_deny; /* holds an enforcing action; otherwise monitor_only whatever mode says */
	bool identity_by_path;	       /* option binary-identity: path */
	enum policy_fallback fallback; /* option override-fallback */
	char *description; /* metadata.annotations "revshell.org/description", or NULL */
	struct policy_entry *entries;
	size_t n_entries;
	/* What policy_known_take() goes by. */
	size_t offset; /* of source in its file */
	struct diag warnings;
	struct policy_lookup *lookups;
	size_t n_lookups;
	bool names_users;      /* users or groups were looked up by name */
	unsigned int n_shares; /* sets that hold it, besides the first */
};

/* Where a path of a policy led on this host. Strings are the filters'. */
struct policy_lookup {
	const char *text;
	const char *real; /* NULL: nowhere, for this error */
	int error;	  /* errno */
};

/* Numbers by their names in policies; -1 if unknown. */
int policy_protocol_parse(const char *s); /* "IPPROTO_TCP" */
int policy_family_parse(const char *s);	  /* "AF_INET" */
int policy_state_parse(const char *s);	  /* "TCP_LISTEN" */
int policy_cap_parse(const char *s);	  /* "CAP_NET_RAW", any case */

/* The action Post with the shortest rateLimit; NULL where there is none, or a Post without one. */
const struct policy_action *policy_selector_limit(const struct policy_selector *s);

/* Once for each set that holds it. */
void policy_free(struct policy *p);
DEFINE_CLEANUP(struct policy *, policy_free)

/* Frees what is not needed to tell of events: filters, and the text unless that is to be kept. */
void policy_shed(struct policy *p, bool keep_source);

/* A set of policies in load order. Starts zeroed. */
struct policy_set {
	struct policy **policies;
	size_t n;
};

void policy_set_done(struct policy_set *s);

/*
 * Appends a policy of another set to set as well, with its warnings to d, if the host would have it
 * read as before. Returns 1 if so, 0 or -ENOMEM.
 */
int policy_share(struct policy *p, struct diag *d, struct policy_set *set);

struct policy_options {
	bool tetragon; /* also warn about what Tetragon would refuse */
	bool offline;  /* do not look at the host's files and users */
	/* Read before with these options. policy_load_dirs() shares those that would come out the
	 * same: of the same file with the same text, and what it names still leads to where it
	 * did. */
	const struct policy_set *known;
};

/* Decimal digits alone, up to max; false, and ret_value untouched, if s is something else. */
bool number_parse_decimal(const char *s, uint64_t max, uint64_t *ret_value);

/* Whether some filter of a policy names IPPROTO_MPTCP itself; IPPROTO_TCP does not include it then.
 */
bool policy_names_mptcp(const struct policy *p);

/*
 * Parses and checks every document of text and appends the policies to set. Errors and warnings go
 * to d with positions; origin names the file. On any error the set is left as it was.
 * Returns 0, -EINVAL (d has an error), or -ENOMEM.
 */
int policy_load_text(const char *text, size_t size, const char *origin,
		     const struct policy_options *opts, struct diag *d, struct policy_set *set);

/* The same for a file; size, type, ownership are checked (see policy-dir.h for directories). */
int policy_load_file(const char *path, const struct policy_options *opts, struct diag *d,
		     struct policy_set *set);

/*
 * The text of a file that is root's or the caller's, and nobody else's to write; *ret_text is NULL
 * for /dev/null, which masks. At most YAML_MAX_SIZE bytes. -EINVAL with errors in d, or -ENOMEM.
 */
int policy_read_file(const char *path, const struct policy_options *opts, struct diag *d,
		     char **ret_text, size_t *ret_size);

/*
 * Loads the files *.yaml and *.yml of several directories, highest precedence first: a name in an
 * earlier directory hides the same base name in later ones, a link to /dev/null masks it; load
 * order is by base name. Two policies of one metadata.name are an error. Files not owned by root
 * (or the caller) or writable by group or others are refused. A directory that is missing is an
 * error if it is the only one given. All or nothing: on error set is left as it was.
 */
int policy_load_dirs(char *const *dirs, size_t n_dirs, const struct policy_options *opts,
		     struct diag *d, struct policy_set *set);
