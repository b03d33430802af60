/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon's log: the journal under systemd, else standard error. */
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <systemd/sd-journal.h>

#include "log.h"

/* Fields of one journal message beside MESSAGE, PRIORITY and SYSLOG_IDENTIFIER. */
#define LOG_MAX_FIELDS 40

static const char *const level_names[] = {
	[LOG_EMERG] = "emerg", [LOG_ALERT] = "alert",	  [LOG_CRIT] = "crit",
	[LOG_ERR] = "err",     [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
	[LOG_INFO] = "info",   [LOG_DEBUG] = "debug",
};

static const char *const target_names[] = {
	[LOG_TARGET_CONSOLE] = "console",
	[LOG_TARGET_JOURNAL] = "journal",
};

const char *log_level_name(int level)
{
	return level >= 0 && (size_t)level < ARRAY_SIZE(level_names) ? level_names[level] : "info";
}

int log_level_parse(const char *s)
{
	if (s[0] >= '0' && s[0] <= '7' && s[1] == '\0')
		return s[0] - '0';
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++)
		if (strcmp(s, level_names[i]) == 0)
			return (int)i;
	return -EINVAL;
}

const char *log_target_name(enum log_target target)
{
	return target_names[target];
}

int log_target_parse(const char *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(target_names); i++)
		if (strcmp(s, target_names[i]) == 0)
			return (int)i;
	return -EINVAL;
}

/* $JOURNAL_STREAM names the socket a unit's output is connected to: it may have been redirected. */
static bool stderr_is_journal(void)
{
	const char *e = secure_getenv("JOURNAL_STREAM");
	unsigned long dev, ino;
	struct stat st;

	if (!e || sscanf(e, "%lu:%lu", &dev, &ino) != 2)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void log_init(struct log *l, int max_level)
{
	l->max_level = max_level;
	l->target = stderr_is_journal() ? LOG_TARGET_JOURNAL : LOG_TARGET_CONSOLE;
}

/*
 * In one piece, since standard error has no buffer. File names and reasons come from others:
 * nothing in them may steer a terminal.
 */
static void write_console(const char *text)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&line, &size);

	if (!f)
		return;
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p == '\n')
			fputs("\\n", f);
		else if (*p < 0x20 || *p == 0x7f)
			fprintf(f, "\\x%02x", *p);
		else
			putc(*p, f);
	}
	putc('\n', f);
	if (fclose(f) == 0)
		fwrite(line, 1, size, stderr);
}

static void write_journal(int level, const char *const *fields, const char *text)
{
	_cleanup_free_ char *message = NULL;
	struct iovec iov[LOG_MAX_FIELDS + 3];
	char priority[] = "PRIORITY=6";
	int n = 0;

	if (asprintf(&message, "MESSAGE=%s", text) < 0) {
		message = NULL;
		return;
	}
	priority[sizeof(priority) - 2] = (char)('0' + level);
	iov[n++] = (struct iovec){message, strlen(message)};
	iov[n++] = (struct iovec){priority, strlen(priority)};
	iov[n++] = (struct iovec){(char *)"SYSLOG_IDENTIFIER=" LOG_IDENTIFIER,
				  strlen("SYSLOG_IDENTIFIER=" LOG_IDENTIFIER)};
	for (; fields && *fields && n < (int)ARRAY_SIZE(iov); fields++)
		iov[n++] = (struct iovec){(char *)*fields, strlen(*fields)};
	if (sd_journal_sendv(iov, n) < 0)
		write_console(text);
}

static void log_write(const struct log *l, int level, const char *const *fields, const char *text)
{
	if (l->target == LOG_TARGET_JOURNAL)
		write_journal(level, fields, text);
	else
		write_console(text);
}

static void log_valist(const struct log *l, int level, const char *const *fields, const char *fmt,
		       va_list ap)
{
	_cleanup_free_ char *text = NULL;

	if (level > l->max_level)
		return;
	if (vasprintf(&text, fmt, ap) < 0) {
		text = NULL;
		return;
	}
	log_write(l, level, fields, text);
}

void log_print(const struct log *l, int level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_valist(l, level, NULL, fmt, ap);
	va_end(ap);
}

void log_fields(const struct log *l, int level, const char *const *fields, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_valist(l, level, fields, fmt, ap);
	va_end(ap);
}

static int diag_level(enum diag_severity severity)
{
	switch (severity) {
	case DIAG_ERROR:
		return LOG_ERR;
	case DIAG_WARNING:
		return LOG_WARNING;
	case DIAG_NOTE:
		break;
	}
	return LOG_INFO;
}

void log_diag(const struct log *l, const struct diag *d)
{
	for (size_t i = 0; i < d->n_items; i++) {
		const struct diag_item *item = &d->items[i];
		_cleanup_free_ char *text = diag_format(item);
		_cleanup_free_ char *code = NULL;
		const char *fields[2] = {NULL};

		if (!text || diag_level(item->severity) > l->max_level)
			continue;
		if (item->code && asprintf(&code, "REVSHELL_DIAGNOSTIC=%s", item->code) < 0)
			code = NULL;
		fields[0] = code;
		log_write(l, diag_level(item->severity), fields, text);
	}
}
