#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The daemon in its sandbox takes new policies, exemptions and hooks; another process alone loads programs.
# kernels: 5.10 6.12
# timeout: 1500
. "$(dirname "$0")/lib.sh"

TARGET=$(copy_probe "$T/bin/target")
OTHER=$(copy_probe "$T/bin/other")

# entry CALL ARGUMENT SELECTOR...
entry() {
	printf '  - {call: %s, syscall: false, args: [{%s}], selectors: [{%s}]}\n' "$1" "$2" "${*:3}"
}
# denied PORT: all but one program are refused it.
denied() {
	printf '%s, ' "matchBinaries: [{operator: NotIn, values: [\"$TARGET\"]}]" \
		"matchArgs: [{index: 1, operator: SPort, values: [\"$1\"]}]"
	printf 'matchActions: [{action: Override, argError: -13}]'
}
# few, many: what asks for no program on demand, and for one of each kind: that denies, at the beginning of
# a function, and at its end.
few() {
	{
		printf '%s\n' 'apiVersion: cilium.io/v1alpha1' 'kind: TracingPolicy' 'metadata: {name: hooks}' \
			'spec:' '  kprobes:'
		entry security_socket_connect 'index: 1, type: sockaddr' "$(denied 4444)"
	} | policy hooks.yaml
}
many() {
	local mine="matchBinaries: [{operator: In, values: [\"$TARGET\"]}]"

	few
	{
		entry security_socket_bind 'index: 1, type: sockaddr' "$(denied 4445)"
		entry tcp_close 'index: 0, type: sock' "$mine"
		entry inet_csk_listen_start 'index: 0, type: sock' "$mine"
	} >>"$T/policies/hooks.yaml"
}
# By a signal, since 5.10 may take longer for programs on demand than a call by D-Bus waits.
reload_patiently() {
	local n

	n=$(grep -c '^Reloaded: ' "$T/daemon.log")
	kill -HUP "$daemon_pid"
	wait_for 150 eval '[ "$(grep -c "^Reloaded: " "$T/daemon.log")" -gt '"$n"' ]' ||
		fail 'the policies are loaded anew'
}
# state KEY PID: a line of /proc/PID/status.
state() {
	sed -n "s/^$1:[[:space:]]*//p" "/proc/$2/status"
}
# confinement PID: filter, no_new_privs, capabilities and their bounds, as the kernel tells them; also of a thread.
confinement() {
	local key

	for key in Seccomp NoNewPrivs CapPrm CapBnd; do
		state "$key" "$1"
	done | paste -sd ' '
}
# The process that loads programs.
loader() {
	local pid

	for pid in $(cat "/proc/$daemon_pid/task/$daemon_pid/children"); do
		[ "$(state Name "$pid")" != revshell-loader ] || printf '%s\n' "$pid"
	done
}
# The daemon's thread that reads events.
reader() {
	grep -lx revshelld-ring "/proc/$daemon_pid/task"/*/comm | cut -d / -f 5
}
attached() {
	busctl --address="$DBUS_SYSTEM_BUS_ADDRESS" --timeout=300 --json=short call org.revshell1 /org/revshell1 \
		org.revshell1.Manager GetCapabilities | jq -c '.data[0].attached.data | sort'
}
marker_policy

# As the unit starts it: with fewer capabilities than root has, and locked memory that 5.10 counts.
cat >"$T/bounded" <<-END
	#!/bin/bash
	ulimit -l unlimited
	exec setpriv --bounding-set=-all,+bpf,+perfmon -- "$REVSHELLD" "\$@"
END
chmod 755 "$T/bounded"

start() {
	REVSHELLD=$program PIN_DIR=/sys/fs/bpf/revshell start_daemon "$T/policies" "--backend=$backend" "--sandbox=$mode" \
		--override-fallback=monitor
}

# In log mode whatever enforce would refuse is told; none is. Then without that net.
for run in 'lsm log' 'fmod-ret log' 'kprobe log' 'lsm enforce'; do
	backend=${run% *} mode=${run#* } program=$REVSHELLD
	# CAP_BPF, CAP_DAC_READ_SEARCH; of what the unit has CAP_BPF alone, and the bounds can be set no further
	daemon='0000008000000004 0000008000000004' reader_bounds=0000000000000000
	[ "$mode" = log ] || program=$T/bounded daemon='0000008000000000 000000c000000000' reader_bounds=000000c000000000
	few
	start || exit 1
	# one that takes over has opened no object before it enters the sandbox
	if [ "$backend" = lsm ]; then
		kill_daemon
		start || exit 1
	fi
	before=$(attached)
	many
	reload_patiently
	check "$run: programs are attached" test "$(attached)" != "$before"
	enforce on
	PROBE=$TARGET check_allowed "$run: an exempted connect" udp4 connect 127.0.0.1 4444
	PROBE=$TARGET check_allowed "$run: an exempted bind" udp4 bind 127.0.0.1 4445
	if [ "$backend" != kprobe ]; then
		PROBE=$OTHER check_denied "$run: connect" udp4 connect 127.0.0.1 4444
		PROBE=$OTHER check_denied "$run: bind" udp4 bind 127.0.0.1 4445
	fi
	follow_events
	"$TARGET" --quiet --repeat 200 tcp4 connect 127.0.0.1 4446 >/dev/null
	settle_events
	check "$run: events come" grep -q '"function_name":"tcp_close"' "$T/events"
	check "$run: a policy's mode" ctl policy mode hooks monitor
	check "$run: and back" ctl policy mode hooks default

	# CAP_BPF, CAP_PERFMON; and CAP_SYS_ADMIN for kprobes
	loader_caps=000000c000000000
	[ "$backend" != kprobe ] || loader_caps=000000c000200000
	check_equal "$run: the daemon" "2 1 $daemon" "$(confinement "$daemon_pid")"
	check_equal "$run: its loader" "2 1 $loader_caps $loader_caps" "$(confinement "$(loader)")"
	check_equal "$run: its reader" "2 1 0000000000000000 $reader_bounds" "$(confinement "$(reader)")"
	ctl doctor >"$T/doctor"
	check_match "$run: doctor" "(ok |warn)\\] sandbox: $mode; capabilities .*; loader: capabilities .*; seccomp filter;" \
		"$T/doctor"

	[ "$backend" = kprobe ] || PROBE=$OTHER check_denied "$run: connect again" udp4 connect 127.0.0.1 4444
	check "$run: it stops and disarms" ctl stop --disarm
	wait_for 60 process_gone "$daemon_pid"
	check "$run: nothing is denied then" wait_for 60 "$OTHER" --quiet udp4 connect 127.0.0.1 4444
	kill "${helper_pids[@]}" 2>/dev/null
	helper_pids=()
done
check_equal 'no call was outside of the filter' '' "$(grep '^Sandbox: ' "$T/daemon.log" | head -n 5)"

# Without the loader what is in force stays, and what asks for no further program is taken.
few
start_daemon "$T/policies" --backend=lsm || exit 1
enforce on
PROBE=$OTHER check_denied 'connect' udp4 connect 127.0.0.1 4444
kill -KILL "$(loader)"
many
check_status 'the loader is gone: no further program' 1 ctl reload
check_match 'which is told' 'the process that loads programs is gone: restart revshelld' "$T/daemon.log"
check_status 'doctor fails' 1 ctl doctor
PROBE=$OTHER check_denied 'what is in force stays' udp4 connect 127.0.0.1 4444
few
check 'a reload of what there is' ctl reload
finish
