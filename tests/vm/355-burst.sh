#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A burst of events is told, or its loss counted exactly, also where the daemon ends in the middle of it.
# kernels: 6.12
# pins: shared
. "$(dirname "$0")/lib.sh"

N=4000
marker_policy

# stats NAME...: these counters, now.
stats() {
	local all name

	all=$(ctl stats --json=short)
	for name in "$@"; do
		sed -n "s/.*\"$name\":\([0-9]*\).*/\1/p" <<<"$all"
	done
}
start() {
	start_daemon "$T/policies" --export-file="$T/export" --export-file-max-size=0 || exit 1
	renice_daemon
	# on one processor, since an emulator may give each a long turn of its own
	taskset -apc 0 "$daemon_pid" >/dev/null
}
burst() {
	taskset -c 0 "$T/bin/marker" --quiet --repeat $((N / 2)) --threads 2 udp4 connect 127.0.0.1 9
}
lines() {
	wc -l <"$T/export"
}
# all_there N: so many are told or lost since the start.
all_there() {
	[ $(($(lines) + $(stats events-dropped-ring-full) - lost_before)) -ge "$1" ]
}
# numbers: every event's number, in the file's order.
numbers() {
	sed 's/.*"number":\([0-9]*\)}.*/\1/' "$T/export"
}

start
lost_before=$(stats events-dropped-ring-full)
burst
check 'all events are told or counted' wait_for 120 all_there "$N"
read -r -d '' seen full waiting < <(stats events-seen events-dropped-ring-full events-waiting)
lost=$((full - lost_before))
printf '# told %d, lost %d\n' "$seen" "$lost"
check_equal 'told and lost are as many as were made' "$N" $((seen + lost))
check_equal 'none waits any more' 0 "$waiting"
check 'more are told than the ring, with its room for 600, could hold' test "$seen" -gt 1500
check 'the file has what was told, in order' cmp <(seq "$seen") <(numbers)

burst &
storm=$!
wait_for 60 all_there $((N + 500))
check 'the daemon ends in the middle of a burst' stop_daemon
wait "$storm"
start
check 'it told what it had taken over, and the next one the rest' wait_for 120 all_there $((2 * N))
pause 1
lost=$(($(stats events-dropped-ring-full) - lost_before))
printf '# told %d, lost %d\n' "$(lines)" "$lost"
check_equal 'told and lost are as many as were made in two bursts' $((2 * N)) $(($(lines) + lost))
finish
