# SPDX-License-Identifier: LGPL-2.1-or-later
# What the tests in the guest share; a test begins with `. "$(dirname "$0")/lib.sh"`.
# shellcheck shell=bash

# A test prints `ok: WHAT` and `not ok: WHAT` lines by way of these functions, and ends with status 0
# if there was at least one check and none failed, 1 otherwise, 77 for a skip. The end is a trap's
# work, so a script that stops early (set -u, a signal) is never taken for a pass.
set -u -o pipefail

TREE=${TREE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)}
BUILD=${BUILD:-$TREE/build}
PROBE=$BUILD/tests/vm/probe
REVSHELLD=$BUILD/manager/revshelld
REVSHELLCTL=$BUILD/cli/revshellctl
T=$(mktemp -d /tmp/test.XXXXXX)
chmod 755 "$T"
export TREE BUILD PROBE REVSHELLD REVSHELLCTL T

n_ok=0 n_not_ok=0 skipped='' finished=''
daemon_pid='' bus_pid='' capture_pid='' helper_pids=()
mkfifo "$T/ready" "$T/silence"
exec {silence}<>"$T/silence"

# pause SECONDS: sleep without a process, which costs more than what is waited for mostly takes.
pause() {
	read -rt "$1" -u "$silence" || :
}

ok() {
	n_ok=$((n_ok + 1))
	printf 'ok: %s\n' "$*"
}

# fail WHAT: counts a failure; the test goes on.
fail() {
	n_not_ok=$((n_not_ok + 1))
	printf 'not ok: %s\n' "$*"
	return 1
}

# check WHAT COMMAND...: COMMAND must succeed. Its output is shown if it does not.
check() {
	local what=$1 status=0

	shift
	"$@" >"$T/check.out" 2>&1 || status=$?
	if [ "$status" -eq 0 ]; then
		ok "$what"
	else
		sed 's/^/  | /' "$T/check.out"
		fail "$what (status $status: $*)"
	fi
}

# check_status WHAT STATUS COMMAND...: COMMAND must end with exactly this status.
check_status() {
	local what=$1 expected=$2 status=0

	shift 2
	"$@" >"$T/check.out" 2>&1 || status=$?
	if [ "$status" -eq "$expected" ]; then
		ok "$what"
	else
		sed 's/^/  | /' "$T/check.out"
		fail "$what (status $status, not $expected: $*)"
	fi
}

# check_equal WHAT EXPECTED ACTUAL
check_equal() {
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		fail "$1 (expected '$2', got '$3')"
	fi
}

# check_match WHAT PATTERN FILE: an extended regular expression that some line has to match.
check_match() {
	if grep -Eq -- "$2" "$3"; then
		ok "$1"
	else
		sed 's/^/  | /' "$3" | tail -n 20
		fail "$1 (no line matches '$2')"
	fi
}

# check_allowed WHAT ARGS..., check_denied WHAT ARGS..., check_killed WHAT ARGS...: what a probe meets.
# Give the binary's path with PROBE=, since policies go by it.
check_allowed() {
	local what=$1

	shift
	check_status "$what" 0 "$PROBE" "$@"
}

check_denied() {
	local what=$1

	shift
	check_status "$what" 1 "$PROBE" "$@"
}

check_killed() {
	local what=$1

	shift
	# The subshell keeps the shell from printing "Killed", and turns signal 9 into status 137.
	check_status "$what" 137 bash -c '"$@"; exit' - "$PROBE" "$@"
}

# skip REASON: ends the test here, if nothing failed so far.
skip() {
	skipped=$*
	printf 'skip: %s\n' "$*"
	exit 77
}

# require_bpf_lsm, require_kernel 6.1: skip where the kernel has not got it.
require_bpf_lsm() {
	grep -qw bpf /sys/kernel/security/lsm || skip "bpf is not in lsm="
}

# wait_for SECONDS COMMAND...: until COMMAND succeeds.
wait_for() {
	local deadline=$((SECONDS + $1))

	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		pause 0.1
	done
}

# A copy of the probe under another path: copy_probe /opt/agent; prints the path.
copy_probe() {
	mkdir -p "$(dirname "$1")"
	cp "$PROBE" "$1"
	printf '%s\n' "$1"
}

# policy NAME: puts the policy on standard input into $T/policies, whose owner and mode please the daemon.
policy() {
	mkdir -p "$T/policies"
	cat >"$T/policies/$1"
	chmod 644 "$T/policies/$1"
}

# refuse_lsm NAME BINARY HOOK ARGS MATCHARGS: a policy that refuses, with EACCES, what the program does at an LSM hook.
refuse_lsm() {
	policy "$1.yaml" <<-END
		apiVersion: cilium.io/v1alpha1
		kind: TracingPolicy
		metadata:
		  name: $1
		spec:
		  lsmhooks:
		  - hook: $3
		    args: [$4]
		    selectors:
		    - matchBinaries: [{operator: In, values: ["$2"]}]
		      matchArgs: [$5]
		      matchActions: [{action: Override, argError: -13}]
	END
}

# refuse CALL PORT OPERATOR BINARY [OPTIONS]: a policy, named after call and port, that refuses, with EACCES and
# without an event, what the program does (In) or all but it (NotIn).
refuse() {
	policy "$1-$2.yaml" <<-END
		apiVersion: cilium.io/v1alpha1
		kind: TracingPolicy
		metadata:
		  name: $1-$2
		spec:
		  options: [${5:-}]
		  kprobes:
		  - call: security_socket_$1
		    syscall: false
		    args: [{index: 1, type: sockaddr}]
		    selectors:
		    - matchBinaries: [{operator: $3, values: ["$4"]}]
		      matchArgs: [{index: 1, operator: SPort, values: ["$2"]}]
		      matchActions: [{action: Override, argError: -13}, {action: NoPost}]
	END
}

# start_bus: a bus of our own, set up as the system's: nobody may own a name or send but by permission.
start_bus() {
	local dir=/run/revshell-bus policy=$TREE/dbus/org.revshell1.conf extra

	mkdir -p "$dir"
	if [ -e "$policy" ]; then
		extra="<include>$policy</include>"
	else
		extra='<policy user="root"><allow own="org.revshell1"/><allow send_destination="*"/></policy>'
	fi
	cat >"$dir/bus.conf" <<-END
		<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
		 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
		<busconfig>
		  <type>system</type>
		  <listen>unix:path=$dir/bus</listen>
		  <auth>EXTERNAL</auth>
		  <policy context="default">
		    <allow user="*"/>
		    <deny own="*"/>
		    <deny send_type="method_call"/>
		    <allow send_type="signal"/>
		    <allow send_requested_reply="true" send_type="method_return"/>
		    <allow send_requested_reply="true" send_type="error"/>
		    <allow receive_type="method_call"/>
		    <allow receive_type="method_return"/>
		    <allow receive_type="error"/>
		    <allow receive_type="signal"/>
		    <allow send_destination="org.freedesktop.DBus"/>
		  </policy>
		  $extra
		</busconfig>
	END
	export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$dir/bus
	rm -f "$dir/bus"
	dbus-daemon --config-file="$dir/bus.conf" --nofork --nopidfile >"$T/bus.log" 2>&1 &
	bus_pid=$!
	wait_for 60 test -S "$dir/bus" || {
		sed 's/^/  | /' "$T/bus.log"
		fail 'the bus starts'
		exit 1
	}
}

stop_bus() {
	[ -n "$bus_pid" ] || return 0
	kill "$bus_pid" 2>/dev/null
	wait "$bus_pid" 2>/dev/null
	bus_pid=
}

ctl() {
	"$REVSHELLCTL" "$@"
}

# start_daemon POLICYDIR [ARGS...]: starts revshelld (and a bus, if none runs yet) and waits until it is
# ready. PIN_DIR is where enforcement outlives it; the default is nowhere, or for tests that share their
# pins (inside.sh), where theirs are. Its messages are in $T/daemon.log. Returns 1 (and counts a failure)
# if it does not come up.
start_daemon() {
	local dir=$1 word=

	shift
	[ -n "$bus_pid" ] || start_bus
	"$BUILD/tests/vm/launch" "$T/ready" "$REVSHELLD" --policy-dir "$dir" "--bus=$DBUS_SYSTEM_BUS_ADDRESS" \
		"--pin-dir=${PIN_DIR:-${SHARED_PINS:-none}}" "$@" >>"$T/daemon.log" 2>&1 &
	daemon_pid=$!
	read -rt 400 word <>"$T/ready"
	# where the bus is slow, a daemon is ready before it is there
	[ "$word" = ready ] && wait_for 60 has_status && return 0
	tail -n 30 "$T/daemon.log" "$T/status.err" | sed 's/^/  | /'
	fail "the daemon starts (${word:-no word of it})"
}

has_status() {
	local status=0

	ctl status >/dev/null 2>"$T/status.err" || status=$?
	case $status in
	0 | 5 | 7) return 0 ;;
	esac
	return 1
}

# renice_daemon: all its threads, as its unit has it.
renice_daemon() {
	local task

	for task in "/proc/$daemon_pid/task"/*; do
		renice -n -5 -p "${task##*/}" >/dev/null
	done
}

# stop_daemon: asks it to end and returns its exit status; kill_daemon gives it no chance to clean up.
stop_daemon() {
	local status=0 pid=$daemon_pid

	[ -n "$pid" ] || return 0
	daemon_pid=
	# what stays attached refuses nothing to the tests that come after
	[ -z "${SHARED_PINS:-}" ] || ctl enforce off >/dev/null 2>&1
	kill -TERM "$pid" 2>/dev/null
	wait_for 60 process_gone "$pid" || kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null || status=$?
	return "$status"
}

kill_daemon() {
	[ -n "$daemon_pid" ] || return 0
	kill -KILL "$daemon_pid" 2>/dev/null
	wait "$daemon_pid" 2>/dev/null
	daemon_pid=
}

process_gone() {
	local state

	state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null)
	[ -z "$state" ] || [ "$state" = Z ]
}

# start_helper FILE COMMAND...: in the background until the end of the test; waits for its "ready".
start_helper() {
	local out=$1

	shift
	: >"$out"
	"$@" >"$out" 2>&1 &
	helper_pid=$!
	helper_pids+=("$helper_pid")
	wait_for 60 grep -q '^ready' "$out" || {
		sed 's/^/  | /' "$out"
		fail "this starts: $*"
		exit 1
	}
}

# listener PORT FILE [PROTOCOL [ADDRESS]]: writes what arrives to FILE, and "[connection]" for each one
# accepted. It runs from a copy of the probe of its own, which no policy should name.
listener() {
	local protocol=${3:-tcp4} address=${4:-}

	case $protocol in
	*6) address=${address:-::1} ;;
	*) address=${address:-127.0.0.1} ;;
	esac
	[ -e "$T/bin/listener" ] || copy_probe "$T/bin/listener" >/dev/null
	: >"$2"
	start_helper "$T/listener.$1.$protocol" "$T/bin/listener" serve "$protocol" "$address" "$1" "$2"
}

# capture_start PORT, capture_stop: counts the packets on lo from or to that port, into $PACKETS.
capture_start() {
	wait_for 60 unconnected "$1"
	[ -e "$T/bin/listener" ] || copy_probe "$T/bin/listener" >/dev/null
	start_helper "$T/capture" "$T/bin/listener" capture "$1"
	capture_pid=$helper_pid
}

# shellcheck disable=SC2034
capture_stop() {
	# what was sent it reads before it ends; the time is for what somebody else would send later
	pause 0.1
	kill -TERM "$capture_pid" 2>/dev/null
	wait "$capture_pid" 2>/dev/null
	PACKETS=$(sed -n '$p' "$T/capture")
}

# Two addresses on lo that play the attacker's machine: those of RFC 5737 and RFC 3849, which nobody has
# and no policy takes for private ones.
ATTACKER4=203.0.113.5
ATTACKER6=2001:db8::5

add_attacker() {
	ip addr add "$ATTACKER4/32" dev lo
	ip -6 addr add "$ATTACKER6/128" dev lo nodad
}

# listening PORT: whether somebody listens there by TCP, on any address.
listening() {
	local port

	printf -v port %04X "$1"
	grep -Eqs "^ *[0-9]+: [0-9A-F]+:$port [0-9A-F:]+ 0A " /proc/net/tcp /proc/net/tcp6
}

# unconnected PORT: whether no TCP connection from or to that port may still have something to send.
unconnected() {
	local port

	printf -v port %04X "$1"
	! grep -Eqs "^ *[0-9]+: ([0-9A-F]+:$port [0-9A-F:]+|[0-9A-F:]+ [0-9A-F]+:$port) (0[1-589B]|0C) " \
		/proc/net/tcp /proc/net/tcp6
}

# marker_policy: what settle_events needs; a policy about a program of its own.
marker_policy() {
	copy_probe "$T/bin/marker" >/dev/null
	policy zz-marker.yaml <<-END
		apiVersion: cilium.io/v1alpha1
		kind: TracingPolicy
		metadata:
		  name: marker
		spec:
		  kprobes:
		  - call: security_socket_connect
		    syscall: false
		    args: [{index: 0, type: socket}, {index: 1, type: sockaddr}]
		    selectors:
		    - matchBinaries: [{operator: In, values: ["$T/bin/marker"]}]
	END
}

# counter NAME: of the daemon's statistics; 0 if it has none of that name. Without jq, which takes longer than all else.
counter() {
	local found=0

	[[ $(ctl stats --json=short) =~ \"$1\":\ *([0-9]+) ]] && found=${BASH_REMATCH[1]}
	printf '%s\n' "$found"
}

subscribed() {
	[ "$(counter subscribers)" -ge 1 ]
}

# follow_events: all events from now on go to $T/events, as JSON.
n_markers=0 n_events_read=0
follow_events() {
	ctl events -f -o json >"$T/events" 2>"$T/events.err" &
	helper_pids+=("$!")
	wait_for 60 subscribed || fail "the events can be followed ($(cat "$T/events.err"))"
	n_events_read=0
}

# settle_events: waits until everything reported so far is in $T/events. Events come in the order in
# which they happened, so one more of them tells.
settle_events() {
	n_markers=$((n_markers + 1))
	"$T/bin/marker" --quiet udp4 connect 127.0.0.1 "$n_markers"
	wait_for 60 grep -q "\"port\":$n_markers}.*\"policy_name\":\"marker\"" "$T/events" ||
		fail "event $n_markers of the marker arrives"
}

# new_events [JQ]: prints the events since the last call, without the marker's, by a jq expression for
# each; without one, as the line that event_line describes. Not in a pipe, whose shell would be the only
# one to know how far it has read.
event_line='(.process_kprobe // .process_lsm) | . as $e
	| ([.args[]? | .sockaddr_arg // empty] + [.args[]? | .sock_arg // empty])[0] as $a
	| [.function_name, .process.binary, ($a.addr // $a.daddr // "-"), ($a.port // $a.dport // "-"),
	   .policy_name, (.action | ltrimstr("KPROBE_ACTION_")), .verdict, (.errno // "-")]
	| map(tostring) | join(" ")'
new_events() {
	local new

	settle_events
	mapfile -t -s "$n_events_read" new <"$T/events"
	n_events_read=$((n_events_read + ${#new[@]}))
	: >"$T/events.new"
	[ "${#new[@]}" -eq 0 ] || printf '%s\n' "${new[@]}" >"$T/events.new"
	jq_lines "select((.process_kprobe // .process_lsm).policy_name != \"marker\") | ${1:-$event_line}" "$T/events.new"
}

# jq_lines EXPRESSION FILE: what jq -r makes of FILE, an object a line. jq takes long to start, so that
# the one that knows the expression waits for the next time. Not in a pipe or $(), like new_events.
declare -A jq_in=() jq_out=()
jq_lines() {
	local in=${jq_in[$1]:-} out=${jq_out[$1]:-} line

	if [ -z "$in" ]; then
		mkfifo "$T/jq.${#jq_in[@]}.in" "$T/jq.${#jq_in[@]}.out"
		exec {in}<>"$T/jq.${#jq_in[@]}.in" {out}<>"$T/jq.${#jq_in[@]}.out"
		jq --unbuffered -Rr "if . == \"\" then \"\\u0004\" else fromjson | $1 end" <&"$in" >&"$out" 2>&1 &
		helper_pids+=("$!")
		jq_in[$1]=$in jq_out[$1]=$out
	fi
	{ cat "$2" && echo; } >&"$in" &
	while IFS= read -r -t 60 -u "$out" line && [ "$line" != $'\004' ]; do
		printf '%s\n' "$line"
	done
}

# check_events WHAT EXPECTED [JQ]: the events since the last call are these, no more and no fewer.
check_events() {
	new_events "${3:-}" >"$T/events.lines"
	check_equal "$1" "$2" "$(<"$T/events.lines")"
}

enforce() {
	ctl enforce "$1" >"$T/enforce.out" 2>&1 || fail "enforce $1 ($(cat "$T/enforce.out"))"
}

reload() {
	ctl reload >"$T/reload.out" 2>&1 || fail "the policies are loaded anew ($(cat "$T/reload.out"))"
}

# finish: ends a test that has come to its last line; each test calls it there.
finish() {
	finished=1
	exit
}

end_of_test() {
	local status=$? pid

	trap - EXIT
	stop_daemon || true
	for pid in "${helper_pids[@]}"; do
		kill "$pid" 2>/dev/null
	done
	stop_bus
	if [ -n "$skipped" ] && [ "$n_not_ok" -eq 0 ]; then
		rm -rf "$T"
		exit 77
	fi
	if [ -z "$finished" ] && [ -z "$skipped" ]; then
		printf 'not ok: the script stopped early, with status %s\n' "$status"
		n_not_ok=$((n_not_ok + 1))
	elif [ $((n_ok + n_not_ok)) -eq 0 ]; then
		printf 'not ok: the script checked nothing\n'
		n_not_ok=1
	fi
	if [ "$n_not_ok" -gt 0 ] && [ -e "$T/daemon.log" ]; then
		printf -- '-- the end of daemon.log:\n'
		tail -n 30 "$T/daemon.log"
	fi
	rm -rf "$T"
	# In a trap, a bare exit would give the status from before it.
	exit $((n_not_ok > 0))
}
trap end_of_test EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
