/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files of several directories in the order of their names, those of higher precedence hiding
 * others. */
#pragma once

#include <stddef.h>

struct file_list {
	struct file_list_item {
		char *path;
		const char *name; /* the last part of path */
		size_t dir; /* position in the list of directories: the lower hides the higher */
	} * files;
	size_t n;
	size_t n_allocated;
};

/* 0 or -ENOMEM. */
int file_list_add(struct file_list *l, const char *dir, size_t dir_index, const char *name);

/* Sorts by name and drops what a directory of higher precedence hides. */
void file_list_settle(struct file_list *l);

void file_list_done(struct file_list *l);
