/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lets one allocation of the code under test fail; needs the linker's --wrap (meson.build). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The n-th allocation from here on, counted from 0, fails. */
void oom_arm(long n);

/* None fails any more. Returns whether one did. */
bool oom_disarm(void);

/* For libraries that are told their allocator. */
void *oom_malloc(size_t size);
