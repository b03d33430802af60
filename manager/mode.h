/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The global mode's names, as on the command line and on the bus. */
#pragma once

#include <errno.h>
#include <string.h>

#include "revshell-abi.h"

static inline const char *mode_name(enum revshell_mode mode)
{
	return mode == REVSHELL_MODE_ENFORCE ? "enforce" : "monitor";
}

/* An enum revshell_mode, or -EINVAL. */
static inline int mode_parse(const char *s)
{
	if (strcmp(s, "enforce") == 0)
		return REVSHELL_MODE_ENFORCE;
	if (strcmp(s, "monitor") == 0)
		return REVSHELL_MODE_MONITOR;
	return -EINVAL;
}
