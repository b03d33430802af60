/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kprobe backend: for kernels without BPF trampolines. It sees and kills; it cannot deny. */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <unistd.h>

#include "backend-internal.h"
#include "macro.h"

/*
 * bpf_override_return() is of no use here: it works on functions of the kernel's error injection
 * list only, and no kernel has security_socket_connect() and its kin on it. System calls are on it,
 * but there the address is still in the caller's memory, which another thread may change after it
 * was judged, and io_uring does not come by.
 */
static int check(bool forced, char **reason)
{
	if (access("/sys/bus/event_source/devices/kprobe/type", R_OK) == 0)
		return 0;
	backend_reason(reason, "the kernel has no kprobes (CONFIG_KPROBE_EVENTS)");
	return -EOPNOTSUPP;
}

/* Links of perf events came with 5.15: who has them complains about the descriptor first. */
static bool have_perf_links(void)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	_cleanup_close_ int prog = bpf_prog_load(BPF_PROG_TYPE_TRACEPOINT, "perf_links", "GPL",
						 insns, ARRAY_SIZE(insns), NULL);

	return prog >= 0 && bpf_link_create(prog, -1, BPF_PERF_EVENT, NULL) == -EBADF;
}

static int may_pin(struct backend *b, char **reason)
{
	if (have_perf_links())
		return 0;
	if (b->pins.present) {
		backend_reason(reason,
			       "this kernel cannot pin kprobes, and the programs of another "
			       "backend are pinned in %s: end them with revshellctl stop --disarm",
			       b->pins.dir);
		return -EBUSY;
	}
	free(b->pins.base);
	free(b->pins.dir);
	b->pins.base = b->pins.dir = NULL;
	if (asprintf(&b->pins.note, "this kernel cannot pin kprobes: all ends with the daemon") < 0)
		b->pins.note = NULL;
	return 0;
}

const struct backend_ops backend_ops_kprobe = {
	.name = "kprobe",
	.check = check,
	.may_pin = may_pin,
};
