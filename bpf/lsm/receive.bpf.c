/* SPDX-License-Identifier: GPL-2.0-only */
/* A descriptor that comes from elsewhere: SCM_RIGHTS, pidfd_getfd(2). Only sockets are judged. */
#include "hook.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

DEFINE_DECIDE(receive_decide, REVSHELL_HOOK_FILE_RECEIVE, RS_DIMS_SOCK, true)

static __always_inline int receive_verdict(void *ctx, struct file *file)
{
	struct socket *sock;
	struct sock *sk;

	sock = RS_IS_PROBING ? file_socket(file) : bpf_sock_from_file(file);
	/* allow: no socket */
	if (!sock)
		return 0;
	sk = RS_GET(sock, sk);
	/* allow: no socket behind it, nothing can be sent */
	if (!sk)
		return 0;
	return verdict_return(HOOK_RUN(REVSHELL_HOOK_FILE_RECEIVE,
				       RS_GET(sk, __sk_common.skc_family), receive_decide,
				       .ctx = ctx, .sk = sk));
}

RS_VERDICT(receive, file_receive, receive_verdict(ctx, file), struct file *file)
