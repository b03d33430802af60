#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every way to a peer that carries an address: through without the policy, refused and reported with it.
# timeout: 500
. "$(dirname "$0")/lib.sh"

ways=$T/bin/ways listens=$T/bin/listens
mkdir -p "$T/bin"
cp "$BUILD/tests/vm/ways" "$ways"
cp "$BUILD/tests/vm/ways" "$listens"
add_attacker
sysctl -qw net.ipv4.tcp_fastopen=3
sysctl -qw net.ipv4.ping_group_range='0 2147483647'
for module in sctp dccp_ipv4 mptcp; do
	modprobe -q "$module" 2>/dev/null
done

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
marker_policy
start_daemon "$T/policies" || exit 1
follow_events

# Without enforcement: what this kernel has at all.
mapfile -t all < <("$ways" --list | grep -v '^listen')
"$ways" "${all[@]}" >"$T/monitored" 2>&1
sed 's/^/  | /' "$T/monitored"
mapfile -t open < <(sed -n 's/ through$//p' "$T/monitored")
check_equal 'monitoring: a way gets through, or cannot be tried' '' \
	"$(grep -Ev ' through$| untried ' "$T/monitored")"
check 'monitoring: most ways are there' test "${#open[@]}" -ge 30
new_events '.process_kprobe | "\(.function_name) \(.process.binary) \(.verdict)"' >"$T/lines"
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
check 'enforcing: another program gets there' "$BUILD/tests/vm/ways" tcp4
check_equal 'enforcing: by each way' "$(printf '%s through\n' "${open[@]}")" \
	"$("$BUILD/tests/vm/ways" "${open[@]}" 2>&1)"

# The same for those who wait to be called.
enforce off
"$listens" listen listen-unbound listen-mptcp listen-sctp listen-uring listen-int80 >"$T/monitored" 2>&1
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
