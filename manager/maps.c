/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a compiled rule set to the kernel maps of one generation. */
#include "maps.h"

#include <bpf/bpf.h>
#include <endian.h>
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
	struct maps_slot *filled;
	struct diag *d;
	uint32_t slot;
	uint64_t generation;
	uint64_t bytes;
	bool compares; /* nothing is written: the digest tells what would be */
	uint64_t digest;
};

static void absorb(struct build *b, const void *data, size_t size)
{
	const uint64_t key[2] = {b->secret->key[0] ^ b->digest, b->secret->key[1] ^ size};

	b->digest = siphash13(data, size, key);
}

static int build_error(struct build *b, int r, const char *what, const char *name)
{
	diag_error(b->d, (struct diag_pos){}, "map-failed", "cannot %s map %s: %s", what, name,
		   strerror(-r));
	return r;
}

static int map_new(struct build *b, enum bpf_map_type type, const char *name, uint32_t key_size,
		   uint32_t value_size, size_t n, uint32_t flags, int *ret_fd)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	int fd;

	if (b->compares)
		return 0;
	fd = bpf_map_create(type, name, key_size, value_size, n, &opts);
	if (fd < 0)
		return build_error(b, fd, "create", name);
	*ret_fd = fd;
	return 0;
}

/* Writes n elements, in one call where the map type has that (tries since 5.12), else singly. */
static int map_fill(struct build *b, const char *name, int fd, const void *keys, size_t key_size,
		    const void *values, size_t value_size, size_t n)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts, .elem_flags = BPF_ANY);
	uint32_t count = n;
	int r;

	if (n == 0)
		return 0;
	absorb(b, keys, n * key_size);
	absorb(b, values, n * value_size);
	if (b->compares)
		return 0;
	r = bpf_map_update_batch(fd, keys, values, &count, &opts);
	if (r == 0 && count == n)
		return 0;
	if (r < 0 && r != -KERNEL_ENOTSUPP && r != -EINVAL)
		return build_error(b, r, "fill", name);
	for (size_t i = 0; i < n; i++) {
		r = bpf_map_update_elem(fd, (const char *)keys + i * key_size,
					(const char *)values + i * value_size, BPF_ANY);
		if (r < 0)
			return build_error(b, r, "fill", name);
	}
	return 0;
}

/*
 * The number of the map that hangs in an element, as to read the map takes CAP_SYS_ADMIN. One that
 * cannot be had while building is 0, which no comparison finds. Kernels before 6.8 wait for all
 * programs at each look-up in an outer map, so that is for comparing alone.
 */
static int absorb_map(struct build *b, int outer, uint32_t index, int inner)
{
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);
	int r = 0;

	if (b->compares)
		r = bpf_map_lookup_elem(outer, &index, &info.id);
	else if (bpf_obj_get_info_by_fd(inner, &info, &size) < 0)
		info.id = 0;
	absorb(b, &info.id, sizeof(info.id));
	return r;
}

static int outer_set(struct build *b, const char *name, int outer, uint32_t index, int inner)
{
	int r;

	if (!b->compares) {
		r = bpf_map_update_elem(outer, &index, &inner, BPF_ANY);
		if (r < 0)
			return build_error(b, r, "hang in", name);
	}
	absorb(b, name, strlen(name));
	absorb(b, &index, sizeof(index));
	return absorb_map(b, outer, index, inner);
}

/* Empties an element that the slot's last generation filled and this one does not. */
static int outer_clear(struct build *b, const char *name, int outer, uint32_t index, bool *filled)
{
	int r;

	if (!*filled)
		return 0;
	r = bpf_map_delete_elem(outer, &index);
	if (r < 0 && r != -ENOENT)
		return build_error(b, r, "empty", name);
	*filled = false;
	return 0;
}

/* An array of n values as the slot's inner map; at least one element, as the kernel wants. */
static int build_array(struct build *b, const char *name, int outer, const void *values,
		       size_t value_size, size_t n)
{
	_cleanup_close_ int fd = -EBADF;
	_cleanup_free_ uint32_t *keys = NULL;
	int r;

	r = map_new(b, BPF_MAP_TYPE_ARRAY, name, sizeof(uint32_t), value_size, MAX(n, 1U),
		    BPF_F_INNER_MAP, &fd);
	if (r < 0)
		return r;
	keys = malloc(MAX(n, 1U) * sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		keys[i] = i;
	r = map_fill(b, name, fd, keys, sizeof(*keys), values, value_size, n);
	if (r < 0)
		return r;
	b->bytes += MAX(n, 1U) * ((value_size + 7) & ~7UL);
	return outer_set(b, name, outer, b->slot, fd);
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
	return build_array(b, "rs_denials", b->outer->denials, all, sizeof(*all), n);
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
	_cleanup_close_ int fd = -EBADF;
	size_t n = b->rs->n_paths[parent];
	int r;

	if (n == 0)
		return outer_clear(b, "rs_paths", b->outer->paths, index,
				   &b->filled->paths[parent]);
	r = map_new(b, BPF_MAP_TYPE_HASH, "rs_paths", sizeof(*keys), sizeof(*values), n, 0, &fd);
	if (r < 0)
		return r;
	keys = calloc(n, sizeof(*keys));
	values = calloc(n, sizeof(*values));
	if (!keys || !values)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct ruleset_path *path = &b->rs->paths[parent][i];

		maps_path_key(path->path, path->len, b->secret, &keys[i]);
		values[i] = path->value;
	}
	r = map_fill(b, "rs_paths", fd, keys, sizeof(*keys), values, sizeof(*values), n);
	if (r < 0)
		return r;
	b->bytes += n * 376;
	b->filled->paths[parent] = true;
	return outer_set(b, "rs_paths", b->outer->paths, index, fd);
}

static int build_affixes(struct build *b, unsigned int parent, bool post)
{
	const struct ruleset_affix *affixes =
		post ? b->rs->postfixes[parent] : b->rs->prefixes[parent];
	size_t n = post ? b->rs->n_postfixes[parent] : b->rs->n_prefixes[parent];
	size_t key_size =
		post ? sizeof(struct revshell_postfix_key) : sizeof(struct revshell_prefix_key);
	bool *filled = post ? &b->filled->postfixes[parent] : &b->filled->prefixes[parent];
	int outer = post ? b->outer->postfixes : b->outer->prefixes;
	const char *name = post ? "rs_postfixes" : "rs_prefixes";
	uint32_t index = REVSHELL_PATH_INDEX(b->slot, parent);
	_cleanup_free_ struct revshell_affix_value *values = NULL;
	_cleanup_free_ char *keys = NULL;
	_cleanup_close_ int fd = -EBADF;
	int r;

	if (n == 0)
		return outer_clear(b, name, outer, index, filled);
	r = map_new(b, BPF_MAP_TYPE_LPM_TRIE, name, key_size, sizeof(*values), n, BPF_F_NO_PREALLOC,
		    &fd);
	if (r < 0)
		return r;
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
	r = map_fill(b, name, fd, keys, key_size, values, sizeof(*values), n);
	if (r < 0)
		return r;
	b->bytes += n * (2 * key_size + 96);
	*filled = true;
	return outer_set(b, name, outer, index, fd);
}

static int build_trie(struct build *b, size_t hook, size_t dim)
{
	const struct ruleset_trie *trie = &b->rs->tries[hook][dim];
	uint32_t index = REVSHELL_TRIE_INDEX(b->slot, hook, dim);
	_cleanup_free_ struct revshell_cidr6_key *keys = NULL;
	bool *filled = &b->filled->cidr6[hook][dim];
	_cleanup_free_ uint32_t *values = NULL;
	_cleanup_close_ int fd = -EBADF;
	size_t n = trie->n_v6;
	int r;

	if (n == 0)
		return outer_clear(b, "rs_cidr6", b->outer->cidr6, index, filled);
	r = map_new(b, BPF_MAP_TYPE_LPM_TRIE, "rs_cidr6", sizeof(*keys), sizeof(*values), n,
		    BPF_F_NO_PREALLOC, &fd);
	if (r < 0)
		return r;
	keys = calloc(n, sizeof(*keys));
	values = calloc(n, sizeof(*values));
	if (!keys || !values)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		keys[i].prefixlen = trie->v6[i].prefix;
		memcpy(keys[i].addr, trie->v6[i].addr, sizeof(keys[i].addr));
		values[i] = trie->v6[i].row;
	}
	r = map_fill(b, "rs_cidr6", fd, keys, sizeof(*keys), values, sizeof(*values), n);
	if (r < 0)
		return r;
	b->bytes += n * (sizeof(keys->addr) + 60);
	*filled = true;
	return outer_set(b, "rs_cidr6", b->outer->cidr6, index, fd);
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
	_cleanup_close_ int fd = -EBADF;
	size_t n = 0;
	int r;

	r = maps_numbers(b->rs, b->secret, &keys, &values, &n);
	if (r < 0)
		return r;
	if (n == 0)
		return outer_clear(b, "rs_numbers", b->outer->numbers, b->slot,
				   &b->filled->numbers);
	r = map_new(b, BPF_MAP_TYPE_LPM_TRIE, "rs_numbers", sizeof(*keys), sizeof(*values), n,
		    BPF_F_NO_PREALLOC, &fd);
	if (r < 0)
		return r;
	r = map_fill(b, "rs_numbers", fd, keys, sizeof(*keys), values, sizeof(*values), n);
	if (r < 0)
		return r;
	b->bytes += n * (2 * sizeof(*keys) + 72);
	b->filled->numbers = true;
	return outer_set(b, "rs_numbers", b->outer->numbers, b->slot, fd);
}

static int build_unix(struct build *b)
{
	_cleanup_free_ struct revshell_unix_key *keys = NULL;
	_cleanup_free_ uint32_t *values = NULL;
	_cleanup_close_ int fd = -EBADF;
	size_t n = b->rs->n_unix_paths;
	int r;

	if (n == 0)
		return outer_clear(b, "rs_unix", b->outer->unix_paths, b->slot,
				   &b->filled->unix_paths);
	r = map_new(b, BPF_MAP_TYPE_LPM_TRIE, "rs_unix", sizeof(*keys), sizeof(*values), n,
		    BPF_F_NO_PREALLOC, &fd);
	if (r < 0)
		return r;
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
	r = map_fill(b, "rs_unix", fd, keys, sizeof(*keys), values, sizeof(*values), n);
	if (r < 0)
		return r;
	b->bytes += n * (2 * sizeof(*keys) + 72);
	b->filled->unix_paths = true;
	return outer_set(b, "rs_unix", b->outer->unix_paths, b->slot, fd);
}

static int build_units(struct build *b)
{
	_cleanup_free_ struct revshell_unit_key *keys = NULL;
	_cleanup_free_ uint64_t *values = NULL;
	_cleanup_close_ int fd = -EBADF;
	size_t n = b->rs->n_units;
	int r;

	if (n == 0)
		return outer_clear(b, "rs_units", b->outer->units, b->slot, &b->filled->units);
	r = map_new(b, BPF_MAP_TYPE_HASH, "rs_units", sizeof(*keys), sizeof(*values), n, 0, &fd);
	if (r < 0)
		return r;
	keys = calloc(n, sizeof(*keys));
	values = calloc(n, sizeof(*values));
	if (!keys || !values)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		strncpy(keys[i].name, b->rs->units[i].name, sizeof(keys[i].name) - 1);
		values[i] = b->rs->units[i].word;
	}
	r = map_fill(b, "rs_units", fd, keys, sizeof(*keys), values, sizeof(*values), n);
	if (r < 0)
		return r;
	b->bytes += n * (sizeof(*keys) + 72);
	b->filled->units = true;
	return outer_set(b, "rs_units", b->outer->units, b->slot, fd);
}

/* The map that names the slot: one element per hook. */
static int build_active(struct build *b, int *ret_fd)
{
	_cleanup_free_ struct revshell_hook_cfg *cfg = NULL;
	_cleanup_close_ int fd = -EBADF;
	int r;

	r = map_new(b, BPF_MAP_TYPE_ARRAY, "rs_hooks", sizeof(uint32_t), sizeof(*cfg),
		    REVSHELL_HOOK_MAX, 0, &fd);
	if (r < 0)
		return r;
	cfg = malloc(sizeof(*cfg));
	if (!cfg)
		return -ENOMEM;
	for (uint32_t h = 0; h < REVSHELL_HOOK_MAX; h++) {
		*cfg = b->rs->hooks[h].cfg;
		cfg->slot = b->slot;
		absorb(b, cfg, sizeof(*cfg));
		cfg->generation = b->generation;
		r = b->compares ? 0 : bpf_map_update_elem(fd, &h, cfg, BPF_ANY);
		if (r < 0)
			return build_error(b, r, "fill", "rs_hooks");
	}
	r = outer_set(b, "rs_hooks", b->outer->hooks, b->slot, fd);
	if (r == 0)
		r = absorb_map(b, b->outer->active, 0, fd);
	if (r < 0)
		return r;
	b->bytes += REVSHELL_HOOK_MAX * sizeof(*cfg);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* All inner maps of a generation; ret_active receives the one that names the slot. */
static int build_all(struct build *b, int *ret_active)
{
	int r;

	b->digest = b->rs->digest;
	absorb(b, b->secret, sizeof(*b->secret));
	r = build_array(b, "rs_rows", b->outer->rows, b->rs->rows, sizeof(*b->rs->rows),
			b->rs->n_rows);
	if (r < 0)
		return r;
	r = build_array(b, "rs_pages", b->outer->pages, b->rs->pages, sizeof(*b->rs->pages),
			b->rs->n_pages);
	if (r < 0)
		return r;
	r = build_array(b, "rs_nodes", b->outer->nodes, b->rs->nodes, sizeof(*b->rs->nodes),
			b->rs->n_nodes);
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
	       uint64_t generation, const struct revshell_secret *secret, struct maps_slot *filled,
	       struct diag *d, int *ret_active, uint64_t *ret_digest)
{
	struct build b = {
		.outer = outer,
		.rs = rs,
		.secret = secret,
		.filled = filled,
		.d = d,
		.slot = slot,
		.generation = generation,
	};
	int r = build_all(&b, ret_active);

	if (r < 0)
		return r;
	filled->bytes = b.bytes;
	*ret_digest = b.digest;
	return 0;
}

int maps_digest(const struct maps_outer *outer, const struct ruleset *rs, uint32_t slot,
		const struct revshell_secret *secret, uint64_t *ret_digest)
{
	struct maps_slot nothing = {};
	struct build b = {
		.outer = outer,
		.rs = rs,
		.secret = secret,
		.filled = &nothing,
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
