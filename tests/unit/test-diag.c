/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Diagnostics: form, escapes, order, and what a flood of them leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "diag.h"

static void assert_format(struct diag_pos pos, enum diag_severity severity, const char *message,
			  const char *expected)
{
	struct diag d = {};
	_cleanup_free_ char *line = NULL;

	diag_add(&d, severity, pos, "code", "%s", message);
	assert_int_equal(d.n_items, 1);
	line = diag_format(&d.items[0]);
	assert_string_equal(line, expected);
	diag_done(&d);
}

static void test_format(void **state)
{
	assert_format((struct diag_pos){"a.yaml", 3, 7}, DIAG_ERROR, "bad",
		      "a.yaml:3:7: error: bad");
	assert_format((struct diag_pos){"a.yaml"}, DIAG_WARNING, "odd", "a.yaml: warning: odd");
	assert_format((struct diag_pos){}, DIAG_NOTE, "so", "note: so");
}

static void test_escapes(void **state)
{
	const struct diag_pos none = {};

	assert_format(none, DIAG_NOTE, "a\x1b[2Jb\nc\td\x7f", "note: a\\x1b[2Jb\\x0ac\\x09d\\x7f");
	assert_format(none, DIAG_NOTE, "größe \xe4\xb8\xad", "note: größe \xe4\xb8\xad");
	assert_format(none, DIAG_NOTE, "csi \xc2\x9b", "note: csi \\xc2\\x9b");
	assert_format(none, DIAG_NOTE, "rtl \xe2\x80\xae", "note: rtl \\xe2\\x80\\xae");
	assert_format(none, DIAG_NOTE, "iso \xe2\x81\xa6", "note: iso \\xe2\\x81\\xa6");
	assert_format((struct diag_pos){"\xff\n", 1, 1}, DIAG_NOTE, "x", "\\xff\\x0a:1:1: note: x");
}

/* Messages go to D-Bus and JSON, which refuse anything else. */
static void test_message_is_utf8(void **state)
{
	const struct diag_pos none = {};

	assert_format(none, DIAG_NOTE, "a\xff\x62", "note: a?b");
	assert_format(none, DIAG_NOTE, "cut \xe4\xb8", "note: cut ??");
	assert_format(none, DIAG_NOTE, "overlong \xc0\x80", "note: overlong ??");
	assert_format(none, DIAG_NOTE, "surrogate \xed\xa0\x80", "note: surrogate ???");
	assert_format(none, DIAG_NOTE, "beyond \xf4\x90\x80\x80", "note: beyond ????");
	assert_format(none, DIAG_NOTE, "last \xf4\x8f\xbf\xbf", "note: last \xf4\x8f\xbf\xbf");
}

static void test_flood(void **state)
{
	const struct diag_pos pos = {"a", 1, 1};
	struct diag d = {};

	for (int i = 0; i < 5000; i++)
		diag_warning(&d, pos, "w", "%d", i);
	for (int i = 0; i < 5000; i++)
		diag_error(&d, pos, "e", "%d", i);
	assert_int_equal(d.n_warnings, 5000);
	assert_int_equal(d.n_errors, 5000);
	assert_int_equal(d.n_items, DIAG_MAX_ITEMS);
	assert_int_equal(d.items[DIAG_MAX_ITEMS / 2].severity, DIAG_ERROR);
	assert_string_equal(d.items[DIAG_MAX_ITEMS / 2].message, "0");
	diag_done(&d);
	assert_int_equal(d.n_items, 0);
	assert_null(d.items);
}

static void test_move(void **state)
{
	const struct diag_pos pos = {"a", 1, 1};
	struct diag a = {}, b = {};

	diag_error(&a, pos, "e", "first");
	diag_warning(&b, pos, "w", "second");
	diag_error(&b, pos, "e", "third");
	diag_move(&a, &b);
	assert_int_equal(a.n_items, 3);
	assert_int_equal(a.n_errors, 2);
	assert_int_equal(a.n_warnings, 1);
	assert_string_equal(a.items[2].message, "third");
	assert_int_equal(b.n_items + b.n_errors + b.n_warnings, 0);
	assert_null(b.items);

	for (int i = 0; i < 2000; i++)
		diag_error(&b, pos, "e", "%d", i);
	diag_move(&a, &b);
	assert_int_equal(a.n_items, DIAG_MAX_ITEMS);
	assert_int_equal(a.n_errors, 2002);
	diag_done(&a);
	diag_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_message_is_utf8),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
