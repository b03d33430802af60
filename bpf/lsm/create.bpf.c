/* SPDX-License-Identifier: GPL-2.0-only */
/* socket(2) and its kin: there is no socket yet, only the numbers that were asked for. */
#include "hook.bpf.h"

char LICENSE[] SEC("license") __weak = "GPL";

DEFINE_DECIDE(create_decide, REVSHELL_HOOK_CREATE, RS_DIMS_INTS, true)

static __always_inline int create_verdict(void *ctx, int family, int type, int protocol, int kern)
{
	return verdict_return(HOOK_RUN(REVSHELL_HOOK_CREATE, family, create_decide, .ctx = ctx,
				       .ints = {family, type, protocol, kern}));
}

RS_VERDICT(create, socket_create, create_verdict(ctx, family, type, protocol, kern), int family,
	   int type, int protocol, int kern)
