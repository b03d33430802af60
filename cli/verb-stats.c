/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verb stats: the counters as a table, as JSON, or as OpenMetrics text. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "ctl.h"
#include "macro.h"

#define POLICY_PREFIX "policy." /* of counters by policy: policy.ID.matches, policy.ID.denials */

struct stat_line {
	const char *name;
	uint64_t value;
};

static int compare_stats(const void *a, const void *b)
{
	return strcmp(((const struct stat_line *)a)->name, ((const struct stat_line *)b)->name);
}

/* Names point into the message. */
static int read_stats(sd_bus_message *m, struct stat_line **ret_lines, size_t *ret_n)
{
	_cleanup_free_ struct stat_line *lines = NULL;
	struct stat_line line, *bigger;
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

static int print_stats(const struct ctl *c, const struct stat_line *lines, size_t n)
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

		snprintf(value, sizeof(value), "%" PRIu64, lines[i].value);
		r = ctl_table_add(t, cells);
	}
	return t ? ctl_table_print(t) : ctl_fail("print", -ENOMEM, NULL);
}

/* What goes up and down; all else only grows while the daemon lives. */
static bool is_gauge(const char *name)
{
	static const char *const gauges[] = {"generation", "policies", "subscribers"};

	for (size_t i = 0; i < ARRAY_SIZE(gauges); i++)
		if (strcmp(name, gauges[i]) == 0)
			return true;
	return false;
}

static void print_label(const char *key, const char *value, size_t size)
{
	printf("%s=\"", key);
	for (size_t i = 0; i < size; i++) {
		if (value[i] == '\n')
			fputs("\\n", stdout);
		else if (value[i] == '"' || value[i] == '\\')
			printf("\\%c", value[i]);
		else
			putchar(value[i]);
	}
	putchar('"');
}

static void print_metric(const struct stat_line *line)
{
	bool gauge = is_gauge(line->name);
	char name[64];

	snprintf(name, sizeof(name), "%s", line->name);
	for (char *s = name; *s; s++)
		if (*s == '-' || *s == '.')
			*s = '_';
	printf("# TYPE revshell_%s %s\nrevshell_%s%s %" PRIu64 "\n", name,
	       gauge ? "gauge" : "counter", name, gauge ? "" : "_total", line->value);
}

/* The samples of "policy.ID.WHAT" for every ID, which have to follow each other. */
static void print_policy_metric(const struct stat_line *lines, size_t n, const char *what)
{
	size_t n_suffix = strlen(what) + 1;

	printf("# TYPE revshell_policy_%s counter\n", what);
	for (size_t i = 0; i < n; i++) {
		const char *id = lines[i].name + strlen(POLICY_PREFIX);
		size_t size;

		if (strncmp(lines[i].name, POLICY_PREFIX, strlen(POLICY_PREFIX)) != 0)
			continue;
		size = strlen(id);
		if (size <= n_suffix || id[size - n_suffix] != '.' ||
		    strcmp(id + size - n_suffix + 1, what) != 0)
			continue;
		printf("revshell_policy_%s_total{", what);
		print_label("policy", id, size - n_suffix);
		printf("} %" PRIu64 "\n", lines[i].value);
	}
}

/* OpenMetrics 1.0 text, as a collector of text files takes it. */
static int print_openmetrics(struct ctl *c, const struct stat_line *lines, size_t n)
{
	struct ctl_state state = {};
	int r = ctl_get_state(c, "get the statistics", &state);

	if (r != 0)
		return r;
	printf("# TYPE revshell info\nrevshell_info{");
	print_label("version", state.version, strlen(state.version));
	putchar(',');
	print_label("backend", state.backend, strlen(state.backend));
	printf("} 1\n# TYPE revshell_enforcing gauge\nrevshell_enforcing %d\n",
	       strcmp(state.effective, "enforce") == 0);
	for (size_t i = 0; i < n; i++)
		if (strncmp(lines[i].name, POLICY_PREFIX, strlen(POLICY_PREFIX)) != 0)
			print_metric(&lines[i]);
	print_policy_metric(lines, n, "matches");
	print_policy_metric(lines, n, "denials");
	puts("# EOF");
	ctl_state_done(&state);
	return CTL_OK;
}

int verb_stats(struct ctl *c, int argc, char **argv)
{
	const char *action = "get the statistics";
	_cleanup_free_ struct stat_line *lines = NULL;
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
