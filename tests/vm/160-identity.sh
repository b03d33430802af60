#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A process is what it was started from: before the daemon, copied, forked, replaced, deleted.
# kernels: 5.10 6.1 7
. "$(dirname "$0")/lib.sh"

target=$(copy_probe "$T/bin/target")
listener 4444 "$T/got"

# A bash of our own, started before the daemon, that does what it is told. It connects by /dev/tcp.
cp /usr/bin/bash "$T/bin/shell"
mkfifo "$T/orders"
"$T/bin/shell" --norc >"$T/answers" 2>&1 <"$T/orders" &
helper_pids+=("$!")
old_shell=$!
exec 9>"$T/orders"

# order COMMAND: has the old shell run it; its status is in $order_status.
n_orders=0
order() {
	n_orders=$((n_orders + 1))
	printf '%s\necho "done %s $?"\n' "$1" "$n_orders" >&9
	wait_for 60 grep -q "^done $n_orders " "$T/answers" || fail "the old shell answers"
	order_status=$(sed -n "s/^done $n_orders //p" "$T/answers")
}
connect='exec 3<>/dev/tcp/127.0.0.1/4444'
order "($connect)"
check_equal 'without the daemon the shell connects' 0 "$order_status"

policy target.yaml <<END
apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata:
  name: target
spec:
  kprobes:
  - call: security_socket_connect
    syscall: false
    args: [{index: 0, type: socket}, {index: 1, type: sockaddr}]
    selectors:
    - matchBinaries: [{operator: In, values: ["$target", "$T/bin/shell"]}]
      matchActions: [{action: Override, argError: -1}]
END
marker_policy
start_daemon "$T/policies" || exit 1
follow_events
enforce on

denied() {
	printf 'security_socket_connect %s 127.0.0.1 4444 target OVERRIDE denied EPERM' "$1"
}

order "($connect) 2>&1 | sed 's/^/said: /'; test \${PIPESTATUS[0]} -eq 0"
check_equal 'a process older than the daemon: its child is denied' 1 "$order_status"
check_match 'with EPERM' '^said: .*Operation not permitted' "$T/answers"
order "$connect 2>/dev/null"
check_equal 'and so is the old process itself' 1 "$order_status"
check 'the old process lives' kill -0 "$old_shell"
check_events 'both are reported under its path' "$(denied "$T/bin/shell")
$(denied "$T/bin/shell")"
check 'its identity was computed late' test "$(counter labels-computed-late)" -gt 0

order "$PROBE --quiet tcp4 connect 127.0.0.1 4444"
check_equal 'what it starts is another program' 0 "$order_status"
order "(exec $target --quiet tcp4 connect 127.0.0.1 4444)"
check_equal 'unless that is denied itself' 1 "$order_status"
order "(exec $PROBE --quiet tcp4 connect 127.0.0.1 4444)"
check_equal 'a subshell that becomes another program is that program' 0 "$order_status"
check_events 'reported' "$(denied "$target")"

PROBE=$target
check_denied 'the target itself' tcp4 connect 127.0.0.1 4444
check_match 'with EPERM' '^denied connect EPERM' "$T/check.out"
check_denied 'each of its threads' --threads 8 --repeat 5 tcp4 connect 127.0.0.1 4444
check_match 'all 40 of them' '^total allowed=0 denied=40 untried=0 otherwise=0' "$T/check.out"
new_events >"$T/lines"
check_equal '41 events' 41 "$(grep -cxF "$(denied "$target")" "$T/lines")"
jq -s '[.[].process_kprobe | select(.policy_name == "target") | select(.process.tid.value != .process.pid.value)] | length' \
	"$T/events.new" >"$T/threads"
check_equal 'those of threads say so' 40 "$(cat "$T/threads")"

# Paths are names: a copy has another, a link to it has not, a rename takes the new one along.
cp "$target" "$T/bin/copy"
PROBE=$T/bin/copy check_allowed 'a copy is another path' tcp4 connect 127.0.0.1 4444
ln -s target "$T/bin/symlink"
PROBE=$T/bin/symlink check_denied 'a symbolic link leads to the same' tcp4 connect 127.0.0.1 4444
mkdir "$T/elsewhere"
(cd "$T/elsewhere" && PROBE=../bin/target check_denied 'a relative path is the same' tcp4 connect 127.0.0.1 4444)
check_events 'reported under the resolved path' "$(denied "$target")
$(denied "$target")"
mv "$target" "$T/bin/renamed"
PROBE=$T/bin/renamed check_allowed 'renamed, it is another' tcp4 connect 127.0.0.1 4444
mv "$T/bin/renamed" "$target"
check_denied 'renamed back, it is denied' tcp4 connect 127.0.0.1 4444
check_events 'reported' "$(denied "$target")"

# A running program whose file is deleted, or replaced, is what it was.
rm "$T/bin/shell"
order "$connect 2>/dev/null"
check_equal 'the deleted shell is still denied' 1 "$order_status"
cp "$T/bin/copy" "$T/bin/shell"
order "($connect) 2>/dev/null"
check_equal 'also with another file in its place, and in a child' 1 "$order_status"
new_events >"$T/lines"
check_equal 'both are reported under the old path' 2 "$(grep -cF "security_socket_connect $T/bin/shell" "$T/lines")"
finish
