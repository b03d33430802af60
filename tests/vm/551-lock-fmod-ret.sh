#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The same lock by fmod_ret programs, where bpf is not among the kernel's LSMs.
# kernels: 6.1
# lsm: none
# timeout: 900
BACKEND=fmod-ret
. "$(dirname "$0")/550-lock.sh"
