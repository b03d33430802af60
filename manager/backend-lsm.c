/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lsm backend: BPF LSM programs, which deny like any other security module. */
#include <errno.h>
#include <string.h>

#include "backend-internal.h"
#include "macro.h"

static bool lsm_list_has_bpf(void)
{
	_cleanup_fclose_ FILE *f = fopen("/sys/kernel/security/lsm", "re");
	char line[512], *save = NULL;

	if (!f || !fgets(line, sizeof(line), f))
		return false;
	for (char *s = strtok_r(line, ",\n", &save); s; s = strtok_r(NULL, ",\n", &save))
		if (strcmp(s, "bpf") == 0)
			return true;
	return false;
}

/* A forced backend is tried all the same: the self-test tells what the list only suggests. */
static int check(bool forced, char **reason)
{
	if (forced || lsm_list_has_bpf())
		return 0;
	backend_reason(reason, "bpf is not in /sys/kernel/security/lsm (boot with lsm=...,bpf)");
	return -EOPNOTSUPP;
}

const struct backend_ops backend_ops_lsm = {
	.name = "lsm",
	.can_deny = true,
	.check = check,
	.remedy = "; bpf has to be in the kernel's list of LSMs: boot with lsm=...,bpf",
};
