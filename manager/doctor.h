/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of this host revshelld needs, as far as it can be seen without a daemon and without root. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "diag.h"

enum doctor_state {
	DOCTOR_OK,
	DOCTOR_WARN, /* less than there could be */
	DOCTOR_FAIL, /* it cannot work so */
	DOCTOR_SKIP, /* cannot be seen from here */
	DOCTOR_STATE_MAX,
};

const char *doctor_state_name(enum doctor_state state); /* "ok" */

struct doctor_finding {
	enum doctor_state state;
	const char *name; /* "lsm-list" */
	const char *text; /* what was found */
	const char *hint; /* what helps; "" if nothing needs help */
};

/* Called for each finding, whose strings are valid during the call only. 0, or negative to stop. */
typedef int (*doctor_fn)(const struct doctor_finding *f, void *userdata);

struct doctor_options {
	const char *root;  /* put before the paths that are read: "", or a folder of a test */
	char *const *dirs; /* policy directories */
	size_t n_dirs;
	const char *pin_dir; /* NULL: the default */
	bool daemon;	     /* asked in the daemon, whose limits these are */
};

/* What to think of a daemon's property Sandbox. */
int doctor_judge_sandbox(const char *text, doctor_fn fn, void *userdata);

/* why: it cannot be locked, or NULL. */
int doctor_judge_lock(bool locked, const char *why, doctor_fn fn, void *userdata);

/* What plane_check() says of the policies in force. */
int doctor_judge_plane(const struct diag *d, doctor_fn fn, void *userdata);

/* Only what keeps programs and maps from being loaded, asked in the daemon. */
int doctor_causes(const char *root, doctor_fn fn, void *userdata);

/* Looks at everything. Returns 0, or what fn returned. */
int doctor_run(const struct doctor_options *opts, doctor_fn fn, void *userdata);
