/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a compiled rule set to the kernel maps of one generation. */
#include "maps.h"

#include <bpf/bpf.h>
#include <endian.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>

#include "macro.h"
#include "siphash.h"

/* Kernel: -ENOTSUPP, which has no name in user space; an operation a map type lacks. */
#define KERNEL_ENOTSUPP 524

/* What every step of a build needs. */
struct build {
	const struct maps_outer *outer;
	const struct ruleset *rs;
	const struct revshell_secret *secret;
	struct maps_slot *slots;
	struct diag *d;
	uint32_t slot;
	uint64_t generation;
	bool compares; /* nothing is written: the digest tells what would be */
	uint64_t digest;
};

/* An inner map's content: n elements. An array has one all the same, as the kernel wants. */
struct content {
	const char *name;
	enum bpf_map_type type;
	const void *keys;
	size_t key_size;
	const void *values;
	size_t value_size;
	size_t n;
};

static uint64_t mix(const struct build *b, uint64_t h, const void *data, size_t size)
{
	const uint64_t key[2] = {b->secret->key[0] ^ h, b->secret->key[1] ^ size};

	return siphash13(data, size, key);
}

static void absorb(struct build *b, const void *data, size_t size)
{
	b->digest = mix(b, b->digest, data, size);
}

static int build_error(struct build *b, int r, const char *what, const char *name)
{
	diag_error(b->d, (struct diag_pos){}, "map-failed", "cannot %s map %s: %s", what, name,
		   strerror(-r));
	return r;
}

static int map_new(struct build *b, const struct content *c, size_t n, uint32_t flags, int *ret_fd)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	int fd = bpf_map_create(c->type, c->name, c->key_size, c->value_size, n, &opts);

	if (fd < 0)
		return build_error(b, fd, "create", c->name);
	*ret_fd = fd;
	return 0;
}

/* Writes all elements, in one call where the map type has that (tries since 5.12), else singly. */
static int map_fill(struct build *b, const struct content *c, int fd)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts, .elem_flags = BPF_ANY);
	uint32_t count = c->n;
	int r;

	if (c->n == 0)
		return 0;
	r = bpf_map_update_batch(fd, c->keys, c->values, &count, &opts);
	if (r == 0 && count == c->n)
		return 0;
	if (r < 0 && r != -KERNEL_ENOTSUPP && r != -EINVAL)
		return build_error(b, r, "fill", c->name);
	for (size_t i = 0; i < c->n; i++) {
		r = bpf_map_update_elem(fd, (const char *)c->keys + i * c->key_size,
					(const char *)c->values + i * c->value_size, BPF_ANY);
		if (r < 0)
			return build_error(b, r, "fill", c->name);
	}
	return 0;
}

static int map_make(struct build *b, const struct content *c, int *ret_fd)
{
	uint32_t flags = c->type == BPF_MAP_TYPE_LPM_TRIE ? BPF_F_NO_PREALLOC
			 : c->type == BPF_MAP_TYPE_ARRAY  ? BPF_F_INNER_MAP
							  : 0;
	_cleanup_close_ int fd = -EBADF;
	int r = map_new(b, c, MAX(c->n, 1U), flags, &fd);

	if (r == 0)
		r = map_fill(b, c, fd);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* The number of a map; 0, which no comparison finds, if it cannot be had. */
static uint32_t map_id(int fd)
{
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &size) < 0 ? 0 : info.id;
}

/*
 * The number of the map that hangs in an element, as to read the map takes CAP_SYS_ADMIN. Kernels
 * before 6.8 wait for all programs at each look-up in an outer map.
 */
static int absorb_map(struct build *b, int outer, uint32_t index, int inner)
{
	uint32_t id = 0;
	int r = 0;

	if (b->compares)
		r = bpf_map_lookup_elem(outer, &index, &id);
	else
		id = map_id(inner);
	absorb(b, &id, sizeof(id));
	return r;
}

static int outer_set(struct build *b, const char *name, int outer, uint32_t index, int inner)
{
	int r = bpf_map_update_elem(outer, &index, &inner, BPF_ANY);

	return r < 0 ? build_error(b, r, "hang in", name) : 0;
}

static int absorb_outer(struct build *b, const char *name, int outer, uint32_t index, int inner)
{
	absorb(b, name, strlen(name));
	absorb(b, &index, sizeof(index));
	return absorb_map(b, outer, index, inner);
}

static void inner_forget(struct maps_inner *inner, bool hangs)
{
	if (inner->kept)
		close(inner->fd);
	*inner = (struct maps_inner){.hangs = hangs};
}

void maps_slot_forget(struct maps_slot *slot, bool hangs)
{
	for (size_t i = 0; i < MAPS_INNERS; i++)
		inner_forget(&slot->inners[i], hangs);
}

/* Whether the map is where it was put: somebody may have taken it out. */
static bool still_hangs(int outer, uint32_t index, const struct maps_inner *inner)
{
	uint32_t id;

	return bpf_map_lookup_elem(outer, &index, &id) == 0 && id == map_id(inner->fd);
}

/* A map of this content that hangs in another slot, or a new one. */
static int map_get(struct build *b, const struct content *c, size_t which, uint64_t digest,
		   int *ret_fd)
{
	for (size_t i = 0; i < REVSHELL_SLOTS; i++) {
		const struct maps_inner *other = &b->slots[i].inners[which];
		int fd;

		if (i == b->slot || !other->kept || other->digest != digest)
			continue;
		fd = fcntl(other->fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			return build_error(b, -errno, "share", c->name);
		*ret_fd = fd;
		return 0;
	}
	return map_make(b, c, ret_fd);
}

/*
 * Hangs a map of this content into an element of an outer map. Maps are not written to once they
 * are filled, so one that another slot has, or the slot itself still from its last generation, will
 * do: each that hangs there already saves a wait for all programs, too.
 */
static int put(struct build *b, const struct content *c, int outer, uint32_t index, size_t which)
{
	uint64_t digest =
		mix(b, mix(b, c->n, c->keys, c->n * c->key_size), c->values, c->n * c->value_size);
	_cleanup_close_ int fd = -EBADF;
	struct maps_inner *inner;
	int r;

	absorb(b, &digest, sizeof(digest));
	if (b->compares)
		return absorb_outer(b, c->name, outer, index, -EBADF);
	inner = &b->slots[b->slot].inners[which];
	if (!inner->kept || inner->digest != digest || !still_hangs(outer, index, inner)) {
		r = map_get(b, c, which, digest, &fd);
		if (r == 0)
			r = outer_set(b, c->name, outer, index, fd);
		if (r < 0)
			return r;
		inner_forget(inner, true);
		inner->kept = true;
		inner->fd = TAKE_FD(fd);
		inner->digest = digest;
	}
	return absorb_outer(b, c->name, outer, index, inner->fd);
}

/* Empties an element that the slot's last generation filled and this one does not. */
static int outer_clear(struct build *b, const char *name, int outer, uint32_t index, size_t which)
{
	struct maps_inner *inner;
	int r;

	if (b->compares)
		return 0;
	inner = &b->slots[b->slot].inners[which];
	if (!inner->hangs)
		return 0;
	r = bpf_map_delete_elem(outer, &index);
	if (r < 0 && r != -ENOENT)
		return build_error(b, r, "empty", name);
	inner_forget(inner, false);
	return 0;
}

/* An array of n values as the slot's inner map. */
static int build_array(struct build *b, const char *name, int outer, size_t which,
		       const void *values, size_t value_size, size_t n)
{
	_cleanup_free_ uint32_t *keys = malloc(MAX(n, 1U) * sizeof(*keys));

	if (!keys)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		keys[i] = i;
	return put(b,
		   &(struct content){name, BPF_MAP_TYPE_ARRAY, keys, sizeof(*keys), values,
				     value_size, n},
		   outer, b->slot, which);
}

static int build_denials(struct build *b)
{
	_cleanup_free_ struct revshell_denial *all = NULL;
	size_t n = 0;

	for (size_t h = 0; h < REVSHELL_HOOK_MAX; h++)
		if (b->rs->hooks[h].n_selectors && b->rs->hooks[h].denials)
			n = h * REVSHELL_SELECTORS + b->rs->hooks[h].n_selectors;
	all = calloc(MAX(n, 1U), sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (size_t h = 0; h < REVSHELL_HOOK_MAX; h++)
		if (b->rs->hooks[h].n_selectors && b->rs->hooks[h].denials)
			memcpy(&all[h * REVSHELL_SELECTORS], b->rs->hooks[h].denials,
			       b->rs->hooks[h].n_selectors * sizeof(*all));
	return build_array(b, "rs_denials", b->outer->denials, MAPS_DENIALS, all, sizeof(*all), n);
}

void maps_path_key(const char *path, size_t len, const struct revshell_secret *secret,
		   struct revshell_path_key *ret_key)
{
	uint64_t hash;

	memset(ret_key, 0, sizeof(*ret_key));
	ret_key->len = len;
	memcpy(ret_key->path, path, MIN(len, (size_t)REVSHELL_PATH_INLINE - 1));
	if (len < REVSHELL_PATH_INLINE)
		return;
	hash = siphash13(path, len, (const uint64_t *)secret->key);
	ret_key->hash[0] = (uint32_t)hash;
	ret_key->hash[1] = (uint32_t)(hash >> 32);
}

static int build_paths(struct build *b, unsigned int parent)
{
	_cleanup_free_ struct revshell_path_value *values = NULL;
	_cleanup_free_ struct revshell_path_key *keys = NULL;
	uint32_t index = REVSHELL_PATH_INDEX(b->slot, parent);
	size_t n = b->rs->n_paths[parent];

	if (n == 0)
		return outer_clear(b, "rs_paths", b->outer->paths, index, MAPS_PATHS + parent);
	keys = calloc(n, sizeof(*keys));
	values = calloc(n, sizeof(*values));
	if (!keys || !values)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct ruleset_path *path = &b->rs->paths[parent][i];

		maps_path_key(path->path, path->len, b->secret, &keys[i]);
		values[i] = path->value;
	}
	return put(b,
		   &(struct content){"rs_paths", BPF_MAP_TYPE_HASH, keys, sizeof(*keys), values,
				     sizeof(*values), n},
		   b->outer->paths, index, MAPS_PATHS + parent);
}

static int build_affixes(struct build *b, unsigned int parent, bool post)
{
	const struct ruleset_affix *affixes =
		post ? b->rs->postfixes[parent] : b->rs->prefixes[parent];
	size_t n = post ? b->rs->n_postfixes[parent] : b->rs->n_prefixes[parent];
	size_t key_size =
		post ? sizeof(struct revshell_postfix_key) : sizeof(struct revshell_prefix_key);
	size_t which = (post ? MAPS_POSTFIXES : MAPS_PREFIXES) + parent;
	int outer = post ? b->outer->postfixes : b->outer->prefixes;
	const char *name = post ? "rs_postfixes" : "rs_prefixes";
	uint32_t index = REVSHELL_PATH_INDEX(b->slot, parent);
	_cleanup_free_ struct revshell_affix_value *values = NULL;
	_cleanup_free_ char *keys = NULL;

	if (n == 0)
		return outer_clear(b, name, outer, index, which);
	keys = calloc(n, key_size);
	values = calloc(n, sizeof(*values));
	if (!keys || !values)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		char *key = keys + i * key_size;
		uint32_t bits = affixes[i].len * 8;

		memcpy(key, &bits, sizeof(bits));
		for (size_t k = 0; k < affixes[i].len; k++)
			key[sizeof(bits) + k] = affixes[i].text[post ? affixes[i].len - 1 - k : k];
		values[i] = affixes[i].value;
	}
	return put(b,
		   &(struct content){name, BPF_MAP_TYPE_LPM_TRIE, keys, key_size, values,
				     sizeof(*values), n},
		   outer, index, which);
}

static int build_trie(struct build *b, size_t hook, size_t dim)
{
	const struct ruleset_trie *trie = &b->rs->tries[hook][dim];
	uint32_t index = REVSHELL_TRIE_INDEX(b->slot, hook, dim);
	_cleanup_free_ struct revshell_cidr6_key *keys = NULL;
	size_t which = MAPS_CIDR6 + hook * REVSHELL_ADDR_DIMS + dim;
	_cleanup_free_ uint32_t *values = NULL;
	size_t n = trie->n_v6;

	if (n == 0)
		return outer_clear(b, "rs_cidr6", b->outer->cidr6, index, which);
	keys = calloc(n, sizeof(*keys));
	values = calloc(n, sizeof(*values));
	if (!keys || !values)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		keys[i].prefixlen = trie->v6[i].prefix;
		memcpy(keys[i].addr, trie->v6[i].addr, sizeof(keys[i].addr));
		values[i] = trie->v6[i].row;
	}
	return put(b,
		   &(struct content){"rs_cidr6", BPF_MAP_TYPE_LPM_TRIE, keys, sizeof(*keys), values,
				     sizeof(*values), n},
		   b->outer->cidr6, index, which);
}

static void number_key(uint32_t space, uint64_t value, unsigned int bits,
		       struct revshell_number_key *ret_key)
{
	uint64_t big = htobe64(value);

	*ret_key = (struct revshell_number_key){.prefixlen = 32 + bits, .space = htobe32(space)};
	memcpy(ret_key->value, &big, sizeof(big));
}

int maps_numbers(const struct ruleset *rs, const struct revshell_secret *secret,
		 struct revshell_number_key **ret_keys, uint64_t **ret_values, size_t *ret_n)
{
	_cleanup_free_ struct revshell_number_key *keys = NULL;
	size_t n = 0, max = rs->n_numbers + 2 * rs->n_lineage;
	_cleanup_free_ uint64_t *values = NULL;

	keys = calloc(MAX(max, 1U), sizeof(*keys));
	values = calloc(MAX(max, 1U), sizeof(*values));
	if (!keys || !values)
		return -ENOMEM;
	for (size_t i = 0; i < rs->n_numbers; i++) {
		const struct ruleset_number *number = &rs->numbers[i];

		number_key(number->space, number->value, number->bits, &keys[n]);
		values[n++] = number->result;
	}
	for (size_t i = 0; i < rs->n_lineage; i++) {
		const struct ruleset_lineage *l = &rs->lineage[i];
		uint32_t lineage = REVSHELL_SPACE_FACT(l->fact);
		uint64_t hash = siphash13(l->path, strlen(l->path), (const uint64_t *)secret->key);

		/* the lowest bit tells where the executable was reached */
		number_key(lineage, REVSHELL_LINEAGE_HASH(hash, 0), l->host == l->foreign ? 63 : 64,
			   &keys[n]);
		values[n++] = l->host;
		if (l->host == l->foreign || !l->foreign)
			continue;
		number_key(lineage, REVSHELL_LINEAGE_HASH(hash, REVSHELL_EXE_FOREIGN), 64,
			   &keys[n]);
		values[n++] = l->foreign;
	}
	*ret_keys = TAKE_PTR(keys);
	*ret_values = TAKE_PTR(values);
	*ret_n = n;
	return 0;
}

static int build_numbers(struct build *b)
{
	_cleanup_free_ struct revshell_number_key *keys = NULL;
	_cleanup_free_ uint64_t *values = NULL;
	size_t n = 0;
	int r;

	r = maps_numbers(b->rs, b->secret, &keys, &values, &n);
	if (r < 0)
		return r;
	if (n == 0)
		return outer_clear(b, "rs_numbers", b->outer->numbers, b->slot, MAPS_NUMBERS);
	return put(b,
		   &(struct content){"rs_numbers", BPF_MAP_TYPE_LPM_TRIE, keys, sizeof(*keys),
				     values, sizeof(*values), n},
		   b->outer->numbers, b->slot, MAPS_NUMBERS);
}

static int build_unix(struct build *b)
{
	_cleanup_free_ struct revshell_unix_key *keys = NULL;
	_cleanup_free_ uint32_t *values = NULL;
	size_t n = b->rs->n_unix_paths;

	if (n == 0)
		return outer_clear(b, "rs_unix", b->outer->unix_paths, b->slot, MAPS_UNIX);
	keys = calloc(n, sizeof(*keys));
	values = calloc(n, sizeof(*values));
	if (!keys || !values)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct ruleset_unix *u = &b->rs->unix_paths[i];

		keys[i].prefixlen = 32 + 8 * u->len;
		keys[i].hook = htobe32(u->hook);
		memcpy(keys[i].data, u->data, u->len);
		values[i] = u->row;
	}
	return put(b,
		   &(struct content){"rs_unix", BPF_MAP_TYPE_LPM_TRIE, keys, sizeof(*keys), values,
				     sizeof(*values), n},
		   b->outer->unix_paths, b->slot, MAPS_UNIX);
}

static int build_units(struct build *b)
{
	_cleanup_free_ struct revshell_unit_key *keys = NULL;
	_cleanup_free_ uint64_t *values = NULL;
	size_t n = b->rs->n_units;

	if (n == 0)
		return outer_clear(b, "rs_units", b->outer->units, b->slot, MAPS_UNITS);
	keys = calloc(n, sizeof(*keys));
	values = calloc(n, sizeof(*values));
	if (!keys || !values)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		strncpy(keys[i].name, b->rs->units[i].name, sizeof(keys[i].name) - 1);
		values[i] = b->rs->units[i].word;
	}
	return put(b,
		   &(struct content){"rs_units", BPF_MAP_TYPE_HASH, keys, sizeof(*keys), values,
				     sizeof(*values), n},
		   b->outer->units, b->slot, MAPS_UNITS);
}

/* The map that names the slot: one element per hook. */
static int build_active(struct build *b, int *ret_fd)
{
	_cleanup_free_ struct revshell_hook_cfg *cfg = malloc(sizeof(*cfg));
	const struct content c = {.name = "rs_hooks",
				  .type = BPF_MAP_TYPE_ARRAY,
				  .key_size = sizeof(uint32_t),
				  .value_size = sizeof(*cfg)};
	_cleanup_close_ int fd = -EBADF;
	int r = 0;

	if (!cfg)
		return -ENOMEM;
	if (!b->compares)
		r = map_new(b, &c, REVSHELL_HOOK_MAX, 0, &fd);
	for (uint32_t h = 0; r >= 0 && h < REVSHELL_HOOK_MAX; h++) {
		*cfg = b->rs->hooks[h].cfg;
		cfg->slot = b->slot;
		absorb(b, cfg, sizeof(*cfg));
		cfg->generation = b->generation;
		r = b->compares ? 0 : bpf_map_update_elem(fd, &h, cfg, BPF_ANY);
		if (r < 0)
			return build_error(b, r, "fill", c.name);
	}
	if (r >= 0 && !b->compares)
		r = outer_set(b, c.name, b->outer->hooks, b->slot, fd);
	if (r >= 0)
		r = absorb_outer(b, c.name, b->outer->hooks, b->slot, fd);
	if (r >= 0)
		r = absorb_map(b, b->outer->active, 0, fd);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* All inner maps of a generation; ret_active receives the one that names the slot. */
static int build_all(struct build *b, int *ret_active)
{
	int r;

	b->digest = b->rs->digest;
	absorb(b, b->secret, sizeof(*b->secret));
	r = build_array(b, "rs_rows", b->outer->rows, MAPS_ROWS, b->rs->rows, sizeof(*b->rs->rows),
			b->rs->n_rows);
	if (r < 0)
		return r;
	r = build_array(b, "rs_pages", b->outer->pages, MAPS_PAGES, b->rs->pages,
			sizeof(*b->rs->pages), b->rs->n_pages);
	if (r < 0)
		return r;
	r = build_array(b, "rs_nodes", b->outer->nodes, MAPS_NODES, b->rs->nodes,
			sizeof(*b->rs->nodes), b->rs->n_nodes);
	if (r < 0)
		return r;
	r = build_denials(b);
	if (r < 0)
		return r;
	for (unsigned int parent = 0; parent < 2; parent++) {
		r = build_paths(b, parent);
		if (r < 0)
			return r;
		r = build_affixes(b, parent, false);
		if (r < 0)
			return r;
		r = build_affixes(b, parent, true);
		if (r < 0)
			return r;
	}
	for (size_t hook = 0; hook < REVSHELL_HOOK_MAX; hook++) {
		for (size_t dim = 0; dim < REVSHELL_ADDR_DIMS; dim++) {
			r = build_trie(b, hook, dim);
			if (r < 0)
				return r;
		}
	}
	r = build_numbers(b);
	if (r < 0)
		return r;
	r = build_unix(b);
	if (r < 0)
		return r;
	r = build_units(b);
	if (r < 0)
		return r;
	return build_active(b, ret_active);
}

int maps_build(const struct maps_outer *outer, const struct ruleset *rs, uint32_t slot,
	       uint64_t generation, const struct revshell_secret *secret, struct maps_slot *slots,
	       struct diag *d, int *ret_active, uint64_t *ret_digest)
{
	struct build b = {
		.outer = outer,
		.rs = rs,
		.secret = secret,
		.slots = slots,
		.d = d,
		.slot = slot,
		.generation = generation,
	};
	int r = build_all(&b, ret_active);

	if (r < 0)
		return r;
	*ret_digest = b.digest;
	return 0;
}

int maps_digest(const struct maps_outer *outer, const struct ruleset *rs, uint32_t slot,
		const struct revshell_secret *secret, uint64_t *ret_digest)
{
	struct build b = {
		.outer = outer,
		.rs = rs,
		.secret = secret,
		.slot = slot,
		.compares = true,
	};
	int none, r = build_all(&b, &none);

	if (r < 0)
		return r;
	*ret_digest = b.digest;
	return 0;
}

int maps_activate(const struct maps_outer *outer, int active)
{
	uint32_t zero = 0;

	return bpf_map_update_elem(outer->active, &zero, &active, BPF_ANY);
}
