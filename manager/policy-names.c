/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Operators, actions and the names that stand for numbers, in the spellings that policies use. */
#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "policy-internal.h"

#define BIT(n)	   (1U << (n))
#define T_SOCK	   (BIT(ARG_SOCK) | BIT(ARG_SOCKET))
#define T_SOCKADDR BIT(ARG_SOCKADDR)
#define T_UN	   BIT(ARG_SOCKADDR_UN)
#define T_INT                                                                               \
	(BIT(ARG_INT) | BIT(ARG_UINT32) | BIT(ARG_SIZE) | BIT(ARG_UINT64) | BIT(ARG_LONG) | \
	 BIT(ARG_INT8) | BIT(ARG_INT16) | BIT(ARG_UINT8) | BIT(ARG_UINT16))

/*
 * names[0] is the canonical spelling and in Tetragon's schema, as are names[1 .. n_schema - 1]; its
 * Go code knows the others, which its schema refuses.
 */
static const struct op_row {
	const char *names[4];
	unsigned int n_schema;
	unsigned int types; /* of matchArgs that take it */
	bool negative;
} ops[OP_MAX] = {
	[OP_SADDR] = {{"SAddr", "Saddr", "saddr"}, 1, T_SOCK | T_SOCKADDR, false},
	[OP_DADDR] = {{"DAddr", "Daddr", "daddr"}, 1, T_SOCK, false},
	[OP_NOT_SADDR] = {{"NotSAddr", "NotSaddr", "notsaddr"}, 1, T_SOCK | T_SOCKADDR, true},
	[OP_NOT_DADDR] = {{"NotDAddr", "NotDaddr", "notdaddr"}, 1, T_SOCK, true},
	[OP_SPORT] = {{"SPort", "Sport", "sport"}, 1, T_SOCK | T_SOCKADDR, false},
	[OP_DPORT] = {{"DPort", "Dport", "dport"}, 1, T_SOCK, false},
	[OP_NOT_SPORT] = {{"NotSPort", "NotSport", "notsport"}, 1, T_SOCK | T_SOCKADDR, true},
	[OP_NOT_DPORT] = {{"NotDPort", "NotDport", "notdport"}, 1, T_SOCK, true},
	[OP_SPORT_PRIV] = {{"SPortPriv", "SportPriv", "sportpriv"}, 1, T_SOCK | T_SOCKADDR, false},
	[OP_DPORT_PRIV] = {{"DPortPriv", "DportPriv", "dportpriv"}, 1, T_SOCK, false},
	[OP_NOT_SPORT_PRIV] = {{"NotSportPriv", "NotSPortPriv", "notsportpriv"},
			       1,
			       T_SOCK | T_SOCKADDR,
			       true},
	[OP_NOT_DPORT_PRIV] = {{"NotDPortPriv", "NotDportPriv", "notdportpriv"}, 1, T_SOCK, true},
	[OP_PROTOCOL] = {{"Protocol", "protocol"}, 1, T_SOCK, false},
	[OP_FAMILY] = {{"Family", "family"}, 1, T_SOCK | T_SOCKADDR | T_UN, false},
	[OP_STATE] = {{"State", "state"}, 1, T_SOCK, false},
	[OP_EQUAL] = {{"Equal", "eq"}, 1, T_INT | T_UN, false},
	[OP_NOT_EQUAL] = {{"NotEqual", "neq"}, 1, T_INT | T_UN, true},
	[OP_GT] = {{"GT", "GreaterThan", "gt"}, 2, T_INT, false},
	[OP_LT] = {{"LT", "LessThan", "lt"}, 2, T_INT, false},
	[OP_MASK] = {{"Mask", "mask"}, 1, T_INT, false},
	[OP_IN_RANGE] = {{"InRange"}, 1, T_INT, false},
	[OP_NOT_IN_RANGE] = {{"NotInRange"}, 1, T_INT, true},
	[OP_IN_MAP] = {{"InMap"}, 1, T_INT, false},
	[OP_NOT_IN_MAP] = {{"NotInMap"}, 1, T_INT, true},
	[OP_IN] = {{"In"}, 1, 0, false},
	[OP_NOT_IN] = {{"NotIn"}, 1, 0, true},
	[OP_PREFIX] = {{"Prefix", "prefix"}, 1, T_UN, false},
	[OP_NOT_PREFIX] = {{"NotPrefix", "notprefix"}, 1, T_UN, true},
	[OP_POSTFIX] = {{"Postfix", "postfix"}, 1, 0, false},
	[OP_NOT_POSTFIX] = {{"NotPostfix", "notpostfix"}, 1, 0, true},
};

const char *policy_op_name(enum policy_op op)
{
	return op > OP_NONE && op < OP_MAX ? ops[op].names[0] : "none";
}

static enum policy_op op_find(const char *s, bool *ret_schema)
{
	for (enum policy_op op = OP_NONE + 1; op < OP_MAX; op++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(ops[op].names) && ops[op].names[i]; i++) {
			if (strcmp(ops[op].names[i], s) != 0)
				continue;
			*ret_schema = i < ops[op].n_schema;
			return op;
		}
	}
	return OP_NONE;
}

enum policy_op policy_op_parse(const char *s)
{
	bool schema;

	return op_find(s, &schema);
}

bool policy_op_is_schema(const char *s)
{
	bool schema = false;

	return op_find(s, &schema) != OP_NONE && schema;
}

bool policy_op_negative(enum policy_op op)
{
	return op > OP_NONE && op < OP_MAX && ops[op].negative;
}

bool policy_op_allowed(enum policy_op op, enum policy_arg_type type)
{
	return op > OP_NONE && op < OP_MAX && (ops[op].types & BIT(type));
}

char *policy_op_list(enum policy_arg_type type)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	bool first = true;

	if (!f)
		return NULL;
	for (enum policy_op op = OP_NONE + 1; op < OP_MAX; op++) {
		if (!policy_op_allowed(op, type))
			continue;
		fprintf(f, "%s%s", first ? "" : ", ", ops[op].names[0]);
		first = false;
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static const char *const actions[ACTION_MAX] = {
	[ACTION_NONE] = "none",
	[ACTION_POST] = "Post",
	[ACTION_NOPOST] = "NoPost",
	[ACTION_SIGKILL] = "Sigkill",
	[ACTION_SIGNAL] = "Signal",
	[ACTION_OVERRIDE] = "Override",
	[ACTION_NOTIFY_ENFORCER] = "NotifyEnforcer",
	[ACTION_TRACK_SOCK] = "TrackSock",
	[ACTION_UNTRACK_SOCK] = "UntrackSock",
	[ACTION_GET_URL] = "GetUrl",
	[ACTION_DNS_LOOKUP] = "DnsLookup",
};

const char *policy_action_name(enum policy_action_kind kind)
{
	return kind < ACTION_MAX ? actions[kind] : "none";
}

enum policy_action_kind policy_action_parse(const char *s, bool *ret_exact)
{
	for (enum policy_action_kind kind = ACTION_NONE + 1; kind < ACTION_MAX; kind++) {
		if (strcasecmp(actions[kind], s) != 0)
			continue;
		*ret_exact = strcmp(actions[kind], s) == 0;
		return kind;
	}
	return ACTION_NONE;
}

struct name {
	const char *name;
	int number;
};

static int name_find(const struct name *names, size_t n, const char *prefix, const char *s)
{
	size_t length = strlen(prefix);

	if (strncmp(s, prefix, length) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i].name, s + length) == 0)
			return names[i].number;
	return -1;
}

int policy_protocol_parse(const char *s)
{
	static const struct name names[] = {
		{"IP", IPPROTO_IP},	  {"ICMP", IPPROTO_ICMP},	{"IGMP", IPPROTO_IGMP},
		{"IPIP", IPPROTO_IPIP},	  {"TCP", IPPROTO_TCP},		{"EGP", IPPROTO_EGP},
		{"PUP", IPPROTO_PUP},	  {"UDP", IPPROTO_UDP},		{"IDP", IPPROTO_IDP},
		{"TP", IPPROTO_TP},	  {"DCCP", IPPROTO_DCCP},	{"IPV6", IPPROTO_IPV6},
		{"RSVP", IPPROTO_RSVP},	  {"GRE", IPPROTO_GRE},		{"ESP", IPPROTO_ESP},
		{"AH", IPPROTO_AH},	  {"MTP", IPPROTO_MTP},		{"BEETPH", IPPROTO_BEETPH},
		{"ENCAP", IPPROTO_ENCAP}, {"PIM", IPPROTO_PIM},		{"COMP", IPPROTO_COMP},
		{"SCTP", IPPROTO_SCTP},	  {"UDPLITE", IPPROTO_UDPLITE}, {"MPLS", IPPROTO_MPLS},
		{"ETHERNET", 143},	  {"RAW", IPPROTO_RAW},		{"MPTCP", 262},
	};

	return name_find(names, ARRAY_SIZE(names), "IPPROTO_", s);
}

int policy_family_parse(const char *s)
{
	static const struct name names[] = {
		{"UNSPEC", AF_UNSPEC},
		{"UNIX", AF_UNIX},
		{"INET", AF_INET},
		{"AX25", AF_AX25},
		{"IPX", AF_IPX},
		{"APPLETALK", AF_APPLETALK},
		{"NETROM", AF_NETROM},
		{"BRIDGE", AF_BRIDGE},
		{"ATMPVC", AF_ATMPVC},
		{"X25", AF_X25},
		{"INET6", AF_INET6},
		{"ROSE", AF_ROSE},
		{"DECnet", AF_DECnet},
		{"NETBEUI", AF_NETBEUI},
		{"SECURITY", AF_SECURITY},
		{"KEY", AF_KEY},
		{"NETLINK", AF_NETLINK},
		{"PACKET", AF_PACKET},
		{"ASH", AF_ASH},
		{"ECONET", AF_ECONET},
		{"ATMSVC", AF_ATMSVC},
		{"RDS", AF_RDS},
		{"SNA", AF_SNA},
		{"IRDA", AF_IRDA},
		{"PPPOX", AF_PPPOX},
		{"WANPIPE", AF_WANPIPE},
		{"LLC", AF_LLC},
		{"IB", AF_IB},
		{"MPLS", AF_MPLS},
		{"CAN", AF_CAN},
		{"TIPC", AF_TIPC},
		{"BLUETOOTH", AF_BLUETOOTH},
		{"IUCV", AF_IUCV},
		{"RXRPC", AF_RXRPC},
		{"ISDN", AF_ISDN},
		{"PHONET", AF_PHONET},
		{"IEEE802154", AF_IEEE802154},
		{"CAIF", AF_CAIF},
		{"ALG", AF_ALG},
		{"NFC", AF_NFC},
		{"VSOCK", AF_VSOCK},
		{"KCM", AF_KCM},
		{"QIPCRTR", AF_QIPCRTR},
		{"SMC", AF_SMC},
		{"XDP", AF_XDP},
		{"MCTP", 45},
	};

	return name_find(names, ARRAY_SIZE(names), "AF_", s);
}

int policy_state_parse(const char *s)
{
	static const struct name names[] = {
		{"ESTABLISHED", TCP_ESTABLISHED},
		{"SYN_SENT", TCP_SYN_SENT},
		{"SYN_RECV", TCP_SYN_RECV},
		{"FIN_WAIT1", TCP_FIN_WAIT1},
		{"FIN_WAIT2", TCP_FIN_WAIT2},
		{"TIME_WAIT", TCP_TIME_WAIT},
		{"CLOSE", TCP_CLOSE},
		{"CLOSE_WAIT", TCP_CLOSE_WAIT},
		{"LAST_ACK", TCP_LAST_ACK},
		{"LISTEN", TCP_LISTEN},
		{"CLOSING", TCP_CLOSING},
		{"NEW_SYN_RECV", 12},
	};

	return name_find(names, ARRAY_SIZE(names), "TCP_", s);
}

int policy_cap_parse(const char *s)
{
	static const struct name names[] = {
		{"CHOWN", CAP_CHOWN},
		{"DAC_OVERRIDE", CAP_DAC_OVERRIDE},
		{"DAC_READ_SEARCH", CAP_DAC_READ_SEARCH},
		{"FOWNER", CAP_FOWNER},
		{"FSETID", CAP_FSETID},
		{"KILL", CAP_KILL},
		{"SETGID", CAP_SETGID},
		{"SETUID", CAP_SETUID},
		{"SETPCAP", CAP_SETPCAP},
		{"LINUX_IMMUTABLE", CAP_LINUX_IMMUTABLE},
		{"NET_BIND_SERVICE", CAP_NET_BIND_SERVICE},
		{"NET_BROADCAST", CAP_NET_BROADCAST},
		{"NET_ADMIN", CAP_NET_ADMIN},
		{"NET_RAW", CAP_NET_RAW},
		{"IPC_LOCK", CAP_IPC_LOCK},
		{"IPC_OWNER", CAP_IPC_OWNER},
		{"SYS_MODULE", CAP_SYS_MODULE},
		{"SYS_RAWIO", CAP_SYS_RAWIO},
		{"SYS_CHROOT", CAP_SYS_CHROOT},
		{"SYS_PTRACE", CAP_SYS_PTRACE},
		{"SYS_PACCT", CAP_SYS_PACCT},
		{"SYS_ADMIN", CAP_SYS_ADMIN},
		{"SYS_BOOT", CAP_SYS_BOOT},
		{"SYS_NICE", CAP_SYS_NICE},
		{"SYS_RESOURCE", CAP_SYS_RESOURCE},
		{"SYS_TIME", CAP_SYS_TIME},
		{"SYS_TTY_CONFIG", CAP_SYS_TTY_CONFIG},
		{"MKNOD", CAP_MKNOD},
		{"LEASE", CAP_LEASE},
		{"AUDIT_WRITE", CAP_AUDIT_WRITE},
		{"AUDIT_CONTROL", CAP_AUDIT_CONTROL},
		{"SETFCAP", CAP_SETFCAP},
		{"MAC_OVERRIDE", CAP_MAC_OVERRIDE},
		{"MAC_ADMIN", CAP_MAC_ADMIN},
		{"SYSLOG", CAP_SYSLOG},
		{"WAKE_ALARM", CAP_WAKE_ALARM},
		{"BLOCK_SUSPEND", CAP_BLOCK_SUSPEND},
		{"AUDIT_READ", CAP_AUDIT_READ},
		{"PERFMON", CAP_PERFMON},
		{"BPF", CAP_BPF},
		{"CHECKPOINT_RESTORE", CAP_CHECKPOINT_RESTORE},
	};

	if (strncasecmp(s, "CAP_", 4) != 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcasecmp(names[i].name, s + 4) == 0)
			return names[i].number;
	return -1;
}

enum policy_namespace policy_namespace_parse(const char *s)
{
	static const char *const names[NS_MAX] = {
		[NS_UTS] = "Uts",
		[NS_IPC] = "Ipc",
		[NS_MNT] = "Mnt",
		[NS_PID] = "Pid",
		[NS_PID_FOR_CHILDREN] = "PidForChildren",
		[NS_NET] = "Net",
		[NS_TIME] = "Time",
		[NS_TIME_FOR_CHILDREN] = "TimeForChildren",
		[NS_CGROUP] = "Cgroup",
		[NS_USER] = "User",
	};
	enum policy_namespace ns;

	for (ns = 0; ns < NS_MAX; ns++)
		if (strcmp(names[ns], s) == 0)
			break;
	return ns;
}
