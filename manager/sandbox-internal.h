/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the sandbox share. */
#pragma once

/*
 * Starts a process that tells, on standard error, the calls that another one makes outside of its
 * filter, and lets them on. It begins once it is given the filter's descriptor, and ends with the
 * last process under the filter. Return 0 or -errno.
 */
int sandbox_watch_begin(int *ret_watcher);
int sandbox_watch_hand_over(int watcher, int notify);
