#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each hook reports what passes it, once and with its arguments; those that can refuse do.
# timeout: 900
# pins: shared
. "$(dirname "$0")/lib.sh"

TARGET=$(copy_probe "$T/bin/target")
listener 4444 "$T/got"
listener 4460 "$T/got.sendmsg"

# entry CALL ARGS MATCHARGS: one more entry of the policy that observes.
entry() {
	cat <<-END
		  - call: $1
		    syscall: false
		    args: [$2]
		    selectors:
		    - matchBinaries: [{operator: In, values: ["$TARGET"]}]
		      matchArgs: [$3]
	END
}

sock='{index: 0, type: sock}' socket='{index: 0, type: socket}' addr='{index: 1, type: sockaddr}'
ints='{index: 0, type: int}, {index: 1, type: int}, {index: 2, type: int}, {index: 3, type: int}'
peer='{index: 0, operator: DPort, values: ["4444"]}'
to='{index: 1, operator: SPort, values: ["4444"]}'
here='{index: 0, operator: SPort, values: ["4445"]}'
{
	cat <<-END
		apiVersion: cilium.io/v1alpha1
		kind: TracingPolicy
		metadata:
		  name: hooks
		spec:
		  kprobes:
	END
	entry security_socket_create "$ints" '{index: 0, operator: Equal, values: ["2"]}'
	entry security_socket_connect "$socket, $addr, {index: 2, type: int}" "$to"
	entry tcp_connect "$sock" "$peer"
	entry tcp_set_state "$sock, {index: 1, type: int}" "$peer, {index: 1, operator: Equal, values: [\"2\"]}"
	entry security_socket_sendmsg "$socket, {index: 2, type: int}" "$peer"
	entry tcp_sendmsg "$sock, {index: 2, type: size_t}" "$peer"
	entry tcp_close "$sock" "$peer"
	entry security_socket_bind "$socket, $addr, {index: 2, type: int}" '{index: 1, operator: SPort, values: ["4445"]}'
	entry security_socket_listen "$socket, {index: 1, type: int}" "$here"
	entry inet_csk_listen_start "$sock" "$here"
	entry udp_sendmsg "$sock, {index: 2, type: size_t}" '{index: 0, operator: Protocol, values: ["IPPROTO_UDP"]}'
	entry sk_free "$sock" '{index: 0, operator: Protocol, values: [IPPROTO_TCP]}, {index: 0, operator: Family, values: [AF_INET6]}'
	entry __sk_free "$sock" "$peer, {index: 0, operator: Protocol, values: [\"IPPROTO_UDP\"]}"
	cat <<-END
		  - call: sk_alloc
		    syscall: false
		    return: true
		    args: [{index: 1, type: int}]
		    returnArg: {index: 0, type: sock}
		    selectors:
		    - matchBinaries: [{operator: In, values: ["$TARGET"]}]
		      matchArgs: [{index: 1, operator: Equal, values: ["10"]}]
		      matchReturnArgs: [{index: 0, operator: Family, values: [AF_INET6]}]
	END
} | policy hooks.yaml

# refuse NAME CALL ARGS MATCHARGS
refuse() {
	policy "$1.yaml" <<-END
		apiVersion: cilium.io/v1alpha1
		kind: TracingPolicy
		metadata:
		  name: $1
		spec:
		  kprobes:
		  - call: $2
		    syscall: false
		    args: [$3]
		    selectors:
		    - matchArgs: [$4]
		      matchActions: [{action: Override, argError: -13}]
	END
}

refuse no-bind security_socket_bind "$socket, $addr" '{index: 1, operator: SPort, values: ["4450"]}'
refuse no-packet security_socket_create "$ints" '{index: 0, operator: Equal, values: ["17"]}'
refuse no-send security_socket_sendmsg "$socket, {index: 2, type: int}" '{index: 0, operator: DPort, values: ["4460"]}'
marker_policy
start_daemon "$T/policies" || exit 1
follow_events

event_line='.process_kprobe | .function_name + " " + ([.args[] | to_entries[] | select(.key | endswith("_arg")) | .value
	| if type == "object" then [.family, .type, .protocol, .state, (.saddr // .addr // .daddr), .sport // .port // 0, .dport // 0]
		| map(. // "-" | tostring) | join("/")
	  else tostring end] | join(" "))'

"$TARGET" --quiet --send hello tcp4 connect 127.0.0.1 4444
check 'a connection arrives' wait_for 60 grep -q hello "$T/got"
new_events >/dev/null
# The source port is the kernel's choice.
sed -i -E 's/"sport":[0-9]+/"sport":1/' "$T/events.new"
jq -r "select(.process_kprobe.policy_name == \"hooks\") | $event_line" "$T/events.new" >"$T/events.lines"
check_equal 'connecting and sending' 'security_socket_create 2 1 0 0
security_socket_connect AF_INET/SOCK_STREAM/IPPROTO_TCP/TCP_CLOSE/0.0.0.0/0/0 AF_INET/-/-/-/127.0.0.1/4444/0 16
tcp_set_state AF_INET/SOCK_STREAM/IPPROTO_TCP/TCP_CLOSE/127.0.0.1/0/4444 2
tcp_connect AF_INET/SOCK_STREAM/IPPROTO_TCP/TCP_SYN_SENT/127.0.0.1/1/4444
security_socket_sendmsg AF_INET/SOCK_STREAM/IPPROTO_TCP/TCP_ESTABLISHED/127.0.0.1/1/4444 5
tcp_sendmsg AF_INET/SOCK_STREAM/IPPROTO_TCP/TCP_ESTABLISHED/127.0.0.1/1/4444 5
tcp_close AF_INET/SOCK_STREAM/IPPROTO_TCP/TCP_ESTABLISHED/127.0.0.1/1/4444' "$(cat "$T/events.lines")"

"$TARGET" --quiet tcp4 listen 127.0.0.1 4445
check_events 'listening' 'security_socket_create 2 1 0 0
security_socket_bind AF_INET/SOCK_STREAM/IPPROTO_TCP/TCP_CLOSE/0.0.0.0/0/0 AF_INET/-/-/-/127.0.0.1/4445/0 16
security_socket_listen AF_INET/SOCK_STREAM/IPPROTO_TCP/TCP_CLOSE/127.0.0.1/4445/0 8
inet_csk_listen_start AF_INET/SOCK_STREAM/IPPROTO_TCP/TCP_CLOSE/127.0.0.1/4445/0'

"$TARGET" --quiet udp4 sendto 127.0.0.1 4446
check_events 'a datagram' 'security_socket_create 2 2 0 0
udp_sendmsg AF_INET/SOCK_DGRAM/IPPROTO_UDP 6' \
	"$event_line | sub(\"/TCP_CLOSE.* \"; \" \")"

"$TARGET" --quiet udp4 connect 127.0.0.1 4444
check_events 'the end of a socket' 'security_socket_create
security_socket_connect
__sk_free' '.process_kprobe.function_name'

"$TARGET" --quiet udp6 create
"$TARGET" --quiet tcp6 create
check_events 'the whole life of a socket' 'sk_alloc 10 AF_INET6
sk_alloc 10 AF_INET6
sk_free - AF_INET6' '.process_kprobe | [.function_name, (.args[0].int_arg // "-"), ((.return // .args[0]).sock_arg.family)] | map(tostring) | join(" ")'

"$TARGET" --quiet unix connect "$T/none"
"$PROBE" --quiet --send hello tcp4 connect 127.0.0.1 4444
"$PROBE" --quiet tcp4 listen 127.0.0.1 4445
"$PROBE" --quiet udp4 sendto 127.0.0.1 4446
"$PROBE" --quiet udp4 connect 127.0.0.1 4444
"$PROBE" --quiet udp6 create
check_events 'nothing of other families and programs' ''

# packet_socket: prints 0 or the errno.
packet_socket() {
	python3 -S -E -c 'import socket
try:
	socket.socket(17, 3, 0)
	print(0)
except OSError as e:
	print(e.errno)'
}

event_line='.process_kprobe | [.function_name, .policy_name, (.action | ltrimstr("KPROBE_ACTION_")), .verdict, (.errno // "-")]
	| map(tostring) | join(" ")'
for mode in off on; do
	enforce "$mode"
	end='would-deny -'
	[ "$mode" = off ] || end='denied EACCES'
	try=check_allowed errno=0
	[ "$mode" = off ] || try=check_denied errno=13
	"$try" "enforce $mode: bind" tcp4 bind 127.0.0.1 4450
	[ "$mode" = off ] || check_match 'with EACCES' '^denied bind EACCES' "$T/check.out"
	check_equal "enforce $mode: a packet socket" "$errno" "$(packet_socket)"
	"$try" "enforce $mode: sendmsg" --send secret tcp4 connect 127.0.0.1 4460
	[ "$mode" = off ] || check_match 'with EACCES' '^denied send EACCES' "$T/check.out"
	check_events "enforce $mode: reported" "security_socket_bind no-bind OVERRIDE $end
security_socket_create no-packet OVERRIDE $end
security_socket_sendmsg no-send OVERRIDE $end"
done
wait_for 60 grep -q secret "$T/got.sendmsg"
check_equal 'what is sent while monitoring arrives, and no more' 1 "$(grep -c secret "$T/got.sendmsg")"
check_allowed 'another port may be bound' tcp4 bind 127.0.0.1 4451
check_allowed 'another socket may be made' tcp4 create
check_allowed 'to another port may be sent' --send hello tcp4 connect 127.0.0.1 4444
check_events 'without reports' ''
finish
