#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A reboot ends the lock, and nothing else does: the next boot enforces as configured, and takes orders again.
# kernels: 6.12
# boots: 2
. "$(dirname "$0")/lib.sh"

export PIN_DIR=/sys/fs/bpf/revshell
disk=$KEPT/disk.tar
policies=/etc/revshell/policies.d
layout=$PIN_DIR/v$(sed -n 's/^#define REVSHELL_ABI[[:space:]]*//p' "$TREE/bpf/revshell-abi.h")
TARGET=$(copy_probe /opt/target)

state() {
	ctl status --json=short | jq -r '"\(.effective_mode) \(.locked) \(.mode_source)"'
}
digest() {
	ctl status --json=short | jq -r .policy_set_digest
}
denied() {
	PROBE=$TARGET check_denied "$1: connect" udp4 connect 127.0.0.1 4444
}

locked_boot() {
	refuse_lsm refuse "$TARGET" socket_connect '{index: 1, type: sockaddr}' \
		'{index: 1, operator: SPort, values: ["4444"]}'
	mkdir -p "$policies"
	cp "$T/policies/refuse.yaml" "$policies/"
	start_daemon "$policies" || exit 1
	check 'enforce on --persist' ctl enforce on --persist
	check 'lock' ctl lock
	check_equal 'locked' 'enforce true bus' "$(state)"
	check_status 'enforce off is refused' 1 ctl enforce off
	check_status 'and to keep monitor for the next boot' 1 ctl enforce off --persist
	check_status 'and to remove the policy' 1 ctl policy remove refuse
	check_status 'and a pin' 1 rm "$layout/link_rs_lsm_connect"
	digest >"$KEPT/digest"
	check 'it stops' ctl stop
	wait_for 60 process_gone "$daemon_pid"
	denied 'locked and stopped'
	check_status 'and still a pin stays' 1 rm "$layout/link_rs_lsm_connect"
	tar -C / -cf "$disk" etc/revshell var/lib/revshell
}

next_boot() {
	tar -C / -xf "$disk"
	PROBE=$TARGET check_allowed 'booted: connect' udp4 connect 127.0.0.1 4444
	start_daemon "$policies" || exit 1
	check_equal 'the next boot: as configured, and not locked' 'enforce false persisted' "$(state)"
	check_equal 'the same policies' "$(cat "$KEPT/digest")" "$(digest)"
	denied 'the next boot'
	check 'a pin is removed' rm "$layout/link_rs_lsm_connect"
	check 'enforce off' ctl enforce off
	PROBE=$TARGET check_allowed 'monitor: connect' udp4 connect 127.0.0.1 4444
	check 'lock again' ctl lock
	check_equal 'which locks' 'monitor true bus' "$(state)"
	check 'it stops' ctl stop
}

case $BOOT in
1) locked_boot ;;
2) next_boot ;;
esac
finish
