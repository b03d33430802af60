#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Whichever call of a reload fails, or is the daemon's last: one set of policies is in force, whole.
# kernels: 6.12
# timeout: 900
. "$(dirname "$0")/lib.sh"

mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
export PIN_DIR=/sys/fs/bpf/revshell FAULT_LIBRARY=$BUILD/tests/vm/libfault.so
start_bus
python3 -S -E "$TREE/tests/vm/faults.py" >"$T/faults" 2>&1
status=$?
while read -r line; do
	case $line in
	'ok: '*) ok "${line#ok: }" ;;
	'not ok: '*) fail "${line#not ok: }" ;;
	*) printf '%s\n' "$line" ;;
	esac
done <"$T/faults"
check_equal 'it came to its end' 0 "$status"
[ "$status" -eq 0 ] || tail -n 20 "$T/faults.log"
finish
