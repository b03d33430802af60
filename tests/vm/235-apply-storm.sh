#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# 200 transactions of 3 to 500 policies in a storm of connects: each decision is of one set, and nothing is lost.
# kernels: 6.12
# timeout: 1200
# pins: shared
. "$(dirname "$0")/lib.sh"

mkdir -p "$T/policies"
python3 -S -E -c 'import sys; sys.path.insert(0, sys.argv[1]); import pairs; print("".join(pairs.policies("a")))' \
	"$TREE/tests/vm" | policy first.yaml
start_daemon "$T/policies" || exit 1
check 'enforce' ctl enforce on
DAEMON_PID=$daemon_pid python3 -S -E "$TREE/tests/vm/apply-storm.py" "$REVSHELLCTL" \
	--bus="$DBUS_SYSTEM_BUS_ADDRESS" >"$T/result" 2>"$T/figures"
cat "$T/figures"
value() { awk -v key="$1" '$1 == key { print $2 }' "$T/result"; }
check_equal 'all transactions are in force' 200 "$(value applied)"
check_equal 'of up to so many policies' 500 "$(value policies)"
check_equal 'at once' 0 "$(value wrong)"
check_equal 'no decision out of an empty set' 0 "$(value empty)"
check_equal 'none out of a mixture' 0 "$(value mixed)"
check_equal 'each pair was allowed and denied in the storm' 8 "$(value swapped)"
check_equal 'what both sets deny was tried' 1 "$(value always)"
check_equal 'the maps are as large as before' 0 "$(value maps)"
check_equal 'no descriptor is lost' 0 "$(value descriptors)"
check "the daemon has not grown by a MiB ($(value resident) KiB)" test "$(value resident)" -lt 1024
check_equal 'files' 'first.yaml p1-7001.yaml p2-7002.yaml' "$(cd "$T/policies" && echo *)"
finish
