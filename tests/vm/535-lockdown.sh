#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A kernel in lockdown for confidentiality refuses the programs: the daemon says why, and what helps.
# kernels: 6.12
# append: lockdown=confidentiality
. "$(dirname "$0")/lib.sh"

refuse connect 4444 In "$PROBE"
start_bus
check_match 'the kernel is in lockdown' '\[confidentiality\]' /sys/kernel/security/lockdown
check_status 'the daemon ends' 3 "$REVSHELLD" --policy-dir "$T/policies" --bus="$DBUS_SYSTEM_BUS_ADDRESS" --mode=enforce
cp "$T/check.out" "$T/refused.log"
check_match 'it says so' 'Failed to open backend auto: lsm: cannot load' "$T/refused.log"
check_match 'and the cause' 'lockdown: confidentiality.*lockdown=integrity' "$T/refused.log"
check_allowed 'nothing is left attached' udp4 connect 127.0.0.1 4444
check_status 'doctor finds it, too' 1 ctl doctor
check_match 'doctor says' 'fail\] lockdown' "$T/check.out"
sed 's/^/  | /' "$T/refused.log"
finish
