/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The metrics file: replaced as a whole, so that a collector never reads half of one. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "manager.h"
#include "messages.h"
#include "openmetrics.h"
#include "sink.h"
#include "statistics.h"

struct sink_metrics {
	struct sink sink;
	const struct log *log;
	const struct sink_config *config;
	const struct manager *m;
	sd_event_source *timer;
	uint64_t failed;
	bool troubled; /* and told so */
};

struct collection {
	struct openmetrics_stat *stats;
	size_t n;
};

static void collection_done(struct collection *c)
{
	for (size_t i = 0; i < c->n; i++)
		free((char *)c->stats[i].name);
	free(c->stats);
}

static int collect(const char *name, uint64_t value, void *userdata)
{
	struct collection *c = userdata;
	struct openmetrics_stat *stats = reallocarray(c->stats, c->n + 1, sizeof(*stats));

	if (!stats)
		return -ENOMEM;
	c->stats = stats;
	stats[c->n] = (struct openmetrics_stat){strdup(name), value};
	if (!stats[c->n].name)
		return -ENOMEM;
	c->n++;
	return 0;
}

static int write_text(const struct sink_metrics *s, FILE *f)
{
	_cleanup_(collection_done) struct collection c = {};
	struct openmetrics o = {
		.version = REVSHELL_VERSION,
		.backend = backend_kind_name(backend_get_kind(s->m->backend)),
		.enforcing = strcmp(manager_effective_mode(s->m), "enforce") == 0,
	};
	int r;

	r = statistics_each(s->m, collect, &c);
	if (r < 0)
		return r;
	o.stats = c.stats;
	o.n_stats = c.n;
	openmetrics_write(f, &o);
	return fflush(f) != 0 || ferror(f) ? -(errno ?: EIO) : 0;
}

static int replace(const struct sink_metrics *s)
{
	const char *path = s->config->metrics_file;
	_cleanup_free_ char *temporary = NULL;
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_close_ int fd = -EBADF;
	int r;

	/* by its name no collector takes it for a metrics file */
	if (asprintf(&temporary, "%s.new", path) < 0) {
		temporary = NULL;
		return -ENOMEM;
	}
	if (unlink(temporary) < 0 && errno != ENOENT)
		return -errno;
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	/* collectors are other users, whatever our umask; numbers and policies' names are all there
	 * is
	 */
	r = fchmod(fd, 0644) < 0 ? -errno : 0;
	if (r == 0) {
		f = fdopen(fd, "w");
		r = f ? 0 : -errno;
	}
	if (f) {
		TAKE_FD(fd);
		r = write_text(s, f);
	}
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(temporary);
	return r;
}

static void write_file(struct sink_metrics *s)
{
	static const char *const fields[] = {MESSAGE_FIELD(MESSAGE_EXPORT_FAILED), NULL};
	int r = replace(s);

	if (r < 0) {
		s->failed++;
		if (!s->troubled)
			log_fields(s->log, LOG_ERR, fields, "Failed to replace %s: %s",
				   s->config->metrics_file, strerror(-r));
	} else if (s->troubled) {
		log_notice(s->log, "Metrics are in %s again", s->config->metrics_file);
	}
	s->troubled = r < 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct sink_metrics *s = userdata;
	int r;

	write_file(s);
	r = sd_event_source_set_time_relative(source, s->config->metrics_interval_usec);
	return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void metrics_reopen(struct sink *sink)
{
	write_file((struct sink_metrics *)sink);
}

static void metrics_free(struct sink *sink)
{
	struct sink_metrics *s = (struct sink_metrics *)sink;

	sd_event_source_disable_unref(s->timer);
	free(s);
}

static uint64_t metrics_failed(const struct sink *sink)
{
	return ((const struct sink_metrics *)sink)->failed;
}

static const struct sink_ops metrics_ops = {
	.reopen = metrics_reopen,
	.free = metrics_free,
	.lost_name = "metrics-failed",
	.lost = metrics_failed,
};

int sink_metrics_new(sd_event *event, const struct log *log, const struct sink_config *config,
		     const struct manager *m, struct sink **ret_sink)
{
	struct sink_metrics *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->sink.ops = &metrics_ops;
	s->log = log;
	s->config = config;
	s->m = m;
	/* the first one as soon as the loop runs: then there is something to tell */
	r = sd_event_add_time_relative(event, &s->timer, CLOCK_MONOTONIC, 0, 100000, on_timer, s);
	if (r < 0) {
		free(s);
		return r;
	}
	*ret_sink = &s->sink;
	return 0;
}
