/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The name of a cgroup of which only the number is known. */
#pragma once

#include <stdint.h>

/* Where the cgroup2 hierarchy is mounted, or NULL. Those of version 1 number theirs on their own.
 */
const char *cgroup_root(void);

/*
 * The path below root ("/" for root itself) of the cgroup that bpf_get_current_cgroup_id() numbers
 * id, which is its directory's inode and is not given twice. root has to be a cgroup2 hierarchy's.
 * Returns 0, -ENOENT: it is gone, or -errno. The path is a new string.
 */
int cgroup_find(const char *root, uint64_t id, char **ret_path);
