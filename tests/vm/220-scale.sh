#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# 512 policies and 100,000 prefixes: they load, and real calls are judged as the policies say.
# kernels: 5.10 6.12 7
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib-engine.sh"

run_checks "$BUILD/tests/engine/scale" "$T"
finish
