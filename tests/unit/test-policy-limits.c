/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Limits at the limit and one above, and inputs that a slow reader would choke on. */
#include <time.h>

#include "policy-helpers.h"

struct text {
	char *s;
	size_t n;
	FILE *f;
};

static void text_start(struct text *t)
{
	*t = (struct text){};
	t->f = open_memstream(&t->s, &t->n);
	assert_non_null(t->f);
}

static void text_end(struct text *t)
{
	assert_int_equal(fclose(t->f), 0);
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void print_many(FILE *f, const char *s, size_t n)
{
	while (n-- > 0)
		fputs(s, f);
}

/* A selector with one matchBinaries value of n bytes. */
static void load_path(const char *op, size_t n, const char *error)
{
	struct policy_set set = {};
	struct text t;

	text_start(&t);
	fputs(KPROBE_CONNECT "    - matchBinaries:\n      - operator: ", t.f);
	fprintf(t.f, "%s\n        values: [/", op);
	print_many(t.f, "x", n - 1);
	fputs("]\n", t.f);
	text_end(&t);
	if (error)
		assert_refused(t.s, t.n, error);
	else
		load_one(t.s, &set);
	policy_set_done(&set);
	free(t.s);
}

static void test_paths(void **state)
{
	load_path("In", POLICY_MAX_PATH - 1, NULL);
	load_path("In", POLICY_MAX_PATH, "4096 bytes; In takes at most 4095");
	load_path("Prefix", REVSHELL_PREFIX_MAX, NULL);
	load_path("NotPrefix", REVSHELL_PREFIX_MAX + 1, "256 bytes; NotPrefix takes at most 255");
	load_path("Postfix", REVSHELL_POSTFIX_MAX, NULL);
	load_path("NotPostfix", REVSHELL_POSTFIX_MAX + 1,
		  "128 bytes; NotPostfix takes at most 127");
}

static void load_name(size_t n, const char *error)
{
	struct policy_set set = {};
	struct text t;

	text_start(&t);
	fputs("apiVersion: cilium.io/v1alpha1\nkind: TracingPolicy\nspec: {}\nmetadata: {name: ",
	      t.f);
	print_many(t.f, "a", n);
	fputs("}\n", t.f);
	text_end(&t);
	if (error)
		assert_refused(t.s, t.n, error);
	else
		load_one(t.s, &set);
	policy_set_done(&set);
	free(t.s);
}

static void test_name(void **state)
{
	load_name(POLICY_MAX_NAME, NULL);
	load_name(POLICY_MAX_NAME + 1, "is not a policy's name");
}

/* n repetitions of an item after head. */
static void load_items(const char *head, const char *item, size_t n, const char *tail,
		       const char *error)
{
	struct policy_set set = {};
	struct text t;

	text_start(&t);
	fputs(head, t.f);
	print_many(t.f, item, n);
	fputs(tail, t.f);
	text_end(&t);
	if (error)
		assert_refused(t.s, t.n, error);
	else
		load_one(t.s, &set);
	policy_set_done(&set);
	free(t.s);
}

static void test_counts(void **state)
{
	static const char tags[] = POLICY_HEAD "spec:\n"
					       "  kprobes:\n"
					       "  - call: tcp_connect\n"
					       "    syscall: false\n"
					       "    tags:\n";
	static const char args[] = POLICY_HEAD "spec:\n"
					       "  kprobes:\n"
					       "  - call: tcp_connect\n"
					       "    syscall: false\n"
					       "    args:\n";
	static const char actions[] = KPROBE_CONNECT "    - matchActions:\n";
	static const char lists[] = POLICY_HEAD "spec:\n  lists:\n";

	load_items(KPROBE_CONNECT, "    - {}\n", REVSHELL_GROUP_SELECTORS, "", NULL);
	load_items(KPROBE_CONNECT, "    - {}\n", REVSHELL_GROUP_SELECTORS + 1, "",
		   "more than 64 selectors in one entry");
	load_items(tags, "    - ab\n", POLICY_MAX_TAGS, "", NULL);
	load_items(tags, "    - ab\n", POLICY_MAX_TAGS + 1, "", "more than 16 tags");
	load_items(args, "    - {index: 0, type: sock}\n", POLICY_MAX_ARGS, "", NULL);
	load_items(args, "    - {index: 0, type: sock}\n", POLICY_MAX_ARGS + 1, "",
		   "more than 5 args in one entry");
	load_items(actions, "      - action: Post\n", POLICY_MAX_ACTIONS, "", NULL);
	load_items(actions, "      - action: Post\n", POLICY_MAX_ACTIONS + 1, "",
		   "more than 16 actions in one selector");
	load_items(lists, "  - name: a\n", 256, "", NULL);
	load_items(lists, "  - name: a\n", 257, "", "more than 256 lists");
}

static void test_message(void **state)
{
	static const size_t sizes[] = {2, POLICY_MAX_MESSAGE, POLICY_MAX_MESSAGE + 1};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct policy_set set = {};
		const struct policy *p;
		struct text t;

		text_start(&t);
		fputs(POLICY_HEAD "spec:\n  lsmhooks:\n  - hook: socket_accept\n    message: ",
		      t.f);
		print_many(t.f, "m", sizes[i]);
		text_end(&t);
		p = load_one(t.s, &set);
		assert_int_equal(strlen(p->entries[0].message),
				 MIN(sizes[i], (size_t)POLICY_MAX_MESSAGE));
		policy_set_done(&set);
		free(t.s);
	}
}

/* Cut between characters, not inside one. */
static void test_cut(void **state)
{
	struct policy_set set = {};
	const struct policy *p;
	struct text t;

	text_start(&t);
	fputs(POLICY_HEAD "spec:\n  lsmhooks:\n  - hook: socket_accept\n    message: x", t.f);
	print_many(t.f, "\xe4\xb8\xad", 100);
	fputs("\n    tags: [", t.f);
	print_many(t.f, "\xc3\xa4", 100);
	fputs("]\n", t.f);
	text_end(&t);
	p = load_one(t.s, &set);
	assert_int_equal(strlen(p->entries[0].message), 1 + 3 * 85);
	assert_int_equal(strlen(p->entries[0].tags[0]), 128);
	policy_set_done(&set);
	free(t.s);
}

/* What is cut is the text as written; escapes come behind, as in Tetragon. */
static void test_cut_escapes(void **state)
{
	struct policy_set set = {};
	const struct policy *p;
	struct text t;

	text_start(&t);
	fputs(POLICY_HEAD "spec:\n  lsmhooks:\n  - hook: socket_accept\n    message: 'x", t.f);
	print_many(t.f, "\"", POLICY_MAX_MESSAGE);
	fputs("'\n", t.f);
	text_end(&t);
	p = load_one(t.s, &set);
	assert_int_equal(strlen(p->entries[0].message), 1 + 2 * (POLICY_MAX_MESSAGE - 1));
	assert_int_equal(p->entries[0].message[1], '\\');
	policy_set_done(&set);
	free(t.s);
}

static void test_many_cidrs(void **state)
{
	double start = seconds();
	struct policy_set set = {};
	const struct policy_values *v;
	struct text t;

	text_start(&t);
	fputs(KPROBE_CONNECT "    - matchArgs:\n"
			     "      - index: 1\n"
			     "        operator: SAddr\n"
			     "        values:\n",
	      t.f);
	/* flow style: 100,000 of them within 1 MiB */
	fputs("         [", t.f);
	for (unsigned int i = 0; i < REVSHELL_MAX_CIDRS; i++)
		fprintf(t.f, "%u.%u.%u,", i >> 16, i >> 8 & 255, i & 255);
	fputs("]\n", t.f);
	text_end(&t);
	assert_int_equal(load_quietly(t.s, &set), -EINVAL); /* three parts: none is an address */
	free(t.s);

	text_start(&t);
	fputs(KPROBE_CONNECT "    - matchArgs:\n"
			     "      - {index: 1, operator: SAddr, values: [",
	      t.f);
	for (unsigned int i = 0; i < REVSHELL_MAX_CIDRS; i++)
		fprintf(t.f, "%x::%x,", 1 + (i >> 16), i & 0xffff);
	fputs("]}\n", t.f);
	text_end(&t);
	load_one(t.s, &set);
	v = &set.policies[0]->entries[0].selectors[0].args[0].values;
	assert_int_equal(v->n_cidrs, REVSHELL_MAX_CIDRS);
	assert_int_equal(v->cidrs[0x12345].addr[15], 0x45);
	policy_set_done(&set);
	free(t.s);
	assert_true(seconds() - start < 10);
}

/* A macro of many values in many selectors must not multiply without bound. */
static void test_macro_bomb(void **state)
{
	double start = seconds();
	struct text t;

	text_start(&t);
	fputs(POLICY_HEAD "spec:\n"
			  "  selectorsMacros:\n"
			  "    m:\n"
			  "      matchPIDs:\n"
			  "      - {operator: In, values: [",
	      t.f);
	print_many(t.f, "1,", 100000);
	fputs("]}\n  kprobes:\n", t.f);
	for (int i = 0; i < 200; i++) {
		fputs("  - call: tcp_close\n    syscall: false\n    selectors: [", t.f);
		print_many(t.f, "{macros: [m]},", 64);
		fputs("]\n", t.f);
	}
	text_end(&t);
	assert_refused(t.s, t.n, "hold more than 400000 selectors and values");
	free(t.s);

	/* long paths count for more */
	text_start(&t);
	fputs(POLICY_HEAD "spec:\n"
			  "  selectorsMacros:\n"
			  "    m:\n"
			  "      matchBinaries:\n"
			  "      - {operator: In, values: [",
	      t.f);
	for (int i = 0; i < 128; i++) {
		fputs("/", t.f);
		print_many(t.f, "x", 4000);
		fputs(",", t.f);
	}
	fputs("]}\n  kprobes:\n", t.f);
	for (int i = 0; i < 200; i++) {
		fputs("  - call: tcp_close\n    syscall: false\n    selectors: [", t.f);
		print_many(t.f, "{macros: [m]},", 64);
		fputs("]\n", t.f);
	}
	text_end(&t);
	assert_refused(t.s, t.n, "hold more than 400000 selectors and values");
	free(t.s);
	assert_true(seconds() - start < 20);
}

static void test_list_bomb(void **state)
{
	double start = seconds();
	struct text t;

	text_start(&t);
	fputs(POLICY_HEAD "spec:\n  lists:\n  - {name: l, values: [", t.f);
	print_many(t.f, "1,", 100000);
	fputs("]}\n  kprobes:\n"
	      "  - call: tcp_set_state\n"
	      "    syscall: false\n"
	      "    args: [{index: 1, type: int}]\n"
	      "    selectors:\n"
	      "    - matchArgs:\n"
	      "      - {index: 1, operator: InMap, values: [",
	      t.f);
	print_many(t.f, "'list:l',", 50000);
	fputs("]}\n", t.f);
	text_end(&t);
	assert_refused(t.s, t.n, "hold more than 400000 selectors and values");
	free(t.s);

	/* entries through a list of calls */
	text_start(&t);
	fputs(POLICY_HEAD "spec:\n  lists:\n  - {name: l, values: [", t.f);
	for (size_t i = 0; i < n_policy_calls; i++)
		if (policy_calls[i].sections & SECTION_KPROBES)
			fprintf(t.f, "%s,", policy_calls[i].name);
	fputs("]}\n  kprobes:\n", t.f);
	for (int i = 0; i < 4000; i++) {
		fputs("  - {call: 'list:l', syscall: false, selectors: [", t.f);
		print_many(t.f, "{},", 64);
		fputs("]}\n", t.f);
	}
	text_end(&t);
	assert_true(t.n < YAML_MAX_SIZE);
	assert_refused(t.s, t.n, "hold more than 400000 selectors and values");
	free(t.s);
	assert_true(seconds() - start < 20);
}

static void test_many_mistakes(void **state)
{
	double start = seconds();
	struct policy_set set = {};
	struct diag d = {};
	struct text t;

	text_start(&t);
	fputs(POLICY_HEAD "spec:\n", t.f);
	for (int i = 0; i < 60000; i++)
		fprintf(t.f, "  kprobe%d:\n", i);
	text_end(&t);
	assert_int_equal(policy_load_text(t.s, t.n, "test.yaml", &offline, &d, &set), -EINVAL);
	assert_int_equal(d.n_errors, 60000);
	assert_int_equal(d.n_items, DIAG_MAX_ITEMS);
	diag_done(&d);
	free(t.s);
	assert_true(seconds() - start < 20);
}

static void test_many_policies(void **state)
{
	double start = seconds();
	struct policy_set set = {};
	struct text t;

	text_start(&t);
	for (unsigned int i = 0; i < YAML_MAX_DOCUMENTS; i++)
		fprintf(t.f,
			"---\n"
			"apiVersion: cilium.io/v1alpha1\n"
			"kind: TracingPolicy\n"
			"metadata: {name: p%u}\n"
			"spec: {lsmhooks: [{hook: socket_accept}]}\n",
			i);
	text_end(&t);
	assert_int_equal(load_quietly(t.s, &set), 0);
	assert_int_equal(set.n, YAML_MAX_DOCUMENTS);
	assert_string_equal(set.policies[1000]->name, "p1000");
	/* each keeps its own text only */
	assert_true(strlen(set.policies[1000]->source) < 200);
	assert_non_null(strstr(set.policies[1000]->source, "name: p1000}"));
	assert_int_equal(load_quietly(t.s, &set), -EINVAL);
	assert_int_equal(set.n, YAML_MAX_DOCUMENTS);
	policy_set_done(&set);
	free(t.s);
	assert_true(seconds() - start < 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),	      cmocka_unit_test(test_name),
		cmocka_unit_test(test_counts),	      cmocka_unit_test(test_message),
		cmocka_unit_test(test_cut),	      cmocka_unit_test(test_cut_escapes),
		cmocka_unit_test(test_many_cidrs),    cmocka_unit_test(test_macro_bomb),
		cmocka_unit_test(test_list_bomb),     cmocka_unit_test(test_many_mistakes),
		cmocka_unit_test(test_many_policies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
