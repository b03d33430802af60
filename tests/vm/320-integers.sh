#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every operator on integers, for a size, unsigned, and for an int with and without a sign.
# kernels: 5.10 7
# pins: shared
. "$(dirname "$0")/lib.sh"

PROBE=$(copy_probe "$T/bin/target")
listener 4444 "$T/got"

# One entry for each operator, told apart by its message.
entries() {
	local call=$1 index=$2 type=$3 operator values

	while read -r operator values; do
		cat <<-END
			  - call: $call
			    syscall: false
			    message: $operator
			    args: [{index: $index, type: $type}]
			    selectors:
			    - matchBinaries: [{operator: In, values: ["$PROBE", "$python"]}]
			      matchArgs: [{index: $index, operator: $operator, values: [$values]}]
		END
	done
}

document() {
	cat <<-END
		apiVersion: cilium.io/v1alpha1
		kind: TracingPolicy
		metadata:
		  name: $1
		spec:
		  lists:
		  - name: some
		    values: ["10", "25:35"]
		  kprobes:
	END
	cat
}

python=$(readlink -f /usr/bin/python3)
entries tcp_sendmsg 2 size_t <<'END' | document sizes | policy sizes.yaml
Equal "10", "0x28"
NotEqual "10", "0x28"
GT "20"
LT "20"
InRange "15:25"
NotInRange "15:25"
Mask "0b100"
InMap "list:some"
NotInMap "10", "25:35"
END
entries security_socket_create 2 int <<'END' | document protocols | policy protocols.yaml
Equal "-5", "6"
NotEqual "-5", "6"
GT "-5"
LT "0"
InRange "-6:-1"
NotInRange "-6:-1"
Mask "0x4"
InMap "-5", "10:20"
NotInMap "-5", "10:20"
END
policy refuse.yaml <<END
apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata:
  name: refuse
spec:
  kprobes:
  - call: security_socket_sendmsg
    syscall: false
    args: [{index: 0, type: socket}, {index: 2, type: int}]
    selectors:
    - matchBinaries: [{operator: In, values: ["$PROBE"]}]
      matchArgs: [{index: 2, operator: GT, values: ["99"]}, {index: 2, operator: LT, values: ["0x80"]}]
      matchActions: [{action: Override, argError: -13}]
END
marker_policy
start_daemon "$T/policies" || exit 1
follow_events

# check_matched WHAT POLICY OPERATORS: those that matched since the last time, in alphabetical order.
check_matched() {
	new_events "select(.process_kprobe.policy_name == \"$2\") | .process_kprobe.message" >"$T/matched"
	check_equal "$1" "$3" "$(LC_ALL=C sort -u "$T/matched" | paste -sd ' ')"
}

text() {
	printf '%*s' "$1" '' | tr ' ' x
}

send() {
	"$PROBE" --quiet --send "$(text "$1")" tcp4 connect 127.0.0.1 4444
	check_matched "a size of $1" sizes "$2"
}

# Whether the kernel knows the protocol does not matter: the hook comes before. Python tries once more
# after EINVAL.
create() {
	python3 -S -E -c 'import socket, sys
try:
	socket.socket(2, 1, int(sys.argv[1]))
except OSError:
	pass' "$1"
	check_matched "a protocol of $1" protocols "$2"
}

send 10 'Equal InMap LT NotInRange'
send 20 'InRange Mask NotEqual NotInMap'
send 30 'GT InMap Mask NotEqual NotInRange'
send 40 'Equal GT NotInMap NotInRange'
create -5 'Equal InMap InRange LT'
create -7 'LT NotEqual NotInMap NotInRange'
create 6 'Equal GT Mask NotInMap NotInRange'
create 17 'GT InMap NotEqual NotInRange'

"$PROBE" --quiet --send "$(text 30)" tcp4 connect 127.0.0.1 4444
new_events 'select(.process_kprobe.policy_name == "sizes") | .process_kprobe.args[0].size_arg' >"$T/lines"
check_equal 'the size is reported' '30 30 30 30 30' "$(paste -sd ' ' "$T/lines")"

check_allowed 'monitoring: 100 bytes may be sent' --send "$(text 100)" tcp4 connect 127.0.0.1 4444
enforce on
check_denied '100 bytes may not be sent' --send "$(text 100)" tcp4 connect 127.0.0.1 4444
check_match 'with EACCES' '^denied send EACCES' "$T/check.out"
new_events 'select(.process_kprobe.policy_name == "refuse") | .process_kprobe | "\(.verdict) \(.errno) \(.args[1].int_arg)"' >"$T/lines"
check_equal 'reported' 'would-deny null 100
denied EACCES 100' "$(cat "$T/lines")"
check_allowed '99 bytes may be sent' --send "$(text 99)" tcp4 connect 127.0.0.1 4444
check_allowed '128 bytes may be sent' --send "$(text 128)" tcp4 connect 127.0.0.1 4444
finish
