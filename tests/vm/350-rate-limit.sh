#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A rate limit lets one event of a period through and counts the others; it spares nobody a denial.
# timeout: 400
. "$(dirname "$0")/lib.sh"

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
		      matchActions: [$4{action: Post, rateLimit: "1m", rateLimitScope: $3}]
	END
}

limit thread 4501 thread ''
limit process 4502 process ''
limit global 4503 global ''
limit refused 4504 global '{action: Override, argError: -13}, '
marker_policy
start_daemon "$T/policies" || exit 1
follow_events

stat_of() {
	ctl stats --json=short | jq -r ".[\"$1\"]"
}

connect() {
	"$PROBE" --quiet --repeat "$2" udp4 connect "${3:-127.0.0.1}" "$1"
}

line='.process_kprobe | "\(.policy_name) \(.args[0].sockaddr_arg.addr) \(.verdict)"'
check '10,000 connects' connect 4501 10000
check_events '10,000 connects: one event' 'thread 127.0.0.1 allowed' "$line"
ctl stats --json=short >"$T/stats"
check_equal '10,000 connects: the others are counted' 9999 "$(stat_of events-rate-limited)"
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
finish
