/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the daemon was told: command line, over configuration files, over the defaults. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "backend.h"
#include "revshell-abi.h"
#include "sink.h"

#define CONFIG_N_DEFAULT_DIRS 4
#define CONFIG_N_LOCAL_DIRS   2 /* of these, below /etc and /run */

/* The policy directories of the package, highest precedence first. */
extern const char *const config_default_dirs[CONFIG_N_DEFAULT_DIRS];

struct config {
	char **policy_dirs; /* highest precedence first */
	size_t n_policy_dirs;
	bool default_dirs; /* none was given: those of the package */
	char *bus;	   /* "system", "session", or an address */
	enum backend_kind backend;
	enum policy_fallback fallback;
	enum revshell_mode mode;
	const char *mode_source; /* "option", "kernel", or NULL: mode is the default */
	char *pin_dir;		 /* NULL: pin nothing */
	char *state_dir;	 /* NULL: no mode persists */
	enum sandbox_mode sandbox;
	char *allow_group; /* name or number, or NULL */
	bool lock;	   /* as soon as all is in force */
	bool stop_disarm;  /* only remove the pins and exit */
	int log_level;
	size_t event_ring; /* bytes; 0: default */
	struct sink_config sinks;
	bool help; /* only print and exit */
	bool version;
};

/*
 * Reads the command line, and the files that it does not forbid, into ret_config. Returns 0,
 * -ENOMEM, or -EINVAL after it has told the mistakes on standard error.
 */
int config_parse(int argc, char *const *argv, struct config *ret_config);

/* revshelld.conf and revshelld.conf.d/ of these directories, the highest precedence first, into c.
 */
int config_read_dirs(struct config *c, const char *const *dirs, size_t n_dirs, struct diag *d);

void config_done(struct config *c);

void config_print_help(void);
