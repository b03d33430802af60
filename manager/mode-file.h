/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The global mode in a file, for the start that finds nothing in force. */
#pragma once

#include "revshell-abi.h"

/*
 * What the file in dir says. 0, or -errno; -ENOENT: there is none. -EPERM: others than root and
 * this user may have written it. -EUCLEAN: it says something else.
 */
int mode_file_read(const char *dir, enum revshell_mode *ret_mode);

/* Replaces it as a whole, on the disk when this returns 0. mode -1: removes it. */
int mode_file_write(const char *dir, int mode);
