/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads YAML with libyaml's event parser into a tree that is freed in one go. */
#include <stdarg.h>
#include <string.h>
#include <libyaml.h>

#include "yaml.h"

#define ARENA_CHUNK   (64U * 1024U)
/* Up to this many pairs a mapping is searched in file order, above through a sorted index. */
#define SMALL_MAPPING 8U

struct arena_chunk {
	struct arena_chunk *next;
	size_t used;
	size_t size;
	max_align_t data[];
};

/* What struct yaml_file hides: memory, and where in the text each document starts. */
struct yaml_private {
	struct arena_chunk *chunks;
	size_t *starts; /* n_documents + 1 byte offsets; the last is the size of the text */
};

struct yaml_mapping {
	struct yaml_node node;
	uint32_t *sorted; /* pairs by key, or NULL for a small mapping */
};

/* A collection that has begun and not ended; its children are on the reader's stack from base. */
struct yaml_frame {
	struct yaml_node *node;
	size_t base;
};

struct yaml_reader {
	yaml_parser_t parser;
	const char *text; /* without a byte order mark */
	size_t size;
	size_t skipped; /* bytes of byte order mark in front of text */
	const char *file;
	struct diag *d;
	struct yaml_private *private;
	struct yaml_frame frames[YAML_MAX_DEPTH];
	size_t depth;
	struct yaml_node **stack;
	size_t n_stack;
	size_t n_allocated;
	size_t n_nodes;
	struct yaml_node *documents[YAML_MAX_DOCUMENTS];
	size_t starts[YAML_MAX_DOCUMENTS + 1];
	size_t n_documents;
	size_t cursor_chars; /* libyaml counts characters: how many lie before cursor_bytes */
	size_t cursor_bytes;
	bool failed; /* an error was reported, the rest is still worth reading */
};

static void *arena_alloc(struct yaml_private *p, size_t size)
{
	struct arena_chunk *c = p->chunks;
	void *memory;

	size = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	if (!c || c->size - c->used < size) {
		size_t room = MAX(size, (size_t)ARENA_CHUNK);

		c = malloc(sizeof(*c) + room);
		if (!c)
			return NULL;
		c->next = p->chunks;
		c->used = 0;
		c->size = room;
		p->chunks = c;
	}
	memory = (char *)c->data + c->used;
	c->used += size;
	return memory;
}

void yaml_file_free(struct yaml_file *f)
{
	struct yaml_private *p;

	if (!f)
		return;
	p = f->arena;
	for (struct arena_chunk *c = p ? p->chunks : NULL, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	free(p);
	free(f);
}

static struct diag_pos pos_of_mark(const struct yaml_reader *r, yaml_mark_t mark)
{
	return (struct diag_pos){r->file, (uint32_t)mark.line + 1, (uint32_t)mark.column + 1};
}

/* The position of a byte, counting characters as libyaml does. */
static struct diag_pos pos_of_offset(const char *text, size_t offset, const char *file)
{
	struct diag_pos pos = {file, 1, 1};

	for (size_t i = 0; i < offset; i++) {
		if (text[i] == '\n') {
			pos.line++;
			pos.column = 1;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			pos.column++;
		}
	}
	return pos;
}

/* Byte offset of the character with this number. Numbers must not fall from call to call. */
static size_t reader_byte_offset(struct yaml_reader *r, size_t chars)
{
	while (r->cursor_bytes < r->size && r->cursor_chars < chars) {
		do
			r->cursor_bytes++;
		while (r->cursor_bytes < r->size &&
		       ((unsigned char)r->text[r->cursor_bytes] & 0xc0) == 0x80);
		r->cursor_chars++;
	}
	return r->cursor_bytes;
}

static int reader_syntax_error(struct yaml_reader *r)
{
	const yaml_parser_t *p = &r->parser;
	const char *problem = p->problem ? p->problem : "cannot be read";

	switch (p->error) {
	case YAML_MEMORY_ERROR:
		return -ENOMEM;
	case YAML_READER_ERROR:
		diag_error(r->d, pos_of_offset(r->text, MIN(p->problem_offset, r->size), r->file),
			   "bad-encoding", "%s: the text must be UTF-8 without control characters",
			   problem);
		return -EINVAL;
	default:
		diag_error(r->d, pos_of_mark(r, p->problem_mark), "bad-syntax", "%s%s%s", problem,
			   p->context ? " " : "", p->context ? p->context : "");
		return -EINVAL;
	}
}

static int reader_push(struct yaml_reader *r, struct yaml_node *node)
{
	if (r->n_stack == r->n_allocated) {
		size_t n = r->n_allocated ? 2 * r->n_allocated : 256;
		struct yaml_node **stack = realloc(r->stack, n * sizeof(*stack));

		if (!stack)
			return -ENOMEM;
		r->stack = stack;
		r->n_allocated = n;
	}
	r->stack[r->n_stack++] = node;
	return 0;
}

/* Checks what every node may carry: anchors and foreign tags are refused. */
static int reader_check_node(struct yaml_reader *r, struct diag_pos pos, const yaml_char_t *anchor,
			     const yaml_char_t *tag, enum yaml_kind kind, bool *ret_string)
{
	static const struct {
		const char *name;
		enum yaml_kind kind;
	} core[] = {
		{"str", YAML_SCALAR},  {"int", YAML_SCALAR},  {"float", YAML_SCALAR},
		{"bool", YAML_SCALAR}, {"null", YAML_SCALAR}, {"seq", YAML_SEQUENCE},
		{"map", YAML_MAPPING},
	};
	static const char prefix[] = "tag:yaml.org,2002:";

	if (anchor) {
		diag_error(r->d, pos, "anchor", "anchors (&) and aliases (*) are not allowed");
		return -EINVAL;
	}
	if (++r->n_nodes > YAML_MAX_NODES) {
		diag_error(r->d, pos, "too-many-nodes", "more than %u YAML nodes in one file",
			   YAML_MAX_NODES);
		return -EINVAL;
	}
	if (!tag)
		return 0;
	if (strncmp((const char *)tag, prefix, strlen(prefix)) == 0) {
		const char *name = (const char *)tag + strlen(prefix);

		for (size_t i = 0; i < ARRAY_SIZE(core); i++) {
			if (strcmp(name, core[i].name) != 0 || core[i].kind != kind)
				continue;
			*ret_string = i == 0;
			return 0;
		}
	}
	diag_error(r->d, pos, "tag", "YAML tag \"%.60s\" is not allowed here", (const char *)tag);
	return -EINVAL;
}

static int reader_scalar(struct yaml_reader *r, const yaml_event_t *e)
{
	size_t length = e->data.scalar.length;
	struct yaml_node *node;
	bool string = false;
	char *text;
	int err;

	err = reader_check_node(r, pos_of_mark(r, e->start_mark), e->data.scalar.anchor,
				e->data.scalar.tag, YAML_SCALAR, &string);
	if (err < 0)
		return err;
	if (memchr(e->data.scalar.value, 0, length)) {
		diag_error(r->d, pos_of_mark(r, e->start_mark), "nul-byte",
			   "the text holds a NUL character");
		return -EINVAL;
	}

	node = arena_alloc(r->private, sizeof(*node));
	text = arena_alloc(r->private, length + 1);
	if (!node || !text)
		return -ENOMEM;
	memcpy(text, e->data.scalar.value, length);
	text[length] = 0;
	*node = (struct yaml_node){
		.kind = YAML_SCALAR,
		.pos = pos_of_mark(r, e->start_mark),
		.quoted = string || e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE,
		.text = text,
	};
	return reader_push(r, node);
}

static int reader_begin(struct yaml_reader *r, struct diag_pos pos, enum yaml_kind kind,
			const yaml_char_t *anchor, const yaml_char_t *tag)
{
	bool string = false;
	struct yaml_node *node;
	int err;

	err = reader_check_node(r, pos, anchor, tag, kind, &string);
	if (err < 0)
		return err;
	if (r->depth == YAML_MAX_DEPTH) {
		diag_error(r->d, pos, "too-deep", "nested deeper than %u levels", YAML_MAX_DEPTH);
		return -EINVAL;
	}

	node = arena_alloc(r->private, kind == YAML_MAPPING ? sizeof(struct yaml_mapping)
							    : sizeof(struct yaml_node));
	if (!node)
		return -ENOMEM;
	if (kind == YAML_MAPPING)
		((struct yaml_mapping *)node)->sorted = NULL;
	*node = (struct yaml_node){.kind = kind, .pos = pos};
	err = reader_push(r, node);
	if (err < 0)
		return err;
	r->frames[r->depth++] = (struct yaml_frame){node, r->n_stack};
	return 0;
}

static const char *key_of(const struct yaml_node *mapping, size_t pair)
{
	return mapping->items[2 * pair]->text;
}

static int compare_pairs(const void *a, const void *b, void *mapping)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int c = strcmp(key_of(mapping, x), key_of(mapping, y));

	return c != 0 ? c : (x > y) - (x < y);
}

static void reader_duplicate(struct yaml_reader *r, const struct yaml_node *m, size_t first,
			     size_t second)
{
	diag_error(r->d, m->items[2 * second]->pos, "duplicate-key",
		   "key \"%.60s\" is already given at line %u", key_of(m, first),
		   m->items[2 * first]->pos.line);
	r->failed = true;
}

/* Refuses keys that are no plain text, and duplicates; sorts the keys of a big mapping. */
static int reader_check_keys(struct yaml_reader *r, struct yaml_mapping *map)
{
	struct yaml_node *m = &map->node;

	for (size_t i = 0; i < m->n; i++) {
		const struct yaml_node *key = m->items[2 * i];

		if (key->kind != YAML_SCALAR) {
			diag_error(r->d, key->pos, "bad-key", "a key must be a single word");
			return -EINVAL;
		}
		if (!key->quoted && strcmp(key->text, "<<") == 0) {
			diag_error(r->d, key->pos, "merge-key", "merge keys (<<) are not allowed");
			return -EINVAL;
		}
	}

	if (m->n <= SMALL_MAPPING) {
		for (size_t i = 1; i < m->n; i++) {
			for (size_t j = 0; j < i; j++) {
				if (strcmp(key_of(m, i), key_of(m, j)) != 0)
					continue;
				reader_duplicate(r, m, j, i);
				break;
			}
		}
		return 0;
	}

	map->sorted = arena_alloc(r->private, m->n * sizeof(*map->sorted));
	if (!map->sorted)
		return -ENOMEM;
	for (size_t i = 0; i < m->n; i++)
		map->sorted[i] = (uint32_t)i;
	qsort_r(map->sorted, m->n, sizeof(*map->sorted), compare_pairs, m);
	for (size_t i = 1; i < m->n; i++)
		if (strcmp(key_of(m, map->sorted[i - 1]), key_of(m, map->sorted[i])) == 0)
			reader_duplicate(r, m, map->sorted[i - 1], map->sorted[i]);
	return 0;
}

static int reader_end(struct yaml_reader *r)
{
	struct yaml_frame *frame = &r->frames[--r->depth];
	struct yaml_node *node = frame->node;
	size_t n = r->n_stack - frame->base;

	if (n > 0) {
		node->items = arena_alloc(r->private, n * sizeof(*node->items));
		if (!node->items)
			return -ENOMEM;
		memcpy(node->items, r->stack + frame->base, n * sizeof(*node->items));
		r->n_stack = frame->base;
	}
	if (node->kind == YAML_SEQUENCE) {
		node->n = n;
		return 0;
	}
	node->n = n / 2;
	return reader_check_keys(r, (struct yaml_mapping *)node);
}

static int reader_document(struct yaml_reader *r, const yaml_event_t *e)
{
	if (r->n_documents == YAML_MAX_DOCUMENTS) {
		diag_error(r->d, pos_of_mark(r, e->start_mark), "too-many-documents",
			   "more than %u documents in one file", YAML_MAX_DOCUMENTS);
		return -EINVAL;
	}
	/* comments in front of the first document are its own */
	r->starts[r->n_documents] =
		r->n_documents == 0 ? 0 : r->skipped + reader_byte_offset(r, e->start_mark.index);
	return 0;
}

/* Takes one event. Returns 0 at the end of the stream, 1 before it. */
static int reader_event(struct yaml_reader *r, const yaml_event_t *e)
{
	struct diag_pos pos = pos_of_mark(r, e->start_mark);
	int err = 0;

	switch (e->type) {
	case YAML_NO_EVENT:
	case YAML_STREAM_END_EVENT:
		return 0;
	case YAML_STREAM_START_EVENT:
		break;
	case YAML_DOCUMENT_START_EVENT:
		err = reader_document(r, e);
		break;
	case YAML_DOCUMENT_END_EVENT:
		r->documents[r->n_documents++] = r->stack[0];
		r->n_stack = 0;
		break;
	case YAML_ALIAS_EVENT:
		diag_error(r->d, pos, "alias", "anchors (&) and aliases (*) are not allowed");
		err = -EINVAL;
		break;
	case YAML_SCALAR_EVENT:
		err = reader_scalar(r, e);
		break;
	case YAML_SEQUENCE_START_EVENT:
		err = reader_begin(r, pos, YAML_SEQUENCE, e->data.sequence_start.anchor,
				   e->data.sequence_start.tag);
		break;
	case YAML_MAPPING_START_EVENT:
		err = reader_begin(r, pos, YAML_MAPPING, e->data.mapping_start.anchor,
				   e->data.mapping_start.tag);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		err = reader_end(r);
		break;
	}
	return err < 0 ? err : 1;
}

static int reader_run(struct yaml_reader *r)
{
	int more;

	if (!yaml_parser_initialize(&r->parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r->parser, (const unsigned char *)r->text, r->size);
	do {
		yaml_event_t event;

		if (!yaml_parser_parse(&r->parser, &event)) {
			more = reader_syntax_error(r);
			break;
		}
		more = reader_event(r, &event);
		yaml_event_delete(&event);
	} while (more > 0);
	yaml_parser_delete(&r->parser);
	if (more < 0)
		return more;

	if (r->n_documents == 0) {
		diag_error(r->d, (struct diag_pos){r->file, 1, 1}, "empty",
			   "the file holds no YAML document");
		return -EINVAL;
	}
	return r->failed ? -EINVAL : 0;
}

/* Copies the reader's list of documents into the file. */
static int reader_finish(struct yaml_reader *r, struct yaml_file *f)
{
	size_t n = r->n_documents;

	f->documents = arena_alloc(r->private, n * sizeof(*f->documents));
	r->private->starts = arena_alloc(r->private, (n + 1) * sizeof(*r->private->starts));
	if (!f->documents || !r->private->starts)
		return -ENOMEM;
	r->starts[n] = r->skipped + r->size;
	memcpy(f->documents, r->documents, n * sizeof(*f->documents));
	memcpy(r->private->starts, r->starts, (n + 1) * sizeof(*r->starts));
	f->n_documents = n;
	return 0;
}

/*
 * The first %TAG directive, or NULL. libyaml compares each with all before it, so a file full of
 * them would take minutes; none is allowed anyway. Line breaks are those of YAML 1.1: also U+0085,
 * U+2028 and U+2029, known here by their last bytes.
 */
static const char *find_tag_directive(const char *text, size_t size)
{
	const char *end = text + size;

	for (const char *p = text; (p = memmem(p, (size_t)(end - p), "%TAG", 4)); p++)
		if (p == text || strchr("\n\r\x85\xa8\xa9\xbf", p[-1]))
			return p;
	return NULL;
}

/* What can be told without parsing. */
static int text_check(const char *text, size_t size, const char *file, struct diag *d)
{
	struct diag_pos start = {file, 1, 1};
	const char *nul, *directive;

	if (size == 0) {
		diag_error(d, start, "empty", "the file is empty");
		return -EINVAL;
	}
	if (size > YAML_MAX_SIZE) {
		diag_error(d, start, "too-big", "the file has %zu bytes; at most %u are allowed",
			   size, YAML_MAX_SIZE);
		return -EINVAL;
	}
	nul = memchr(text, 0, size);
	if (nul) {
		diag_error(d, pos_of_offset(text, (size_t)(nul - text), file), "nul-byte",
			   "the file holds a NUL byte");
		return -EINVAL;
	}
	directive = find_tag_directive(text, size);
	if (directive) {
		diag_error(d, pos_of_offset(text, (size_t)(directive - text), file), "tag",
			   "%%TAG directives are not allowed");
		return -EINVAL;
	}
	return 0;
}

int yaml_parse(const char *text, size_t size, const char *file, struct diag *d,
	       struct yaml_file **ret_file)
{
	static const char mark[] = "\xef\xbb\xbf";
	_cleanup_(yaml_file_freep) struct yaml_file *f = NULL;
	_cleanup_free_ struct yaml_reader *r = NULL;
	int err;

	err = text_check(text, size, file, d);
	if (err < 0)
		return err;

	r = calloc(1, sizeof(*r));
	f = calloc(1, sizeof(*f));
	if (f)
		f->arena = calloc(1, sizeof(struct yaml_private));
	if (!r || !f || !f->arena)
		return -ENOMEM;
	r->private = f->arena;
	r->file = file;
	r->d = d;
	r->skipped = size >= 3 && memcmp(text, mark, 3) == 0 ? 3 : 0;
	r->text = text + r->skipped;
	r->size = size - r->skipped;

	err = reader_run(r);
	if (err == 0)
		err = reader_finish(r, f);
	free(r->stack);
	if (err < 0)
		return err;
	*ret_file = TAKE_PTR(f);
	return 0;
}

void yaml_document_text(const struct yaml_file *f, size_t i, size_t *ret_offset, size_t *ret_size)
{
	const struct yaml_private *p = f->arena;

	*ret_offset = p->starts[i];
	*ret_size = p->starts[i + 1] - p->starts[i];
}

const struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key)
{
	const struct yaml_mapping *map = (const struct yaml_mapping *)mapping;
	size_t lo = 0, hi = mapping->n;

	if (mapping->kind != YAML_MAPPING)
		return NULL;
	if (!map->sorted) {
		for (size_t i = 0; i < mapping->n; i++)
			if (strcmp(key_of(mapping, i), key) == 0)
				return mapping->items[2 * i + 1];
		return NULL;
	}
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(key, key_of(mapping, map->sorted[mid]));

		if (c == 0)
			return mapping->items[2 * map->sorted[mid] + 1];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

bool yaml_is_null(const struct yaml_node *n)
{
	return n->kind == YAML_SCALAR && !n->quoted &&
	       (n->text[0] == 0 || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0 ||
		strcmp(n->text, "Null") == 0 || strcmp(n->text, "NULL") == 0);
}
