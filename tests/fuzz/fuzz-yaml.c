/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes through the YAML reader: a tree that keeps its promises, or errors with positions. */
#include <string.h>

#include "fuzz.h"
#include "yaml.h"

struct walk {
	size_t nodes;
	size_t depth;
};

static void check_scalar(const struct yaml_node *n)
{
	fuzz_assert(n->text);
	fuzz_assert(n->n == 0 && !n->items);
	fuzz_assert(strlen(n->text) <= YAML_MAX_SIZE);
	if (n->quoted)
		fuzz_assert(!yaml_is_null(n));
}

static void check_node(const struct yaml_node *n, struct walk *w)
{
	fuzz_assert(n->pos.line > 0 && n->pos.column > 0);
	fuzz_assert(++w->nodes <= YAML_MAX_NODES);
	if (n->kind == YAML_SCALAR) {
		check_scalar(n);
		return;
	}
	fuzz_assert(++w->depth <= YAML_MAX_DEPTH);
	for (size_t i = 0; i < n->n; i++) {
		if (n->kind == YAML_MAPPING) {
			const struct yaml_node *key = n->items[2 * i];

			fuzz_assert(key->kind == YAML_SCALAR);
			/* no other pair has this key, so it must lead here */
			fuzz_assert(yaml_get(n, key->text) == n->items[2 * i + 1]);
			check_node(key, w);
			check_node(n->items[2 * i + 1], w);
		} else {
			check_node(n->items[i], w);
		}
	}
	w->depth--;
}

static void check_documents(const struct yaml_file *f, size_t size)
{
	struct walk w = {};
	size_t end = 0;

	fuzz_assert(f->n_documents > 0 && f->n_documents <= YAML_MAX_DOCUMENTS);
	for (size_t i = 0; i < f->n_documents; i++) {
		size_t offset, n;

		yaml_document_text(f, i, &offset, &n);
		fuzz_assert(offset == end);
		end = offset + n;
		check_node(f->documents[i], &w);
	}
	fuzz_assert(end == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yaml_file *f = NULL;
	struct diag d = {};
	int err;

	err = yaml_parse((const char *)data, size, "f", &d, &f);
	fuzz_assert(err == 0 || err == -EINVAL);
	fuzz_assert((err == 0) == (f != NULL));
	fuzz_assert((err == 0) == (d.n_errors == 0));
	fuzz_check_diag(&d);
	if (f)
		check_documents(f, size);
	yaml_file_free(f);
	diag_done(&d);
	return 0;
}
