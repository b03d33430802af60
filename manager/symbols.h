/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From addresses in call stacks to names: of kernel functions, and of files in a process. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "macro.h"

#define SYMBOLS_MAX 64 /* addresses looked up at a time */

/* What an address belongs to; an empty name where that could not be found out. */
struct symbol {
	char name[128];	  /* function, of kernel addresses only */
	char module[128]; /* kernel module, or the file mapped there; empty for the kernel itself */
	uint64_t offset;  /* bytes into the function, or into the file */
};

struct symbols;

/* kallsyms: the kernel's list, /proc/kallsyms; it is read when a name is first asked for. */
int symbols_new(const char *kallsyms, struct symbols **ret_symbols);
void symbols_free(struct symbols *s);
DEFINE_CLEANUP(struct symbols *, symbols_free)

/* n is at most SYMBOLS_MAX. What was found lately is remembered. s may be NULL: nothing is found.
 */
void symbols_find_kernel(struct symbols *s, const uint64_t *addresses, size_t n,
			 struct symbol *ret_found);

/*
 * By the maps of a process, if it still lives and may be looked at. maps: NULL for
 * /proc/PID/maps.
 */
void symbols_find_user(pid_t pid, const char *maps, const uint64_t *addresses, size_t n,
		       struct symbol *ret_found);
