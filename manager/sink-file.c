/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The export file: one JSON line an event in Tetragon's encoding, for forwarders. */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#include "messages.h"
#include "sink.h"

#define RETRY_SEC 5 /* between attempts to open a file that could not be opened */

struct sink_file {
	struct sink sink;
	const struct log *log;
	const struct sink_config *config;
	int fd;
	uint64_t size;	   /* of the file, as far as we know */
	time_t retry_at;   /* CLOCK_MONOTONIC; while fd < 0 */
	uint64_t lost;	   /* events, since the start */
	uint64_t lost_now; /* in the present trouble */
	bool troubled;	   /* and told so */
};

static struct sink_file *to_file(struct sink *s)
{
	return (struct sink_file *)s;
}

/* Once for a whole trouble. */
static void file_fail(struct sink_file *f, const char *what, int error)
{
	static const char *const fields[] = {MESSAGE_FIELD(MESSAGE_EXPORT_FAILED), NULL};

	if (!f->troubled)
		log_fields(f->log, LOG_ERR, fields, "Failed to %s %s: %s; events are missing there",
			   what, f->config->export_file, strerror(-error));
	f->troubled = true;
}

static void file_recover(struct sink_file *f)
{
	static const char *const fields[] = {MESSAGE_FIELD(MESSAGE_EXPORT_RESUMED), NULL};

	if (!f->troubled)
		return;
	log_fields(f->log, LOG_NOTICE, fields,
		   "Events go to %s again; %" PRIu64 " are missing there", f->config->export_file,
		   f->lost_now);
	f->troubled = false;
	f->lost_now = 0;
}

static void file_close(struct sink_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -EBADF;
}

static int file_open(struct sink_file *f)
{
	_cleanup_close_ int fd = -EBADF;
	struct stat st;

	/* without O_NONBLOCK a FIFO would keep us waiting for its reader */
	fd = open(f->config->export_file,
		  O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOTSUP;
	/* its contents are not everybody's; and who can write to it can forge events */
	if (st.st_uid != geteuid() || st.st_nlink != 1 || (st.st_mode & 022))
		return -EPERM;
	f->fd = TAKE_FD(fd);
	f->size = (uint64_t)st.st_size;
	return 0;
}

static bool file_is_due(struct sink_file *f)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	if (ts.tv_sec < f->retry_at)
		return false;
	f->retry_at = ts.tv_sec + RETRY_SEC;
	return true;
}

/* NAME.1 is the newest. The oldest is lost to its successor's name. */
static int shift_files(const char *path, unsigned int n)
{
	for (unsigned int i = n; i >= 1; i--) {
		_cleanup_free_ char *from = NULL, *to = NULL;

		if (asprintf(&to, "%s.%u", path, i) < 0) {
			to = NULL;
			return -ENOMEM;
		}
		if (i == 1 ? !(from = strdup(path)) : asprintf(&from, "%s.%u", path, i - 1) < 0) {
			from = NULL;
			return -ENOMEM;
		}
		if (rename(from, to) < 0 && (errno != ENOENT || i == 1))
			return -errno;
	}
	return 0;
}

static int file_rotate(struct sink_file *f)
{
	int r = 0;

	if (f->config->export_files > 0)
		r = shift_files(f->config->export_file, f->config->export_files);
	else if (ftruncate(f->fd, 0) < 0)
		r = -errno;
	if (r < 0)
		return r;
	file_close(f);
	return file_open(f);
}

/* Whole lines only: what a full disk took of one is taken back. */
static int file_write(struct sink_file *f, const struct event_record *rec)
{
	struct iovec iov[] = {{(char *)rec->text, rec->len}, {(char *)"\n", 1}};
	size_t size = rec->len + 1;
	ssize_t n;

	do {
		n = writev(f->fd, iov, ARRAY_SIZE(iov));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if ((size_t)n == size) {
		f->size += size;
		return 0;
	}
	if (ftruncate(f->fd, (off_t)f->size) < 0)
		return -errno;
	return -ENOSPC;
}

static int file_put(struct sink_file *f, const struct event_record *rec, const char **ret_what)
{
	uint64_t max = f->config->export_max_size;
	int r;

	if (f->fd < 0) {
		*ret_what = "open";
		r = file_is_due(f) ? file_open(f) : -EBADF;
		if (r < 0)
			return r;
	}
	if (max && f->size > 0 && f->size + rec->len + 1 > max) {
		*ret_what = "rotate";
		r = file_rotate(f);
		if (r < 0)
			return r;
	}
	*ret_what = "write to";
	return file_write(f, rec);
}

static void file_event(struct sink *s, const struct event_record *rec)
{
	struct sink_file *f = to_file(s);
	const char *what;
	int r;

	r = file_put(f, rec, &what);
	if (r < 0) {
		f->lost++;
		f->lost_now++;
		file_fail(f, what, r);
	} else {
		file_recover(f);
	}
}

static void file_reopen(struct sink *s)
{
	struct sink_file *f = to_file(s);
	int r;

	file_close(f);
	f->retry_at = 0;
	r = file_open(f);
	if (r < 0)
		file_fail(f, "open", r);
}

static void file_free(struct sink *s)
{
	struct sink_file *f = to_file(s);

	file_close(f);
	free(f);
}

static uint64_t file_lost(const struct sink *s)
{
	return ((const struct sink_file *)s)->lost;
}

static const struct sink_ops file_ops = {
	.event = file_event,
	.reopen = file_reopen,
	.free = file_free,
	.lost_name = "export-lost",
	.lost = file_lost,
};

int sink_file_new(const struct log *log, const struct sink_config *config, struct sink **ret_sink)
{
	struct sink_file *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->sink.ops = &file_ops;
	f->log = log;
	f->config = config;
	f->fd = -EBADF;
	file_reopen(&f->sink);
	*ret_sink = &f->sink;
	return 0;
}
