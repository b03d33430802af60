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
#include "revshell.skel.h"

bool backend_map_is_kept(const struct bpf_map *map)
{
	return !bpf_map__is_internal(map) && bpf_map__autocreate(map);
}

static int keep_map(struct backend *b, const char *name, int fd, bool is_kept)
{
	struct backend_map *map = &b->maps[b->n_maps];

	if (b->n_maps == ARRAY_SIZE(b->maps) || strlen(name) >= sizeof(map->name))
		return -E2BIG;
	map->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (map->fd < 0)
		return -errno;
	strcpy(map->name, name);
	map->is_kept = is_kept;
	b->n_maps++;
	return 0;
}

int backend_maps_keep(struct backend *b)
{
	const struct bpf_map *map;
	int r = keep_map(b, "bss", bpf_map__fd(b->skel->maps.bss), false);

	bpf_object__for_each_map(map, b->skel->obj)
	{
		if (r == 0 && backend_map_is_kept(map))
			r = keep_map(b, bpf_map__name(map), bpf_map__fd(map), true);
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
	revshell_bpf__destroy(b->skel);
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
