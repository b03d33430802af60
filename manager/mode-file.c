/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The global mode in a file, for the start that finds nothing in force. */
#include "mode-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "macro.h"
#include "mode.h"

static int open_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static bool is_ours(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && !(st.st_mode & (S_IWGRP | S_IWOTH)) &&
	       (st.st_uid == 0 || st.st_uid == geteuid());
}

int mode_file_read(const char *dir, enum revshell_mode *ret_mode)
{
	_cleanup_close_ int parent = open_dir(dir), fd = -EBADF;
	char text[16] = "";
	ssize_t n;
	int mode;

	if (parent < 0)
		return parent;
	fd = openat(parent, "mode", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!is_ours(fd))
		return -EPERM;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[strcspn(text, "\n")] = '\0';
	mode = mode_parse(text);
	if (mode < 0)
		return -EUCLEAN;
	*ret_mode = (enum revshell_mode)mode;
	return 0;
}

static int write_new(int parent, enum revshell_mode mode)
{
	_cleanup_close_ int fd = -EBADF;

	if (unlinkat(parent, ".mode.new", 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(parent, ".mode.new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (dprintf(fd, "%s\n", mode_name(mode)) < 0 || fsync(fd) < 0)
		return -errno;
	return renameat(parent, ".mode.new", parent, "mode") < 0 ? -errno : 0;
}

int mode_file_write(const char *dir, int mode)
{
	_cleanup_close_ int parent = -EBADF;
	int r = 0;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	parent = open_dir(dir);
	if (parent < 0)
		return parent;
	if (mode >= 0)
		r = write_new(parent, (enum revshell_mode)mode);
	else if (unlinkat(parent, "mode", 0) < 0 && errno != ENOENT)
		r = -errno;
	if (r == 0 && fsync(parent) < 0)
		r = -errno;
	return r;
}
