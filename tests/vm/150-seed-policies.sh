#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each of the seed's policies, alone: what must match does, what must not does not, and the jq filters work.
# kernels: 6.1 6.12
# pins: shared
. "$(dirname "$0")/lib.sh"

seed=$TREE/tests/policies/seed
python=$(readlink -f /usr/bin/python3)
nc=$(readlink -f /usr/bin/nc)

# Addresses to connect to. Nobody listens there: a refused connection was made as far as policies go.
add_attacker
for address in 10.1.2.3 172.16.5.5 172.31.5.5 192.168.77.7 169.254.3.3 172.32.0.1 11.0.0.1; do
	ip addr add "$address/32" dev lo
done
for address in fd00::7 fe80::77; do
	ip -6 addr add "$address/128" dev lo nodad
done

# alone FILE: the rule set is this policy and nothing else.
alone() {
	rm -f "$T/policies"/*
	mkdir -p "$T/policies"
	cp "$seed/$1" "$T/policies/$1"
	chmod 644 "$T/policies/$1"
	if [ -z "$daemon_pid" ]; then
		start_daemon "$T/policies" || exit 1
		follow_events
	else
		reload
	fi
	id=$(sed -n 's/^  name: "\(.*\)"$/\1/p' "$seed/$1" | head -n 1)
	check_equal "$1 is what is loaded" "$id" "$(ctl policy list --json=short | jq -r '.[].id')"
	expected=''
}

# say LINE: what is expected next, in event_line's form without the policy.
say() {
	expected+="$1 $id $2"$'\n'
}

enough() {
	[ "$(wc -l <"$T/events")" -ge "$1" ]
}

# check_seed WHAT: compares with what was said since the policy was loaded. The last thing tried has to
# match, so that its event shows that all those before it have come.
check_seed() {
	local wanted=$((n_events_read + $(printf '%s' "$expected" | wc -l)))

	wait_for 60 enough "$wanted" || true
	sed -n "$((n_events_read + 1)),\$p" "$T/events" >"$T/events.new"
	n_events_read=$((n_events_read + $(wc -l <"$T/events.new")))
	jq -r "$event_line" "$T/events.new" >"$T/events.lines"
	check_equal "$1" "${expected%$'\n'}" "$(cat "$T/events.lines")"
	expected=''
}

try() {
	"$PROBE" --quiet "$@"
}

PROBE=$(copy_probe "$T/bin/target")

alone 4.1-detect-reverse-shell-outbound.yaml
for address in 10.1.2.3 172.16.5.5 172.31.5.5 192.168.77.7 169.254.3.3 127.0.0.1 127.9.9.9 0.0.0.0; do
	try tcp4 connect "$address" 4401
done
for address in ::1 fd00::7 ::; do
	try tcp6 connect "$address" 4402
done
try mapped connect 127.0.0.1 4403
try mapped connect 10.1.2.3 4403
try udp4 connect "$ATTACKER4" 4404
try unix connect "$T/no-such-socket"
for address in "$ATTACKER4" 172.32.0.1 11.0.0.1; do
	try tcp4 connect "$address" 4405
	say "tcp_connect $PROBE $address 4405" 'POST allowed -'
done
try mapped connect "$ATTACKER4" 4406
say "tcp_connect $PROBE ::ffff:$ATTACKER4 4406" 'POST allowed -'
try tcp6 connect "$ATTACKER6" 4407
say "tcp_connect $PROBE $ATTACKER6 4407" 'POST allowed -'
check_seed '4.1: public addresses and no others'
# The filter that the seed gives for it.
bash -c "exec -a sh $PROBE --quiet tcp4 connect $ATTACKER4 4408" &
pid=$!
wait "$pid"
say "tcp_connect $PROBE $ATTACKER4 4408" 'POST allowed -'
check_seed '4.1: one more, for the filter'
jq -c 'select(.process_kprobe.function_name == "tcp_connect")
  | { time: .time,
      binary: .process_kprobe.process.binary,
      pid: .process_kprobe.process.pid.value,
      parent: .process_kprobe.parent.binary,
      daddr: .process_kprobe.args[0].sock_arg.daddr,
      dport: .process_kprobe.args[0].sock_arg.dport }' "$T/events.new" >"$T/filtered"
check_equal "4.1: the seed's filter" \
	"{\"binary\":\"$PROBE\",\"pid\":$pid,\"parent\":\"/usr/bin/bash\",\"daddr\":\"$ATTACKER4\",\"dport\":4408}" \
	"$(jq -c 'del(.time)' "$T/filtered")"
check_match '4.1: and the time' '^\{"time":"20[0-9-]+T[0-9:]+\.[0-9]+Z",' "$T/filtered"

alone 4.2-detect-bind-shell.yaml
for port in 4443 4445 80 31336; do
	try tcp4 listen 127.0.0.1 "$port"
	try tcp6 listen ::1 "$port"
done
try udp4 bind 127.0.0.1 4444
try tcp4 connect "$ATTACKER4" 4444
event_line_before=$event_line
event_line='.process_kprobe | [.function_name, .process.binary, .args[0].sock_arg.family, .args[0].sock_arg.saddr,
	.args[0].sock_arg.sport, .policy_name, (.action | ltrimstr("KPROBE_ACTION_")), .verdict, (.errno // "-")]
	| map(tostring) | join(" ")'
for port in 4444 8888 1337 31337 9001 5555 6666; do
	try tcp4 listen 127.0.0.1 "$port"
	say "inet_csk_listen_start $PROBE AF_INET 127.0.0.1 $port" 'POST allowed -'
done
try tcp6 listen :: 4444
say "inet_csk_listen_start $PROBE AF_INET6 :: 4444" 'POST allowed -'
check_seed '4.2: the seven ports and no others'
jq -c 'select(.process_kprobe.function_name == "inet_csk_listen_start")
  | { binary: .process_kprobe.process.binary,
      pid: .process_kprobe.process.pid.value,
      sport: .process_kprobe.args[0].sock_arg.sport,
      family: .process_kprobe.args[0].sock_arg.family }' "$T/events.new" >"$T/filtered"
check_equal "4.2: the seed's filter" "{\"binary\":\"$PROBE\",\"sport\":4444,\"family\":\"AF_INET6\"}" \
	"$(tail -n 1 "$T/filtered" | jq -c 'del(.pid)')"
check_equal '4.2: the filter prints a number for each pid' 8 "$(jq 'select(.pid > 1) | .pid' "$T/filtered" | wc -l)"
event_line=$event_line_before

# private_and_public: what 4.3 and 5.2.2 share. Without IPv6 values in the list each IPv6 address
# is outside it; but an IPv4 address in IPv6's clothes is an IPv4 address.
private_and_public() {
	for protocol in tcp4 udp4; do
		for address in 10.1.2.3 172.16.5.5 192.168.77.7 127.0.0.1 0.0.0.0; do
			try "$protocol" connect "$address" 4431
		done
	done
	try mapped connect 10.1.2.3 4432
	try tcp4 unspec
	try udp6 unspec
	try unix connect "$T/no-such-socket"
	for protocol in tcp4 udp4; do
		for address in "$ATTACKER4" 169.254.3.3 172.32.0.1; do
			try "$protocol" connect "$address" 4433
			say "security_socket_connect $PROBE $address 4433" 'POST allowed -'
		done
	done
	for protocol in tcp6 udp6; do
		for address in "$ATTACKER6" ::1; do
			try "$protocol" connect "$address" 4434
			say "security_socket_connect $PROBE $address 4434" 'POST allowed -'
		done
	done
	try udpmapped connect "$ATTACKER4" 4435
	say "security_socket_connect $PROBE ::ffff:$ATTACKER4 4435" 'POST allowed -'
}

alone 4.3-detect-reverse-shell-all-protocols.yaml
try udplite4 connect "$ATTACKER4" 4430
private_and_public
check_seed '4.3: TCP and UDP to public addresses, and no others'
check_equal '4.3: socket, address and its length' '["sock_arg","sockaddr_arg","int_arg"] 28' \
	"$(tail -n 1 "$T/events.new" | jq -r '.process_kprobe.args | "\(map(keys[0])) \(.[2].int_arg)"')"

alone 5.2.2-all-protocols.yaml
private_and_public
# Kernel 7 has no UDP-Lite any more.
if try udplite4 create; then
	try udplite4 connect "$ATTACKER4" 4436
	say "security_socket_connect $PROBE $ATTACKER4 4436" 'POST allowed -'
fi
try raw4 connect "$ATTACKER4" 4437
say "security_socket_connect $PROBE $ATTACKER4 4437" 'POST allowed -'
if try mptcp4 create; then
	try mptcp4 connect "$ATTACKER4" 4438
	say "security_socket_connect $PROBE $ATTACKER4 4438" 'POST allowed -'
fi
try tcp4 connect "$ATTACKER4" 4439
say "security_socket_connect $PROBE $ATTACKER4 4439" 'POST allowed -'
check_seed '5.2.2: all protocols to public addresses, and no others'

alone 4.4-detect-encrypted-reverse-shell.yaml
try tcp4 connect "$ATTACKER4" 4440
socat -u /dev/null TCP4:127.0.0.1:4440 2>/dev/null
socat -u /dev/null TCP4:10.1.2.3:4440 2>/dev/null
socat -u /dev/null UDP4:"$ATTACKER4":4440 2>/dev/null
openssl s_client -connect 192.168.77.7:4440 </dev/null >/dev/null 2>&1
socat -u /dev/null TCP4:"$ATTACKER4":4441 2>/dev/null
say "tcp_connect $(readlink -f /usr/bin/socat) $ATTACKER4 4441" 'POST allowed -'
openssl s_client -connect "$ATTACKER4":4442 </dev/null >/dev/null 2>&1
say "tcp_connect /usr/bin/openssl $ATTACKER4 4442" 'POST allowed -'
socat -u /dev/null TCP6:"[$ATTACKER6]":4443 2>/dev/null
say "tcp_connect $(readlink -f /usr/bin/socat) $ATTACKER6 4443" 'POST allowed -'
check_seed '4.4: openssl and socat to public addresses, and no others'

# shells PORT: the programs of 4.5 and 5.2.3, and others, to where they may connect and where not. The
# subshells keep this shell from printing "Killed".
shells() {
	bash -c "exec 3<>/dev/tcp/127.0.0.1/$1" 2>/dev/null
	bash -c "exec 3<>/dev/tcp/10.1.2.3/$1" 2>/dev/null
	bash -c "exec 3<>/dev/udp/$ATTACKER4/$1" 2>/dev/null
	try tcp4 connect "$ATTACKER4" "$1"
	(bash -c "exec 3<>/dev/tcp/$ATTACKER4/$1"; exit) 2>/dev/null
	bash_status=$?
	(/usr/bin/python3 -S -E -c "import socket; socket.socket(socket.AF_INET6).connect(('$ATTACKER6', $1))"; exit) 2>/dev/null
	python_status=$?
	(/usr/bin/nc -n -w 2 "$ATTACKER4" "$1"; exit) </dev/null 2>/dev/null
	nc_status=$?
}

alone 5.2.3-process-and-network.yaml
perl -MSocket -e "socket(S, PF_INET, SOCK_STREAM, 6); connect(S, sockaddr_in(4450, inet_aton('$ATTACKER4')))"
shells 4450
say "tcp_connect /usr/bin/bash $ATTACKER4 4450" 'POST allowed -'
say "tcp_connect $python $ATTACKER6 4450" 'POST allowed -'
say "tcp_connect $nc $ATTACKER4 4450" 'POST allowed -'
check_seed '5.2.3: the three programs to public addresses, and no others'

alone 4.5-enforce-no-reverse-shell.yaml
shells 4451
check_equal '4.5 in monitor mode: nothing is killed' '1 1 1' "$bash_status $python_status $nc_status"
say "tcp_connect /usr/bin/bash $ATTACKER4 4451" 'SIGKILL would-deny -'
say "tcp_connect $python $ATTACKER6 4451" 'SIGKILL would-deny -'
say "tcp_connect $nc $ATTACKER4 4451" 'SIGKILL would-deny -'
check_seed '4.5 in monitor mode: the shells to public addresses, and no others'
enforce on
shells 4452
check_equal '4.5: all three are killed' '137 137 137' "$bash_status $python_status $nc_status"
say "tcp_connect /usr/bin/bash $ATTACKER4 4452" 'SIGKILL killed EPERM'
say "tcp_connect $python $ATTACKER6 4452" 'SIGKILL killed EPERM'
say "tcp_connect $nc $ATTACKER4 4452" 'SIGKILL killed EPERM'
check_seed '4.5: the shells to public addresses, and no others'
finish
