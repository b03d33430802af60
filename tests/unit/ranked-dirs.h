/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Folders of descending precedence for a test's files: cmocka's setup and teardown. */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define N_DIRS 3 /* the last does not exist */

struct ranked_dirs {
	char root[32];
	char *dirs[N_DIRS]; /* root/0, root/1, ... */
};

static inline int ranked_dirs_setup(void **state)
{
	struct ranked_dirs *f = calloc(1, sizeof(*f));

	strcpy(f->root, "/tmp/revshell-test-XXXXXX");
	if (!mkdtemp(f->root))
		return -1;
	for (int i = 0; i < N_DIRS; i++) {
		if (asprintf(&f->dirs[i], "%s/%d", f->root, i) < 0)
			return -1;
		if (i < N_DIRS - 1 && mkdir(f->dirs[i], 0755) < 0)
			return -1;
	}
	*state = f;
	return 0;
}

static inline int ranked_dirs_remove(const char *path, const struct stat *st, int type,
				     struct FTW *ftw)
{
	return remove(path);
}

static inline int ranked_dirs_teardown(void **state)
{
	struct ranked_dirs *f = *state;

	nftw(f->root, ranked_dirs_remove, 8, FTW_DEPTH | FTW_PHYS);
	for (int i = 0; i < N_DIRS; i++)
		free(f->dirs[i]);
	free(f);
	return 0;
}
