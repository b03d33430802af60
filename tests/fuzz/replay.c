/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a fuzz target once on every file of the directories that are its arguments. */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "fuzz.h"

#define INPUT_SIZE (4U * 1024U * 1024U)

static int replay_file(const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	_cleanup_free_ uint8_t *data = malloc(INPUT_SIZE), *exact = NULL;
	size_t size;

	if (!f || !data) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	size = fread(data, 1, INPUT_SIZE, f);
	/* in memory of just that size, so that a sanitizer sees a byte too far */
	exact = malloc(size ? size : 1);
	if (!exact)
		return -1;
	memcpy(exact, data, size);
	LLVMFuzzerTestOneInput(exact, size);
	return 0;
}

static int replay_dir(const char *dir, size_t *n)
{
	DIR *stream = opendir(dir);
	struct dirent *entry;
	int err = 0;

	if (!stream) {
		fprintf(stderr, "%s: %s\n", dir, strerror(errno));
		return -1;
	}
	while (err == 0 && (entry = readdir(stream))) {
		_cleanup_free_ char *path = NULL;

		if (entry->d_name[0] == '.')
			continue;
		if (asprintf(&path, "%s/%s", dir, entry->d_name) < 0)
			err = -1;
		else
			err = replay_file(path);
		++*n;
	}
	closedir(stream);
	return err;
}

int main(int argc, char *argv[])
{
	size_t n = 0;

	for (int i = 1; i < argc; i++)
		if (replay_dir(argv[i], &n) < 0)
			return EXIT_FAILURE;
	printf("%zu inputs\n", n);
	return n > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
