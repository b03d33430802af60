/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SipHash-1-3, the same function that the programs compute for long paths. */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint64_t siphash13(const void *data, size_t size, const uint64_t key[2]);
