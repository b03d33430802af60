#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the daemon and its loader keep in memory: idle, with 512 policies of 100,000 prefixes, and after reloads.
# kernels: 6.12
. "$(dirname "$0")/lib.sh"

# number KEY PID: of /proc/PID/status, in KiB.
number() {
	sed -n "s/^$1:[[:space:]]*\([0-9]*\) kB/\1/p" "/proc/$2/status"
}
# The process that loads programs.
loader() {
	cat "/proc/$daemon_pid/task/$daemon_pid/children"
}
keeps_at_most() {
	[ "$(number RssAnon "$1")" -le "$2" ]
}
# check_memory WHAT KIB-OF-DAEMON KIB-OF-LOADER: what no file has a copy of; all else is the kernel's to drop.
# Who has just answered may still be giving memory back.
check_memory() {
	local pid limit name

	for pid in "$daemon_pid" $(loader); do
		name='daemon' limit=$2
		[ "$pid" = "$daemon_pid" ] || name='loader' limit=$3
		check "$1: the $name keeps at most $limit KiB" wait_for 60 keeps_at_most "$pid" "$limit"
		printf '# %s: %s: RssAnon %s, VmRSS %s, VmHWM %s KiB\n' "$1" "$name" "$(number RssAnon "$pid")" \
			"$(number VmRSS "$pid")" "$(number VmHWM "$pid")"
	done
}
# ring_size: of the daemon's own ring (BPF_MAP_TYPE_RINGBUF, 27): those of programs that were removed a moment ago may
# still be there as well.
ring_size() {
	awk '$1 == "map_type:" { type = $2 } $1 == "max_entries:" && type == 27 { print $2 }' "/proc/$daemon_pid"/fdinfo/* | sort -u
}

# By the shipped policies, one of which is for a program on demand.
mkdir -p "$T/policies"
cp "$TREE"/policies/*.yaml "$T/policies/"
chmod 644 "$T"/policies/*
PIN_DIR=/sys/fs/bpf/revshell start_daemon "$T/policies" || exit 1
check 'there is a loader' test -n "$(loader)"
check_memory 'fresh' 4096 4096
kill_daemon
PIN_DIR=/sys/fs/bpf/revshell start_daemon "$T/policies" || exit 1
check_match 'it takes over' 'Took over' "$T/daemon.log"
check_memory 'took over' 4096 4096
# A program that the loader loads leaves nothing behind there.
refuse_lsm accept "$T/bin/none" socket_accept '{index: 0, type: socket}' '{index: 0, operator: Family, values: [AF_INET]}'
check 'a program on demand' ctl reload
check_memory 'a program on demand' 4096 4096
check 'it disarms' ctl stop --disarm
wait_for 60 process_gone "$daemon_pid"

rm -f "$T"/policies/*
umask 022
check '512 policies are written' "$BUILD/tests/engine/scale" "$T" "$T/policies"
start_daemon "$T/policies" --event-ring=2M || exit 1
check_equal 'the ring has the size that was told' 2097152 "$(ring_size)"
check_equal 'all are loaded' 512 "$(ctl policy list --json=short | jq length)"
check_memory '512 policies' 12288 4096
for i in 1 2 3 4; do
	printf '# %s\n' "$i" >>"$T/policies/p1.yaml"
	check "reload $i" ctl reload
done
check_memory '512 policies, four reloads' 16384 4096
finish
