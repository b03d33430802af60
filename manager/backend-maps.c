/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The programs' maps, which are kept when the objects that libbpf made them for are let go. */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend-internal.h"
#include "macro.h"
#include "object.h"
#include "revshell.skel.h"

static const struct form {
	const char *name;
	uint32_t type;
	uint32_t key_size, value_size; /* bytes */
	uint32_t max_entries;
} forms[] = {
#define X(name, type, key_size, value_size, max_entries) \
	{name, type, key_size, value_size, max_entries},
	OBJECT_MAPS(X)
#undef X
};

/* Where the program's file can be changed, so that tests have another build. */
static const char object_id[] = OBJECT_ID;

uint64_t backend_object_hash(void)
{
	return strtoull(strrchr(object_id, '-') + 1, NULL, 16);
}

bool backend_map_belongs(const struct backend *b, const char *name)
{
	if (strcmp(name, "rs_labels") == 0 || strcmp(name, "rs_owners") == 0)
		return b->kernel_has & HAS_TASK_STORAGE;
	if (strcmp(name, "rs_labels_hash") == 0)
		return !(b->kernel_has & HAS_TASK_STORAGE);
	if (strcmp(name, "rs_entries") == 0)
		return b->kind == BACKEND_KPROBE;
	return true;
}

bool backend_map_is_kept(const struct bpf_map *map)
{
	return !bpf_map__is_internal(map) && bpf_map__autocreate(map);
}

/* Takes a descriptor, even if it fails. */
static int add_map(struct backend *b, const char *name, int fd, bool is_kept)
{
	struct backend_map *map = &b->maps[b->n_maps];

	if (b->n_maps == ARRAY_SIZE(b->maps) || strlen(name) >= sizeof(map->name)) {
		close(fd);
		return -E2BIG;
	}
	strcpy(map->name, name);
	map->fd = fd;
	map->is_kept = is_kept;
	b->n_maps++;
	return 0;
}

static bool is_buffers(const char *map)
{
	return strcmp(map, "rs_scratch") == 0 || strcmp(map, "rs_scratch_free") == 0;
}

/* Two for each processor, a power of 2, and no fewer than the object has. */
static uint32_t count_buffers(uint32_t least)
{
	const int cpus = libbpf_num_possible_cpus();
	uint32_t n = least;

	while (cpus > 0 && n < 2 * (uint32_t)cpus)
		n *= 2;
	return n;
}

void backend_size_buffers(struct revshell_bpf *skel)
{
	const uint32_t n = count_buffers(bpf_map__max_entries(skel->maps.rs_scratch));

	bpf_map__set_max_entries(skel->maps.rs_scratch, n);
	bpf_map__set_max_entries(skel->maps.rs_scratch_free, n);
}

int backend_fill_buffers(const struct backend *b)
{
	const struct bpf_map *map = b->skel->maps.rs_scratch_free;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < bpf_map__max_entries(map); i++)
		r = bpf_map_update_elem(bpf_map__fd(map), NULL, &i, BPF_ANY);
	return r;
}

/* An array of one element may differ in nothing; a ring's size is its own affair. */
static bool map_fits(const struct form *form, int fd)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info), n = form->max_entries;

	if (is_buffers(form->name))
		n = count_buffers(n);
	return bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.type == form->type &&
	       info.key_size == form->key_size && info.value_size == form->value_size &&
	       (info.type == BPF_MAP_TYPE_RINGBUF || info.max_entries == n);
}

/*
 * With the first map libbpf finds out whether maps may have names, by which the lock knows them,
 * and raises the limit of locked memory where the kernel counts by that. The sandbox would refuse
 * it both.
 */
static int make_first_map(void)
{
	_cleanup_close_ int fd =
		bpf_map_create(BPF_MAP_TYPE_ARRAY, "rs_first", sizeof(uint32_t), 1, 1, NULL);

	return MIN(fd, 0);
}

int backend_maps_adopt(struct backend *b)
{
	int r = make_first_map();

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(forms); i++) {
		int fd;

		if (!backend_map_belongs(b, forms[i].name))
			continue;
		fd = backend_pins_get(b, "map_", forms[i].name);
		if (fd < 0)
			return fd == -ENOENT ? -EUCLEAN : fd;
		r = add_map(b, forms[i].name, fd, true);
		if (r == 0 && !map_fits(&forms[i], fd))
			r = -EUCLEAN;
	}
	return r;
}

static int keep_map(struct backend *b, const char *name, const struct bpf_map *map, bool is_kept)
{
	int fd = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 0);

	return fd < 0 ? -errno : add_map(b, name, fd, is_kept);
}

int backend_maps_keep(struct backend *b)
{
	const struct bpf_map *map;
	int r = keep_map(b, "bss", b->skel->maps.bss, false);

	if (b->pins.maps_adopted)
		return r;
	bpf_object__for_each_map(map, b->skel->obj)
	{
		if (r == 0 && backend_map_is_kept(map))
			r = keep_map(b, bpf_map__name(map), map, true);
	}
	return r;
}

void backend_maps_forget(struct backend *b)
{
	for (size_t i = 0; i < b->n_maps; i++)
		close(b->maps[i].fd);
	b->n_maps = 0;
}

int backend_map(const struct backend *b, const char *name)
{
	for (size_t i = 0; i < b->n_maps; i++)
		if (strcmp(b->maps[i].name, name) == 0)
			return b->maps[i].fd;
	return -ENOENT;
}

void backend_release_object(struct backend *b)
{
	backend_close_object(b->skel);
	b->skel = NULL;
	b->selftest_area = NULL;
	malloc_trim(0);
}

/* What one map is charged for, its rule sets' inner maps apart. */
static uint64_t map_bytes(int fd)
{
	_cleanup_fclose_ FILE *f = NULL;
	char path[48], line[128];
	uint64_t bytes = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock:%" SCNu64, &bytes) == 1)
			break;
	return bytes;
}

uint64_t backend_map_bytes(const struct backend *b)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < b->n_maps; i++)
		sum += map_bytes(b->maps[i].fd);
	return sum;
}
