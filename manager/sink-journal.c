/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events in the journal, with fields. A storm of them must not push out what else is there. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "event-internal.h"
#include "event-json.h"
#include "messages.h"
#include "sink.h"

/* Records in a window. journald itself lets 10000 in 30 s pass, the daemon's log among them. */
#define WINDOW_SEC	    10
#define MAX_OF_POLICY	    20U
#define MAX_OF_ALL	    200U

/* Of one record, all of event_fields below included. */
#define MAX_FIELDS	    32

#define MAX_LEFT_OUT_BURSTS 1024U

/* What one policy has written in the present window. */
struct burst {
	char *policy;
	int64_t end_sec; /* CLOCK_MONOTONIC */
	unsigned int n;
	uint64_t left_out;
};

struct sink_journal {
	struct sink sink;
	const struct log *log;
	enum sink_journal_events events;
	sd_event_source *timer; /* for summaries; off while no burst is kept */
	struct burst *bursts;
	size_t n_bursts;
	struct burst all;
	uint64_t left_out; /* since the start */
};

static const struct {
	const char *verdict;
	int level;
	const char *message_id;
	const char *word; /* for people */
} verdicts[] = {
	{"denied", LOG_WARNING, MESSAGE_FIELD(MESSAGE_DENIED), "denied"},
	{"killed", LOG_WARNING, MESSAGE_FIELD(MESSAGE_KILLED), "killed at"},
	{"would-deny", LOG_NOTICE, MESSAGE_FIELD(MESSAGE_WOULD_DENY), "would be denied"},
	{"allowed", LOG_INFO, MESSAGE_FIELD(MESSAGE_REPORTED), "seen at"},
};

static const char *const events_names[] = {
	[SINK_JOURNAL_VERDICTS] = "verdicts",
	[SINK_JOURNAL_ALL] = "all",
	[SINK_JOURNAL_NONE] = "none",
};

int sink_journal_events_parse(const char *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(events_names); i++)
		if (strcmp(s, events_names[i]) == 0)
			return (int)i;
	return -EINVAL;
}

/* "NAME=value" strings. A value may hold anything but NUL: nothing in it can begin another field.
 */
struct fields {
	char *strings[MAX_FIELDS + 1];
	size_t n;
};

static void fields_done(struct fields *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->strings[i]);
}

/* A field that there is no memory for is left out. */
static void _printf_(2, 3) fields_add(struct fields *f, const char *fmt, ...)
{
	va_list ap;
	char *s;

	if (f->n == MAX_FIELDS)
		return;
	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) >= 0)
		f->strings[f->n++] = s;
	va_end(ap);
}

static void fields_add_member(struct fields *f, const char *name, const json_t *obj,
			      const char *key)
{
	const json_t *value = json_object_get(obj, key);

	if (json_is_integer(value))
		fields_add(f, "%s=%" JSON_INTEGER_FORMAT, name, json_integer_value(value));
	else if (json_is_string(value) && json_string_length(value) > 0)
		fields_add(f, "%s=%s", name, json_string_value(value));
}

/* "ADDRESS:PORT" where arg has one, else "". */
static char *format_address(const json_t *arg, const char *addr, const char *port)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	if (strncmp(event_member(arg, "family"), "AF_INET", strlen("AF_INET")) == 0)
		event_put_address(f, arg, addr, port);
	else
		fputs(event_member(arg, "path"), f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* Whether the address that a call names is the caller's own. */
static bool names_own_address(const char *function)
{
	return strstr(function, "bind") && !strstr(function, "connect");
}

/* The other end and our own, of the address that the call names and of the socket. */
static void find_ends(const json_t *body, char **ret_source, char **ret_destination)
{
	const json_t *sa = event_find_arg(body, "sockaddr_arg");
	const json_t *sock = event_find_arg(body, "sock_arg");
	char *named, *source, *destination;

	if (!sa)
		sa = event_find_arg(body, "sockaddrun_arg");
	named = sa ? format_address(sa, "addr", "port") : NULL;
	source = sock ? format_address(sock, "saddr", "sport") : NULL;
	destination = sock ? format_address(sock, "daddr", "dport") : NULL;
	if (named && names_own_address(event_member(body, "function_name"))) {
		free(source);
		source = named;
	} else if (named) {
		free(destination);
		destination = named;
	}
	*ret_source = source;
	*ret_destination = destination;
}

static void put_ids(struct fields *f, const json_t *body)
{
	const json_t *process = json_object_get(body, "process");
	const json_t *parent = json_object_get(body, "parent");

	/* journald looks up the rest of OBJECT_ by itself */
	fields_add_member(f, "OBJECT_PID", process, "pid");
	fields_add_member(f, "REVSHELL_PID", process, "pid");
	fields_add_member(f, "REVSHELL_TID", process, "tid");
	fields_add_member(f, "REVSHELL_UID", process, "uid");
	fields_add_member(f, "REVSHELL_LOGINUID", process, "auid");
	fields_add_member(f, "REVSHELL_EXE", process, "binary");
	fields_add_member(f, "REVSHELL_ARGUMENTS", process, "arguments");
	fields_add_member(f, "REVSHELL_CWD", process, "cwd");
	fields_add_member(f, "REVSHELL_PARENT_PID", parent, "pid");
	fields_add_member(f, "REVSHELL_PARENT_EXE", parent, "binary");
}

static void put_decision(struct fields *f, const json_t *body)
{
	static const char *const members[][2] = {
		{"REVSHELL_EVENT", "number"},
		{"REVSHELL_POLICY", "policy_name"},
		{"REVSHELL_VERDICT", "verdict"},
		{"REVSHELL_ERRNO", "errno"},
		{"REVSHELL_FUNCTION", "function_name"},
		{"REVSHELL_HOOK", "hook"},
		{"REVSHELL_ACTION", "action"},
		{"REVSHELL_POLICY_MODE", "policy_mode"},
		{"REVSHELL_MODE", "mode"},
		{"REVSHELL_GENERATION", "generation"},
		{"REVSHELL_SELECTOR", "selector"},
		{"REVSHELL_SELECTOR_LABEL", "selector_label"},
		{"REVSHELL_MESSAGE", "message"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		fields_add_member(f, members[i][0], body, members[i][1]);
}

static char *format_message(const json_t *body, const char *word, const char *destination)
{
	const json_t *process = json_object_get(body, "process");
	const char *exe = event_member(process, "binary");
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	event_put_quoted(f, *exe ? exe : "<unknown>");
	fprintf(f, "[%" JSON_INTEGER_FORMAT "] %s ",
		json_integer_value(json_object_get(process, "pid")), word);
	event_put_quoted(f, event_member(body, "function_name"));
	if (destination && *destination) {
		fputs(" to ", f);
		event_put_quoted(f, destination);
	}
	fprintf(f, " by policy %s", event_member(body, "policy_name"));
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static void write_event(struct sink_journal *j, size_t verdict, const json_t *event)
{
	_cleanup_free_ char *source = NULL, *destination = NULL, *message = NULL;
	_cleanup_(fields_done) struct fields f = {};
	const json_t *body = event_body(event);
	const json_t *sock = event_find_arg(body, "sock_arg");

	find_ends(body, &source, &destination);
	message = format_message(body, verdicts[verdict].word, destination);
	fields_add(&f, "%s", verdicts[verdict].message_id);
	put_decision(&f, body);
	put_ids(&f, body);
	if (destination && *destination)
		fields_add(&f, "REVSHELL_DESTINATION=%s", destination);
	if (source && *source)
		fields_add(&f, "REVSHELL_SOURCE=%s", source);
	fields_add_member(&f, "REVSHELL_FAMILY", sock, "family");
	fields_add_member(&f, "REVSHELL_PROTOCOL", sock, "protocol");
	log_fields(j->log, verdicts[verdict].level, (const char *const *)f.strings, "%s",
		   message ? message : "out of memory");
}

/* The few that are written are read back from their text. */
static void write_record(struct sink_journal *j, size_t verdict, const struct event_record *rec)
{
	json_t *event = json_loadb(rec->text, rec->len, 0, NULL);

	if (event)
		write_event(j, verdict, event);
	else
		j->left_out++;
	json_decref(event);
}

static int64_t now_sec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static void summarize(struct sink_journal *j, const struct burst *b)
{
	_cleanup_(fields_done) struct fields f = {};

	if (b->left_out == 0)
		return;
	fields_add(&f, "%s", MESSAGE_FIELD(MESSAGE_LEFT_OUT));
	fields_add(&f, "REVSHELL_POLICY=%s", b->policy);
	fields_add(&f, "REVSHELL_LEFT_OUT=%" PRIu64, b->left_out);
	log_fields(j->log, LOG_WARNING, (const char *const *)f.strings,
		   "%" PRIu64 " more events of policy %s were left out of the journal in %d s",
		   b->left_out, b->policy, WINDOW_SEC);
}

/* Ends the windows that are over at now; INT64_MAX: all. */
static void end_bursts(struct sink_journal *j, int64_t now)
{
	size_t n = 0;

	for (size_t i = 0; i < j->n_bursts; i++) {
		if (j->bursts[i].end_sec > now) {
			j->bursts[n++] = j->bursts[i];
			continue;
		}
		summarize(j, &j->bursts[i]);
		free(j->bursts[i].policy);
	}
	j->n_bursts = n;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct sink_journal *j = userdata;
	int r;

	end_bursts(j, now_sec());
	if (j->n_bursts == 0)
		return 0; /* one-shot: off by itself */
	r = sd_event_source_set_time_relative(source, 1000000);
	return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static struct burst *find_burst(struct sink_journal *j, const char *policy, int64_t now)
{
	struct burst *bursts;

	for (size_t i = 0; i < j->n_bursts; i++)
		if (strcmp(j->bursts[i].policy, policy) == 0)
			return &j->bursts[i];
	bursts = j->n_bursts < MAX_LEFT_OUT_BURSTS
			 ? reallocarray(j->bursts, j->n_bursts + 1, sizeof(*bursts))
			 : NULL;
	if (!bursts)
		return NULL;
	j->bursts = bursts;
	bursts[j->n_bursts] = (struct burst){.policy = strdup(policy), .end_sec = now + WINDOW_SEC};
	if (!bursts[j->n_bursts].policy)
		return NULL;
	if (j->n_bursts == 0 &&
	    (sd_event_source_set_time_relative(j->timer, WINDOW_SEC * 1000000ULL) < 0 ||
	     sd_event_source_set_enabled(j->timer, SD_EVENT_ONESHOT) < 0)) {
		free(bursts[0].policy);
		return NULL;
	}
	return &bursts[j->n_bursts++];
}

/* Whether one more record of the policy may be written. */
static bool may_write(struct sink_journal *j, const char *policy)
{
	int64_t now = now_sec();
	struct burst *b;

	end_bursts(j, now);
	if (j->all.end_sec <= now)
		j->all = (struct burst){.end_sec = now + WINDOW_SEC};
	b = find_burst(j, policy, now);
	if (b && b->n < MAX_OF_POLICY && j->all.n < MAX_OF_ALL) {
		b->n++;
		j->all.n++;
		return true;
	}
	if (b)
		b->left_out++;
	j->left_out++;
	return false;
}

static void journal_event(struct sink *s, const struct event_record *rec)
{
	struct sink_journal *j = (struct sink_journal *)s;
	size_t v = 0;

	while (v + 1 < ARRAY_SIZE(verdicts) && strcmp(verdicts[v].verdict, rec->verdict) != 0)
		v++;
	if (j->log->target != LOG_TARGET_JOURNAL || j->events == SINK_JOURNAL_NONE ||
	    verdicts[v].level > j->log->max_level)
		return;
	if (j->events == SINK_JOURNAL_VERDICTS && v + 1 == ARRAY_SIZE(verdicts))
		return;
	if (may_write(j, rec->policy))
		write_record(j, v, rec);
}

static void journal_free(struct sink *s)
{
	struct sink_journal *j = (struct sink_journal *)s;

	end_bursts(j, INT64_MAX);
	free(j->bursts);
	sd_event_source_disable_unref(j->timer);
	free(j);
}

static uint64_t journal_lost(const struct sink *s)
{
	return ((const struct sink_journal *)s)->left_out;
}

static const struct sink_ops journal_ops = {
	.event = journal_event,
	.free = journal_free,
	.lost_name = "journal-left-out",
	.lost = journal_lost,
};

int sink_journal_new(sd_event *event, const struct log *log, enum sink_journal_events events,
		     struct sink **ret_sink)
{
	struct sink_journal *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return -ENOMEM;
	j->sink.ops = &journal_ops;
	j->log = log;
	j->events = events;
	r = sd_event_add_time_relative(event, &j->timer, CLOCK_MONOTONIC, 0, 100000, on_timer, j);
	if (r >= 0)
		r = sd_event_source_set_enabled(j->timer, SD_EVENT_OFF);
	if (r < 0) {
		journal_free(&j->sink);
		return r;
	}
	*ret_sink = &j->sink;
	return 0;
}
