#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Under the lock root has no way to turn enforcement off, by the bus, the file system, BPF or signals.
# kernels: 5.10 7
# timeout: 900
. "$(dirname "$0")/lib.sh"

BACKEND=${BACKEND:-lsm}
case $BACKEND in
fmod-ret) kind=fmod ;;
*) kind=lsm ;;
esac
PIN_DIR=/sys/fs/bpf/revshell
layout=$PIN_DIR/v$(sed -n 's/^#define REVSHELL_ABI[[:space:]]*//p' "$TREE/bpf/revshell-abi.h")
mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
TARGET=$(copy_probe "$T/bin/target")
refuse_lsm refuse "$TARGET" socket_connect '{index: 1, type: sockaddr}' '{index: 1, operator: SPort, values: ["4444"]}'
refuse_lsm other "$TARGET" socket_listen '{index: 0, type: socket}' '{index: 0, operator: SPort, values: ["4445"]}'

# A program and a library that may be tried to write to.
real=$REVSHELLD
mkdir "$T/lib"
cp "$REVSHELLD" "$T/bin/revshelld"
cp "$(ldd "$REVSHELLD" | sed -n 's/.*libbpf.so.1 => \([^ ]*\) .*/\1/p')" "$T/lib/libbpf.so.1"
cp "$T/lib/libbpf.so.1" "$T/lib/other.so"
export LD_LIBRARY_PATH=$T/lib
REVSHELLD=$T/bin/revshelld

by_call() {
	/usr/bin/python3 "$TREE/tests/vm/lock.py" "$@"
}
loader() {
	local pid

	for pid in $(cat "/proc/$daemon_pid/task/$daemon_pid/children"); do
		[ "$(cat "/proc/$pid/comm")" != revshell-loader ] || printf '%s\n' "$pid"
	done
}
# before WHAT COMMAND...: goes through as long as nothing is locked.
before() {
	check "before the lock: $1" "${@:2}"
}
# way WHAT COMMAND...: must fail, and what is in force must be so behind it.
n_ways=0
way() {
	local status=0

	n_ways=$((n_ways + 1))
	"${@:2}" >"$T/way.out" 2>&1 || status=$?
	if [ "$status" -ne 0 ] && ! "$TARGET" --quiet udp4 connect 127.0.0.1 4444 >/dev/null 2>&1 &&
		kill -0 "$daemon_pid" && [ -e "$layout/link_rs_${kind}_connect" ]; then
		ok "way $n_ways: $1: $(tail -n 1 "$T/way.out" | sed "s|$T|T|g")"
	else
		sed 's/^/  | /' "$T/way.out"
		fail "way $n_ways: $1 (status $status)"
	fi
}
start() {
	start_daemon "$T/policies" "--backend=$BACKEND" "$@"
}

# What goes through without the lock.
start || exit 1
enforce on
PROBE=$TARGET check_denied 'enforcing: connect' udp4 connect 127.0.0.1 4444
before 'a map by its pin' by_call map_by_pin "$layout/map_rs_mode"
before 'a map by its number' by_call map_by_number rs_mode
before "a rule set's map by its number" by_call map_by_number rs_rows
before 'a program by its number' by_call program_by_number "rs_${kind}_connect"
before 'a program by its pin' by_call program_by_pin "$layout/prog_rs_host"
before 'a program that traces is loaded' by_call load_tracing -
before 'the loader is killed' kill -KILL "$(loader)"
before 'the daemon is traced' by_call trace "$daemon_pid"
before 'its memory is opened' by_call memory "$daemon_pid"
before 'a descriptor is taken from it' by_call take_descriptor "$daemon_pid"
before 'it is stopped' kill -STOP "$daemon_pid"
before 'it goes on' kill -CONT "$daemon_pid"
before 'a library of its is written to' by_call write_to "$T/lib/libbpf.so.1"
before 'ftrace is switched' sysctl -qw kernel.ftrace_enabled=1
before 'a pin is renamed' mv "$layout/link_rs_${kind}_listen" "$layout/x"
before 'and back' mv "$layout/x" "$layout/link_rs_${kind}_listen"
before 'a pin is added' by_call pin "$layout/x"
before 'and linked' ln "$layout/x" "$layout/y"
before 'and by its name' ln -s x "$layout/z"
before 'and they are removed' rm "$layout/x" "$layout/y" "$layout/z"
before 'the folder is renamed' mv -T "$PIN_DIR" /sys/fs/bpf/x
before 'and back' mv -T /sys/fs/bpf/x "$PIN_DIR"
before 'something is mounted over the pins' mount -t tmpfs tmpfs "$PIN_DIR"
before 'and unmounted' umount "$PIN_DIR"
before 'a mount is moved there' by_call move_mount "$PIN_DIR"
before 'and unmounted' umount "$PIN_DIR"
before 'a folder is made among them' mkdir "$layout/d"
before 'and removed' rmdir "$layout/d"
mkdir "$T/bpf"
before 'their file system is mounted elsewhere' mount --bind /sys/fs/bpf "$T/bpf"
before 'and unmounted' umount "$T/bpf"
before 'enforce off' ctl enforce off
before 'enforce on' ctl enforce on
before "a policy's mode" ctl policy mode other monitor
before 'and back' ctl policy mode other enforce
before 'it disarms' ctl stop --disarm
wait_for 60 process_gone "$daemon_pid"
printf 'until here: %s s\n' "$SECONDS"
# the kernel detaches them a moment later
check 'disarmed: connect' wait_for 60 "$TARGET" udp4 connect 127.0.0.1 4444

# Locked.
start || exit 1
enforce on
mkdir "$layout/d"
locked_at=$(date +%s%N)
check 'lock' ctl lock --reason=test
printf 'lock: %s ms\n' $((($(date +%s%N) - locked_at) / 1000000))
check 'lock again' ctl lock
check_equal 'status tells' true "$(ctl status --json=short | jq .locked)"
PROBE=$TARGET check_denied 'locked: connect' udp4 connect 127.0.0.1 4444

way 'a map by its pin' by_call map_by_pin "$layout/map_rs_mode"
way "the lock's own map by its pin" by_call map_by_pin "$layout/map_rs_lock"
way 'a map by its number' by_call map_by_number rs_mode
way "a rule set's map by its number" by_call map_by_number rs_rows
way 'a program by its number' by_call program_by_number "rs_${kind}_connect"
way 'a program by its pin' by_call program_by_pin "$layout/prog_rs_host"
way 'a link is detached' by_call link_detach "$layout/link_rs_${kind}_connect"
way 'a link gets another program' by_call link_update "$layout/link_rs_${kind}_connect"
way 'a program that traces is loaded' by_call load_tracing -
way 'a pin is removed' rm "$layout/link_rs_${kind}_connect"
way "the lock's own pin is removed" rm "$layout/link_rs_${kind}_lock_unlink"
way "an iterator's pin is removed" rm "$layout/prog_rs_host"
way 'a pin is renamed' mv "$layout/link_rs_${kind}_connect" "$layout/x"
way 'a pin is renamed away' mv "$layout/link_rs_${kind}_connect" /sys/fs/bpf/x
way 'a pin is added' by_call pin "$layout/link_rs_${kind}_bind"
way 'a pin gets a second name' ln "$layout/link_rs_${kind}_connect" "$layout/link_rs_${kind}_bind"
way 'a name leads elsewhere' ln -s ../x "$layout/link_rs_${kind}_bind"
way 'the folder is renamed' mv -T "$PIN_DIR" /sys/fs/bpf/x
way 'its file system is unmounted' umount /sys/fs/bpf
way 'and lazily' umount -l /sys/fs/bpf
way 'and with what it is mounted in' umount -l /sys
way "and from a namespace that shares the host's mounts" \
	unshare --mount --propagation shared umount -l /sys
way 'something is mounted over the pins' mount -t tmpfs tmpfs "$PIN_DIR"
way 'a mount is moved there' by_call move_mount "$PIN_DIR"
way 'a folder among the pins is removed' rmdir "$layout/d"
way 'something is mounted over their file system' mount --bind "$T/bpf" /sys/fs/bpf
way 'the daemon is killed' kill -KILL "$daemon_pid"
way 'it is stopped' kill -STOP "$daemon_pid"
way 'its loader is killed' kill -KILL "$(loader)"
way 'it is traced' by_call trace "$daemon_pid"
way 'its memory is opened' by_call memory "$daemon_pid"
way 'a descriptor is taken from it' by_call take_descriptor "$daemon_pid"
way 'a library of its is written to' by_call write_to "$T/lib/libbpf.so.1"
way 'ftrace is switched off' sysctl -qw kernel.ftrace_enabled=0
way 'revshelld --stop-disarm' "$REVSHELLD" --stop-disarm "--pin-dir=$PIN_DIR"
way 'another daemon in the same place' "$REVSHELLD" --mode=monitor "--pin-dir=$PIN_DIR" \
	--policy-dir "$T/policies" "--backend=$BACKEND" --bus=unix:path=/nonexistent
way 'enforce off' ctl enforce off
way 'stop --disarm' ctl stop --disarm
way 'a policy is removed' ctl policy remove other
way 'a policy is disabled' ctl policy disable refuse
way "a policy's mode is monitor" ctl policy mode refuse monitor
cp "$T/policies/refuse.yaml" "$T/refuse.yaml"
sed -i 's/"4444"/"4443"/' "$T/policies/refuse.yaml"
way 'a policy file is edited' ctl reload
rm "$T/policies/refuse.yaml"
way 'a policy file is removed' ctl reload
cp "$T/refuse.yaml" "$T/policies/refuse.yaml"
printf '%s ways were tried, until here: %s s\n' "$n_ways" "$SECONDS"

# What strengthens stays possible, and what others do of their own.
refuse_lsm third "$TARGET" socket_bind '{index: 1, type: sockaddr}' '{index: 1, operator: SPort, values: ["4447"]}'
# By a signal, since loading a program may take longer than a call by D-Bus waits.
check 'a further policy' kill -HUP "$daemon_pid"
wait_for 150 grep -q '^Reloaded: ' "$T/daemon.log" || fail 'the policies are loaded anew'
PROBE=$TARGET check_denied 'it is in force' udp4 bind 127.0.0.1 4447
way 'the further policy is removed' ctl policy remove third
check 'another BPF file system is mounted' mount -t bpf other "$T/bpf"
check 'and unmounted' umount "$T/bpf"
check 'another process is killed' bash -c 'sleep 60 & kill $!'

# The next daemon: the same program, started by the first process, with the same code and nothing else.
adopt() {
	local log=$1

	shift
	: >"$log"
	bash -c 'log=$1; shift; (me=$BASHPID; until [ "$(sed "s/.*) . //" /proc/$me/stat | cut -d " " -f 1)" = 1 ]; do
		sleep 0.1
	done
	exec "$@" >"$log" 2>&1) & echo $!' - "$log" "$@" >"$T/pid"
}
args=(--policy-dir "$T/policies" "--bus=$DBUS_SYSTEM_BUS_ADDRESS" "--pin-dir=$PIN_DIR" "--backend=$BACKEND")
check 'the daemon may be stopped' ctl stop
wait_for 60 process_gone "$daemon_pid"
PROBE=$TARGET check_denied 'stopped: connect' udp4 connect 127.0.0.1 4444
# refused WHAT COMMAND...: it ends with the reason.
refused() {
	adopt "$T/next.log" "${@:2}"
	wait_for 60 process_gone "$(cat "$T/pid")"
	check_match "$1" 'locked until the next boot' "$T/next.log"
	PROBE=$TARGET check_denied "$1: connect" udp4 connect 127.0.0.1 4444
}
check_status 'not as a child of a shell' 3 "$REVSHELLD" "${args[@]}"
refused 'not another program' env "$real" "${args[@]}"
refused 'not with other code' env "LD_PRELOAD=$T/lib/other.so" "$REVSHELLD" "${args[@]}"
mv "$T/policies/refuse.yaml" "$T/refuse.yaml"
refused 'not with fewer policies' "$REVSHELLD" "${args[@]}"
mv "$T/refuse.yaml" "$T/policies/refuse.yaml"
refused 'not to disarm' "$REVSHELLD" --stop-disarm "--pin-dir=$PIN_DIR"
adopt "$T/daemon.log" "$REVSHELLD" --mode=monitor "${args[@]}"
daemon_pid=$(cat "$T/pid")
wait_for 200 grep -q '^Ready: ' "$T/daemon.log" || fail 'the next daemon starts'
check_match 'the same program takes over' 'Took over' "$T/daemon.log"
check_equal 'and is locked' 'true enforce' "$(ctl status --json=short | jq -r '"\(.locked) \(.mode)"')"
way 'the next daemon is killed' kill -KILL "$daemon_pid"
way 'enforce off by the next daemon' ctl enforce off
check 'it reloads' ctl reload
check 'and stops' ctl stop
finish
