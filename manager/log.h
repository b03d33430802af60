/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon's log: the journal under systemd, else standard error. Only manager, bus and main log.
 */
#pragma once

#include <stdbool.h>
#include <syslog.h>

#include "diag.h"

enum log_target {
	LOG_TARGET_CONSOLE, /* standard error, control characters escaped */
	LOG_TARGET_JOURNAL, /* structured, binary-safe */
};

struct log {
	int max_level; /* LOG_EMERG .. LOG_DEBUG: less urgent messages are dropped */
	enum log_target target;
};

#define LOG_IDENTIFIER "revshelld"

/* Chooses the journal if standard error is connected to it, as under a systemd unit. */
void log_init(struct log *l, int max_level);

void log_print(const struct log *l, int level, const char *fmt, ...) _printf_(3, 4);

/* The same with further journal fields: a NULL-terminated array of "NAME=value". */
void log_fields(const struct log *l, int level, const char *const *fields, const char *fmt, ...)
	_printf_(4, 5);

#define log_error(l, ...)   log_print(l, LOG_ERR, __VA_ARGS__)
#define log_warning(l, ...) log_print(l, LOG_WARNING, __VA_ARGS__)
#define log_notice(l, ...)  log_print(l, LOG_NOTICE, __VA_ARGS__)
#define log_info(l, ...)    log_print(l, LOG_INFO, __VA_ARGS__)
#define log_debug(l, ...)   log_print(l, LOG_DEBUG, __VA_ARGS__)

/* One message an item; on the console the bare "FILE:LINE:COLUMN: error: ..." that editors know. */
void log_diag(const struct log *l, const struct diag *d);

/* "err", as in journalctl and LogControl1. */
const char *log_level_name(int level);
int log_level_parse(const char *s); /* -EINVAL if unknown; numbers 0 to 7 are fine */
const char *log_target_name(enum log_target target);
int log_target_parse(const char *s); /* -EINVAL if unknown */
