#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The package under a systemd that is process 1: boot, reload, watchdog, journal, upgrade, removal.
# kernels: 6.1 6.12
# init: systemd
# timeout: 900
. "$(dirname "$0")/lib.sh"

REVSHELLCTL=/usr/bin/revshellctl
DEB=$(printf '%s' "$BUILD"/package/revshell_*.deb)
PIN_DIR=/sys/fs/bpf/revshell
TARGET=$(copy_probe "$T/bin/target")
LOCAL=/etc/revshell/policies.d

# show PROPERTY: of the unit.
show() {
	systemctl show --value --property="$1" revshelld
}
main_pid() {
	show MainPID
}
answers() {
	local status=0

	ctl status >"$T/status" 2>&1 || status=$?
	[ "$status" -eq 0 ] || [ "$status" -eq 5 ]
}
# runs_anew PID: the unit's daemon is another one, and ready.
runs_anew() {
	[ "$(show ActiveState)" = active ] && [ "$(main_pid)" != "$1" ] && answers
}
refused() {
	PROBE=$TARGET check_denied "$1: what is forbidden is refused" udp4 connect 127.0.0.1 4444
}
# drop_in LINE...: for the unit's [Service].
drop_in() {
	mkdir -p /run/systemd/system/revshelld.service.d
	printf '%s\n' '[Service]' "$@" >/run/systemd/system/revshelld.service.d/test.conf
	systemctl daemon-reload
}

# The boot.
check 'the unit is enabled by its package' systemctl is-enabled revshelld
check 'it was started by the boot' systemctl is-active revshelld
ready=$(show ActiveEnterTimestampMonotonic)
network=$(systemctl show --value --property=ActiveEnterTimestampMonotonic network-pre.target)
check "before network-pre.target ($ready, $network)" test "$ready" -gt 0 -a "$ready" -le "$network"
check 'no unit failed' test -z "$(systemctl --failed --no-legend)"
check 'the daemon answers' wait_for 60 answers
check_match 'in monitor mode' '^revshelld .*: monitoring' "$T/status"

# Reload, masks, the journal.
ctl policy list --no-legend | awk '{ print $1 }' >"$T/shipped"
first=$(sed -n 's/^  name: "*\([^"]*\)"*$/\1/p' /usr/lib/revshell/policies.d/10-outbound-tcp.yaml)
check 'a policy of /usr/lib is loaded' grep -qx "$first" "$T/shipped"
ln -s /dev/null "$LOCAL/10-outbound-tcp.yaml"
refuse_lsm refuse "$TARGET" socket_connect '{index: 1, type: sockaddr}' \
	'{index: 1, operator: SPort, values: ["4444"]}'
install -m 644 "$T/policies/refuse.yaml" "$LOCAL/refuse.yaml"
check 'systemctl reload' systemctl reload revshelld
ctl policy list --no-legend | awk '{ print $1 }' >"$T/local"
check_equal 'a link to /dev/null masks it' "$(printf '%s\n' refuse | sort - "$T/shipped" | grep -vx "$first")" "$(sort "$T/local")"
printf 'nonsense: [\n' >"$LOCAL/bad.yaml"
check_status 'systemctl reload fails for a bad policy' 1 systemctl reload revshelld
check 'and the daemon lives on' systemctl is-active revshelld
rm "$LOCAL/bad.yaml"
check 'systemctl reload again' systemctl reload revshelld
PROBE=$TARGET check_allowed 'monitor: connect' udp4 connect 127.0.0.1 4444
check 'enforce on' ctl enforce on
refused 'enforce'
journal() {
	journalctl -b --no-pager -t revshelld "$@" >"$T/journal" 2>&1
	grep -q 'REVSHELL_VERDICT=denied' "$T/journal"
}
check 'the journal has the event' wait_for 60 journal -o verbose REVSHELL_VERDICT=denied
for field in 'POLICY=refuse' 'ERRNO=EACCES' "EXE=$TARGET" 'DESTINATION=127.0.0.1:4444' 'HOOK=.' 'EVENT=[0-9]'; do
	check_match "with REVSHELL_$field" "^ *REVSHELL_$field" "$T/journal"
done
journalctl --update-catalog
journalctl -b --no-pager -t revshelld -x REVSHELL_VERDICT=denied >"$T/journal" 2>&1
check_match 'journalctl -x: the catalog speaks of it' 'Subject: Policy refuse refused a call' "$T/journal"
check_match 'in words' 'tells which selector decided and why' "$T/journal"

# The bus.
busctl tree org.revshell1 >"$T/tree" 2>&1
check_match 'busctl tree' '/org/revshell1/policy/refuse' "$T/tree"
busctl introspect org.revshell1 /org/revshell1 org.revshell1.Manager >"$T/introspect" 2>&1
check_match 'busctl introspect' '^\.Mode +property +s +"enforce"' "$T/introspect"
busctl monitor org.revshell1 >"$T/monitor" 2>&1 &
helper_pids+=("$!")
monitors() {
	ctl reload && grep -q 'Member=PolicySetChanged' "$T/monitor"
}
check 'busctl monitor' wait_for 60 monitors

# What the daemon may do is what revshelld(8) says.
state() {
	sed -n "s/^$1:[[:space:]]*//p" "/proc/$2/status"
}
pid=$(main_pid)
loader=$(cat "/proc/$pid/task/$pid/children")
check_equal 'the daemon holds CAP_BPF alone' 0000008000000000 "$(state CapPrm "$pid")"
check_equal 'its loader CAP_BPF and CAP_PERFMON' 000000c000000000 "$(state CapPrm "${loader% }")"
check_equal 'filters are in force' '2 2' "$(state Seccomp "$pid") $(state Seccomp "${loader% }")"
check_equal 'no new privileges' '1 1' "$(state NoNewPrivs "$pid") $(state NoNewPrivs "${loader% }")"

# Stop, start, a daemon that hangs.
check 'systemctl stop' systemctl stop revshelld
check_equal 'it has ended' inactive "$(show ActiveState)"
refused 'stopped'
drop_in WatchdogSec=16
check 'systemctl start' systemctl start revshelld
check 'and it answers' wait_for 60 answers
check_match 'still enforcing' '^revshelld .*: enforcing' "$T/status"
pid=$(main_pid)
kill -STOP "$pid"
n=0 leaked=0
while [ "$n" -lt 1000 ]; do
	n=$((n + 1))
	"$TARGET" --quiet udp4 connect 127.0.0.1 4444 && leaked=$((leaked + 1))
	[ $((n % 20)) -ne 0 ] || ! runs_anew "$pid" || break
done
check 'the watchdog restarts a daemon that hangs' wait_for 120 runs_anew "$pid"
check_equal "of $n connects meanwhile none passed" 0 "$leaked"
check_match 'still enforcing' '^revshelld .*: enforcing' "$T/status"
refused 'restarted'

# Pins that somebody removes are put back; where that cannot be, or the loader is gone, it starts anew.
layout=$(printf '%s' "$PIN_DIR"/v*)
pid=$(main_pid)
rm "$layout/link_rs_lsm_connect" "$layout/map_rs_mode"
check 'pins are put back' wait_for 60 test -e "$layout/link_rs_lsm_connect" -a -e "$layout/map_rs_mode"
check_equal 'by the same daemon' "$pid" "$(main_pid)"
# from_nothing: as after a boot, where nothing is in force and the folder for pins is new.
from_nothing() {
	systemctl stop revshelld
	/usr/sbin/revshelld --stop-disarm
	systemctl start revshelld
	wait_for 60 answers
}
without_pins() {
	rm -r "$layout"
	check 'without any pin it starts anew' wait_for 120 runs_anew "$pid"
	journalctl -b --no-pager -t revshelld >"$T/journal"
	check_match 'the reason is told' 'The watchdog is not fed: [0-9]+ pins in .* are gone' "$T/journal"
	check 'all is pinned again' test -e "$layout/link_rs_lsm_connect" -a -e "$layout/bss"
	refused 'without any pin'
	pid=$(main_pid)
	kill -KILL "$(cat "/proc/$pid/task/$pid/children")"
	check 'without its loader too' wait_for 120 runs_anew "$pid"
	refused 'without its loader'
}
# kprobes THAT... : a start with that backend, and what the unit is to allow beside.
kprobes() {
	drop_in Restart=no ExecStart= 'ExecStart=/usr/sbin/revshelld --backend=kprobe --override-fallback=monitor' "$@"
	systemctl restart revshelld
}
with_kprobes() {
	check_status 'kprobes: not under the unit as it is' 1 kprobes
	check_status 'nor with the system call alone' 1 kprobes SystemCallFilter=perf_event_open
	told() {
		journalctl -b --no-pager -t revshelld -n 5 | grep -q 'cannot attach program rs_kprobe_exec: Permission denied'
	}
	check 'the reason is told' wait_for 60 told
	check 'but with that and CAP_SYS_ADMIN' kprobes SystemCallFilter=perf_event_open CapabilityBoundingSet=CAP_SYS_ADMIN
	check 'and it answers' wait_for 60 answers
	check_match 'it runs' 'Backend: kprobe, self-test: passed' "$T/status"
	drop_in
	check 'back to what denies' systemctl restart revshelld
	wait_for 60 answers
	refused 'after kprobes'
}
# Each where it tells more: Debian's 6.1 asks for CAP_SYS_ADMIN.
case $(uname -r) in
6.1.*) with_kprobes ;;
*) without_pins ;;
esac

# A mode that persists.
check 'enforce on --persist' ctl enforce on --persist
check 'a start from nothing' from_nothing
ctl status --json=short >"$T/status"
check_equal 'begins with it' 'enforce persisted' "$(jq -r '"\(.mode) \(.mode_source)"' "$T/status")"
refused 'persisted'

# An upgrade, the removal.
pid=$(main_pid)
check 'an upgrade' dpkg --no-triggers -i "$DEB"
refused 'upgraded'
check 'it starts the daemon anew' wait_for 120 runs_anew "$pid"
refused 'upgraded and started'
check 'the removal' dpkg --no-triggers --remove revshell
check 'nothing is refused any more' wait_for 60 "$TARGET" udp4 connect 127.0.0.1 4444
check 'no pin is left' test -z "$(find "$PIN_DIR" -mindepth 1 2>/dev/null)"
check 'no process is left' process_gone "$(pgrep -x revshelld || echo 0)"
finish
