#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every way to a peer that carries an address: through without the policy, refused and reported with it.
# timeout: 800
# pins: shared
. "$(dirname "$0")/lib.sh"

ways=$T/bin/ways listens=$T/bin/listens lists=$T/bin/lists
mkdir -p "$T/bin"
for copy in "$ways" "$listens" "$lists"; do
	cp "$BUILD/tests/vm/ways" "$copy"
done
add_attacker
# Addresses from which nothing comes, not even an error, so that SCTP goes on to the next.
ip route add 198.51.100.0/24 dev lo
ip -6 route add 2001:db8:51::/64 dev lo
sysctl -qw net.ipv4.tcp_fastopen=3
sysctl -qw net.ipv4.ping_group_range='0 2147483647'
for module in sctp dccp_ipv4 mptcp vsock_loopback; do
	modprobe -q "$module" 2>/dev/null
done
sysctl -qw net.sctp.rto_min=100 net.sctp.rto_initial=300 2>/dev/null

policy deny.yaml <<END
apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata:
  name: deny
spec:
  kprobes:
  - call: security_socket_connect
    syscall: false
    args: [{index: 0, type: socket}, {index: 1, type: sockaddr}]
    selectors:
    - matchBinaries: [{operator: In, values: ["$ways"]}]
      matchArgs: [{index: 1, operator: SAddr, values: ["$ATTACKER4", "$ATTACKER6"]}]
      matchActions: [{action: Override, argError: -13}]
  - call: security_socket_listen
    syscall: false
    args: [{index: 0, type: socket}]
    selectors:
    - matchBinaries: [{operator: In, values: ["$listens"]}]
      matchActions: [{action: Override, argError: -13}]
END
policy sctp.yaml <<END
apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata:
  name: sctp
spec:
  lsmhooks:
  - hook: sctp_bind_connect
    args: [{index: 2, type: sockaddr}]
    selectors:
    - matchBinaries: [{operator: In, values: ["$lists"]}]
      matchArgs: [{index: 2, operator: SAddr, values: ["$ATTACKER4", "$ATTACKER6"]}]
      matchActions: [{action: Override, argError: -13}]
END
marker_policy
start_daemon "$T/policies" || exit 1
check_equal 'by the backend that is meant' "${backend:-lsm}" "$(ctl status --json=short | jq -r .backend)"
follow_events

# Without enforcement: what this kernel has at all.
mapfile -t all < <("$ways" --list | grep -v '^listen')
"$ways" "${all[@]}" >"$T/monitored" 2>&1
sed 's/^/  | /' "$T/monitored"
mapfile -t open < <(sed -n 's/ through$//p' "$T/monitored")
check_equal 'monitoring: a way gets through, or cannot be tried' '' \
	"$(grep -Ev ' through$| untried ' "$T/monitored")"
check 'monitoring: most ways are there' test "${#open[@]}" -ge 30
new_events '.process_kprobe // empty | "\(.function_name) \(.process.binary) \(.verdict)"' >"$T/lines"
check_equal 'monitoring: nothing is reported but as what would be denied' \
	"security_socket_connect $ways would-deny" "$(sort -u "$T/lines")"
check 'monitoring: each is reported' test "$(wc -l <"$T/lines")" -ge "${#open[@]}"

enforce on
"$ways" "${open[@]}" >"$T/enforced" 2>&1
check_equal 'enforcing: each is refused with the errno of the policy' "$(printf '%s EACCES\n' "${open[@]}")" \
	"$(awk '{ print $1, $2 }' "$T/enforced")"
new_events '.process_kprobe | "\(.function_name) \(.process.binary) \(.verdict) \(.errno)"' >"$T/lines"
check_equal 'enforcing: each is reported, once' "${#open[@]} security_socket_connect $ways denied EACCES" \
	"$(sort "$T/lines" | uniq -c | sed 's/^ *//')"
by_message=$(printf '%s\n' "${open[@]}" | grep -Ec '^(udp-|udplite|udp6-s|tfo-[ms]|tfo6|raw|ping|uring-tfo|.*send)')
by_list=$(printf '%s\n' "${open[@]}" | grep -c '^connectx')
jq -r 'select(.process_kprobe.policy_name == "deny") | .process_kprobe.via // empty' "$T/events.new" | sort | uniq -c |
	sed 's/^ *//' >"$T/via"
check_equal 'enforcing: messages with an address, and lists, are told from calls of connect' \
	"$([ "$by_list" -eq 0 ] || echo "$by_list sctp_bind_connect")
$by_message sendmsg" "$(cat "$T/via")"
check 'enforcing: another program gets there' "$BUILD/tests/vm/ways" tcp4
check_equal 'enforcing: by each way' "$(printf '%s through\n' "${open[@]}")" \
	"$("$BUILD/tests/vm/ways" "${open[@]}" 2>&1)"

# SCTP's lists have a hook of their own as well.
enforce off
if [ "$by_list" -gt 0 ]; then
	mapfile -t all < <(printf '%s\n' "${open[@]}" | grep '^connectx' | grep -v -- '-\(second\|after\)')
	new_events >/dev/null
	check_equal 'monitoring: connectx gets through' "$(printf '%s through\n' "${all[@]}")" "$("$lists" "${all[@]}" 2>&1)"
	enforce on
	new_events >/dev/null
	check_equal 'enforcing: connectx is refused' "$(printf '%s EACCES connect\n' "${all[@]}")" "$("$lists" "${all[@]}" 2>&1)"
	new_events '.process_lsm | "\(.function_name) \(.process.binary) \(.verdict) \(.errno)"' >"$T/lines"
	check_equal 'enforcing: and reported, once' "${#all[@]} sctp_bind_connect $lists denied EACCES" \
		"$(sort "$T/lines" | uniq -c | sed 's/^ *//')"
	enforce off
fi

# The same for those who wait to be called.
mapfile -t all < <("$listens" --list | grep '^listen')
"$listens" "${all[@]}" >"$T/monitored" 2>&1
sed 's/^/  | /' "$T/monitored"
mapfile -t open < <(sed -n 's/ through$//p' "$T/monitored")
check_equal 'monitoring: who listens is reached, or it cannot be tried' '' \
	"$(grep -Ev ' through$| untried ' "$T/monitored")"
check 'monitoring: most ways to listen are there' test "${#open[@]}" -ge 4
new_events >/dev/null
enforce on
check_equal 'enforcing: each way to listen is refused' "$(printf '%s EACCES listen\n' "${open[@]}")" "$("$listens" "${open[@]}" 2>&1)"
new_events '.process_kprobe | "\(.function_name) \(.process.binary) \(.verdict) \(.errno)"' >"$T/lines"
check_equal 'enforcing: and reported, once' "${#open[@]} security_socket_listen $listens denied EACCES" \
	"$(sort "$T/lines" | uniq -c | sed 's/^ *//')"
finish
