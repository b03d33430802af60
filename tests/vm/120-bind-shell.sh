#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A bind shell of nc is seen in monitor mode, and stopped in enforce mode.
# kernels: 5.10 6.12
# pins: shared
. "$(dirname "$0")/shells.sh"

# bind_shell KIND: nc listens on 4444 and hands a shell to whoever comes; in the background, as $nc_job.
bind_shell() {
	local script

	# shellcheck disable=SC2016
	case $1 in
	nc.traditional) script='echo $$ >$T/shell.pid; exec nc.traditional -n -l -p 4444 -e /bin/sh' ;;
	nc.openbsd)
		script='rm -f $T/fifo; mkfifo $T/fifo
			sh -i <$T/fifo 2>&1 | (echo $BASHPID >$T/shell.pid; exec nc.openbsd -6 -n -N -l 4444) >$T/fifo'
		;;
	esac
	(
		timeout 120 bash -c "$script"
		exit
	) >"$T/shell.out" 2>&1 </dev/null &
	nc_job=$!
}

# visit ADDRESS: what the shell behind the port says.
visit() {
	# shellcheck disable=SC2016
	timeout 60 bash -c 'exec 3<>"/dev/tcp/$1/4444" && echo "$2" >&3 && cat <&3' - "$1" "$question" \
		>"$T/visitor" 2>&1 || true
}

check_refused() {
	check_status "$1: a visitor is refused" 3 "$T/bin/listener" "$2" connect "$3" 4444
}

# check_watched WHAT KIND ADDRESS EXPECTED
check_watched() {
	bind_shell "$2"
	check "$1: it listens" wait_for 60 listening 4444
	visit "$3"
	check_match "$1: the visitor gets a shell" "$answer" "$T/visitor"
	wait "$nc_job"
	[ -z "$4" ] || check_events "$1: reported once" "$4 would-deny -
$(cat "$T/shell.pid")" "($event_line), .process_kprobe.process.pid.value"
}

# check_prevented WHAT KIND PROTOCOL ADDRESS EXPECTED: leaves nc's status in $nc_status.
check_prevented() {
	bind_shell "$2"
	nc_status=0
	wait "$nc_job" || nc_status=$?
	check "$1: nobody listens" bash -c '! "$@"' - listening 4444
	check_refused "$1" "$3" "$4"
	check_events "$1: reported once" "$5 EPERM
$(cat "$T/shell.pid")" "($event_line), .process_kprobe.process.pid.value"
}
export -f listening

refuse_policy() {
	policy bind-shell.yaml <<-END
		apiVersion: cilium.io/v1alpha1
		kind: TracingPolicy
		metadata:
		  name: refuse
		spec:
		  kprobes:
		  - call: security_socket_listen
		    syscall: false
		    args: [{index: 0, type: socket}, {index: 1, type: int}]
		    selectors:
		    - matchArgs: [{index: 0, operator: SPort, values: ["4444"]}]
		      matchActions: [{action: Override, argError: -1}]
	END
}

kill_policy() {
	policy bind-shell.yaml <<-END
		apiVersion: cilium.io/v1alpha1
		kind: TracingPolicy
		metadata:
		  name: kill
		spec:
		  kprobes:
		  - call: inet_csk_listen_start
		    syscall: false
		    args: [{index: 0, type: sock}]
		    selectors:
		    - matchBinaries: [{operator: In, values: [/usr/bin/nc.traditional, /usr/bin/nc.openbsd]}]
		      matchArgs: [{index: 0, operator: SPort, values: ["4444"]}]
		      matchActions: [{action: Sigkill}]
	END
}

copy_probe "$T/bin/listener" >/dev/null
event_line='.process_kprobe | [.function_name, .process.binary, .args[0].sock_arg.family, .args[0].sock_arg.sport,
	.policy_name, (.action | ltrimstr("KPROBE_ACTION_")), .verdict, (.errno // "-")] | map(tostring) | join(" ")'

check_watched 'nc -e without the daemon' nc.traditional 127.0.0.1 ''
check_watched 'nc with a fifo without the daemon' nc.openbsd ::1 ''

refuse_policy
marker_policy
start_daemon "$T/policies" || exit 1
follow_events
check_watched 'nc -e, Override in monitor mode' nc.traditional 127.0.0.1 \
	'security_socket_listen /usr/bin/nc.traditional AF_INET 4444 refuse OVERRIDE'
check_watched 'nc with a fifo, Override in monitor mode' nc.openbsd ::1 \
	'security_socket_listen /usr/bin/nc.openbsd AF_INET6 4444 refuse OVERRIDE'
enforce on
check_prevented 'nc -e, Override' nc.traditional tcp4 127.0.0.1 \
	'security_socket_listen /usr/bin/nc.traditional AF_INET 4444 refuse OVERRIDE denied'
check 'nc -e, Override: it fails' test "$nc_status" -ne 0 -a "$nc_status" -ne 124 -a "$nc_status" -ne 137
check_prevented 'nc with a fifo, Override' nc.openbsd tcp6 ::1 \
	'security_socket_listen /usr/bin/nc.openbsd AF_INET6 4444 refuse OVERRIDE denied'
check_match 'nc with a fifo, Override: with EPERM' 'Operation not permitted' "$T/shell.out"
check_status 'listen fails with EPERM' 1 "$PROBE" tcp4 listen 127.0.0.1 4444
check_match 'and says so' '^denied listen EPERM' "$T/check.out"
check_allowed 'another port may be listened on' tcp4 listen 127.0.0.1 4445
new_events >/dev/null

enforce off
kill_policy
reload
check_watched 'nc -e, Sigkill in monitor mode' nc.traditional 127.0.0.1 \
	'inet_csk_listen_start /usr/bin/nc.traditional AF_INET 4444 kill SIGKILL'
check_watched 'nc with a fifo, Sigkill in monitor mode' nc.openbsd ::1 \
	'inet_csk_listen_start /usr/bin/nc.openbsd AF_INET6 4444 kill SIGKILL'
enforce on
check_prevented 'nc -e, Sigkill' nc.traditional tcp4 127.0.0.1 \
	'inet_csk_listen_start /usr/bin/nc.traditional AF_INET 4444 kill SIGKILL killed'
check_equal 'nc -e, Sigkill: it is killed' 137 "$nc_status"
check_prevented 'nc with a fifo, Sigkill' nc.openbsd tcp6 ::1 \
	'inet_csk_listen_start /usr/bin/nc.openbsd AF_INET6 4444 kill SIGKILL killed'
check_equal 'nc with a fifo, Sigkill: it is killed' 137 "$nc_status"
check_allowed 'another program may listen there' tcp4 listen 127.0.0.1 4444
check_events 'without a report' ''
finish
