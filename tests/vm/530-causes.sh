#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What keeps programs from being loaded or pinned is named with what helps, and costs nothing that is in force.
# kernels: 5.10 6.12
. "$(dirname "$0")/lib.sh"

PIN_DIR=/sys/fs/bpf/revshell
TARGET=$(copy_probe "$T/bin/target")
refuse connect 4444 In "$TARGET"
PROBE=$TARGET
connect=(udp4 connect 127.0.0.1 4444)

# refused WHAT COMMAND...: one that has nothing to take over ends with the status for a backend that cannot be had.
refused() {
	local what=$1

	shift
	timeout 300 "$@" --policy-dir "$T/policies" --bus="$DBUS_SYSTEM_BUS_ADDRESS" --pin-dir=none >"$T/refused.log" 2>&1
	check_equal "$what: the status" 3 $?
	check_match "$what: it says so" 'Failed to open backend auto: ' "$T/refused.log"
	check_denied "$what: what was in force still is" "${connect[@]}"
}

start_daemon "$T/policies" --mode=enforce || exit 1
check_denied 'in force' "${connect[@]}"
stop_daemon

mkdir "$T/empty"
mount --bind "$T/empty" /sys/kernel/btf
refused 'no BTF' "$REVSHELLD"
check_match 'no BTF: the cause' 'btf: .*No such file.*CONFIG_DEBUG_INFO_BTF' "$T/refused.log"
check_status 'no BTF: doctor finds it, too' 1 ctl doctor
check_match 'no BTF: doctor says' 'fail\] btf' "$T/check.out"
start_daemon "$T/policies"
check_match 'no BTF: who takes over needs none' 'Took over' "$T/daemon.log"
stop_daemon
umount /sys/kernel/btf

# Maps are charged to the limit before 5.11; who may raise it does, and the unit's daemon may not.
limited=(setpriv --bounding-set=-sys_resource -- prlimit --memlock=65536:65536 "$REVSHELLD")
case $(uname -r) in
5.10*)
	refused 'RLIMIT_MEMLOCK' "${limited[@]}"
	check_match 'RLIMIT_MEMLOCK: the cause' 'memlock: RLIMIT_MEMLOCK is 65536 bytes.*LimitMEMLOCK=infinity' \
		"$T/refused.log"
	;;
*)
	# bad options end it only after the backend was opened: the bus that is not there
	"${limited[@]}" --policy-dir "$T/policies" --bus=unix:path="$T/none" --pin-dir="$PIN_DIR" >"$T/limited.log" 2>&1 &
	check 'RLIMIT_MEMLOCK does not matter' wait_for 60 grep -q 'Took over' "$T/limited.log"
	kill -TERM $!
	wait $!
	;;
esac

# Unmounting takes the pins along.
umount /sys/fs/bpf
check 'unmounted: nothing is in force' wait_for 60 "$TARGET" "${connect[@]}"
n=$(wc -l <"$T/daemon.log")
start_daemon "$T/policies" --mode=enforce || exit 1
check_denied 'no BPF file system: it is enforced' "${connect[@]}"
tail -n +$((n + 1)) "$T/daemon.log" >"$T/after"
check_match 'no BPF file system: it is told' 'not in a BPF file system.*mount -t bpf bpf /sys/fs/bpf' "$T/after"
ctl doctor >"$T/doctor.out"
check_match 'no BPF file system: doctor says' 'warn\] bpffs' "$T/doctor.out"
stop_daemon
check 'no BPF file system: it ends with the daemon' wait_for 60 "$TARGET" "${connect[@]}"
mount -t bpf bpf /sys/fs/bpf
finish
