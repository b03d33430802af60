/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The name of a cgroup of which only the number is known. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <linux/magic.h>
#include <unistd.h>

#include "cgroup.h"
#include "macro.h"

#define MAX_DEPTH 32 /* cgroups may be nested deeper, but nobody does */

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* Looks through the directory fd, which it takes. Returns 1 with the path, 0 or -errno. */
static int search(int fd, const char *path, uint64_t id, unsigned int depth, char **ret_path)
{
	_cleanup_(closedirp) DIR *dir = fdopendir(fd);
	const struct dirent *e;

	if (!dir) {
		close(fd);
		return -errno;
	}
	while ((e = readdir(dir))) {
		_cleanup_free_ char *below = NULL;
		int r, next;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		if (asprintf(&below, "%s/%s", path, e->d_name) < 0)
			return -ENOMEM;
		if (e->d_ino == id) {
			*ret_path = TAKE_PTR(below);
			return 1;
		}
		if (depth == MAX_DEPTH)
			continue;
		next = openat(dirfd(dir), e->d_name,
			      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0) /* it went away */
			continue;
		r = search(next, below, id, depth + 1, ret_path);
		if (r != 0)
			return r;
	}
	return 0;
}

const char *cgroup_root(void)
{
	static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	struct statfs st;

	for (size_t i = 0; i < ARRAY_SIZE(roots); i++)
		if (statfs(roots[i], &st) == 0 && st.f_type == CGROUP2_SUPER_MAGIC)
			return roots[i];
	return NULL;
}

int cgroup_find(const char *root, uint64_t id, char **ret_path)
{
	_cleanup_close_ int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_ino == id) {
		*ret_path = strdup("/");
		return *ret_path ? 0 : -ENOMEM;
	}
	r = search(TAKE_FD(fd), "", id, 0, ret_path);
	return r < 0 ? r : r > 0 ? 0 : -ENOENT;
}
