#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Sigkill on tcp_connect: of many attempts none is accepted, and no packet leaves.
# pins: shared
. "$(dirname "$0")/lib.sh"

python=$(readlink -f /usr/bin/python3)
listener 4444 "$T/got"
listener 4444 "$T/got6" tcp6
policy kill.yaml <<END
apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata:
  name: kill
spec:
  kprobes:
  - call: tcp_connect
    syscall: false
    args: [{index: 0, type: sock}]
    selectors:
    - matchArgs: [{index: 0, operator: DPort, values: ["4444"]}]
      matchActions: [{action: Sigkill}]
END
policy stacks.yaml <<END
apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata:
  name: stacks
spec:
  kprobes:
  - call: tcp_connect
    syscall: false
    args: [{index: 0, type: sock}]
    selectors:
    - matchArgs: [{index: 0, operator: DPort, values: ["4446"]}]
      matchActions: [{action: Post, kernelStackTrace: true, userStackTrace: true}]
END
marker_policy
start_daemon "$T/policies" || exit 1
follow_events

# attempts N PORT: as many children that connect, each second one without blocking, half of each by IPv6;
# prints how many were killed and how many ended otherwise.
attempts() {
	python3 -S -E -c 'import os, select, socket, sys
killed = others = 0
for i in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        s = socket.socket(socket.AF_INET6 if i & 2 else socket.AF_INET)
        s.setblocking(not i & 1)
        s.connect_ex(("::1" if i & 2 else "127.0.0.1", int(sys.argv[2])))
        select.select([], [s], [], 60)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == 9:
        killed += 1
    else:
        others += 1
print(killed, others)' "$1" "$2"
}

capture_start 4444
check_equal 'monitoring: nobody is killed' '0 8' "$(attempts 8 4444)"
capture_stop
check 'monitoring: packets are seen' test "$PACKETS" -ge 24
accepted() {
	[ "$(cat "$T/got" "$T/got6" | wc -l)" -ge "$1" ]
}
check 'monitoring: the connections are accepted' wait_for 60 accepted 8
line='.process_kprobe | "\(.function_name) \(.process.binary) \(.args[0].sock_arg.dport) \(.action) \(.verdict)"'
new_events "$line" >"$T/events.lines"
check_equal 'monitoring: reported' "8 tcp_connect $python 4444 KPROBE_ACTION_SIGKILL would-deny" \
	"$(sort "$T/events.lines" | uniq -c | sed 's/^ *//')"

enforce on
n=1000
: >"$T/got"
: >"$T/got6"
capture_start 4444
check_equal "all of $n are killed" "$n 0" "$(attempts $n 4444)"
capture_stop
check_equal 'no packet was sent' 0 "$PACKETS"
check_equal 'none was accepted' '' "$(cat "$T/got" "$T/got6")"
new_events "$line" >"$T/events.lines"
check_equal 'each is reported' "$n tcp_connect $python 4444 KPROBE_ACTION_SIGKILL killed" \
	"$(sort "$T/events.lines" | uniq -c | sed 's/^ *//')"
check_equal 'another port is none of it' '0 4' "$(attempts 4 4445)"
check_events 'without a report' ''

"$PROBE" tcp4 connect 127.0.0.1 4446 >"$T/probe.out"
check_events 'call stacks: who called whom in the kernel' 'tcp_connect tcp_v4_connect' \
	'.process_kprobe | [.function_name] + [.kernel_stack_trace[].symbol | select(. == "tcp_v4_connect")] | join(" ")'
stacks() {
	jq -es "[.[] | .process_kprobe | select(.policy_name == \"stacks\")] | length == 1 and (.[0] | $1)" "$T/events.new"
}
check 'call stacks: offsets into functions' stacks '.kernel_stack_trace | all(.offset | tonumber < 65536)'
check 'call stacks: where the process called from' stacks '.user_stack_trace | length >= 1 and all(.address | tonumber > 0)'
finish
