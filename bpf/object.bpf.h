/* SPDX-License-Identifier: GPL-2.0-only */
/* The object of a call as the engine asks for it: socket fields by direct loads, one address. */
#pragma once

#include "label.bpf.h"
#include "tables.bpf.h"
#include <bpf/bpf_endian.h>

/* A sockaddr in the form the engine compares. family AF_UNSPEC: none. */
struct rs_addr {
	__u32 family;
	__u32 port;    /* host byte order */
	__u32 addr[4]; /* network byte order */
};

/* What a program hands over, and what comes back. Lives on the program's stack. */
struct rs_call {
	void *ctx;	      /* the program's, for helpers that want it */
	struct sock *sk;      /* known to the verifier; NULL only where dims ask nothing of it */
	const void *sockaddr; /* kernel copy, or NULL */
	struct revshell_event *ev; /* out: the event, if decide() returned 1 */
	__u64 predicates;	   /* answers that the label has */
	__s64 ints[REVSHELL_INTS]; /* integer arguments, by REVSHELL_INT_SLOT */
	struct rs_addr sa;	   /* filled in when a dimension in use asks for it */
	__s32 addrlen;		   /* as the caller gave it */
	__u32 unix_row;		   /* of a UNIX address, where the hook asks */
	__u32 family;		   /* that cfg->families is asked about */
	__u32 class_id[REVSHELL_PATH_DIMS];
	/* small, since the stack is */
	__s16 error; /* out: 0 or the denial's -errno */
	__u8 hook;
	bool is_destination : 1; /* sockaddr is where packets will go */
	bool by_send : 1;	 /* a message carries it, not connect(2) */
};

static __always_inline void addr_read(struct rs_addr *addr, const void *sockaddr, __u32 family)
{
	addr->family = family;
	addr->port = 0;
	if (family == AF_INET) {
		struct sockaddr_in in = {};

		bpf_probe_read_kernel(&in, sizeof(in), sockaddr);
		addr->port = bpf_ntohs(in.sin_port);
		addr->addr[0] = in.sin_addr;
	} else if (family == AF_INET6) {
		struct sockaddr_in6 in6 = {};

		/* RFC 2133's form without a scope, 24 bytes, is legal; the buffer is longer */
		bpf_probe_read_kernel(&in6, sizeof(in6), sockaddr);
		addr->port = bpf_ntohs(in6.sin6_port);
		addr->addr[0] = in6.sin6_addr[0];
		addr->addr[1] = in6.sin6_addr[1];
		addr->addr[2] = in6.sin6_addr[2];
		addr->addr[3] = in6.sin6_addr[3];
	}
}

#define RS_OBJECT const struct rs_call *

#ifndef RS_SK_STATE
#define RS_SK_STATE(sk) RS_GET(sk, __sk_common.skc_state)
#endif

#define rs_obj_sk_family(obj)	RS_GET((obj)->sk, __sk_common.skc_family)
#define rs_obj_sk_type(obj)	RS_GET((obj)->sk, sk_type)
#define rs_obj_sk_protocol(obj) RS_GET((obj)->sk, sk_protocol)
#define rs_obj_sk_state(obj)	RS_SK_STATE((obj)->sk)
#define rs_obj_sa_family(obj)	((obj)->family)
#define rs_obj_int(obj, n)	((obj)->ints[n])

static __always_inline __u32 rs_obj_port(const struct rs_call *obj, const __u32 dim)
{
	if (dim == REVSHELL_DIM_SK_SPORT)
		return RS_GET(obj->sk, __sk_common.skc_num);
	if (dim == REVSHELL_DIM_SK_DPORT)
		return bpf_ntohs(RS_GET(obj->sk, __sk_common.skc_dport));
	return obj->sa.port;
}

static __always_inline __u32 rs_normalize_addr(__u32 family, __u32 *addr, bool destination);

/* The address of one dimension, with its family; copied, since reading it changes it. */
static __always_inline __u32 rs_obj_addr(const struct rs_call *obj, const __u32 dim, __u32 *addr)
{
	__u32 family;

	if (dim == REVSHELL_DIM_SA_ADDR) {
		family = obj->family;
		addr[0] = obj->sa.addr[0];
		addr[1] = obj->sa.addr[1];
		addr[2] = obj->sa.addr[2];
		addr[3] = obj->sa.addr[3];
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
