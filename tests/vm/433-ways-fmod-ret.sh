#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The same ways by fmod_ret programs, where bpf is not among the kernel's LSMs.
# kernels: 5.10 6.1 6.12
# lsm: none
# timeout: 800
backend=fmod-ret
. "$(dirname "$0")/430-ways.sh"
