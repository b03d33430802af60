#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each way to select a process: users, descriptors, units, PIDs, namespaces, capabilities, ancestors.
# kernels: 5.10 6.12
# pins: shared
. "$(dirname "$0")/lib.sh"

PROBE=$(copy_probe "$T/bin/target")
cp "$(readlink -f /usr/bin/bash)" "$T/bin/ancestor"
printf '#!%s\n%s\n' "$T/bin/ancestor" '(setsid "$@" >"$OUT" 2>&1; echo $? >>"$OUT") &' >"$T/script"
chmod 755 "$T/script"
group=/sys/fs/cgroup/custom.slice
mkdir -p "$group/test.service/inner"

# A process that was there before the daemon, and runs what it is told.
coproc RUNNER {
	exec bash -c 'while read -r command; do eval "$command"; done'
}
runner=$RUNNER_PID

# deny NAME PORT FILTER: denies connects to this port by what the filter selects.
deny() {
	cat <<-END
		---
		apiVersion: cilium.io/v1alpha1
		kind: TracingPolicy
		metadata:
		  name: $1
		spec:
		  kprobes:
		  - call: security_socket_connect
		    syscall: false
		    args: [{index: 0, type: socket}, {index: 1, type: sockaddr}]
		    selectors:
		    - $3
		      matchArgs: [{index: 1, operator: SPort, values: ["$2"]}]
		      matchActions: [{action: Override, argError: -13}]
	END
}

netns=$(readlink /proc/self/ns/net | tr -cd 0-9)
{
	deny user-name 4501 'matchUsers: [{operator: In, values: [nobody]}]'
	deny user-number 4502 'matchUsers: [{operator: In, values: ["1234", "2000:2010"]}]'
	deny user-not 4503 'matchUsers: [{operator: NotIn, values: [root, "1234"]}]'
	deny group 4504 'matchUsers: [{type: gid, operator: In, values: ["2000"]}]'
	deny stdio 4505 'matchStdio: [{operator: In, values: [0, 1, 2]}]'
	deny stdio-1 4506 'matchStdio: [{operator: In, values: [1]}]'
	deny unit 4507 'matchUnits: [{operator: In, values: [test.service]}]'
	deny slice 4508 'matchUnits: [{operator: In, values: [custom.slice]}]'
	deny unit-not 4509 'matchUnits: [{operator: NotIn, values: [test.service]}]'
	deny pid 4510 "matchPIDs: [{operator: In, values: [$$]}]"
	deny pid-forks 4511 "matchPIDs: [{operator: In, followForks: true, values: [$runner]}]"
	deny pid-inner 4512 "matchPIDs: [{operator: In, isNamespacePID: true, values: [1]}]"
	deny netns-not 4513 'matchNamespaces: [{namespace: Net, operator: NotIn, values: [host_ns]}]'
	deny netns 4514 "matchNamespaces: [{namespace: Net, operator: In, values: [\"$netns\"]}]"
	deny capability 4515 'matchCapabilities: [{type: Effective, operator: In, values: [CAP_NET_RAW]}]'
	deny capability-not 4516 'matchCapabilities: [{type: Effective, operator: NotIn, values: [CAP_NET_RAW]}]'
	deny children 4517 "matchBinaries: [{operator: In, followChildren: true, values: [\"$T/bin/ancestor\"]}]"
	deny parents 4519 "matchParentBinaries: [{operator: In, followChildren: true, values: [\"$T/bin/ancestor\"]}]"
	deny parent 4518 "matchParentBinaries: [{operator: In, values: [\"$T/bin/ancestor\"]}]"
} | sed 1d | policy filters.yaml
marker_policy
start_daemon "$T/policies" || exit 1
follow_events

# allowed WHAT PORT [COMMAND...], denied WHAT PORT [COMMAND...]: a connection by a probe that COMMAND starts.
expected=''
allowed() {
	check_status "$1: allowed" 0 "${@:3}" "$PROBE" udp4 connect 127.0.0.1 "$2"
}
denied() {
	check_status "$1: denied" 1 "${@:3}" "$PROBE" udp4 connect 127.0.0.1 "$2"
	check_match 'with EACCES' '^denied connect EACCES' "$T/check.out"
	expected+="$2 denied EACCES"$'\n'
}
check_reported() {
	check_events "$1: reported" "${expected%$'\n'}" \
		'.process_kprobe | "\(.args[1].sockaddr_arg.port) \(.verdict) \(.errno)"'
	expected=''
	# all that the policies ask of the process was answered, so nothing depends on what is not shown
	ctl explain --verdict=denied --json=short >"$T/explained"
	check_equal "$1: explained without a doubt" 'denied yes 0' "$(jq -r '"\(.in_force.verdict) \(.match_now) \(
		[.. | objects | .depends_on // [] | length] | add)"' "$T/explained")"
}

as() {
	setpriv --reuid "$1" --regid "$2" --clear-groups "${@:3}"
}
in_unit() {
	# shellcheck disable=SC2016
	bash -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' - "$group/$1" "${@:2}"
}
by_runner() {
	local status

	printf '%q ' "$@" >"$T/command"
	printf '%s >%q 2>&1 </dev/null; echo $?\n' "$(cat "$T/command")" "$T/runner.out" >&"${RUNNER[1]}"
	read -r -t 120 status <&"${RUNNER[0]}" || status=99
	cat "$T/runner.out"
	return "$status"
}
in_netns() {
	# shellcheck disable=SC2016
	unshare -n bash -c 'ip link set lo up && exec "$@"' - "$@"
}
in_pidns() {
	unshare -p -f "$@"
}
without_net_raw() {
	setpriv --bounding-set=-net_raw --inh-caps=-net_raw "$@"
}
# The script has ended and its child has another parent before the probe runs.
by_script() {
	: >"$T/script.out"
	OUT=$T/script.out "$T/script" bash -c 'sleep 0.5; exec "$@"' - "$@"
	wait_for 60 grep -q '^[0-9]*$' "$T/script.out"
	cat "$T/script.out"
	return "$(tail -n 1 "$T/script.out")"
}
by_ancestor() {
	"$T/bin/ancestor" -c '"$@"; exit $?' - "$@"
}
# The same process, which was the ancestor before.
by_former() {
	"$T/bin/ancestor" -c 'exec "$@"' - "$@"
}
by_descendant() {
	"$T/bin/ancestor" -c '"$@"; exit $?' - bash -c '"$@"; exit $?' - "$@"
}
with_unix_socket() {
	python3 -S -E -c 'import os, socket, sys
a, b = socket.socketpair()
os.dup2(a.fileno(), 0)
os.execv(sys.argv[1], sys.argv[1:])' "$@"
}
# A shell's own connection, in its own process.
by_itself() {
	{ exec 9<>"/dev/udp/127.0.0.1/$1"; } 2>"$T/itself"
}

allowed 'monitoring: a user by name' 4501 as nobody nogroup
new_events '.process_kprobe | "\(.policy_name) \(.verdict) \(.process.uid.value)"' >"$T/lines"
check_equal 'monitoring: reported' 'user-name would-deny 65534' "$(cat "$T/lines")"
enforce on

denied 'a user by name' 4501 as nobody nogroup
allowed 'a user by name: another' 4501
denied 'a user by number' 4502 as 1234 1234
denied 'a user in a range' 4502 as 2010 1234
allowed 'a user by number: another' 4502 as 2011 1234
denied 'not these users' 4503 as nobody nogroup
allowed 'not these users: one of them' 4503
allowed 'not these users: another one of them' 4503 as 1234 1234
denied 'a group' 4504 as 1234 2000
allowed 'a group: another' 4504 as 2000 1234
check_reported 'users'

check_status 'a socket on 0, 1 and 2: denied' 1 "$PROBE" --stdio tcp4 connect 127.0.0.1 4505
check_match 'with EACCES' '^denied connect EACCES' "$T/check.out"
expected+='4505 denied EACCES'$'\n'
check_status 'a socket on 1: denied' 1 "$PROBE" --stdio udp6 connect ::1 4506
expected+='4506 denied EACCES'$'\n'
allowed 'no socket on 0, 1 and 2' 4505
allowed 'a UNIX socket on 0' 4505 with_unix_socket
python3 -S -E -c 'import os, socket
s = socket.socket()
for i in range(3):
	os.dup2(s.fileno(), i)
try:
	s.connect(("127.0.0.1", 4505))
except OSError as e:
	os._exit(e.errno)'
check_equal 'a reverse shell of Python: denied' 13 "$?"
expected+='4505 denied EACCES'$'\n'
check_reported 'descriptors'

denied 'a unit' 4507 in_unit test.service
denied 'a group below a unit' 4507 in_unit test.service/inner
allowed 'a unit: outside' 4507
denied 'a slice' 4508 in_unit test.service
allowed 'a slice: outside' 4508
denied 'not this unit' 4509
allowed 'not this unit: it' 4509 in_unit test.service
# so far above that it is not looked at: it may be the one, and may be another
deep=test.service/1/2/3/4/5/6/7/8/9
mkdir -p "$group/$deep"
check_equal 'no unit is unknown' 0 "$(counter units-unknown)"
denied 'a unit out of sight' 4507 in_unit "$deep"
denied 'perhaps not this unit' 4509 in_unit "$deep"
allowed 'a unit out of sight: what asks for none' 4518 in_unit "$deep"
check_equal 'units that are unknown are counted' 3 "$(counter units-unknown)"
check_reported 'units'

by_itself 4510
check_match 'a PID: denied' 'Permission denied' "$T/itself"
expected+='4510 denied EACCES'$'\n'
allowed 'a PID: its child' 4510
denied 'a PID and its children: a child' 4511 by_runner
denied 'a PID and its children: a grandchild' 4511 by_runner bash -c '"$@"; exit $?' -
allowed 'a PID and its children: another' 4511
denied 'a PID in its namespace' 4512 in_pidns
allowed 'a PID in its namespace: another' 4512
check_reported 'PIDs'

denied 'not the namespace of the host' 4513 in_netns
allowed 'not the namespace of the host: in it' 4513
denied 'a namespace by number' 4514
allowed 'a namespace by number: another' 4514 in_netns
check_reported 'namespaces'

denied 'a capability' 4515
allowed 'a capability: without it' 4515 without_net_raw
denied 'not a capability' 4516 without_net_raw
allowed 'not a capability: with it' 4516
check_reported 'capabilities'

denied 'a child of an ended interpreter' 4517 by_script
allowed 'a child of another' 4517
denied 'a child of a parent' 4518 by_ancestor
allowed 'a grandchild of a parent' 4518 by_descendant
allowed 'a child of another parent' 4518
denied 'the parent or one of its own: a child' 4519 by_ancestor
denied 'the parent or one of its own: a grandchild' 4519 by_descendant
allowed 'the parent or one of its own: itself before' 4519 by_former
denied 'the same, for itself and not for its parent' 4517 by_former
allowed 'the parent or one of its own: another' 4519
check_reported 'ancestors'

# Without task storage there is room for so many processes. Whoever is left out is met with the strict side.
labels=$(printf '%s' "$SHARED_PINS"/v*/map_rs_labels_hash)
if [ -e "$labels" ]; then
	before=$(counter labels-without-memory)
	check 'the map of processes is filled' python3 "$TREE/tests/vm/labels.py" fill "$labels"
	denied 'perhaps a child of it' 4517
	denied 'perhaps its parent' 4518
	check 'it is emptied' python3 "$TREE/tests/vm/labels.py" drain "$labels"
	check 'processes without memory are counted' test "$(counter labels-without-memory)" -gt "$before"
	allowed 'with room: a child of another' 4517
	allowed 'with room: a child of another parent' 4518
	check_events 'no room for processes' "${expected%$'\n'}" \
		'.process_kprobe | "\(.args[1].sockaddr_arg.port) \(.verdict) \(.errno)"'
fi
find "$group" -depth -type d -exec rmdir {} +
finish
