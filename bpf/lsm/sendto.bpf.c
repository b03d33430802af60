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

/*
 * What an address without a family means: the socket's own to udp_sendmsg(), raw_sendmsg(),
 * rawv6_sendmsg() and l2tp_ip6_sendmsg(); no address at all to udpv6_sendmsg(). A stream's is taken
 * for a disconnect, and refused.
 */
static __always_inline __u32 family_meant(const struct sock *sk)
{
	__u32 family = RS_GET(sk, __sk_common.skc_family), type = RS_GET(sk, sk_type);
	__u32 protocol = RS_GET(sk, sk_protocol);

	if (family == AF_INET)
		return AF_INET;
	if (family != AF_INET6 || type == SOCK_STREAM)
		return AF_UNSPEC;
	if (type == SOCK_DGRAM && (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE))
		return AF_UNSPEC;
	return AF_INET6;
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
	if (family == AF_UNSPEC)
		family = family_meant(sk);
	if (family == AF_UNSPEC || !has_peer(sk, msg, family))
		return 0;
	return verdict_return(HOOK_RUN(REVSHELL_HOOK_CONNECT, family, sendto_decide, .ctx = ctx,
				       .sk = sk, .sockaddr = address, .addrlen = addrlen,
				       .is_destination = true, .via = REVSHELL_VIA_SENDMSG,
				       .ints[2] = addrlen));
}

RS_VERDICT(sendto, socket_sendmsg, sendto_verdict(ctx, sock, msg), struct socket *sock,
	   struct msghdr *msg, int size)
