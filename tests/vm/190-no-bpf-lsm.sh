#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Without bpf in lsm=, the lsm backend says what to do, and fmod-ret enforces.
# kernels: 5.10 6.12
# lsm: none
. "$(dirname "$0")/shells.sh"

check 'bpf is not among the security modules' bash -c '! grep -qw bpf /sys/kernel/security/lsm'
add_attacker
attacker 4444
try_shell bash 4 4444
check_works 'bash works without the daemon' "$T/attacker4"
mkdir -p "$T/policies"
override_policy /usr/bin/bash
marker_policy

start_bus
check_status 'the lsm backend: exit status 3' 3 timeout 300 "$REVSHELLD" --backend=lsm --policy-dir "$T/policies" \
	"--bus=$DBUS_SYSTEM_BUS_ADDRESS"
cp "$T/check.out" "$T/refused"
check_match 'it says what to do' 'boot with lsm=\.\.\.,bpf' "$T/refused"
check_match 'and which backend it was' 'backend lsm' "$T/refused"

start_daemon "$T/policies" || exit 1
check_equal 'auto is fmod-ret' fmod-ret "$(ctl status --json=short | jq -r '.backend // .Backend')"
follow_events
kind=bash binary=/usr/bin/bash parent=/usr/bin/timeout
for family in 4 6; do
	address=$ATTACKER4
	[ "$family" = 4 ] || address=$ATTACKER6
	watch_shell security_socket_connect refuse OVERRIDE
done
enforce on
for family in 4 6; do
	address=$ATTACKER4
	[ "$family" = 4 ] || address=$ATTACKER6
	capture_start 4444
	try_shell bash "$family" 4444
	capture_stop
	check_stopped "bash, IPv$family, enforced" "$family"
	check_match "bash, IPv$family, enforced: with EPERM" 'Operation not permitted' "$T/shell.out"
	check_events "bash, IPv$family, enforced: reported" \
		"security_socket_connect /usr/bin/bash $address 4444 refuse OVERRIDE denied EPERM"
done
sigkill_policy /usr/bin/bash
reload
for family in 4 6; do
	capture_start 4444
	try_shell bash "$family" 4444
	capture_stop
	check_stopped "bash, IPv$family, Sigkill" "$family"
	check_equal "bash, IPv$family, Sigkill: it is killed" 137 "$shell_status"
done
finish
