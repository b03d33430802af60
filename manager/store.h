/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Policy files on disk: several are replaced or removed together, or none is. */
#pragma once

#include <stddef.h>

#include "macro.h"

enum store_kind {
	STORE_WRITE,
	STORE_REMOVE,
	STORE_MASK, /* a link to /dev/null, which hides the name in directories of lower precedence
		     */
};

struct store_change {
	char *name; /* of the file, without the directory */
	enum store_kind kind;
	char *text; /* STORE_WRITE */
};

struct store;

/*
 * Puts the changes in place, durably, and keeps what was there. The directory is made if missing.
 * On error everything is as before. changes need not outlive the call.
 */
int store_begin(const char *dir, const struct store_change *changes, size_t n,
		struct store **ret_store);

/* From here on the changes stay. An error leaves the choice: call it again or roll back. */
int store_commit(struct store *s);

/* Back to what was there. Also after a failed commit. */
int store_rollback(struct store *s);

/* Forgets the transaction; neither commits nor rolls back. */
void store_free(struct store *s);
DEFINE_CLEANUP(struct store *, store_free)

/*
 * At the start, before the directory is read: rolls back a transaction that was not committed
 * because the process or the machine died. Returns 1 if there was one, 0 if not, or -errno.
 */
int store_recover(const char *dir);
