#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Storms of processes, threads, sockets, events, reloads and subscribers leave daemon and kernel as large as before.
# kernels: 6.12
. "$(dirname "$0")/lib.sh"

PROBE=$(copy_probe "$T/bin/target")
policy reports.yaml <<END
apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata:
  name: reports
spec:
  kprobes:
  - call: security_socket_connect
    syscall: false
    args: [{index: 0, type: socket}, {index: 1, type: sockaddr}]
    selectors:
    - matchBinaries: [{operator: In, values: ["$PROBE"]}]
      matchArgs: [{index: 1, operator: SPort, values: ["4444"]}]
      matchActions: [{action: TrackSock, argSock: 0}, {action: Post}]
END
start_daemon "$T/policies" || exit 1

# 600 processes, 64 threads, 1320 sockets with an event each, 3 reloads, 3 subscribers that come and go.
storm() {
	local i pids=()

	for i in 1 2 3; do
		"$REVSHELLCTL" events -f --json=short >/dev/null 2>&1 &
		pids+=($!)
	done
	perl -e 'for (1 .. 600) { my $p = fork; exit 0 unless $p; waitpid $p, 0 }'
	"$PROBE" --quiet --threads 64 --repeat 5 udp4 connect 127.0.0.1 4444 >/dev/null
	for i in 1 2; do
		"$PROBE" --quiet --repeat 500 udp4 connect 127.0.0.1 4444 >/dev/null
		reload
	done
	kill "${pids[@]}"
	wait "${pids[@]}" 2>/dev/null
}

# figure NAME KEY FILE: a line "NAME VALUE" of a file of "KEY: VALUE".
figure() {
	printf '%s %s\n' "$1" "$(awk -v key="$2" '$1 == key ":" { print $2 }' "$3")"
}
measure() {
	# what was freed in the kernel goes after a grace period, in the daemon with the next reload
	sleep 3
	reload
	figure rss VmRSS "/proc/$daemon_pid/status"
	figure anonymous RssAnon "/proc/$daemon_pid/status"
	printf 'descriptors %s\n' "$(find "/proc/$daemon_pid/fd" -mindepth 1 | wc -l)"
	bpftool map show | awk '/ memlock / { n++; sub(/.*memlock /, ""); bytes += $1 } END { print "maps", n; print "map-bytes", bytes }'
	printf 'programs %s\n' "$(bpftool prog show | grep -c '^[0-9]')"
	figure slab SUnreclaim /proc/meminfo
}
# bounded NAME GROWTH: what the storms added, by the middle one of three. A leak is in each of them, another height is not.
bounded() {
	local values added

	mapfile -t values < <(awk -v name="$1" '$1 == name { print $2 }' "$T/figures")
	added=$(printf '%s\n' $((values[1] - values[0])) $((values[2] - values[1])) $((values[3] - values[2])) |
		sort -n | sed -n 2p)
	check "$1: ${values[*]}, so $added, at most $2 more" test "$added" -le "$2"
}

# The first fills what has a bound: the history, the caches.
for _ in 1 2 3 4; do
	storm
	measure >>"$T/figures"
done
check 'there were events' test "$(counter events-sent)" -ge 1500
# 200 bytes an event, a rule set a reload, or a label a process would show
bounded anonymous 250
bounded rss 250
bounded descriptors 0
bounded maps 0
bounded map-bytes 0
bounded programs 0
bounded slab 400
finish
