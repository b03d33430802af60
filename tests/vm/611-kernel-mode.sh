#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# revshell.mode= of the kernel's command line stands above configuration and command line.
# kernels: 6.12
# append: revshell.mode=off
. "$(dirname "$0")/lib.sh"

TARGET=$(copy_probe "$T/bin/target")
refuse_lsm refuse "$TARGET" socket_connect '{index: 1, type: sockaddr}' \
	'{index: 1, operator: SPort, values: ["4444"]}'
export PIN_DIR=/sys/fs/bpf/revshell
printf '%s\n' '[Daemon]' 'Mode=enforce' >"$T/revshelld.conf"

# in_force MODE BACKEND: and where that comes from.
in_force() {
	ctl status --json=short >"$T/status"
	check_equal "$1: mode, backend, source" "$1 $2 kernel" "$(jq -r '"\(.effective_mode) \(.backend) \(.mode_source)"' "$T/status")"
}
start_daemon "$T/policies" "--config=$T/revshelld.conf" || exit 1
in_force off none
PROBE=$TARGET check_allowed 'off: connect' udp4 connect 127.0.0.1 4444
check_status 'off: status' 7 ctl status
stop_daemon

# In place of another boot: this one's command line with another word.
sed 's/revshell.mode=off/revshell.mode=monitor/' /proc/cmdline >"$T/cmdline"
mount --bind "$T/cmdline" /proc/cmdline
start_daemon "$T/policies" --mode=enforce "--config=$T/revshelld.conf" || exit 1
in_force monitor lsm
PROBE=$TARGET check_allowed 'monitor: connect' udp4 connect 127.0.0.1 4444
stop_daemon
umount /proc/cmdline
cat /proc/cmdline | grep -q revshell.mode=off || fail 'the command line is back'
finish
