/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The journal's records and their bound, the export file, and the counters' text. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#include <cmocka.h>

#include "messages.h"
#include "openmetrics.h"
#include "sink.h"
#include "tally.h"
#include "units.h"

/* What the journal was sent last, and how often. */
static struct {
	char data[8192];
	size_t size;
	unsigned int n;
} sent;

static int64_t clock_add_sec;	  /* time that has passed without our waiting */
static ssize_t writev_limit = -1; /* bytes that still fit the disk; -1: no end */

int __wrap_sd_journal_sendv_with_location(const char *file, const char *line, const char *func,
					  const struct iovec *iov, int n);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __real_clock_gettime(clockid_t id, struct timespec *ts);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int n);
ssize_t __real_writev(int fd, const struct iovec *iov, int n);

int __wrap_sd_journal_sendv_with_location(const char *file, const char *line, const char *func,
					  const struct iovec *iov, int n)
{
	sent.size = 0;
	sent.n++;
	for (int i = 0; i < n; i++) {
		assert_true(sent.size + iov[i].iov_len + 1 <= sizeof(sent.data));
		memcpy(sent.data + sent.size, iov[i].iov_base, iov[i].iov_len);
		sent.size += iov[i].iov_len;
		sent.data[sent.size++] = '\0'; /* fields end, whatever they hold */
	}
	return 0;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	int r = __real_clock_gettime(id, ts);

	ts->tv_sec += clock_add_sec;
	return r;
}

ssize_t __wrap_writev(int fd, const struct iovec *iov, int n)
{
	size_t want = 0, some;

	for (int i = 0; i < n; i++)
		want += iov[i].iov_len;
	if (writev_limit < 0 || (size_t)writev_limit >= want) {
		writev_limit = writev_limit < 0 ? -1 : writev_limit - (ssize_t)want;
		return __real_writev(fd, iov, n);
	}
	some = (size_t)writev_limit;
	writev_limit = 0;
	if (some == 0) {
		errno = ENOSPC;
		return -1;
	}
	return write(fd, iov[0].iov_base, some);
}

/* The value of a field of the last record, or NULL. */
static const char *field(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < sent.size; i += strlen(sent.data + i) + 1)
		if (strncmp(sent.data + i, name, n) == 0 && sent.data[i + n] == '=')
			return sent.data + i + n + 1;
	return NULL;
}

static json_t *make_event(const char *verdict, const char *exe)
{
	json_error_t error;
	json_t *event = json_pack_ex(
		&error, 0,
		"{s{s{sssisisissss},ss,s[{s{ssss}},{s{sssssi}}],ss,ss,ss,ss,ss,ss,si,si,si}}",
		"process_kprobe", "process", "binary", exe, "pid", 4211, "tid", 4212, "uid", 1000,
		"arguments", "-e\n/bin/sh\nREVSHELL_VERDICT=allowed", "cwd", "/", "function_name",
		"security_socket_connect", "args", "sock_arg", "family", "AF_INET6", "protocol",
		"IPPROTO_TCP", "sockaddr_arg", "family", "AF_INET6", "addr", "2001:db8::1", "port",
		4444, "action", "KPROBE_ACTION_OVERRIDE", "policy_name", "one", "verdict", verdict,
		"errno", "EPERM", "mode", "enforce", "hook", "socket_connect", "generation", 7,
		"selector", 0, "number", 3);

	if (!event)
		fail_msg("%s", error.text);
	return event;
}

static void send_event(struct sink *s, const char *policy, const char *verdict, const char *exe)
{
	_cleanup_(event_record_freep) struct event_record *rec = NULL;
	json_t *event = make_event(verdict, exe);
	_cleanup_free_ char *text = event_format(event, EVENT_TETRAGON, false);

	json_decref(event);
	assert_non_null(text);
	assert_int_equal(event_record_new(&(struct event_line){text, strlen(text), exe}, policy,
					  verdict, &rec),
			 0);
	sink_send(s, rec);
}

struct fixture {
	sd_event *event;
	struct log log;
	struct sink_config config;
	struct sink *sink;
	char dir[64], path[96];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f || sd_event_new(&f->event) < 0)
		return -1;
	f->log = (struct log){.max_level = LOG_INFO, .target = LOG_TARGET_JOURNAL};
	strcpy(f->dir, "/tmp/revshell-sinks-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/events.json", f->dir);
	f->config = (struct sink_config){.export_file = f->path, .export_files = 2};
	memset(&sent, 0, sizeof(sent));
	clock_add_sec = 0;
	writev_limit = -1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	sink_free(f->sink);
	sd_event_unref(f->event);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	if (system(command) != 0)
		return -1;
	free(f);
	return 0;
}

static void test_journal_fields(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(sink_journal_new(f->event, &f->log, SINK_JOURNAL_VERDICTS, &f->sink), 0);
	send_event(f->sink, "one", "denied", "/tmp/\nPRIORITY=7\nnc");
	assert_int_equal(sent.n, 1);
	assert_string_equal(field("MESSAGE_ID"), MESSAGE_DENIED);
	assert_string_equal(field("PRIORITY"), "4");
	assert_string_equal(field("SYSLOG_IDENTIFIER"), "revshelld");
	assert_string_equal(field("MESSAGE"),
			    "\"/tmp/\\nPRIORITY=7\\nnc\"[4211] denied security_socket_connect to "
			    "[2001:db8::1]:4444 by policy one");
	assert_string_equal(field("OBJECT_PID"), "4211");
	assert_string_equal(field("REVSHELL_TID"), "4212");
	assert_string_equal(field("REVSHELL_UID"), "1000");
	assert_string_equal(field("REVSHELL_EXE"), "/tmp/\nPRIORITY=7\nnc");
	assert_string_equal(field("REVSHELL_ARGUMENTS"), "-e\n/bin/sh\nREVSHELL_VERDICT=allowed");
	assert_string_equal(field("REVSHELL_VERDICT"), "denied");
	assert_string_equal(field("REVSHELL_ERRNO"), "EPERM");
	assert_string_equal(field("REVSHELL_POLICY"), "one");
	assert_string_equal(field("REVSHELL_HOOK"), "socket_connect");
	assert_string_equal(field("REVSHELL_ACTION"), "KPROBE_ACTION_OVERRIDE");
	assert_string_equal(field("REVSHELL_DESTINATION"), "[2001:db8::1]:4444");
	assert_string_equal(field("REVSHELL_PROTOCOL"), "IPPROTO_TCP");
	assert_string_equal(field("REVSHELL_EVENT"), "3");
	assert_null(field("REVSHELL_PARENT_EXE"));
	send_event(f->sink, "one", "would-deny", "/bin/nc");
	assert_string_equal(field("MESSAGE_ID"), MESSAGE_WOULD_DENY);
	assert_string_equal(field("PRIORITY"), "5");
	send_event(f->sink, "one", "killed", "/bin/nc");
	assert_string_equal(field("MESSAGE_ID"), MESSAGE_KILLED);
	assert_int_equal(sent.n, 3);
}

static void test_journal_choice(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(sink_journal_new(f->event, &f->log, SINK_JOURNAL_VERDICTS, &f->sink), 0);
	send_event(f->sink, "one", "allowed", "/bin/nc");
	assert_int_equal(sent.n, 0);
	f->log.max_level = LOG_WARNING;
	send_event(f->sink, "one", "would-deny", "/bin/nc");
	assert_int_equal(sent.n, 0);
	f->log.target = LOG_TARGET_CONSOLE;
	send_event(f->sink, "one", "denied", "/bin/nc");
	assert_int_equal(sent.n, 0);
	f->log = (struct log){.max_level = LOG_INFO, .target = LOG_TARGET_JOURNAL};
	sink_free(f->sink);
	assert_int_equal(sink_journal_new(f->event, &f->log, SINK_JOURNAL_NONE, &f->sink), 0);
	send_event(f->sink, "one", "denied", "/bin/nc");
	assert_int_equal(sent.n, 0);
	sink_free(f->sink);
	assert_int_equal(sink_journal_new(f->event, &f->log, SINK_JOURNAL_ALL, &f->sink), 0);
	send_event(f->sink, "one", "allowed", "/bin/nc");
	assert_string_equal(field("MESSAGE_ID"), MESSAGE_REPORTED);
	assert_string_equal(field("PRIORITY"), "6");
	assert_int_equal(sink_journal_events_parse("all"), SINK_JOURNAL_ALL);
	assert_int_equal(sink_journal_events_parse("some"), -EINVAL);
}

static void test_journal_storm(void **state)
{
	struct fixture *f = *state;
	char name[16];

	assert_int_equal(sink_journal_new(f->event, &f->log, SINK_JOURNAL_VERDICTS, &f->sink), 0);
	for (int i = 0; i < 1000; i++)
		send_event(f->sink, "noisy", "would-deny", "/bin/nc");
	assert_int_equal(sent.n, 20);
	assert_int_equal(f->sink->ops->lost(f->sink), 980);
	/* one policy does not drown another */
	send_event(f->sink, "quiet", "denied", "/bin/nc");
	assert_int_equal(sent.n, 21);
	assert_string_equal(field("MESSAGE_ID"), MESSAGE_DENIED);
	/* once the window is over, what was left out is told, and records are written again */
	clock_add_sec += 11;
	send_event(f->sink, "quiet", "denied", "/bin/nc");
	assert_int_equal(sent.n, 23);
	/* but all together have a bound, too */
	clock_add_sec += 11;
	sent.n = 0;
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		for (int k = 0; k < 10; k++)
			send_event(f->sink, name, "denied", "/bin/nc");
	}
	assert_int_equal(sent.n, 200);
	assert_int_equal(f->sink->ops->lost(f->sink), 980 + 300);
	/* and nothing is untold at the end */
	sent.n = 0;
	sink_free(f->sink);
	f->sink = NULL;
	assert_int_equal(sent.n, 30);
	assert_string_equal(field("MESSAGE_ID"), MESSAGE_LEFT_OUT);
	assert_string_equal(field("REVSHELL_POLICY"), "p49");
	assert_string_equal(field("REVSHELL_LEFT_OUT"), "10");
}

/* The timer tells, too, if no further event comes. */
static void test_journal_summary_by_timer(void **state)
{
	struct fixture *f = *state;
	uint64_t usec;

	assert_int_equal(sink_journal_new(f->event, &f->log, SINK_JOURNAL_VERDICTS, &f->sink), 0);
	for (int i = 0; i < 21; i++)
		send_event(f->sink, "noisy", "denied", "/bin/nc");
	assert_int_equal(sent.n, 20);
	clock_add_sec += 11;
	assert_int_equal(sd_event_now(f->event, CLOCK_MONOTONIC, &usec), 1);
	for (int i = 0; i < 150 && sent.n == 20; i++)
		assert_true(sd_event_run(f->event, 100000) >= 0);
	assert_string_equal(field("MESSAGE_ID"), MESSAGE_LEFT_OUT);
	assert_string_equal(field("REVSHELL_LEFT_OUT"), "1");
}

static void assert_file(const struct fixture *f, const char *suffix, unsigned int n_lines)
{
	_cleanup_fclose_ FILE *file = NULL;
	_cleanup_free_ char *line = NULL;
	unsigned int n = 0;
	char path[128];
	size_t size = 0;

	snprintf(path, sizeof(path), "%s%s", f->path, suffix);
	file = fopen(path, "re");
	if (!file && n_lines == 0)
		return;
	assert_non_null(file);
	for (ssize_t len; (len = getline(&line, &size, file)) > 0; n++) {
		json_t *event = json_loads(line, 0, NULL);

		assert_int_equal(line[len - 1], '\n');
		assert_non_null(event);
		json_decref(event);
	}
	assert_int_equal(n, n_lines);
}

static size_t size_of_one(const struct fixture *f)
{
	struct stat st;

	assert_int_equal(stat(f->path, &st), 0);
	return (size_t)st.st_size;
}

static void test_file_rotates(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	umask(0);
	assert_int_equal(sink_file_new(&f->log, &f->config, &f->sink), 0);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	send_event(f->sink, "one", "denied", "/bin/nc");
	assert_file(f, "", 1);
	f->config.export_max_size = 3 * size_of_one(f);
	for (int i = 0; i < 2; i++)
		send_event(f->sink, "one", "denied", "/bin/nc");
	assert_file(f, "", 3);
	assert_file(f, ".1", 0);
	send_event(f->sink, "one", "denied", "/bin/nc");
	assert_file(f, "", 1);
	assert_file(f, ".1", 3);
	for (int i = 0; i < 9; i++)
		send_event(f->sink, "one", "denied", "/bin/nc");
	assert_file(f, "", 1);
	assert_file(f, ".1", 3);
	assert_file(f, ".2", 3);
	assert_file(f, ".3", 0); /* only two are kept */
	/* or none */
	f->config.export_files = 0;
	for (int i = 0; i < 3; i++)
		send_event(f->sink, "one", "denied", "/bin/nc");
	assert_file(f, "", 1);
	assert_file(f, ".1", 3);
	assert_int_equal(f->sink->ops->lost(f->sink), 0);
	assert_int_equal(sent.n, 0);
}

static void test_file_moved_away(void **state)
{
	struct fixture *f = *state;
	char moved[128];

	snprintf(moved, sizeof(moved), "%s.moved", f->path);
	assert_int_equal(sink_file_new(&f->log, &f->config, &f->sink), 0);
	send_event(f->sink, "one", "denied", "/bin/nc");
	assert_int_equal(rename(f->path, moved), 0);
	send_event(f->sink, "one", "denied", "/bin/nc");
	assert_file(f, ".moved", 2);
	sink_reopen(f->sink);
	send_event(f->sink, "one", "denied", "/bin/nc");
	assert_file(f, ".moved", 2);
	assert_file(f, "", 1);
}

/* What does not fit leaves no half a line, is counted, and told once; so is that it fits again. */
static void test_file_full_disk(void **state)
{
	struct fixture *f = *state;
	size_t one;

	assert_int_equal(sink_file_new(&f->log, &f->config, &f->sink), 0);
	send_event(f->sink, "one", "denied", "/bin/nc");
	one = size_of_one(f);
	writev_limit = (ssize_t)one + 100;
	for (int i = 0; i < 5; i++)
		send_event(f->sink, "one", "denied", "/bin/nc");
	assert_file(f, "", 2);
	assert_int_equal(f->sink->ops->lost(f->sink), 4);
	assert_int_equal(sent.n, 1);
	assert_string_equal(field("MESSAGE_ID"), MESSAGE_EXPORT_FAILED);
	assert_string_equal(field("PRIORITY"), "3");
	assert_non_null(strstr(field("MESSAGE"), "No space left on device"));
	writev_limit = -1;
	for (int i = 0; i < 2; i++)
		send_event(f->sink, "one", "denied", "/bin/nc");
	assert_file(f, "", 4);
	assert_int_equal(sent.n, 2);
	assert_string_equal(field("MESSAGE_ID"), MESSAGE_EXPORT_RESUMED);
	assert_non_null(strstr(field("MESSAGE"), "; 4 are missing there"));
}

static void assert_refused(struct fixture *f, const char *reason)
{
	sink_free(f->sink);
	f->sink = NULL;
	sent.n = 0;
	assert_int_equal(sink_file_new(&f->log, &f->config, &f->sink), 0);
	send_event(f->sink, "one", "denied", "/bin/nc");
	assert_int_equal(sent.n, 1);
	assert_non_null(strstr(field("MESSAGE"), reason));
	assert_int_equal(f->sink->ops->lost(f->sink), 1);
}

static void test_file_refused(void **state)
{
	struct fixture *f = *state;
	char other[96];
	int fd;

	snprintf(other, sizeof(other), "%s/other", f->dir);
	assert_int_equal(symlink(other, f->path), 0);
	assert_refused(f, "symbolic links");
	assert_int_equal(access(other, F_OK), -1);
	unlink(f->path);
	assert_int_equal(mkfifo(f->path, 0600), 0);
	assert_refused(f, "No such device or address"); /* it has no reader */
	unlink(f->path);
	assert_int_equal(mkdir(f->path, 0700), 0);
	assert_refused(f, "Is a directory");
	rmdir(f->path);
	fd = open(f->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, 0620), 0);
	assert_refused(f, "not permitted");
	assert_int_equal(fchmod(fd, 0600), 0);
	assert_int_equal(link(f->path, other), 0);
	assert_refused(f, "not permitted");
	unlink(other);
	/* it is tried again by itself, but not at each event */
	send_event(f->sink, "one", "denied", "/bin/nc");
	assert_int_equal(f->sink->ops->lost(f->sink), 2);
	clock_add_sec += 10;
	send_event(f->sink, "one", "denied", "/bin/nc");
	assert_file(f, "", 1);
	assert_int_equal(sent.n, 2);
	close(fd);
}

static void test_tally(void **state)
{
	const struct policy_call *connect = policy_call_find("socket_connect", SECTION_LSMHOOKS);
	struct tally_row row = {
		.policy = (char *)"b",
		.section = SECTION_LSMHOOKS,
		.call = connect,
		.action = ACTION_OVERRIDE,
		.verdict = EVENT_DENIED,
	};
	struct policy b = {.name = (char *)"b"};
	struct policy *kept[] = {&b};
	const struct policy_set set = {.policies = kept, .n = 1};
	struct tally t = {};

	assert_non_null(connect);
	assert_int_equal(tally_add(&t, &row, 2), 0);
	assert_int_equal(tally_add(&t, &row, 3), 0);
	row.verdict = EVENT_ALLOWED;
	assert_int_equal(tally_add(&t, &row, 1), 0);
	row.policy = (char *)"a";
	assert_int_equal(tally_add(&t, &row, 1), 0);
	assert_int_equal(t.n_rows, 3);
	assert_string_equal(t.rows[0].policy, "a");
	assert_int_equal(t.rows[1].verdict, EVENT_ALLOWED);
	assert_int_equal(t.rows[2].n, 5);
	tally_keep(&t, &set);
	assert_int_equal(t.n_rows, 2);
	assert_int_equal(t.rows[1].n, 5);
	tally_done(&t);
}

static void test_openmetrics(void **state)
{
	const struct openmetrics_stat stats[] = {
		{"hook.other.paths-unknown", 8},
		{"hook.tcp_close.events-sent", 9},
		{"hook.tcp_close.paths-unknown", 10},
		{"policies", 2},
		{"policy.a.b\"\\\n.matches", 4},
		{"policy.a.denials", 1},
		{"policy.a.b.events.kprobe:tcp_connect.Sigkill.killed", 3},
		{"policy.events.matches", 6},
		{"policy.events.a.b.c", 7},
		{"some-thing", 5},
	};
	const struct openmetrics o = {"1.0", "lsm", true, stats, ARRAY_SIZE(stats)};
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	openmetrics_write(f, &o);
	assert_int_equal(fclose(f), 0);
	assert_non_null(strstr(text, "\nrevshell_build_info{version=\"1.0\",backend=\"lsm\"} 1\n"));
	assert_non_null(strstr(text, "\nrevshell_enforcing 1\n"));
	assert_non_null(strstr(text, "# TYPE revshell_policies gauge\n"
				     "# HELP revshell_policies Policies in force.\n"
				     "revshell_policies 2\n"));
	assert_non_null(strstr(text, "# TYPE revshell_hook_paths_unknown counter\n"
				     "# HELP revshell_hook_paths_unknown Executables whose path "
				     "could not be had.\n"
				     "revshell_hook_paths_unknown_total{hook=\"other\"} 8\n"
				     "revshell_hook_paths_unknown_total{hook=\"tcp_close\"} 10\n"
				     "# TYPE revshell_hook_events_sent counter\n"));
	assert_non_null(strstr(text, "# TYPE revshell_some_thing counter\n"
				     "revshell_some_thing_total 5\n"));
	assert_non_null(strstr(text,
			       "\nrevshell_policy_matches_total{policy=\"a.b\\\"\\\\\\n\"} 4\n"
			       "revshell_policy_matches_total{policy=\"events\"} 6\n"));
	assert_non_null(strstr(text, "\nrevshell_policy_events_total{policy=\"a.b\","
				     "hook=\"kprobe:tcp_connect\",action=\"Sigkill\","
				     "verdict=\"killed\"} 3\n# EOF\n"));
}

static void test_units(void **state)
{
	uint64_t n = 0;

	assert_int_equal(units_parse("10M", units_size, UINT64_MAX, &n), 0);
	assert_int_equal(n, 10 * 1024 * 1024);
	assert_int_equal(units_parse("5m", units_usec, UINT64_MAX, &n), 0);
	assert_int_equal(n, 300000000);
	assert_int_equal(units_parse("0", units_none, 0, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(units_parse("16777215G", units_size, INT64_MAX, &n), 0);
	assert_int_equal(units_parse("99999999999G", units_size, INT64_MAX, &n), -ERANGE);
	assert_int_equal(units_parse("99999999999999999999999", units_size, UINT64_MAX, &n),
			 -ERANGE);
	assert_int_equal(units_parse("101", units_none, 100, &n), -ERANGE);
	for (const char *const *s = (const char *const[]){"", "M", "-1", "+1", " 1", "1 ", "1MM",
							  "1k", "1T", "0x1", "1.5M", NULL};
	     *s; s++)
		assert_int_equal(units_parse(*s, units_size, UINT64_MAX, &n), -EINVAL);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FIXTURE(test_journal_fields), WITH_FIXTURE(test_journal_choice),
		WITH_FIXTURE(test_journal_storm),  WITH_FIXTURE(test_journal_summary_by_timer),
		WITH_FIXTURE(test_file_rotates),   WITH_FIXTURE(test_file_moved_away),
		WITH_FIXTURE(test_file_full_disk), WITH_FIXTURE(test_file_refused),
		cmocka_unit_test(test_tally),	   cmocka_unit_test(test_openmetrics),
		cmocka_unit_test(test_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
