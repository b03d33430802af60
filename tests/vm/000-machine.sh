#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The machine is what the other tests take for granted: mounts, loopback, a probe that gets through.
# lsm: any
# pins: shared
. "$(dirname "$0")/lib.sh"

check 'bpffs is mounted' grep -q ' /sys/fs/bpf bpf ' /proc/mounts
check 'cgroup2 is mounted' grep -q ' /sys/fs/cgroup cgroup2 ' /proc/mounts
check 'tracefs is mounted' test -e /sys/kernel/tracing/events/enable
check 'the kernel has BTF' test -s /sys/kernel/btf/vmlinux
check 'the tree is read-only' bash -c '! touch "$TREE/touched" 2>/dev/null'

listener 4444 "$T/got"
capture_start 4444
check_allowed 'a connection to the listener' --send hello tcp4 connect 127.0.0.1 4444
capture_stop
check 'the listener got it' wait_for 60 grep -q '^hello' "$T/got"
check 'its packets were counted' test "$PACKETS" -ge 5
check_status 'nobody listens there: refused, not denied' 3 "$PROBE" tcp4 connect 127.0.0.1 4445

capture_start 4445
capture_stop
check_equal 'no packets when nothing happens' 0 "$PACKETS"

listener 4446 "$T/got6" tcp6
check_allowed 'a connection over IPv6' --send six tcp6 connect ::1 4446
check 'the IPv6 listener got it' wait_for 60 grep -q '^six' "$T/got6"
check_killed 'a killed process is seen as killed' --hold 1 --shell 'kill -9 $$' tcp6 connect ::1 4446

start_bus
check 'the private bus answers' busctl --address="$DBUS_SYSTEM_BUS_ADDRESS" --timeout=300 list
finish
