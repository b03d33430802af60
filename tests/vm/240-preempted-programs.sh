#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A program that is preempted while it runs keeps no other from running, or its backend refuses.
# kernels: 6.12 7
# append: preempt=full
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib-engine.sh"

run_checks "$BUILD/tests/engine/preempt" "$T"
finish
