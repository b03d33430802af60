/* SPDX-License-Identifier: GPL-2.0-only */
/* connect(2) of every family, before the protocol sees it: kernel's copy of the address. */
#include "hook.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

DEFINE_DECIDE(connect_decide, REVSHELL_HOOK_CONNECT,
	      RS_DIMS_SOCK | RS_DIMS_SOCKADDR | RS_DIM_BIT(REVSHELL_DIM_INT2), true)

static __always_inline int connect_verdict(void *ctx, struct socket *sock, struct sockaddr *address,
					   int addrlen, int ret)
{
	struct sock *sk;
	__u32 family;

	/* an earlier denial stands */
	if (ret)
		return ret;
	if (selftest_hit(REVSHELL_HOOK_CONNECT))
		return -EPERM;
	/* allow: too short for a family, which the kernel refuses by itself */
	if (addrlen < (int)sizeof(__u16))
		return 0;
	family = RS_GET(address, sa_family);
	/* allow: this ends an association, it makes none */
	if (family == AF_UNSPEC)
		return 0;
	sk = RS_GET(sock, sk);
	/* allow: no socket behind it, nothing can be sent */
	if (!sk)
		return 0;
	return verdict_return(HOOK_RUN(REVSHELL_HOOK_CONNECT, family, connect_decide, .ctx = ctx,
				       .sk = sk, .sockaddr = address, .addrlen = addrlen,
				       .is_destination = true, .ints[2] = addrlen));
}

#ifdef RS_PROBING
SEC("?kprobe/security_socket_connect")
int BPF_KPROBE(rs_kprobe_connect, struct socket *sock, struct sockaddr *address, int addrlen)
{
	connect_verdict(ctx, sock, address, addrlen, 0);
	return 0;
}
#else
SEC("?lsm/socket_connect")
int BPF_PROG(rs_lsm_connect, struct socket *sock, struct sockaddr *address, int addrlen, int ret)
{
	return connect_verdict(ctx, sock, address, addrlen, ret);
}

SEC("?fmod_ret/security_socket_connect")
int BPF_PROG(rs_fmod_connect, struct socket *sock, struct sockaddr *address, int addrlen, int ret)
{
	return connect_verdict(ctx, sock, address, addrlen, ret);
}
#endif
