#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The rule set is swapped 200 times under a storm of connects: not one decision out of a mixture.
# kernels: 5.10 6.12
# timeout: 900
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib-engine.sh"

run_checks "$BUILD/tests/engine/storm" "$T"
finish
