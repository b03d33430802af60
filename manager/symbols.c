/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From addresses in call stacks to names: of kernel functions, and of files in a process. */
#include "symbols.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The list is long, so what it said is kept; not for ever, since modules come and go. */
#define N_KEPT	     256
#define KEPT_SECONDS 60

struct kept {
	uint64_t address; /* 0: free */
	time_t until;
	struct symbol symbol;
};

struct symbols {
	FILE *kallsyms; /* opened by a daemon that may still see the addresses; NULL: there is none
			 */
	struct kept *kept;
};

int symbols_new(const char *kallsyms, struct symbols **ret_symbols)
{
	_cleanup_(symbols_freep) struct symbols *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->kallsyms = fopen(kallsyms, "re");
	*ret_symbols = TAKE_PTR(s);
	return 0;
}

void symbols_free(struct symbols *s)
{
	if (!s)
		return;
	if (s->kallsyms)
		fclose(s->kallsyms);
	free(s->kept);
	free(s);
}

static time_t now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static struct kept *place_of(struct symbols *s, uint64_t address)
{
	return &s->kept[(address ^ address >> 8 ^ address >> 20) % N_KEPT];
}

/* "ADDRESS TYPE NAME[\t[MODULE]]": text only; data has no part in a call stack. */
static bool parse_kallsyms(char *line, uint64_t *ret_address, char **ret_name, char **ret_module)
{
	char *end, *name, *module;

	*ret_address = strtoull(line, &end, 16);
	if (*end != ' ' || !strchr("tTwW", end[1]) || end[2] != ' ')
		return false;
	name = end + 3;
	name[strcspn(name, "\n")] = '\0';
	module = strchr(name, '\t');
	if (module) {
		*module++ = '\0';
		if (*module == '[')
			module++;
		module[strcspn(module, "]")] = '\0';
	}
	*ret_name = name;
	*ret_module = module ? module : name + strlen(name);
	return true;
}

static void copy_text(char *to, size_t size, const char *from)
{
	size_t n = strnlen(from, size - 1);

	memcpy(to, from, n);
	to[n] = '\0';
}

/* For each address still without a name: the last function that begins at or before it. */
static void read_kallsyms(FILE *f, const uint64_t *addresses, size_t n, struct symbol *found,
			  const bool *known)
{
	uint64_t best[SYMBOLS_MAX] = {};
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	if (!f)
		return;
	rewind(f);
	while (getline(&line, &size, f) > 0) {
		char *name, *module;
		uint64_t address;

		if (!parse_kallsyms(line, &address, &name, &module))
			continue;
		/* all are 0 for those who may not see them */
		for (size_t i = 0; address && i < n; i++) {
			if (known[i] || address > addresses[i] || address <= best[i])
				continue;
			best[i] = address;
			copy_text(found[i].name, sizeof(found[i].name), name);
			copy_text(found[i].module, sizeof(found[i].module), module);
			found[i].offset = addresses[i] - address;
		}
	}
}

void symbols_find_kernel(struct symbols *s, const uint64_t *addresses, size_t n,
			 struct symbol *ret_found)
{
	bool known[SYMBOLS_MAX] = {};
	time_t now = now_seconds();
	size_t n_known = 0;

	memset(ret_found, 0, n * sizeof(*ret_found));
	if (s && !s->kept)
		s->kept = calloc(N_KEPT, sizeof(*s->kept));
	if (!s || !s->kept || n > SYMBOLS_MAX)
		return;
	for (size_t i = 0; i < n; i++) {
		const struct kept *k = place_of(s, addresses[i]);

		if (k->address != addresses[i] || k->until < now)
			continue;
		ret_found[i] = k->symbol;
		known[i] = true;
		n_known++;
	}
	if (n_known == n)
		return;
	read_kallsyms(s->kallsyms, addresses, n, ret_found, known);
	for (size_t i = 0; i < n; i++)
		if (!known[i] && addresses[i])
			*place_of(s, addresses[i]) = (struct kept){
				addresses[i],
				now + KEPT_SECONDS,
				ret_found[i],
			};
}

void symbols_find_user(pid_t pid, const char *maps, const uint64_t *addresses, size_t n,
		       struct symbol *ret_found)
{
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_free_ char *line = NULL;
	char path[64];
	size_t size = 0;

	memset(ret_found, 0, n * sizeof(*ret_found));
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(maps ? maps : path, "re");
	if (!f)
		return;
	while (getline(&line, &size, f) > 0) {
		uint64_t start, end, offset;
		int name = 0;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*4s %" SCNx64 " %*s %*u %n", &start,
			   &end, &offset, &name) < 3 ||
		    name == 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		for (size_t i = 0; i < n; i++) {
			if (addresses[i] < start || addresses[i] >= end)
				continue;
			copy_text(ret_found[i].module, sizeof(ret_found[i].module), line + name);
			ret_found[i].offset = addresses[i] - start + offset;
		}
	}
}
