/* SPDX-License-Identifier: GPL-2.0-only */
/* The object of a call as the engine asks for it: socket fields by direct loads, one address. */
#pragma once

#include "label.bpf.h"
#include "tables.bpf.h"
#include <bpf/bpf_endian.h>

/* The head of a sockaddr_in or sockaddr_in6, as it lies in memory; zero for other families. */
struct rs_addr {
	__u16 family;
	__be16 port;
	__be32 in4; /* of IPv6 the flow label */
	__be32 in6[4];
};

/* What a program hands over, and what comes back. Lives on the program's stack. */
struct rs_call {
	void *ctx;	      /* the program's, for helpers that want it */
	struct sock *sk;      /* known to the verifier; NULL only where dims ask nothing of it */
	const void *sockaddr; /* kernel copy, or NULL */
	struct revshell_event *ev; /* out: the event, if decide() returned 1 */
	__u64 predicates;	   /* answers that the label has */
	__u64 paths;		   /* rs_path_live() of class_id, where the hook is CONNECT */
	__s64 ints[REVSHELL_INTS]; /* integer arguments, by REVSHELL_INT_SLOT */
	struct rs_addr sa;	   /* of sockaddr, once sa_known */
	__s32 addrlen;		   /* as the caller gave it */
	__u32 unix_row;		   /* of a UNIX address, where the hook asks */
	__u32 family;		   /* that cfg->families is asked about */
	__u32 class_id[REVSHELL_PATH_DIMS]; /* not of CONNECT with one word in use */
	/* small, since the stack is */
	__s16 error; /* out: 0 or the denial's -errno */
	__u8 hook;
	__u8 is_destination : 1; /* sockaddr is where packets will go */
	__u8 via : 2;		 /* REVSHELL_VIA_* */
	__u8 sa_known : 1;
};

/* Sees to it that call->sa is filled in. */
static __always_inline void call_read_addr(struct rs_call *call)
{
	if (call->sa_known || !call->sockaddr)
		return;
	/* RFC 2133's form without a scope, 24 bytes, is legal; the buffer is longer anyway */
	if (call->family == AF_INET)
		bpf_probe_read_kernel(&call->sa, offsetof(struct rs_addr, in6), call->sockaddr);
	else if (call->family == AF_INET6)
		bpf_probe_read_kernel(&call->sa, sizeof(call->sa), call->sockaddr);
	call->sa_known = true;
}

/* The address alone, into four words that were zero. */
static __always_inline void call_copy_addr(const struct rs_call *call, __be32 *to)
{
	if (call->family == AF_INET)
		to[0] = call->sa.in4;
	else
		__builtin_memcpy(to, call->sa.in6, sizeof(call->sa.in6));
}

/* What call_read_addr() reads, by two loads, where the verifier knows the address; it knows 16
 * bytes of it. */
static __always_inline struct rs_addr addr_load(const struct sockaddr *address, __u32 family)
{
	struct rs_addr addr = {};

	if (!RS_IS_PROBING && family == AF_INET) {
		addr.port = *(const __be16 *)((const char *)address + 2);
		addr.in4 = *(const __be32 *)((const char *)address + 4);
	}
	return addr;
}

/* For struct rs_call: an address that is a typed argument of the program's. */
#define RS_CALL_ADDRESS(address, length, family)                                      \
	.sockaddr = (address), .addrlen = (length), .sa = addr_load(address, family), \
	.sa_known = !RS_IS_PROBING && (family) == AF_INET

#define RS_OBJECT const struct rs_call *

#ifndef RS_SK_STATE
#define RS_SK_STATE(sk) RS_GET(sk, __sk_common.skc_state)
#endif

#define rs_obj_sk_family(obj)	RS_GET((obj)->sk, __sk_common.skc_family)
#define rs_obj_sk_type(obj)	RS_GET((obj)->sk, sk_type)
#define rs_obj_sk_protocol(obj) RS_GET((obj)->sk, sk_protocol)
#define rs_obj_sk_state(obj)	RS_SK_STATE((obj)->sk)
#define rs_obj_sa_family(obj)	((obj)->family)
#define rs_obj_sa_addr4(obj)	rs_normalize_addr4((obj)->sa.in4, (obj)->is_destination)
#define rs_obj_int(obj, n)	((obj)->ints[n])
#ifndef RS_PROBING
#define rs_obj_sk_addr4(obj, dim)                                              \
	((dim) == REVSHELL_DIM_SK_SADDR ? (obj)->sk->__sk_common.skc_rcv_saddr \
					: (obj)->sk->__sk_common.skc_daddr)
#endif

static __always_inline __u32 rs_obj_port(const struct rs_call *obj, const __u32 dim)
{
	if (dim == REVSHELL_DIM_SK_SPORT)
		return RS_GET(obj->sk, __sk_common.skc_num);
	if (dim == REVSHELL_DIM_SK_DPORT)
		return bpf_ntohs(RS_GET(obj->sk, __sk_common.skc_dport));
	return bpf_ntohs(obj->sa.port);
}

static __always_inline __u32 rs_normalize_addr4(__u32 addr, bool destination);
static __always_inline __u32 rs_normalize_addr(__u32 family, __u32 *addr, bool destination);

/* The address of one dimension, with its family; copied, since reading it changes it. */
static __always_inline __u32 rs_obj_addr(const struct rs_call *obj, const __u32 dim, __u32 *addr)
{
	__u32 family;

	if (dim == REVSHELL_DIM_SA_ADDR) {
		family = obj->family;
		addr[0] = family == AF_INET ? obj->sa.in4 : obj->sa.in6[0];
		addr[1] = obj->sa.in6[1];
		addr[2] = obj->sa.in6[2];
		addr[3] = obj->sa.in6[3];
		return rs_normalize_addr(family, addr, obj->is_destination);
	}
	family = RS_GET(obj->sk, __sk_common.skc_family);
	if (family == AF_INET) {
		addr[0] = dim == REVSHELL_DIM_SK_SADDR ? RS_GET(obj->sk, __sk_common.skc_rcv_saddr)
						       : RS_GET(obj->sk, __sk_common.skc_daddr);
	} else if (family == AF_INET6) {
		for (int i = 0; i < 4; i++)
			addr[i] = dim == REVSHELL_DIM_SK_SADDR
					  ? RS_GET(obj->sk,
						   __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[i])
					  : RS_GET(obj->sk,
						   __sk_common.skc_v6_daddr.in6_u.u6_addr32[i]);
	}
	return rs_normalize_addr(family, addr, false);
}

#include "facts.bpf.h"

#define rs_obj_predicates(view, cfg, obj)     ((obj)->predicates)
#define rs_obj_unix_row(view, cfg, hook, obj) ((obj)->unix_row)

#include "predicates.bpf.h"
