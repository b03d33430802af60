/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Policies from files and directories: which files count, whom to trust, and their order. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "file-list.h"
#include "policy-internal.h"

static struct diag_pos path_pos(const char *path)
{
	return (struct diag_pos){.file = path};
}

static int report_errno(struct diag *d, const char *path, int err)
{
	if (err == ENOMEM)
		return -ENOMEM;
	diag_error(d, path_pos(path), "unreadable", "cannot be read: %s", strerror(err));
	return -EINVAL;
}

/*
 * Whoever can write a policy can take enforcement away, so that must be root or the caller alone.
 * Where nothing is loaded (offline) it is only worth a warning.
 */
static int check_trust(const char *path, const struct stat *st, const struct policy_options *opts,
		       struct diag *d)
{
	enum diag_severity severity = opts->offline ? DIAG_WARNING : DIAG_ERROR;

	if (st->st_uid != 0 && st->st_uid != geteuid()) {
		diag_add(d, severity, path_pos(path), "unsafe-owner",
			 "is owned by uid %u, not by root or the caller", st->st_uid);
		return opts->offline ? 0 : -EINVAL;
	}
	if (st->st_mode & 022) {
		diag_add(d, severity, path_pos(path), "unsafe-mode",
			 "is writable by group or others (mode %04o)", st->st_mode & 07777);
		return opts->offline ? 0 : -EINVAL;
	}
	return 0;
}

static int report_too_big(struct diag *d, const char *path, long long size)
{
	if (size > 0)
		diag_error(d, path_pos(path), "too-big", "has %lld bytes; at most %u are allowed",
			   size, YAML_MAX_SIZE);
	else
		diag_error(d, path_pos(path), "too-big", "has more than the %u bytes allowed",
			   YAML_MAX_SIZE);
	return -EINVAL;
}

/*
 * Reads up to one byte more than is allowed, however the file changes meanwhile. expected: its size
 * so far as is known.
 */
static int read_all(int fd, const char *path, size_t expected, struct diag *d, char **ret_text,
		    size_t *ret_size)
{
	size_t room = expected + 1, size = 0;
	_cleanup_free_ char *text = malloc(room);
	ssize_t n;

	if (!text)
		return -ENOMEM;
	while (size < YAML_MAX_SIZE + 1) {
		if (size == room) {
			char *more = realloc(text, YAML_MAX_SIZE + 1);

			if (!more)
				return -ENOMEM;
			text = more;
			room = YAML_MAX_SIZE + 1;
		}
		n = read(fd, text + size, room - size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return report_errno(d, path, errno);
		if (n == 0)
			break;
		size += (size_t)n;
	}
	if (size > YAML_MAX_SIZE)
		return report_too_big(d, path, 0);
	*ret_text = TAKE_PTR(text);
	*ret_size = size;
	return 0;
}

int policy_read_file(const char *path, const struct policy_options *opts, struct diag *d,
		     char **ret_text, size_t *ret_size)
{
	_cleanup_close_ int fd = -EBADF;
	struct stat st;
	int err;

	/* O_NONBLOCK: a FIFO must not hang the reader before it is refused */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return report_errno(d, path, errno);
	if (fstat(fd, &st) < 0)
		return report_errno(d, path, errno);
	if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) {
		*ret_text = NULL;
		*ret_size = 0;
		return 0;
	}
	if (!S_ISREG(st.st_mode)) {
		diag_error(d, path_pos(path), "not-a-file", "is not a regular file");
		return -EINVAL;
	}
	err = check_trust(path, &st, opts, d);
	if (err < 0)
		return err;
	if (st.st_size > YAML_MAX_SIZE)
		return report_too_big(d, path, st.st_size);
	return read_all(fd, path, (size_t)st.st_size, d, ret_text, ret_size);
}

int policy_load_file(const char *path, const struct policy_options *opts, struct diag *d,
		     struct policy_set *set)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int err;

	err = policy_read_file(path, opts, d, &text, &size);
	if (err < 0)
		return err;
	if (!text) {
		diag_error(d, path_pos(path), "not-a-file", "is not a regular file");
		return -EINVAL;
	}
	return policy_load_text(text, size, path, opts, d, set);
}

static bool name_is_policy(const char *name)
{
	const char *dot = strrchr(name, '.');

	return name[0] != '.' && dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static int report_too_many_files(struct diag *d, const char *dir)
{
	diag_error(d, path_pos(dir), "too-many-files", "more than %u policy files",
		   POLICY_MAX_FILES);
	return -EINVAL;
}

/* Adds the policy files of one open directory. */
static int dir_scan(DIR *stream, const char *dir, size_t dir_index, struct diag *d,
		    struct file_list *l)
{
	size_t before = l->n;
	int err;

	for (;;) {
		struct dirent *entry;

		errno = 0;
		entry = readdir(stream);
		if (!entry && errno != 0)
			return report_errno(d, dir, errno);
		if (!entry)
			return 0;
		if (!name_is_policy(entry->d_name))
			continue;
		if (l->n - before == POLICY_MAX_FILES)
			return report_too_many_files(d, dir);
		err = file_list_add(l, dir, dir_index, entry->d_name);
		if (err < 0)
			return err;
	}
}

static int dir_list(const char *dir, size_t dir_index, bool required,
		    const struct policy_options *opts, struct diag *d, struct file_list *l)
{
	DIR *stream = opendir(dir);
	struct stat st;
	int err;

	if (!stream && errno == ENOENT && !required)
		return 0;
	if (!stream)
		return report_errno(d, dir, errno);
	if (fstat(dirfd(stream), &st) < 0)
		err = report_errno(d, dir, errno);
	else
		err = check_trust(dir, &st, opts, d);
	if (err == 0)
		err = dir_scan(stream, dir, dir_index, d, l);
	closedir(stream);
	return err;
}

static int file_list_load(const struct file_list *l, const struct policy_options *opts,
			  struct diag *d, struct policy_set *set)
{
	int err, failed = 0;
	size_t known = 0;

	for (size_t i = 0; i < l->n; i++) {
		_cleanup_free_ char *text = NULL;
		size_t size;

		err = policy_read_file(l->files[i].path, opts, d, &text, &size);
		if (err == 0 && text)
			err = policy_known_take(text, size, l->files[i].path, opts, &known, d, set);
		if (err == 0 && text)
			err = policy_parse_text(text, size, l->files[i].path, opts, d, set);
		if (err == -ENOMEM)
			return err;
		if (err < 0)
			failed = err;
	}
	return failed;
}

/* Lists the files of all directories, each base name once, in load order. */
static int dirs_list(char *const *dirs, size_t n_dirs, const struct policy_options *opts,
		     struct diag *d, struct file_list *l)
{
	int err, failed = 0;

	for (size_t i = 0; i < n_dirs; i++) {
		err = dir_list(dirs[i], i, n_dirs == 1, opts, d, l);
		if (err == -ENOMEM)
			return err;
		if (err < 0)
			failed = err;
	}
	if (failed < 0)
		return failed;
	file_list_settle(l);
	if (l->n > POLICY_MAX_FILES)
		return report_too_many_files(d, NULL);
	if (l->n > 0)
		return 0;
	if (n_dirs == 1) {
		diag_error(d, path_pos(dirs[0]), "no-files", "no policy files in %s", dirs[0]);
		return -EINVAL;
	}
	diag_warning(d, path_pos(NULL), "no-files", "no policy files in any of %zu directories",
		     n_dirs);
	return 0;
}

int policy_load_dirs(char *const *dirs, size_t n_dirs, const struct policy_options *opts,
		     struct diag *d, struct policy_set *set)
{
	struct policy_set added = {};
	struct file_list l = {};
	size_t before = set->n;
	int err;

	err = dirs_list(dirs, n_dirs, opts, d, &l);
	if (err == 0)
		err = file_list_load(&l, opts, d, &added);
	if (err == 0)
		err = policy_set_append(set, &added);
	if (err == 0)
		err = policy_set_check_names(set, before, d);
	if (err < 0) {
		policy_set_truncate(set, before);
		policy_set_done(&added);
	}
	file_list_done(&l);
	return err;
}
