/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of policies share: loading text, and looking for a diagnostic. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy.h"

#define POLICY_HEAD                        \
	"apiVersion: cilium.io/v1alpha1\n" \
	"kind: TracingPolicy\n"            \
	"metadata:\n"                      \
	"  name: sample\n"

/* A policy's text up to its selectors, which follow indented by two. */
#define KPROBE_CONNECT                                    \
	POLICY_HEAD "spec:\n"                             \
		    "  kprobes:\n"                        \
		    "  - call: security_socket_connect\n" \
		    "    syscall: false\n"                \
		    "    args:\n"                         \
		    "    - {index: 0, type: socket}\n"    \
		    "    - {index: 1, type: sockaddr}\n"  \
		    "    - {index: 2, type: int}\n"       \
		    "    selectors:\n"

static const struct policy_options offline = {.offline = true};
static const struct policy_options portable = {.offline = true, .tetragon = true};

/* Loads text and forgets its diagnostics. */
static inline int load_quietly(const char *text, struct policy_set *set)
{
	struct diag d = {};
	int err = policy_load_text(text, strlen(text), "test.yaml", &offline, &d, set);

	diag_done(&d);
	return err;
}

/* Loads text that must be free of errors; the set must be empty before. */
static inline const struct policy *load_one(const char *text, struct policy_set *set)
{
	struct diag d = {};
	int err = policy_load_text(text, strlen(text), "test.yaml", &offline, &d, set);

	for (size_t i = 0; i < d.n_items && err < 0; i++) {
		char *line = diag_format(&d.items[i]);

		print_error("%s\n", line ? line : "?");
		free(line);
	}
	diag_done(&d);
	assert_int_equal(err, 0);
	assert_int_equal(set->n, 1);
	return set->policies[0];
}

/* The first item with this severity, position (0:0: any) and text in its message, or NULL. */
static inline const struct diag_item *diag_find(const struct diag *d, enum diag_severity severity,
						uint32_t line, uint32_t column, const char *text)
{
	for (size_t i = 0; i < d->n_items; i++)
		if (d->items[i].severity == severity &&
		    (line == 0 || (d->items[i].line == line && d->items[i].column == column)) &&
		    strstr(d->items[i].message, text))
			return &d->items[i];
	return NULL;
}

/* Text must be refused with this error, and nothing must come of it. */
static inline void assert_refused(const char *text, size_t size, const char *message)
{
	struct policy_set set = {};
	struct diag d = {};

	assert_int_equal(policy_load_text(text, size, "test.yaml", &offline, &d, &set), -EINVAL);
	assert_int_equal(set.n, 0);
	if (!diag_find(&d, DIAG_ERROR, 0, 0, message)) {
		for (size_t i = 0; i < d.n_items; i++)
			print_error("got: %s\n", d.items[i].message);
		fail_msg("no error \"%s\"", message);
	}
	policy_set_done(&set);
	diag_done(&d);
}
