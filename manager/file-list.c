/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files of several directories in the order of their names, those of higher precedence hiding
 * others. */
#include "file-list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void file_list_done(struct file_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->files[i].path);
	free(l->files);
}

int file_list_add(struct file_list *l, const char *dir, size_t dir_index, const char *name)
{
	struct file_list_item *f;

	if (l->n == l->n_allocated) {
		size_t n = l->n_allocated ? 2 * l->n_allocated : 32;
		struct file_list_item *files = reallocarray(l->files, n, sizeof(*files));

		if (!files)
			return -ENOMEM;
		l->files = files;
		l->n_allocated = n;
	}
	f = &l->files[l->n];
	if (asprintf(&f->path, "%s/%s", dir, name) < 0)
		return -ENOMEM;
	f->name = f->path + strlen(f->path) - strlen(name);
	f->dir = dir_index;
	l->n++;
	return 0;
}

static int compare_files(const void *a, const void *b)
{
	const struct file_list_item *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c != 0 ? c : (x->dir > y->dir) - (x->dir < y->dir);
}

void file_list_settle(struct file_list *l)
{
	size_t n = 0;

	if (l->n == 0)
		return;
	qsort(l->files, l->n, sizeof(*l->files), compare_files);
	for (size_t i = 0; i < l->n; i++) {
		if (n > 0 && strcmp(l->files[n - 1].name, l->files[i].name) == 0)
			free(l->files[i].path);
		else
			l->files[n++] = l->files[i];
	}
	l->n = n;
}
