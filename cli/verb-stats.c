/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verb stats: the counters as a table, as JSON, or as OpenMetrics text. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "ctl.h"
#include "macro.h"
#include "openmetrics.h"

static int compare_stats(const void *a, const void *b)
{
	return strcmp(((const struct openmetrics_stat *)a)->name,
		      ((const struct openmetrics_stat *)b)->name);
}

/* Names point into the message. */
static int read_stats(sd_bus_message *m, struct openmetrics_stat **ret_lines, size_t *ret_n)
{
	_cleanup_free_ struct openmetrics_stat *lines = NULL;
	struct openmetrics_stat line, *bigger;
	size_t n = 0;
	int r;

	r = sd_bus_message_enter_container(m, 'a', "{st}");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_read(m, "{st}", &line.name, &line.value)) > 0) {
		bigger = reallocarray(lines, n + 1, sizeof(*lines));
		if (!bigger)
			return -ENOMEM;
		lines = bigger;
		lines[n++] = line;
	}
	if (r < 0)
		return r;
	if (n > 0)
		qsort(lines, n, sizeof(*lines), compare_stats);
	*ret_lines = TAKE_PTR(lines);
	*ret_n = n;
	return 0;
}

static int print_stats(const struct ctl *c, const struct openmetrics_stat *lines, size_t n)
{
	static const char *const headings[] = {"COUNTER", ">VALUE", NULL};
	struct libscols_table *t;
	json_t *object;
	int r = 0;

	if (c->json != CTL_JSON_OFF) {
		object = json_object();
		for (size_t i = 0; i < n; i++)
			json_object_set_new(object, lines[i].name,
					    json_integer((json_int_t)lines[i].value));
		return ctl_print_json(c, object);
	}
	t = ctl_table_new(c, headings);
	for (size_t i = 0; t && r >= 0 && i < n; i++) {
		char value[24];
		const char *cells[] = {lines[i].name, value, NULL};

		/* there are hundreds, and most stay 0 */
		if (lines[i].value == 0 && strncmp(lines[i].name, "hook.", 5) == 0)
			continue;
		snprintf(value, sizeof(value), "%" PRIu64, lines[i].value);
		r = ctl_table_add(t, cells);
	}
	return t ? ctl_table_print(t) : ctl_fail("print", -ENOMEM, NULL);
}

static int print_openmetrics(struct ctl *c, const struct openmetrics_stat *lines, size_t n)
{
	struct ctl_state state = {};
	struct openmetrics o;
	int r = ctl_get_state(c, "get the statistics", &state);

	if (r != 0)
		return r;
	o = (struct openmetrics){
		.version = state.version,
		.backend = state.backend,
		.enforcing = strcmp(state.effective, "enforce") == 0,
		.stats = lines,
		.n_stats = n,
	};
	openmetrics_write(stdout, &o);
	ctl_state_done(&state);
	return CTL_OK;
}

int verb_stats(struct ctl *c, int argc, char **argv)
{
	const char *action = "get the statistics";
	_cleanup_free_ struct openmetrics_stat *lines = NULL;
	sd_bus_message *m = NULL, *reply = NULL;
	size_t n = 0;
	int r;

	r = ctl_connect(c, action);
	if (r != 0)
		return r;
	r = ctl_new_call(c, NULL, "GetStatistics", &m);
	r = ctl_call(c, action, m, r, &reply);
	if (r != 0)
		return r;
	r = read_stats(reply, &lines, &n);
	if (r < 0)
		r = ctl_fail_reply(action, r);
	else
		r = c->openmetrics ? print_openmetrics(c, lines, n) : print_stats(c, lines, n);
	sd_bus_message_unref(reply);
	return r;
}
