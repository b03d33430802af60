/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether a host could still be managed under a rule set. */
#pragma once

#include "diag.h"
#include "ruleset.h"

/*
 * Asks the engine, as it would answer under enforce, about the ways to the bus and to a shell by
 * ssh, and adds a warning to d for each that is closed for certain: what depends on anything that
 * is not known here is not told. Of programs that are not below root ("", or a folder of a test)
 * nothing is said. Returns 0 or -ENOMEM.
 */
int plane_check(const struct ruleset *rs, const char *root, struct diag *d);
