/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Diagnostics with positions: what yaml, policy, compile and maps report instead of logging. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "macro.h"

enum diag_severity {
	DIAG_ERROR,
	DIAG_WARNING,
	DIAG_NOTE,
};

/* A position in a policy file. line and column count from 1; 0 means unknown. file is not owned. */
struct diag_pos {
	const char *file;
	uint32_t line;
	uint32_t column;
};

struct diag_item {
	enum diag_severity severity;
	char *file; /* owned, may be NULL */
	uint32_t line;
	uint32_t column;
	const char *code; /* static identifier such as "unknown-key" */
	char *message;	  /* owned */
};

/* A growing list of diagnostics. Starts zeroed: struct diag d = {}; ends with diag_done(). */
struct diag {
	struct diag_item *items;
	size_t n_items;
	size_t n_errors;
	size_t n_warnings;
	bool oom; /* an item could not be stored for lack of memory */
};

/* The most items one list keeps; further ones are counted but not stored. */
#define DIAG_MAX_ITEMS 1000

/* Adds an item. Never fails: on lack of memory sets d->oom and still counts. */
void diag_add(struct diag *d, enum diag_severity severity, struct diag_pos pos, const char *code,
	      const char *fmt, ...) _printf_(5, 6);

#define diag_error(d, pos, code, ...)	diag_add(d, DIAG_ERROR, pos, code, __VA_ARGS__)
#define diag_warning(d, pos, code, ...) diag_add(d, DIAG_WARNING, pos, code, __VA_ARGS__)

/* Moves all items of src to the end of d; src is left empty. */
void diag_move(struct diag *d, struct diag *src);

/* Adds all items of src to the end of d. */
void diag_copy(struct diag *d, const struct diag *src);

/* "FILE:LINE:COLUMN: error: message" in a new string, or NULL. Control characters are escaped. */
char *diag_format(const struct diag_item *item);

const char *diag_severity_name(enum diag_severity severity);

void diag_done(struct diag *d);
