#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A rate limit lets one event of a period through and counts the others; it spares nobody a denial.
# What is lost or goes another way is counted by hook.
# kernels: 5.10 7
. "$(dirname "$0")/lib.sh"

PIN_DIR=/sys/fs/bpf/revshell
pins=$PIN_DIR/v$(sed -n 's/^#define REVSHELL_ABI[[:space:]]*//p' "$TREE/bpf/revshell-abi.h")
mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
PROBE=$(copy_probe "$T/bin/target")

# limit NAME PORT SCOPE ACTIONS
limit() {
	policy "$1.yaml" <<-END
		apiVersion: cilium.io/v1alpha1
		kind: TracingPolicy
		metadata:
		  name: $1
		spec:
		  kprobes:
		  - call: security_socket_connect
		    syscall: false
		    args: [{index: 1, type: sockaddr}]
		    selectors:
		    - matchArgs: [{index: 1, operator: SPort, values: ["$2"]}]
		      matchActions: [$4{action: Post, rateLimit: "1h", rateLimitScope: $3}]
	END
}

limit thread 4501 thread ''
limit process 4502 process ''
limit global 4503 global ''
limit refused 4504 global '{action: Override, argError: -13}, '
# 81 selectors have more than one word, so that words are looked up; and no limit
{
	cat <<-'END'
		apiVersion: cilium.io/v1alpha1
		kind: TracingPolicy
		metadata:
		  name: many
		spec:
		  kprobes:
	END
	for first in 5001 5028 5055; do
		printf '%s\n' '  - call: security_socket_connect' '    syscall: false' \
			'    args: [{index: 1, type: sockaddr}]' '    selectors:'
		for ((port = first; port < first + 27; port++)); do
			printf '    - matchArgs: [{index: 1, operator: SPort, values: ["%d"]}]\n' "$port"
		done
	done
} | policy many.yaml
marker_policy
start_daemon "$T/policies" || exit 1
follow_events

connect() {
	"$PROBE" --quiet --repeat "$2" udp4 connect "${3:-127.0.0.1}" "$1"
}

line='.process_kprobe | "\(.policy_name) \(.args[0].sockaddr_arg.addr) \(.verdict)"'
check '10,000 connects' connect 4501 10000
check_events '10,000 connects: one event' 'thread 127.0.0.1 allowed' "$line"
ctl stats --json=short >"$T/stats"
check_equal '10,000 connects: the others are counted' 9999 "$(counter events-rate-limited)"
check_equal '10,000 connects: nothing is lost' 0 \
	"$(jq '[to_entries[] | select(.key | test("drop|lost")) | .value | numbers] | add // 0' "$T/stats")"

connect 4501 5 127.0.0.2 >"$T/connect.out"
check_events 'another address has a limit of its own' 'thread 127.0.0.2 allowed' "$line"
connect 4501 5 >"$T/connect.out"
check_events 'so has another thread' 'thread 127.0.0.1 allowed' "$line"
"$PROBE" --quiet --repeat 5 --threads 2 udp4 connect 127.0.0.1 4502 >/dev/null
connect 4502 5 >"$T/connect.out"
check_events 'for each process' 'process 127.0.0.1 allowed
process 127.0.0.1 allowed' "$line"
connect 4503 5 >"$T/connect.out"
connect 4503 5 >"$T/connect.out"
check_events 'for all together' 'global 127.0.0.1 allowed' "$line"

check_status 'monitoring: all are allowed' 0 connect 4504 5
check_events 'monitoring: one event' 'refused 127.0.0.1 would-deny' "$line"
enforce on
check_status 'enforcing: all are denied' 1 connect 4504 200 127.0.0.3
check_match 'each of them' 'denied=200' "$T/check.out"
check_events 'enforcing: one event' 'refused 127.0.0.3 denied' "$line"

# moved NAME COMMAND...: the counter grows while COMMAND runs, whatever that ends with.
moved() {
	local name=$1 before after

	before=$(counter "$name")
	shift
	"$@" >"$T/moved.out" 2>&1
	after=$(counter "$name")
	if [ "$after" -gt "$before" ]; then
		ok "$name: $before, then $after"
	else
		fail "$name: $before, then $after"
	fi
}

storm_unread() {
	kill -STOP "$daemon_pid"
	connect 5001 3000
	kill -CONT "$daemon_pid"
}

without_buffers() {
	local i n

	n=$(bpftool -j map show pinned "$pins"/map_rs_scratch_free | jq .max_entries)
	# somebody may give one back meanwhile
	for ((i = 0; i < 10 * n; i++)); do
		bpftool map pop pinned "$pins"/map_rs_scratch_free >/dev/null 2>&1 || break
	done
	connect 5002 1
	for ((i = 0; i < n; i++)); do
		bpftool map push pinned "$pins"/map_rs_scratch_free value "$i" 0 0 0
	done
}

deep=$T/deep
for ((i = 0; i < 60; i++)); do
	deep=$deep/d
done
mkdir -p "$deep"
cp "$PROBE" "$deep/probe"

from_deep() {
	(cd "$deep" && "$1" --quiet udp4 connect 127.0.0.1 5003)
}

without_rows() {
	bpftool map delete pinned "$pins"/map_rs_rows key 0 0 0 0
	bpftool map delete pinned "$pins"/map_rs_rows key 1 0 0 0
	connect 5004 1
}

connects=hook.socket_connect
check_equal 'what was kept back was all on connect' "$(counter events-rate-limited)" \
	"$(counter $connects.events-rate-limited)"
check_equal 'so was what was denied' "$(counter denied)" "$(counter $connects.denied)"
check 'the shell is older than the daemon' test "$(counter hook.other.labels-computed-late)" -gt 0
moved $connects.events-rate-limited connect 4501 5 127.0.0.2
moved $connects.labels-resolved connect 5001 1
moved $connects.events-sent connect 5001 1
moved $connects.events-dropped-ring-full storm_unread
moved $connects.path-buffers-busy without_buffers
moved hook.other.path-buffers-busy without_buffers
moved $connects.directories-unknown from_deep "$PROBE"
moved hook.other.paths-unknown from_deep "$deep/probe"
check_equal 'no look-up has failed' 0 "$(counter $connects.lookups-failed)"
# a hole denies, also the way to the bus
enforce off
moved $connects.lookups-failed without_rows
check_equal 'listen had nothing of this' 0 \
	"$(ctl stats --json=short | jq '[to_entries[] | select(.key | startswith("hook.socket_listen.")) |
		.value] | add')"
check 'a reload fills the hole' ctl reload
failed=$(counter $connects.lookups-failed)
check 'after it a connect' connect 5004 1
check_equal 'no look-up of it fails' "$failed" "$(counter $connects.lookups-failed)"
ctl stats --openmetrics >"$T/metrics"
check_match 'as OpenMetrics' '^revshell_hook_lookups_failed_total\{hook="socket_connect"\} [1-9]' \
	"$T/metrics"
finish
