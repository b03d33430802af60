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

static __always_inline int sendto_verdict(void *ctx, struct socket *sock, struct msghdr *msg,
					  int ret)
{
	struct rs_call call = {};
	__u32 family;

	/* an earlier denial stands */
	if (ret)
		return ret;
	call.sockaddr = RS_GET(msg, msg_name);
	/* allow: to the peer that connect(2) has been asked about */
	if (!call.sockaddr)
		return 0;
	if (selftest_hit(REVSHELL_HOOK_SENDMSG))
		return -EPERM;
	call.addrlen = RS_GET(msg, msg_namelen);
	/* allow: too short for a family, which the kernel refuses by itself */
	if (call.addrlen < (int)sizeof(__u16))
		return 0;
	call.sk = RS_GET(sock, sk);
	/* allow: no socket behind it, nothing can be sent */
	if (!call.sk)
		return 0;
	/* read to where there is room: no byte of the stack is left for it */
	bpf_probe_read_kernel(call.ints, sizeof(__u16), call.sockaddr);
	family = *(__u16 *)call.ints;
	call.ints[0] = 0;
	/* udp_sendmsg() and raw_sendmsg() take no family for AF_INET; IPv6 takes it for no address
	 */
	if (family == AF_UNSPEC)
		family = RS_GET(call.sk, __sk_common.skc_family) == AF_INET ? AF_INET : AF_UNSPEC;
	if (family == AF_UNSPEC || !has_peer(call.sk, msg, family))
		return 0;
	call.family = family;
	call.is_destination = true;
	call.ints[2] = call.addrlen;
	call.by_send = true;
	call.ctx = ctx;
	return verdict_return(HOOK_RUN(REVSHELL_HOOK_CONNECT, sendto_decide, &call));
}

#ifdef RS_PROBING
SEC("?kprobe/security_socket_sendmsg")
int BPF_KPROBE(rs_kprobe_sendto, struct socket *sock, struct msghdr *msg)
{
	sendto_verdict(ctx, sock, msg, 0);
	return 0;
}
#else
SEC("?lsm/socket_sendmsg")
int BPF_PROG(rs_lsm_sendto, struct socket *sock, struct msghdr *msg, int size, int ret)
{
	return sendto_verdict(ctx, sock, msg, ret);
}

SEC("?fmod_ret/security_socket_sendmsg")
int BPF_PROG(rs_fmod_sendto, struct socket *sock, struct msghdr *msg, int size, int ret)
{
	return sendto_verdict(ctx, sock, msg, ret);
}
#endif
