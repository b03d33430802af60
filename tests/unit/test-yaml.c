/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The YAML reader: trees with positions, and each of its refusals at its limit and one above. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "yaml.h"

/* Text that grows; room for the largest input that is tried. */
struct text {
	char *s;
	size_t n;
};

static void text_start(struct text *t)
{
	t->s = malloc(8 * 1024 * 1024);
	assert_non_null(t->s);
	t->n = 0;
}

_printf_(2, 3) static void text_add(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t->n += (size_t)vsprintf(t->s + t->n, fmt, ap);
	va_end(ap);
}

static struct yaml_file *parse(const char *text, size_t size)
{
	struct yaml_file *f = NULL;
	struct diag d = {};
	int err = yaml_parse(text, size, "f", &d, &f);

	if (err < 0 && d.n_items > 0)
		print_error("%u:%u: %s\n", d.items[0].line, d.items[0].column, d.items[0].message);
	assert_int_equal(err, 0);
	assert_int_equal(d.n_items, 0);
	diag_done(&d);
	return f;
}

static void assert_error(const char *text, size_t size, uint32_t line, uint32_t column,
			 const char *code)
{
	struct yaml_file *f = (struct yaml_file *)1;
	struct diag d = {};

	assert_int_equal(yaml_parse(text, size, "f", &d, &f), -EINVAL);
	assert_ptr_equal(f, (struct yaml_file *)1);
	assert_true(d.n_items >= 1);
	assert_string_equal(d.items[0].code, code);
	assert_string_equal(d.items[0].file, "f");
	assert_int_equal(d.items[0].line, line);
	assert_int_equal(d.items[0].column, column);
	diag_done(&d);
}

#define assert_text_error(text, ...) assert_error(text, strlen(text), __VA_ARGS__)

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void test_tree(void **state)
{
	static const char text[] = "# comment\n"
				   "name: \"two words\"\n"
				   "größe: 9922:9932\n"
				   "list:\n"
				   "- a\n"
				   "- {b: ~, 'c': '~'}\n"
				   "- |\n"
				   "  block\n";
	_cleanup_(yaml_file_freep) struct yaml_file *f = parse(text, strlen(text));
	const struct yaml_node *root, *list, *n;

	assert_int_equal(f->n_documents, 1);
	root = f->documents[0];
	assert_int_equal(root->kind, YAML_MAPPING);
	assert_int_equal(root->n, 3);
	assert_int_equal(root->pos.line, 2);

	n = yaml_get(root, "name");
	assert_string_equal(n->text, "two words");
	assert_true(n->quoted);
	assert_int_equal(n->pos.line, 2);
	assert_int_equal(n->pos.column, 7);
	assert_string_equal(n->pos.file, "f");

	n = yaml_get(root, "größe");
	assert_string_equal(n->text, "9922:9932");
	assert_false(n->quoted);
	/* characters, not bytes */
	assert_int_equal(n->pos.column, 8);

	list = yaml_get(root, "list");
	assert_int_equal(list->kind, YAML_SEQUENCE);
	assert_int_equal(list->n, 3);
	n = list->items[1];
	assert_int_equal(n->pos.line, 6);
	assert_int_equal(n->pos.column, 3);
	assert_true(yaml_is_null(yaml_get(n, "b")));
	assert_false(yaml_is_null(yaml_get(n, "c")));
	assert_true(list->items[2]->quoted);
	assert_string_equal(list->items[2]->text, "block\n");
	assert_null(yaml_get(root, "none"));
	assert_null(yaml_get(list, "name"));
}

static void test_null(void **state)
{
	static const char text[] = "[~, null, Null, NULL, , nUll, '', !!str ~]";
	_cleanup_(yaml_file_freep) struct yaml_file *f = NULL;
	static const bool null[] = {true, true, true, true, false, false};

	f = parse("a: \n", 4);
	assert_true(yaml_is_null(yaml_get(f->documents[0], "a")));
	yaml_file_free(f);
	f = parse("[~, null, Null, NULL, nUll, '', !!str ~]", 40);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(yaml_is_null(f->documents[0]->items[i]), null[i]);
	assert_false(yaml_is_null(f->documents[0]->items[6]));
	assert_text_error(text, 1, 23, "bad-syntax");
}

static void test_documents(void **state)
{
	static const char text[] = "# ä\n"
				   "a: 1\n"
				   "--- # second\n"
				   "ü: 2\n"
				   "...\n"
				   "# between\n"
				   "---\n"
				   "c: 3\n";
	_cleanup_(yaml_file_freep) struct yaml_file *f = parse(text, strlen(text));
	size_t offset, size, sum = 0;

	assert_int_equal(f->n_documents, 3);
	assert_string_equal(yaml_get(f->documents[1], "ü")->text, "2");
	yaml_document_text(f, 0, &offset, &size);
	assert_int_equal(offset, 0);
	sum += size;
	yaml_document_text(f, 1, &offset, &size);
	assert_int_equal(strncmp(text + offset, "--- # second\n", 13), 0);
	sum += size;
	yaml_document_text(f, 2, &offset, &size);
	assert_string_equal(text + offset, "---\nc: 3\n");
	sum += size;
	assert_int_equal(sum, strlen(text));
}

static void test_byte_order_mark(void **state)
{
	static const char text[] = "\xef\xbb\xbf"
				   "a: 1\n---\nb: 2\n";
	_cleanup_(yaml_file_freep) struct yaml_file *f = parse(text, strlen(text));
	size_t offset, size;

	assert_int_equal(f->documents[0]->pos.column, 1);
	yaml_document_text(f, 1, &offset, &size);
	assert_string_equal(text + offset, "---\nb: 2\n");
	assert_int_equal(offset + size, strlen(text));
}

static void test_refused(void **state)
{
	assert_error("", 0, 1, 1, "empty");
	assert_text_error("\n# only a comment\n", 1, 1, "empty");
	assert_error("a: b\nc\0d", 8, 2, 2, "nul-byte");
	assert_text_error("a: \"b\\0c\"", 1, 4, "nul-byte");
	assert_text_error("a: b\n\xff\n", 2, 1, "bad-encoding");
	assert_text_error("a: \x01\n", 1, 4, "bad-encoding");
	assert_text_error("a: \xed\xa0\x80\n", 1, 4, "bad-encoding");
	assert_text_error("\xff\xfe"
			  "a\n",
			  1, 1, "bad-encoding");
	assert_text_error("a: &x b\n", 1, 4, "anchor");
	assert_text_error("a: &x [b]\n", 1, 4, "anchor");
	assert_text_error("&x a: b\n", 1, 1, "anchor");
	assert_text_error("a: *x\n", 1, 4, "alias");
	assert_text_error("a: &x [*x]\n", 1, 4, "anchor");
	assert_text_error("a: !x b\n", 1, 4, "tag");
	assert_text_error("a: ! b\n", 1, 4, "tag");
	assert_text_error("a: !!set {b}\n", 1, 4, "tag");
	assert_text_error("a: !!map b\n", 1, 4, "tag");
	assert_text_error("a: !!str [b]\n", 1, 4, "tag");
	assert_text_error("%TAG !e! tag:e,2000:\n---\na: b\n", 1, 1, "tag");
	assert_text_error("a: b\n...\n%TAG ! tag:e,2000:\n---\na: b\n", 3, 1, "tag");
	assert_text_error("\xef\xbb\xbf%TAG ! tag:e,2000:\n---\na: b\n", 1, 2, "tag");
	assert_text_error("#\xe2\x80\xa8%TAG ! tag:e,2000:\n---\na: b\n", 1, 3, "tag");
	assert_text_error("%YAML 3.0\n---\na: b\n", 1, 1, "bad-syntax");
	assert_text_error("a:\n  <<: {}\n", 2, 3, "merge-key");
	assert_text_error("? [a]\n: b\n", 1, 3, "bad-key");
	assert_text_error("{{a: b}: c}\n", 1, 2, "bad-key");
	assert_text_error("a: 1\nb: 2\na: 3\n", 3, 1, "duplicate-key");
	assert_text_error("a: 1\n\"a\": 2\n", 2, 1, "duplicate-key");
	assert_text_error("a: [1\n", 2, 1, "bad-syntax");
	assert_text_error("a: 1\n b: 2\n", 2, 3, "bad-syntax");
	assert_text_error("a: 1\n...\nb\n", 3, 1, "bad-syntax");
}

/* Quoted, << is a word like any other; core tags change nothing but what is text. */
static void test_accepted(void **state)
{
	static const char text[] = "%YAML 1.1\n---\n'<<': !!int 1\nb: !!str 2\nc: !!seq [3]\n";
	_cleanup_(yaml_file_freep) struct yaml_file *f = parse(text, strlen(text));

	assert_false(yaml_get(f->documents[0], "<<")->quoted);
	assert_true(yaml_get(f->documents[0], "b")->quoted);
}

static void test_size(void **state)
{
	struct text t;

	text_start(&t);
	text_add(&t, "a: \"");
	memset(t.s + t.n, 'x', YAML_MAX_SIZE + 1 - t.n);
	t.s[YAML_MAX_SIZE - 1] = '"';
	yaml_file_free(parse(t.s, YAML_MAX_SIZE));
	t.s[YAML_MAX_SIZE] = '\n';
	assert_error(t.s, YAML_MAX_SIZE + 1, 1, 1, "too-big");
	free(t.s);
}

static void test_depth(void **state)
{
	char text[2 * (YAML_MAX_DEPTH + 1)];

	memset(text, '[', YAML_MAX_DEPTH);
	memset(text + YAML_MAX_DEPTH, ']', YAML_MAX_DEPTH);
	yaml_file_free(parse(text, 2 * YAML_MAX_DEPTH));
	memset(text, '[', YAML_MAX_DEPTH + 1);
	memset(text + YAML_MAX_DEPTH + 1, ']', YAML_MAX_DEPTH + 1);
	assert_error(text, sizeof(text), 1, YAML_MAX_DEPTH + 1, "too-deep");
}

/* No input may cost the stack or the time that its depth suggests. */
static void test_hostile_depth(void **state)
{
	static const char *const units[] = {"[", "{a: ", "- ", "? ", "[{a: "};
	struct text t;

	text_start(&t);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		struct yaml_file *f = NULL;
		struct diag d = {};

		t.n = 0;
		while (t.n < YAML_MAX_SIZE - 8)
			text_add(&t, "%s", units[i]);
		assert_int_equal(yaml_parse(t.s, t.n, "f", &d, &f), -EINVAL);
		assert_string_equal(d.items[0].code, "too-deep");
		diag_done(&d);
	}
	free(t.s);
}

static void test_nodes(void **state)
{
	struct text t;

	/* the list itself is a node */
	text_start(&t);
	text_add(&t, "[");
	for (size_t i = 1; i < YAML_MAX_NODES; i++)
		text_add(&t, "a,");
	text_add(&t, "]");
	yaml_file_free(parse(t.s, t.n));
	t.s[t.n - 1] = 'b';
	text_add(&t, "]");
	assert_error(t.s, t.n, 1, (uint32_t)t.n - 1, "too-many-nodes");
	free(t.s);
}

static void test_document_count(void **state)
{
	struct yaml_file *f;
	struct text t;

	text_start(&t);
	for (size_t i = 0; i < YAML_MAX_DOCUMENTS; i++)
		text_add(&t, "---\na: b\n");
	f = parse(t.s, t.n);
	assert_int_equal(f->n_documents, YAML_MAX_DOCUMENTS);
	yaml_file_free(f);
	text_add(&t, "---\na: b\n");
	assert_error(t.s, t.n, 2 * YAML_MAX_DOCUMENTS + 1, 1, "too-many-documents");
	free(t.s);
}

/* Duplicates are found without comparing each key with each. */
static void test_many_keys(void **state)
{
	double start = seconds();
	struct yaml_file *f;
	struct text t;
	char key[16];

	text_start(&t);
	for (size_t i = 0; i < 100000; i++)
		text_add(&t, "k%zu:\n", i * 7919 % 100000);
	f = parse(t.s, t.n);
	for (size_t i = 0; i < 100000; i++) {
		sprintf(key, "k%zu", i);
		assert_non_null(yaml_get(f->documents[0], key));
	}
	assert_null(yaml_get(f->documents[0], "k100000"));
	assert_null(yaml_get(f->documents[0], "a"));
	assert_null(yaml_get(f->documents[0], "z"));
	yaml_file_free(f);
	text_add(&t, "k4711: again\n");
	assert_error(t.s, t.n, 100001, 1, "duplicate-key");
	free(t.s);
	assert_true(seconds() - start < 10);
}

static void test_many_values(void **state)
{
	double start = seconds();
	struct yaml_file *f;
	struct text t;

	text_start(&t);
	text_add(&t, "values:\n");
	for (size_t i = 0; i < 200000; i++)
		text_add(&t, "- a\n");
	f = parse(t.s, t.n);
	assert_int_equal(yaml_get(f->documents[0], "values")->n, 200000);
	yaml_file_free(f);
	free(t.s);
	assert_true(seconds() - start < 10);
}

/* libyaml alone needs a quarter of a minute for this. */
static void test_many_directives(void **state)
{
	double start = seconds();
	struct text t;

	text_start(&t);
	text_add(&t, "# first\n");
	for (size_t i = 0; i < 60000; i++)
		text_add(&t, "%%TAG !%zx! x\n", i);
	text_add(&t, "---\na: b\n");
	assert_error(t.s, t.n, 2, 1, "tag");
	free(t.s);
	assert_true(seconds() - start < 5);
}

/* Every prefix of a text ends in an answer. */
static void test_truncated(void **state)
{
	static const char text[] = "a: [1, {b: \"c\\n\", 'd': e}]\nf: |\n  g\nh: >-\n  i\n"
				   "? j\n: k\n--- # l\n- m\n- - n\n  - o: p\n...\n";

	for (size_t i = 0; i < sizeof(text); i++) {
		struct yaml_file *f = NULL;
		struct diag d = {};
		int err = yaml_parse(text, i, "f", &d, &f);

		assert_true(err == 0 || err == -EINVAL);
		assert_int_equal(err == 0, d.n_errors == 0);
		yaml_file_free(f);
		diag_done(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree),	       cmocka_unit_test(test_null),
		cmocka_unit_test(test_documents),      cmocka_unit_test(test_byte_order_mark),
		cmocka_unit_test(test_refused),	       cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_size),	       cmocka_unit_test(test_depth),
		cmocka_unit_test(test_hostile_depth),  cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_document_count), cmocka_unit_test(test_many_keys),
		cmocka_unit_test(test_many_values),    cmocka_unit_test(test_many_directives),
		cmocka_unit_test(test_truncated),
	};

	yaml_file_free(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
