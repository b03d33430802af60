/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* revshelld.conf: its form, its mistakes with their places, and which of several files counts. */
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "config.h"
#include "policy-helpers.h"
#include "ranked-dirs.h"

/* Everything that is read, as "SECTION.KEY=VALUE;". */
static int collect(const char *section, const char *key, const char *value,
		   struct diag_pos position, struct diag *d, void *userdata)
{
	char *text = userdata;

	if (strcmp(key, "Refused") == 0) {
		diag_error(d, position, "refused", "refused");
		return -EINVAL;
	}
	sprintf(text + strlen(text), "%s.%s=%s;", section, key, value);
	return 0;
}

static void assert_read(const char *text, const char *expected)
{
	char found[512] = "";
	struct diag d = {};

	assert_int_equal(conf_parse(text, strlen(text), "f", collect, found, &d), 0);
	assert_string_equal(found, expected);
	assert_int_equal(d.n_items, 0);
	diag_done(&d);
}

static void test_form(void **state)
{
	assert_read("", "");
	assert_read("\n\n# [A]\n;B=1\n \t\n", "");
	assert_read("[A]\nB=1\n[C]\nD=x y = z\nE=", "A.B=1;C.D=x y = z;C.E=;");
	assert_read("  [A]  \r\n\tB \t=  1 \t\r\n", "A.B=1;");
	assert_read("B=1", ".B=1;");
}

static void assert_wrong(const char *text, size_t size, const char *expected, const char *rest)
{
	char found[512] = "";
	struct diag d = {};
	_cleanup_free_ char *line = NULL;

	assert_int_equal(conf_parse(text, size, "f", collect, found, &d), -EINVAL);
	assert_int_equal(d.n_errors, 1);
	line = diag_format(&d.items[0]);
	assert_string_equal(line, expected);
	assert_string_equal(found, rest);
	diag_done(&d);
}

static void test_mistakes(void **state)
{
	static const char nul[] = "[A]\nB=\0";
	_cleanup_free_ char *big = calloc(1, CONF_MAX_SIZE + 1);

	/* each is told, and the rest is read all the same */
	assert_wrong("[A]\n B\nC=1\n", 10, "f:2:2: error: neither a section nor KEY=VALUE",
		     "A.C=1;");
	assert_wrong("[A\nC=1\n", 7, "f:1:1: error: a section is a word in brackets, [Daemon]",
		     ".C=1;");
	assert_wrong("[]\n", 3, "f:1:1: error: a section is a word in brackets, [Daemon]", "");
	assert_wrong("[A]\n  B-C=1\n", 12, "f:2:3: error: a key consists of letters and digits",
		     "");
	assert_wrong("=1\n", 3, "f:1:1: error: a key consists of letters and digits", "");
	assert_wrong("[A]\nRefused=1\nB=1", 17, "f:2:1: error: refused", "A.B=1;");
	assert_wrong(nul, sizeof(nul) - 1, "f: error: a NUL byte", "");
	memset(big, '\n', CONF_MAX_SIZE + 1);
	assert_read("", "");
	assert_wrong(big, CONF_MAX_SIZE + 1, "f: error: more than the 65536 bytes allowed", "");
}

static void put(const struct ranked_dirs *f, int dir, const char *name, const char *value,
		mode_t mode)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/revshelld.conf.d", f->dirs[dir]);
	(void)mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%s", f->dirs[dir], name);
	unlink(path);
	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file, "[Daemon]\n%s\n", value);
	fclose(file);
	assert_int_equal(chmod(path, mode), 0);
}

static int read_all(const struct ranked_dirs *f, struct config *c, struct diag *d)
{
	return config_read_dirs(c, (const char *const *)f->dirs, N_DIRS, d);
}

static void assert_level(const struct ranked_dirs *f, int expected)
{
	struct config c = {.log_level = -1};
	struct diag d = {};

	assert_int_equal(read_all(f, &c, &d), 0);
	assert_int_equal(c.log_level, expected);
	config_done(&c);
	diag_done(&d);
}

static void test_precedence(void **state)
{
	const struct ranked_dirs *f = *state;
	char path[128];

	assert_level(f, -1);
	put(f, 1, "revshelld.conf", "LogLevel=1", 0644);
	assert_level(f, 1);
	put(f, 0, "revshelld.conf", "LogLevel=2", 0644);
	assert_level(f, 2);
	/* the last by name, wherever it is; not by another ending */
	put(f, 1, "revshelld.conf.d/20.conf", "LogLevel=3", 0644);
	put(f, 0, "revshelld.conf.d/10.conf", "LogLevel=4", 0644);
	put(f, 0, "revshelld.conf.d/30.conf~", "LogLevel=5", 0644);
	assert_level(f, 3);
	put(f, 0, "revshelld.conf.d/20.conf", "LogLevel=6", 0644);
	assert_level(f, 6);
	snprintf(path, sizeof(path), "%s/revshelld.conf.d/20.conf", f->dirs[0]);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_level(f, 4);
}

static void assert_error(const struct ranked_dirs *f, const char *value, const char *expected)
{
	struct config c = {};
	struct diag d = {};
	_cleanup_free_ char *line = NULL;

	put(f, 0, "revshelld.conf", value, 0644);
	assert_int_equal(read_all(f, &c, &d), -EINVAL);
	assert_int_equal(d.n_errors, 1);
	line = diag_format(&d.items[0]);
	assert_non_null(strstr(line, expected));
	config_done(&c);
	diag_done(&d);
}

static void test_values(void **state)
{
	const struct ranked_dirs *f = *state;
	struct config c = {};
	struct diag d = {};

	put(f, 0, "revshelld.conf",
	    "Backend=kprobe\nOverrideFallback=sigkill\nMode=enforce\nPolicyDirectory=/a\n"
	    "PolicyDirectory=\nPolicyDirectory=/b\nPolicyDirectory=/"
	    "c\nPinDirectory=none\nBus=session\nJournalEvents=all\nExportFile=/"
	    "e\nExportFileMaxSize=64K\n"
	    "ExportFileMaxFiles=7\nMetricsFile=/"
	    "m\nMetricsInterval=2m\nSandbox=log\nAllowGroup=adm\nLock=yes\nEventRing=8M",
	    0644);
	assert_int_equal(read_all(f, &c, &d), 0);
	assert_int_equal(c.backend, BACKEND_KPROBE);
	assert_int_equal(c.fallback, FALLBACK_SIGKILL);
	assert_int_equal(c.mode, REVSHELL_MODE_ENFORCE);
	assert_non_null(c.mode_source);
	assert_int_equal(c.n_policy_dirs, 2);
	assert_string_equal(c.policy_dirs[0], "/b");
	assert_null(c.pin_dir);
	assert_string_equal(c.bus, "session");
	assert_int_equal(c.sinks.journal, SINK_JOURNAL_ALL);
	assert_string_equal(c.sinks.export_file, "/e");
	assert_int_equal(c.sinks.export_max_size, 65536);
	assert_int_equal(c.sinks.export_files, 7);
	assert_string_equal(c.sinks.metrics_file, "/m");
	assert_int_equal(c.sinks.metrics_interval_usec, 120000000);
	assert_int_equal(c.sandbox, SANDBOX_LOG);
	assert_string_equal(c.allow_group, "adm");
	assert_true(c.lock);
	assert_int_equal(c.event_ring, 8 << 20);
	config_done(&c);
	diag_done(&d);

	assert_error(
		f, "Backend=magic",
		"revshelld.conf:2:1: error: Backend is auto, lsm, fmod-ret, kprobe, none, not");
	assert_error(f, "Mode=off", "Mode is enforce or monitor");
	assert_error(f, "OverrideFallback=maybe", "OverrideFallback is none, sigkill or monitor");
	assert_error(f, "PinDirectory=here", "PinDirectory is a path, or none");
	assert_error(f, "Bus=nowhere", "Bus is system, session, or an address");
	assert_error(f, "Sandbox=on", "Sandbox is enforce, log or off");
	assert_error(f, "Lock=maybe", "Lock is yes or no");
	assert_error(f, "AllowGroup=", "AllowGroup is a group's name or number");
	assert_error(f, "LogLevel=8", "LogLevel is emerg .. debug");
	assert_error(f, "JournalEvents=some", "JournalEvents is verdicts, all or none, not");
	assert_error(f, "EventRing=3M", "EventRing is a power of 2 from 64K to 1G");
	assert_error(f, "EventRing=32K", "EventRing is a power of 2 from 64K to 1G");
	assert_error(f, "ExportFile=here", "ExportFile is a path, or none");
	assert_error(f, "ExportFileMaxSize=4095", "ExportFileMaxSize is 0 for no bound, or bytes");
	assert_error(f, "ExportFileMaxSize=1T", "ExportFileMaxSize is 0 for no bound, or bytes");
	assert_error(f, "ExportFileMaxFiles=101", "ExportFileMaxFiles is a number from 0 to 100");
	assert_error(f, "MetricsFile=", "MetricsFile is a path, or none");
	assert_error(f, "MetricsInterval=0", "MetricsInterval is from 1s to 24h");
	assert_error(f, "MetricsInterval=25h", "MetricsInterval is from 1s to 24h");
	assert_error(f, "backend=lsm", "unknown key \"backend\"");
	assert_error(f, "[Other]\nBackend=lsm", "there is no section [Other]");
}

static void test_trust(void **state)
{
	const struct ranked_dirs *f = *state;
	struct config c = {};
	struct diag d = {};

	put(f, 0, "revshelld.conf", "LogLevel=1", 0666);
	assert_int_equal(read_all(f, &c, &d), -EINVAL);
	assert_string_equal(d.items[0].code, "unsafe-mode");
	config_done(&c);
	diag_done(&d);
}

/* Credentials stand between what is local and what packages bring, and not beside what is given. */
static void test_credentials(void **state)
{
	char *none[] = {(char *)"revshelld", (char *)"--config=none", NULL};
	char *given[] = {(char *)"revshelld", (char *)"--config=none", (char *)"--policy-dir=/a",
			 NULL};
	struct config c;

	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x", 1), 0);
	assert_int_equal(config_parse(2, none, &c), 0);
	assert_int_equal(c.n_policy_dirs, CONFIG_N_DEFAULT_DIRS + 1);
	assert_string_equal(c.policy_dirs[1], "/run/revshell/policies.d");
	assert_string_equal(c.policy_dirs[2], "/run/credentials/x");
	assert_string_equal(c.policy_dirs[3], "/usr/local/lib/revshell/policies.d");
	config_done(&c);
	assert_int_equal(config_parse(3, given, &c), 0);
	assert_int_equal(c.n_policy_dirs, 1);
	config_done(&c);
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	assert_int_equal(config_parse(2, none, &c), 0);
	assert_int_equal(c.n_policy_dirs, CONFIG_N_DEFAULT_DIRS);
	config_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_credentials),
		cmocka_unit_test_setup_teardown(test_precedence, ranked_dirs_setup,
						ranked_dirs_teardown),
		cmocka_unit_test_setup_teardown(test_values, ranked_dirs_setup,
						ranked_dirs_teardown),
		cmocka_unit_test_setup_teardown(test_trust, ranked_dirs_setup,
						ranked_dirs_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
