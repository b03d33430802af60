#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The engine in this kernel decides as the policies say: random policies and calls, by BPF_PROG_RUN.
. "$(dirname "$0")/lib.sh"

status=0
"$BUILD/tests/engine/test-engine" >"$T/out" 2>&1 || status=$?
grep -v RUN "$T/out"
check_equal 'all vectors agree' 0 "$status"
check_match 'it was not skipped' 'vectors in all' "$T/out"
finish
