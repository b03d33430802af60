/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Policy files on disk: several are replaced or removed together, or none is.
 *
 * The journal names every file of a transaction and whether there was one before. It is written
 * before the first file changes, and its removal is what commits; as long as it is there, recovery
 * goes back. Old files are kept by a second link, so that going back is a rename.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "store.h"

#define JOURNAL	     ".revshell-journal"
#define JOURNAL_NEW  ".revshell-journal-new"
#define OWN_PREFIX   ".revshell-" /* no policy file begins with a dot */
#define JOURNAL_MAX  (1024 * 1024)
#define NAME_OLD     ".revshell-old-%zu"
#define NAME_NEW     ".revshell-new-%zu"
#define NAME_OWN_MAX 48

struct store_entry {
	char *name;
	bool existed;
};

struct store {
	int dir;
	struct store_entry *entries;
	size_t n;
};

void store_free(struct store *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		free(s->entries[i].name);
	free(s->entries);
	close(s->dir);
	free(s);
}

static int sync_dir(const struct store *s)
{
	return fsync(s->dir) < 0 ? -errno : 0;
}

static int unlink_if_there(const struct store *s, const char *name)
{
	return unlinkat(s->dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

/* A new file whose contents have reached the disk; its name has not. */
static int write_file(const struct store *s, const char *name, const char *data)
{
	_cleanup_close_ int fd = -EBADF;
	int r;

	r = unlink_if_there(s, name);
	if (r < 0)
		return r;
	fd = openat(s->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	/* The umask may be anything; a file that others may write would be refused. */
	if (fchmod(fd, 0644) < 0)
		return -errno;
	r = write_all(fd, data, strlen(data));
	if (r < 0)
		return r;
	return fsync(fd) < 0 ? -errno : 0;
}

static bool name_is_safe(const char *name)
{
	return *name && *name != '.' && strlen(name) <= NAME_MAX && !strpbrk(name, "/\n");
}

/* Makes the directory and the one above it. */
static int make_dir(const char *dir)
{
	_cleanup_free_ char *parent = strdup(dir);
	char *slash;

	if (!parent)
		return -ENOMEM;
	slash = strrchr(parent, '/');
	if (slash && slash != parent) {
		*slash = '\0';
		if (mkdir(parent, 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	return mkdir(dir, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static int open_dir(const char *dir, struct store **ret_store)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0) {
		int r = -errno;

		free(s);
		return r < 0 ? r : -EIO;
	}
	*ret_store = s;
	return 0;
}

static int add_entry(struct store *s, const char *name, bool existed)
{
	struct store_entry *entries = reallocarray(s->entries, s->n + 1, sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	s->entries = entries;
	entries[s->n] = (struct store_entry){strdup(name), existed};
	if (!entries[s->n].name)
		return -ENOMEM;
	s->n++;
	return 0;
}

/* The second link to what is there, and the new file beside it. Nothing in use changes yet. */
static int prepare(struct store *s, const struct store_change *c)
{
	char old[NAME_OWN_MAX], new[NAME_OWN_MAX];
	bool existed;
	int r;

	if (!name_is_safe(c->name))
		return -EINVAL;
	snprintf(old, sizeof(old), NAME_OLD, s->n);
	snprintf(new, sizeof(new), NAME_NEW, s->n);
	r = unlink_if_there(s, old);
	if (r < 0)
		return r;
	existed = linkat(s->dir, c->name, s->dir, old, 0) == 0;
	if (!existed && errno != ENOENT)
		return -errno;
	r = add_entry(s, c->name, existed);
	if (r < 0)
		return r;
	if (c->kind == STORE_WRITE)
		return write_file(s, new, c->text);
	if (c->kind == STORE_REMOVE)
		return 0;
	r = unlink_if_there(s, new);
	if (r < 0)
		return r;
	return symlinkat("/dev/null", s->dir, new) < 0 ? -errno : 0;
}

static int write_journal(const struct store *s)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	int r;

	if (!f)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++)
		fprintf(f, "%c%s\n", s->entries[i].existed ? '+' : '-', s->entries[i].name);
	if (fclose(f) != 0)
		return -ENOMEM;
	r = write_file(s, JOURNAL_NEW, text);
	if (r >= 0)
		r = sync_dir(s); /* the second links have to be there if the journal is */
	if (r >= 0 && renameat(s->dir, JOURNAL_NEW, s->dir, JOURNAL) < 0)
		r = -errno;
	return r < 0 ? r : sync_dir(s);
}

static int put_in_place(const struct store *s, size_t i, enum store_kind kind)
{
	char new[NAME_OWN_MAX];

	if (!s->entries || i >= s->n)
		return -EINVAL;
	if (kind == STORE_REMOVE)
		return unlink_if_there(s, s->entries[i].name);
	snprintf(new, sizeof(new), NAME_NEW, i);
	return renameat(s->dir, new, s->dir, s->entries[i].name) < 0 ? -errno : 0;
}

/* Whatever begins with the prefix is left from a transaction that is settled. */
static void clean(const struct store *s)
{
	int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!stream) {
		closep(&fd);
		return;
	}
	while ((e = readdir(stream)))
		if (strncmp(e->d_name, OWN_PREFIX, strlen(OWN_PREFIX)) == 0)
			(void)unlinkat(s->dir, e->d_name, 0);
	closedir(stream);
}

int store_commit(struct store *s)
{
	int r;

	r = unlink_if_there(s, JOURNAL);
	if (r >= 0)
		r = sync_dir(s);
	if (r >= 0)
		clean(s);
	return r;
}

/* Going back twice, or half and then again, ends the same. */
int store_rollback(struct store *s)
{
	int r, failed = 0;

	for (size_t i = 0; i < s->n; i++) {
		char old[NAME_OWN_MAX];

		snprintf(old, sizeof(old), NAME_OLD, i);
		r = 0;
		if (!s->entries[i].existed)
			r = unlink_if_there(s, s->entries[i].name);
		else if (renameat(s->dir, old, s->dir, s->entries[i].name) < 0 && errno != ENOENT)
			r = -errno;
		if (r < 0)
			failed = r;
	}
	/* With the journal left, the next start tries again. */
	if (failed == 0)
		failed = sync_dir(s);
	return failed < 0 ? failed : store_commit(s);
}

int store_begin(const char *dir, const struct store_change *changes, size_t n,
		struct store **ret_store)
{
	_cleanup_(store_freep) struct store *s = NULL;
	int r;

	r = make_dir(dir);
	if (r >= 0)
		r = open_dir(dir, &s);
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = prepare(s, &changes[i]);
	if (r >= 0)
		r = write_journal(s);
	if (r < 0) {
		if (s)
			(void)store_commit(s); /* nothing was changed: only what is ours goes */
		return r;
	}
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = put_in_place(s, i, changes[i].kind);
	if (r >= 0)
		r = sync_dir(s);
	if (r < 0) {
		(void)store_rollback(s);
		return r;
	}
	*ret_store = TAKE_PTR(s);
	return 0;
}

/* Lines of "+name" (there was one) and "-name" (there was none). */
static int parse_journal(struct store *s, char *text)
{
	char *line, *save = NULL;
	int r;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if ((line[0] != '+' && line[0] != '-') || !name_is_safe(line + 1))
			return -EBADMSG;
		r = add_entry(s, line + 1, line[0] == '+');
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_journal(struct store *s)
{
	_cleanup_close_ int fd = openat(s->dir, JOURNAL, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_free_ char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > JOURNAL_MAX)
		return -EBADMSG;
	text = calloc(1, (size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	n = pread(fd, text, (size_t)st.st_size, 0);
	if (n < 0)
		return -errno;
	return parse_journal(s, text);
}

int store_recover(const char *dir)
{
	_cleanup_(store_freep) struct store *s = NULL;
	int r;

	r = open_dir(dir, &s);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	r = read_journal(s);
	if (r == -ENOENT) {
		clean(s);
		return 0;
	}
	if (r >= 0)
		r = store_rollback(s);
	return r < 0 ? r : 1;
}
