/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* revshelld.conf: sections, keys and values in lines, as systemd's files have them. */
#pragma once

#include <stddef.h>

#include "diag.h"

#define CONF_MAX_SIZE 65536U /* bytes of one file */

/*
 * Called for each KEY=VALUE line. section and value may be "". position is that of the key. Returns
 * 0, or negative after it has added to d what is wrong, except for lack of memory.
 */
typedef int (*conf_fn)(const char *section, const char *key, const char *value,
		       struct diag_pos position, struct diag *d, void *userdata);

/*
 * Goes through a whole file, past errors. Returns 0, -EINVAL with errors in d, or -ENOMEM. file
 * names it in messages.
 */
int conf_parse(const char *text, size_t size, const char *file, conf_fn fn, void *userdata,
	       struct diag *d);

/*
 * Reads NAME.conf of the first directory that has one, and the files that end in .conf of
 * NAME.conf.d in all of them: sorted by base name, a file hides those of its name in later
 * directories, a link to /dev/null masks them. Files must be root's or the caller's, and nobody
 * else's to write. What is missing is fine. Returns as conf_parse().
 */
int conf_read_dirs(const char *const *dirs, size_t n_dirs, const char *name, conf_fn fn,
		   void *userdata, struct diag *d);

/* One file, which must be there. */
int conf_read_file(const char *path, conf_fn fn, void *userdata, struct diag *d);
