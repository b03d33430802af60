/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether what enforces is still all there: what is pinned, and the process that loads programs. */
#include <errno.h>
#include <string.h>

#include "backend-internal.h"
#include "macro.h"

/* Attached is what this process or the loader has a link of: the kernel detaches none of them. */
int backend_check(struct backend *b, char **ret_reason)
{
	int n, r;

	if (b->kind == BACKEND_NONE)
		return 0;
	if (backend_loader_pid(b) < 0) {
		backend_reason(ret_reason, "the process that loads programs is gone");
		return -ESRCH;
	}
	n = backend_pins_missing(b);
	if (n == 0)
		return 0;
	r = b->loader.pid ? backend_loader_repair(b) : backend_pins_repair(b);
	if (r < 0) {
		backend_reason(ret_reason, "%d pins in %s are gone and cannot be put back: %s", n,
			       b->pins.dir, strerror(-r));
		return r;
	}
	return n;
}
