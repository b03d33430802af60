/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Run by the build: what a daemon that takes over pins has to know of the BPF object, so that it
 * need neither open nor hash its megabytes.
 */
#include <bpf/libbpf.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fnv.h"

static int hash_file(const char *path, uint64_t *ret_hash)
{
	FILE *f = fopen(path, "re");
	uint64_t h = FNV1A_INIT;
	int c, r;

	if (!f)
		return -1;
	while ((c = getc(f)) != EOF)
		h = fnv1a_byte(h, (uint8_t)c);
	r = ferror(f) ? -1 : 0;
	fclose(f);
	if (r == 0)
		*ret_hash = h;
	return r;
}

static void print_maps(const struct bpf_object *obj)
{
	const struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		const char *name = bpf_map__name(map), *dot = strrchr(name, '.');

		if (dot && strcmp(dot, ".bss") == 0)
			printf("\n/* bytes */\n#define OBJECT_BSS %u\n", bpf_map__value_size(map));
	}
	printf("\n/* name, type, bytes of a key, bytes of a value, elements */\n"
	       "#define OBJECT_MAPS(X)");
	bpf_object__for_each_map(map, obj)
	{
		if (!bpf_map__is_internal(map))
			printf(" \\\n\tX(\"%s\", %u, %u, %u, %u)", bpf_map__name(map),
			       bpf_map__type(map), bpf_map__key_size(map), bpf_map__value_size(map),
			       bpf_map__max_entries(map));
	}
	printf("\n");
}

int main(int argc, char **argv)
{
	struct bpf_object *obj;
	uint64_t hash;

	if (argc != 2 || hash_file(argv[1], &hash) < 0)
		return 1;
	obj = bpf_object__open_file(argv[1], NULL);
	if (!obj)
		return 1;
	printf("/* Made by describe-object.c. */\n#pragma once\n\n"
	       "#define OBJECT_ID \"revshell-object-%016" PRIx64 "\"\n",
	       hash);
	print_maps(obj);
	bpf_object__close(obj);
	return ferror(stdout) || fflush(stdout) != 0;
}
