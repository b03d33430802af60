/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of diagnostics: adding, moving, and printing them with hostile text made harmless. */
#include <stdarg.h>
#include <string.h>

#include "diag.h"

/* Only errors may take the second half of a list: a flood of warnings must not hide one. */
static bool diag_has_room(const struct diag *d, enum diag_severity severity)
{
	return d->n_items < (severity == DIAG_ERROR ? DIAG_MAX_ITEMS : DIAG_MAX_ITEMS / 2);
}

static void diag_count(struct diag *d, enum diag_severity severity)
{
	if (severity == DIAG_ERROR)
		d->n_errors++;
	else if (severity == DIAG_WARNING)
		d->n_warnings++;
}

/* Room for one more item; the array doubles whenever its length is a power of two. */
static struct diag_item *diag_grow(struct diag *d)
{
	struct diag_item *items;
	size_t n = d->n_items;

	if (n == 0 || (n >= 8 && (n & (n - 1)) == 0)) {
		items = realloc(d->items, (n == 0 ? 8 : 2 * n) * sizeof(*items));
		if (!items)
			return NULL;
		d->items = items;
	}
	return &d->items[n];
}

/* Bytes of the well-formed UTF-8 sequence at s, which ends with a NUL; 0 if it is not one. */
static size_t utf8_length(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (n == 0 || s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* overlong forms, surrogates, above U+10FFFF */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* Messages may quote file names and paths, which are any bytes; what they go to wants UTF-8. */
static void text_make_utf8(char *text)
{
	for (unsigned char *s = (unsigned char *)text; *s;) {
		size_t n = utf8_length(s);

		if (n == 0)
			*s = '?';
		s += n > 0 ? n : 1;
	}
}

void diag_add(struct diag *d, enum diag_severity severity, struct diag_pos pos, const char *code,
	      const char *fmt, ...)
{
	_cleanup_free_ char *message = NULL, *file = NULL;
	struct diag_item *item;
	va_list ap;

	diag_count(d, severity);
	if (!diag_has_room(d, severity))
		return;

	va_start(ap, fmt);
	if (vasprintf(&message, fmt, ap) < 0)
		message = NULL;
	va_end(ap);
	if (message)
		text_make_utf8(message);
	if (pos.file)
		file = strdup(pos.file);
	item = message && (file || !pos.file) ? diag_grow(d) : NULL;
	if (!item) {
		d->oom = true;
		return;
	}

	*item = (struct diag_item){
		.severity = severity,
		.file = TAKE_PTR(file),
		.line = pos.line,
		.column = pos.column,
		.code = code,
		.message = TAKE_PTR(message),
	};
	d->n_items++;
}

static void diag_item_done(struct diag_item *item)
{
	free(item->file);
	free(item->message);
}

void diag_move(struct diag *d, struct diag *src)
{
	for (size_t i = 0; i < src->n_items; i++) {
		struct diag_item *item = NULL;

		if (diag_has_room(d, src->items[i].severity)) {
			item = diag_grow(d);
			if (!item)
				d->oom = true;
		}
		if (item) {
			*item = src->items[i];
			d->n_items++;
		} else {
			diag_item_done(&src->items[i]);
		}
	}
	d->n_errors += src->n_errors;
	d->n_warnings += src->n_warnings;
	d->oom = d->oom || src->oom;
	free(src->items);
	*src = (struct diag){};
}

void diag_copy(struct diag *d, const struct diag *src)
{
	size_t n_errors = d->n_errors + src->n_errors, n_warnings = d->n_warnings + src->n_warnings;

	for (size_t i = 0; i < src->n_items; i++) {
		const struct diag_item *item = &src->items[i];

		diag_add(d, item->severity, (struct diag_pos){item->file, item->line, item->column},
			 item->code, "%s", item->message);
	}
	/* those without room are counted too */
	d->n_errors = n_errors;
	d->n_warnings = n_warnings;
	d->oom = d->oom || src->oom;
}

/* What could move the cursor, end the line or turn the reading direction of a terminal. */
static bool utf8_is_control(const unsigned char *s, size_t n)
{
	if (n == 1)
		return s[0] < 0x20 || s[0] == 0x7f;
	if (n == 2)
		return s[0] == 0xc2 && s[1] < 0xa0; /* C1 */
	if (n == 3 && s[0] == 0xe2 && s[1] == 0x80)
		return s[2] >= 0x8b && (s[2] <= 0x8f || (s[2] >= 0xa8 && s[2] <= 0xae));
	return n == 3 && s[0] == 0xe2 && s[1] == 0x81 && s[2] >= 0xa0 && s[2] <= 0xaf;
}

static void text_print_escaped(FILE *f, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	while (*s) {
		size_t n = utf8_length(s);

		if (n > 0 && !utf8_is_control(s, n)) {
			fwrite(s, 1, n, f);
			s += n;
			continue;
		}
		for (n = n > 0 ? n : 1; n > 0; n--)
			fprintf(f, "\\x%02x", *s++);
	}
}

char *diag_format(const struct diag_item *item)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f;
	bool bad;

	f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	if (item->file) {
		text_print_escaped(f, item->file);
		if (item->line > 0)
			fprintf(f, ":%u:%u", item->line, item->column);
		fputs(": ", f);
	}
	fprintf(f, "%s: ", diag_severity_name(item->severity));
	text_print_escaped(f, item->message);
	bad = ferror(f);
	if (fclose(f) != 0 || bad) {
		free(text);
		return NULL;
	}
	return text;
}

const char *diag_severity_name(enum diag_severity severity)
{
	switch (severity) {
	case DIAG_ERROR:
		return "error";
	case DIAG_WARNING:
		return "warning";
	case DIAG_NOTE:
		return "note";
	}
	return "unknown";
}

void diag_done(struct diag *d)
{
	for (size_t i = 0; i < d->n_items; i++)
		diag_item_done(&d->items[i]);
	free(d->items);
	*d = (struct diag){};
}
