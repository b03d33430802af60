/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables and JSON on standard output. */
#include <errno.h>
#include <string.h>
#include <libsmartcols.h>

#include "ctl.h"
#include "quote.h"

int ctl_print_json(const struct ctl *c, json_t *value)
{
	size_t flags = c->json == CTL_JSON_SHORT ? JSON_COMPACT : JSON_INDENT(2);
	int r;

	if (!value)
		return ctl_fail("print", -ENOMEM, NULL);
	r = json_dumpf(value, stdout, flags);
	json_decref(value);
	if (r < 0)
		return ctl_fail("print", errno ? -errno : -EIO, NULL);
	putchar('\n');
	return CTL_OK;
}

bool ctl_use_color(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return !(no && *no) && isatty(STDOUT_FILENO) && !(term && strcmp(term, "dumb") == 0);
}

struct libscols_table *ctl_table_new(const struct ctl *c, const char *const *headings)
{
	struct libscols_table *t = scols_new_table();

	if (!t)
		return NULL;
	scols_table_enable_noheadings(t, c->no_legend);
	scols_table_enable_colors(t, ctl_use_color());
	for (; *headings; headings++) {
		bool right = (*headings)[0] == '>';

		if (!scols_table_new_column(t, *headings + right, 0, right ? SCOLS_FL_RIGHT : 0)) {
			scols_unref_table(t);
			return NULL;
		}
	}
	return t;
}

int ctl_table_add(struct libscols_table *t, const char *const *cells)
{
	struct libscols_line *line = scols_table_new_line(t, NULL);
	int r = line ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && cells[i]; i++)
		r = scols_line_set_data(line, i, cells[i]);
	return r;
}

int ctl_table_print(struct libscols_table *t)
{
	int r = scols_print_table(t);

	scols_unref_table(t);
	return r < 0 ? ctl_fail("print", r, NULL) : CTL_OK;
}

const char *ctl_text(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "";
}

void ctl_put_quoted(const char *s)
{
	quote_put(stdout, s, strlen(s));
}
