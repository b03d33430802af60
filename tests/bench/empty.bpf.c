/* SPDX-License-Identifier: GPL-2.0-only */
/* Programs that do nothing: what a hook costs by being used at all. */
#include "kernel.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

SEC("?lsm/socket_connect")
int empty_connect(void *ctx)
{
	return 0;
}

SEC("?lsm/socket_sendmsg")
int empty_sendmsg(void *ctx)
{
	return 0;
}

SEC("?fmod_ret/security_socket_connect")
int empty_fmod_ret(void *ctx)
{
	return 0;
}

SEC("?fentry/security_socket_connect")
int empty_fentry(void *ctx)
{
	return 0;
}

SEC("?kprobe/security_socket_connect")
int empty_kprobe(void *ctx)
{
	return 0;
}
