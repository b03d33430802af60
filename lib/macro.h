/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Macros every layer uses: cleanup attributes, array sizes, pointer transfer. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_SIZE(a)	     (sizeof(a) / sizeof((a)[0]))
#define _cleanup_(f)	     __attribute__((cleanup(f)))
#define _printf_(fmt, first) __attribute__((format(printf, fmt, first)))
#define _unused_	     __attribute__((unused))
#define _fallthrough_	     __attribute__((fallthrough)) /* clang takes no comment for it */
#define MAX(a, b)	     ((a) > (b) ? (a) : (b))
#define MIN(a, b)	     ((a) < (b) ? (a) : (b))

#define SWAP(a, b)                         \
	do {                               \
		__typeof__(a) swap_ = (a); \
		(a) = (b);                 \
		(b) = swap_;               \
	} while (0)

/* Takes the value of a pointer variable and leaves NULL behind: ownership moves on. */
#define TAKE_PTR(p)                         \
	({                                  \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})

/* The same for a descriptor, which leaves -EBADF behind. */
#define TAKE_FD(fd)                \
	({                         \
		int taken_ = (fd); \
		(fd) = -EBADF;     \
		taken_;            \
	})

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define _cleanup_free_	 _cleanup_(freep)
#define _cleanup_close_	 _cleanup_(closep)
#define _cleanup_fclose_ _cleanup_(fclosep)

/* Defines NAMEp() for use with _cleanup_, calling free function F on a non-NULL pointer of TYPE. */
#define DEFINE_CLEANUP(type, f)          \
	static inline void f##p(type *p) \
	{                                \
		if (*p)                  \
			f(*p);           \
	}
