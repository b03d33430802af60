#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is a connection, and to where: mapped and empty addresses, disconnecting, AF_UNIX, MPTCP.
# kernels: 5.10 7
# pins: shared
. "$(dirname "$0")/lib.sh"

PROBE=$(copy_probe "$T/bin/target")
add_attacker
listener 4444 "$T/public" tcp4 "$ATTACKER4"
listener 4445 "$T/loopback" tcp4 127.0.0.1
listener 4446 "$T/loopback6" tcp6 ::1
python3 -S -E -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
time.sleep(1000)' "$T/socket" &
helper_pids+=("$!")
wait_for 60 test -S "$T/socket"

# deny CALL TYPE OPERATOR VALUES: refuses the target's connections to some addresses.
deny() {
	local call=security_socket_connect args='[{index: 0, type: socket}, {index: 1, type: sockaddr}]' action='Override, argError: -1'
	local index=1

	if [ "$1" = tcp_connect ]; then
		call=tcp_connect args='[{index: 0, type: sock}]' action=Sigkill index=0
	fi
	policy target.yaml <<-END
		apiVersion: cilium.io/v1alpha1
		kind: TracingPolicy
		metadata:
		  name: target
		spec:
		  kprobes:
		  - call: $call
		    syscall: false
		    args: $args
		    selectors:
		    - matchBinaries: [{operator: In, values: ["$PROBE"]}]
		      matchArgs: [{index: $index, operator: $2, values: [$3]}]
		      matchActions: [{action: $action}]
	END
}

never_denied() {
	check_allowed "$1: disconnecting TCP" tcp4 unspec
	check_allowed "$1: disconnecting UDP" udp4 unspec
	check_allowed "$1: disconnecting UDP over IPv6" udp6 unspec
	check_allowed "$1: AF_UNIX" unix connect "$T/socket"
}

for what in 'tcp4 connect '"$ATTACKER4"' 4444' 'mapped connect '"$ATTACKER4"' 4444' 'tcp4 connect 0.0.0.0 4445' \
	'tcp6 connect :: 4446'; do
	# shellcheck disable=SC2086
	check_allowed "without the daemon: $what" $what
done
never_denied 'without the daemon'

denied() {
	printf 'security_socket_connect %s %s %s target OVERRIDE denied EPERM' "$PROBE" "$1" "$2"
}

deny security_socket_connect NotSAddr '"127.0.0.0/8", "::1/128"'
marker_policy
start_daemon "$T/policies" || exit 1
follow_events
enforce on
check_denied 'all but loopback: public' tcp4 connect "$ATTACKER4" 4444
check_match 'with EPERM' '^denied connect EPERM' "$T/check.out"
check_denied 'all but loopback: public, mapped' mapped connect "$ATTACKER4" 4444
check_denied 'all but loopback: UDP' udp4 connect "$ATTACKER4" 4444
check_denied 'all but loopback: UDP, mapped' udpmapped connect "$ATTACKER4" 4444
check_denied 'all but loopback: not blocking' --nonblock tcp4 connect "$ATTACKER4" 4444
check_events 'all but loopback: reported, the family as seen' "$(denied "$ATTACKER4" 4444)
$(denied "::ffff:$ATTACKER4" 4444)
$(denied "$ATTACKER4" 4444)
$(denied "::ffff:$ATTACKER4" 4444)
$(denied "$ATTACKER4" 4444)"
check_equal 'all but loopback: family' 'AF_INET AF_INET6 AF_INET AF_INET6 AF_INET' \
	"$(jq -rs '[.[].process_kprobe | select(.policy_name == "target") | .args[1].sockaddr_arg.family] | join(" ")' "$T/events.new")"
check_allowed 'all but loopback: loopback' tcp4 connect 127.0.0.1 4445
check_allowed 'all but loopback: loopback, mapped' mapped connect 127.0.0.1 4445
check_allowed 'all but loopback: 0.0.0.0 is loopback' tcp4 connect 0.0.0.0 4445
check_allowed 'all but loopback: ::1' tcp6 connect ::1 4446
check_allowed 'all but loopback: :: is loopback' tcp6 connect :: 4446
never_denied 'all but loopback'
check_events 'all but loopback: no reports of these' ''

status=0
"$PROBE" tcp4 uring 127.0.0.1 4445 >"$T/uring.out" 2>&1 || status=$?
if [ "$status" -eq 0 ]; then
	check_denied 'all but loopback: by io_uring' tcp4 uring "$ATTACKER4" 4444
	check_events 'all but loopback: by io_uring, reported' "$(denied "$ATTACKER4" 4444)"
else
	printf 'io_uring cannot be tried here: %s\n' "$(cat "$T/uring.out")"
fi

deny security_socket_connect SAddr '"127.0.0.0/8", "::1/128"'
reload
check_allowed 'loopback: public is allowed' tcp4 connect "$ATTACKER4" 4444
check_denied 'loopback: 127.0.0.1' tcp4 connect 127.0.0.1 4445
check_denied 'loopback: mapped' mapped connect 127.0.0.1 4445
check_denied 'loopback: 0.0.0.0' tcp4 connect 0.0.0.0 4445
check_denied 'loopback: mapped 0.0.0.0' mapped connect 0.0.0.0 4445
check_denied 'loopback: ::1' tcp6 connect ::1 4446
check_denied 'loopback: ::' tcp6 connect :: 4446
never_denied 'loopback'
new_events >/dev/null

deny tcp_connect DAddr "\"$ATTACKER4\", \"127.0.0.0/8\""
reload
if "$PROBE" --quiet mptcp4 create; then
	check_killed 'MPTCP is TCP' mptcp4 connect "$ATTACKER4" 4444
	check_events 'and reported' "tcp_connect $PROBE $ATTACKER4 4444 target SIGKILL killed EPERM"
fi
check_killed 'tcp_connect: public' tcp4 connect "$ATTACKER4" 4444
check_killed 'tcp_connect: mapped' mapped connect "$ATTACKER4" 4444
check_killed 'tcp_connect: 0.0.0.0' tcp4 connect 0.0.0.0 4445
check_killed 'tcp_connect: not blocking' --nonblock tcp4 connect "$ATTACKER4" 4444
check_allowed 'tcp_connect: another address' tcp6 connect ::1 4446
check_allowed 'tcp_connect: UDP is not TCP' udp4 connect "$ATTACKER4" 4444
never_denied 'tcp_connect'
finish
