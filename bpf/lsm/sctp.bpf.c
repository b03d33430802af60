/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SCTP's calls that take a packed list of addresses: sctp_connectx(), sctp_bindx(), an implicit
 * association by sendmsg(), a peer's announcement. Judged by the first address of the list.
 */
#include "hook.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

DEFINE_DECIDE(sctp_decide, REVSHELL_HOOK_SCTP_BIND_CONNECT,
	      RS_DIMS_SOCK | RS_DIMS_SOCKADDR | RS_DIM_BIT(REVSHELL_DIM_INT1) |
		      RS_DIM_BIT(REVSHELL_DIM_INT3),
	      true)

static __always_inline int sctp_verdict(void *ctx, struct sock *sk, int optname,
					struct sockaddr *address, int addrlen)
{
	__u32 family;

	family = RS_GET(address, sa_family);
	return verdict_return(
		HOOK_RUN(REVSHELL_HOOK_SCTP_BIND_CONNECT, family, sctp_decide, .ctx = ctx, .sk = sk,
			 RS_CALL_ADDRESS(address, addrlen, family), .is_destination = true,
			 .ints[1] = optname, .ints[3] = addrlen));
}

RS_VERDICT(sctp, sctp_bind_connect, sctp_verdict(ctx, sk, optname, address, addrlen),
	   struct sock *sk, int optname, struct sockaddr *address, int addrlen)
