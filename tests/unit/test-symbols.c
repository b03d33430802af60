/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses to names: functions of the kernel and of modules, files of a process, hostile lists. */
#include "symbols.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policy-helpers.h"

/* A file with this text; its path is valid until the next call. */
static const char *file_with(const char *text)
{
	static char path[] = "/tmp/test-symbols.XXXXXX";
	int fd;

	strcpy(path + strlen(path) - 6, "XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	return path;
}

static void test_kernel(void **state)
{
	const char *path = file_with("ffffffff81000000 T _text\n"
				     "ffffffff81000200 t second\n"
				     "ffffffff81000280 D data\n"
				     "ffffffffc0000000 t in_module\t[nf_tables]\n"
				     "not an address\n"
				     "ffffffff81000300 T\n");
	static const uint64_t addresses[] = {0xffffffff81000010, 0xffffffff810002ff,
					     0xffffffffc0000001, 0x1000};
	_cleanup_(symbols_freep) struct symbols *s = NULL;
	struct symbol found[4];

	assert_int_equal(symbols_new(path, &s), 0);
	/* the second time out of what was kept */
	for (int i = 0; i < 2; i++) {
		symbols_find_kernel(s, addresses, 4, found);
		assert_string_equal(found[0].name, "_text");
		assert_int_equal(found[0].offset, 0x10);
		assert_string_equal(found[0].module, "");
		assert_string_equal(found[1].name, "second");
		assert_int_equal(found[1].offset, 0xff);
		assert_string_equal(found[2].name, "in_module");
		assert_string_equal(found[2].module, "nf_tables");
		assert_string_equal(found[3].name, "");
		unlink(path);
	}
}

/* Whoever may not see the addresses gets zeros; a name longer than there is room is cut. */
static void test_kernel_hidden(void **state)
{
	static const uint64_t address = 0xffffffff81000010;
	_cleanup_(symbols_freep) struct symbols *hidden = NULL, *cut = NULL, *gone = NULL;
	char text[400] = "ffffffff81000000 T ";
	struct symbol found;
	const char *path;

	path = file_with("0000000000000000 T _text\n0000000000000000 T other\n");
	assert_int_equal(symbols_new(path, &hidden), 0);
	symbols_find_kernel(hidden, &address, 1, &found);
	assert_string_equal(found.name, "");
	unlink(path);

	memset(text + strlen(text), 'x', 300);
	path = file_with(text);
	assert_int_equal(symbols_new(path, &cut), 0);
	symbols_find_kernel(cut, &address, 1, &found);
	assert_int_equal(strlen(found.name), sizeof(found.name) - 1);
	unlink(path);

	assert_int_equal(symbols_new("/nonexistent", &gone), 0);
	symbols_find_kernel(gone, &address, 1, &found);
	assert_string_equal(found.name, "");
	symbols_find_kernel(NULL, &address, 1, &found);
	assert_string_equal(found.name, "");
}

static void test_user(void **state)
{
	const char *path = file_with("00400000-00500000 r-xp 00001000 08:01 42    /usr/bin/a b\n"
				     "00600000-00700000 rw-p 00000000 00:00 0 \n"
				     "nonsense\n"
				     "7ffe0000-7fff0000 r-xp 00000000 00:00 0     [vdso]\n");
	static const uint64_t addresses[] = {0x400010, 0x600010, 0x7ffe0004, 0x1};
	struct symbol found[4];

	symbols_find_user(1, path, addresses, 4, found);
	assert_string_equal(found[0].module, "/usr/bin/a b");
	assert_int_equal(found[0].offset, 0x1010);
	assert_string_equal(found[1].module, "");
	assert_string_equal(found[2].module, "[vdso]");
	assert_string_equal(found[3].module, "");
	unlink(path);
	symbols_find_user(1, path, addresses, 4, found);
	assert_string_equal(found[0].module, "");
	/* this very program */
	symbols_find_user(getpid(), NULL, (const uint64_t[]){(uint64_t)(uintptr_t)test_user}, 1,
			  found);
	assert_non_null(strstr(found[0].module, "test-symbols"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel),
		cmocka_unit_test(test_kernel_hidden),
		cmocka_unit_test(test_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
