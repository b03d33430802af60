#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The daemon in its sandbox takes new policies, exemptions and hooks; another process alone loads programs.
# kernels: 5.10 6.12
# timeout: 600
. "$(dirname "$0")/lib.sh"

TARGET=$(copy_probe "$T/bin/target")
OTHER=$(copy_probe "$T/bin/other")

# few, many: what asks for no program on demand, and for as many as there are.
few() {
	policy hooks.yaml <<-END
		apiVersion: cilium.io/v1alpha1
		kind: TracingPolicy
		metadata:
		  name: hooks
		spec:
		  kprobes:
		  - call: security_socket_connect
		    syscall: false
		    args: [{index: 1, type: sockaddr}]
		    selectors:
		    - matchBinaries: [{operator: NotIn, values: ["$TARGET"]}]
		      matchArgs: [{index: 1, operator: SPort, values: ["4444"]}]
		      matchActions: [{action: Override, argError: -13}]
	END
}
many() {
	few
	cat >>"$T/policies/hooks.yaml" <<-END
		  - call: security_socket_bind
		    syscall: false
		    args: [{index: 1, type: sockaddr}]
		    selectors:
		    - matchBinaries: [{operator: NotIn, values: ["$TARGET"]}]
		      matchArgs: [{index: 1, operator: SPort, values: ["4445"]}]
		      matchActions: [{action: Override, argError: -13}]
		  - call: security_socket_sendmsg
		    syscall: false
		    args: [{index: 0, type: socket}]
		    selectors:
		    - matchArgs: [{index: 0, operator: DPort, values: ["4446"]}]
		  - call: tcp_close
		    syscall: false
		    args: [{index: 0, type: sock}]
		    selectors:
		    - matchArgs: [{index: 0, operator: DPort, values: ["4446"]}]
		  - call: inet_csk_listen_start
		    syscall: false
		    args: [{index: 0, type: sock}]
		    selectors:
		    - matchArgs: [{index: 0, operator: SPort, values: ["4446"]}]
		  - call: sk_alloc
		    syscall: false
		    return: true
		    args: [{index: 1, type: int}]
		    returnArg: {index: 0, type: sock}
		    selectors:
		    - matchBinaries: [{operator: In, values: ["$TARGET"]}]
	END
}
# state KEY [PID]: a line of /proc/PID/status, of the daemon's by default.
state() {
	sed -n "s/^$1:[[:space:]]*//p" "/proc/${2:-$daemon_pid}/status"
}
loader() {
	local pid

	for pid in $(cat "/proc/$daemon_pid/task/$daemon_pid/children"); do
		[ "$(state Name "$pid")" != revshell-loader ] || printf '%s\n' "$pid"
	done
}
attached() {
	busctl --address="$DBUS_SYSTEM_BUS_ADDRESS" --timeout=20 --json=short call org.revshell1 /org/revshell1 \
		org.revshell1.Manager GetCapabilities | jq -c '.data[0].attached.data | sort'
}
daemon_denies() {
	case $backend in
	kprobe) return 1 ;;
	esac
}

marker_policy
# In log mode whatever enforce would refuse is told; none is. Then without that net.
for backend in lsm fmod-ret kprobe; do
	# CAP_BPF, CAP_PERFMON; CAP_SYS_ADMIN for kprobes
	loader_caps=000000c000000000
	[ "$backend" != kprobe ] || loader_caps=000000c000200000
	for mode in log enforce; do
		as="$backend, $mode"
		few
		PIN_DIR=/sys/fs/bpf/revshell start_daemon "$T/policies" "--backend=$backend" "--sandbox=$mode" \
			--override-fallback=monitor || exit 1
		before=$(attached)
		many
		reload
		check "$as: programs are attached" test "$(attached)" != "$before"
		enforce on
		PROBE=$TARGET check_allowed "$as: an exempted connect" udp4 connect 127.0.0.1 4444
		PROBE=$TARGET check_allowed "$as: an exempted bind" udp4 bind 127.0.0.1 4445
		if daemon_denies; then
			PROBE=$OTHER check_denied "$as: connect" udp4 connect 127.0.0.1 4444
			PROBE=$OTHER check_denied "$as: bind" udp4 bind 127.0.0.1 4445
		fi
		follow_events
		"$TARGET" --quiet --repeat 200 udp4 connect 127.0.0.1 4446
		settle_events
		check "$as: events come" grep -q '"function_name":"sk_alloc"' "$T/events"
		check "$as: policy add" ctl policy mode hooks monitor
		check "$as: doctor" grep -q "ok \] sandbox: $mode;\|warn\] sandbox: $mode;" \
			<(ctl doctor)
		if [ "$mode" = enforce ]; then
			check_equal "$as: the daemon's filter" '2 1' "$(state Seccomp) $(state NoNewPrivs)"
			check_equal "$as: its capabilities" '0000008000000004 0000008000000004' \
				"$(state CapPrm) $(state CapBnd)"
			check_equal "$as: the loader's filter" '2 1' \
				"$(state Seccomp "$(loader)") $(state NoNewPrivs "$(loader)")"
			check_equal "$as: its capabilities" "$loader_caps $loader_caps" \
				"$(state CapPrm "$(loader)") $(state CapBnd "$(loader)")"
		fi
		check "$as: it stops and disarms" ctl stop --disarm
		wait_for 20 process_gone "$daemon_pid"
		check "$as: so does its loader" wait_for 20 test ! -e "/sys/fs/bpf/revshell"
		for pid in "${helper_pids[@]}"; do
			kill "$pid" 2>/dev/null
		done
		helper_pids=()
	done
done
check_equal 'no call was outside of the filter' '' "$(grep '^Sandbox: ' "$T/daemon.log" | head -n 5)"

# Without the loader what is in force stays, and what asks for no further program is taken.
backend=lsm
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
