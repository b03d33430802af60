/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Messages that reach a peer without connect(2), since they carry its address: datagrams, raw
 * packets, implicit associations, TCP fast open. They are judged by what policies say of connect.
 */
#include "hook.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

DEFINE_DECIDE(sendto_decide, REVSHELL_HOOK_CONNECT,
	      RS_DIMS_SOCK | RS_DIMS_SOCKADDR | RS_DIM_BIT(REVSHELL_DIM_INT2), true)

/* Whether the address of a message means a peer that it goes to. */
static __always_inline bool has_peer(const struct sock *sk, const struct msghdr *msg, __u32 family)
{
	__u32 protocol = RS_GET(sk, sk_protocol);

	/* allow: the kernel itself, or a device, which no connect(2) reaches either */
	if (family == AF_NETLINK || family == AF_PACKET)
		return false;
	/* allow: an established stream takes no notice of the address */
	if (RS_GET(sk, sk_type) == SOCK_STREAM &&
	    (family == AF_UNIX || protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP))
		return RS_GET(msg, msg_flags) & MSG_FASTOPEN;
	return true;
}

static __always_inline int sendto_verdict(void *ctx, struct socket *sock, struct msghdr *msg)
{
	const void *address;
	struct sock *sk;
	__u16 family;
	int addrlen;

	address = RS_GET(msg, msg_name);
	/* allow: to the peer that connect(2) has been asked about */
	if (!address)
		return 0;
	if (selftest_hit(REVSHELL_HOOK_SENDMSG))
		return -EPERM;
	addrlen = RS_GET(msg, msg_namelen);
	/* allow: too short for a family, which the kernel refuses by itself */
	if (addrlen < (int)sizeof(family))
		return 0;
	sk = RS_GET(sock, sk);
	/* allow: no socket behind it, nothing can be sent */
	if (!sk)
		return 0;
	bpf_probe_read_kernel(&family, sizeof(family), address);
	/* udp_sendmsg() and raw_sendmsg() take no family for AF_INET; IPv6 takes it for no address
	 */
	if (family == AF_UNSPEC && RS_GET(sk, __sk_common.skc_family) == AF_INET)
		family = AF_INET;
	if (family == AF_UNSPEC || !has_peer(sk, msg, family))
		return 0;
	return verdict_return(HOOK_RUN(REVSHELL_HOOK_CONNECT, family, sendto_decide, .ctx = ctx,
				       .sk = sk, .sockaddr = address, .addrlen = addrlen,
				       .is_destination = true, .by_send = true,
				       .ints[2] = addrlen));
}

RS_VERDICT(sendto, socket_sendmsg, sendto_verdict(ctx, sock, msg), struct socket *sock,
	   struct msghdr *msg, int size)
