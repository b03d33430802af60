/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Strict YAML reading: text to a tree of nodes that know their position. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "diag.h"

/* Caps on hostile input; each has an error of its own. */
#define YAML_MAX_SIZE	   (1024U * 1024U) /* bytes of one file */
#define YAML_MAX_DEPTH	   32U
#define YAML_MAX_NODES	   400000U /* of one file: 100,000 CIDRs and room */
#define YAML_MAX_DOCUMENTS 1024U

enum yaml_kind {
	YAML_SCALAR,
	YAML_SEQUENCE,
	YAML_MAPPING,
};

struct yaml_node {
	enum yaml_kind kind;
	struct diag_pos pos;
	bool quoted;	  /* a scalar in quotes (or block style), so always text */
	const char *text; /* scalar: its text, NUL-terminated, without inner NULs */
	size_t n;	  /* sequence: items; mapping: pairs */
	struct yaml_node *
		*items; /* sequence: n items; mapping: 2n, key then value; keys are scalars */
};

/* All documents of one file; one free for all of it. */
struct yaml_file {
	struct yaml_node **documents;
	size_t n_documents;
	void *arena; /* private */
};

/*
 * Parses text of size bytes. Refused with a diagnostic each: over YAML_MAX_*, NUL bytes, invalid
 * UTF-8, duplicate keys, keys that are no scalars, anchors, aliases, tags other than the core
 * schema's, an empty file. file names the input in positions and must outlive the result.
 * Returns 0, -EINVAL with at least one error in d, or -ENOMEM.
 */
int yaml_parse(const char *text, size_t size, const char *file, struct diag *d,
	       struct yaml_file **ret_file);

void yaml_file_free(struct yaml_file *f);
DEFINE_CLEANUP(struct yaml_file *, yaml_file_free)

/*
 * Where in the text document i lies: offset and size in bytes. The first one begins with the file,
 * the others at their "---"; each reaches to the next.
 */
void yaml_document_text(const struct yaml_file *f, size_t i, size_t *ret_offset, size_t *ret_size);

/* The value of a key in a mapping, or NULL. */
const struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key);

/* True for a plain (unquoted) null, ~ or empty scalar. */
bool yaml_is_null(const struct yaml_node *n);
