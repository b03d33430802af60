#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The shipped policies report shells in monitor mode, and stop them once they are switched, one by one.
# kernels: 5.10 7
# pins: shared
. "$(dirname "$0")/shells.sh"

add_attacker
attacker 4444
mkdir -p "$T/policies"
cp "$TREE"/policies/*.yaml "$T/policies/"
chmod 644 "$T"/policies/*
n_policies=$(find "$T/policies" -name '*.yaml' | wc -l)
marker_policy
start_daemon "$T/policies" || exit 1
check_equal 'all are loaded' "$((n_policies + 1))" "$(ctl policy list --json=short | jq length)"
check_equal 'none of them enforces' 0 "$(ctl policy list --json=short | jq '[.[] | select(.mode == "enforce")] | length')"
follow_events

# check_reports WHAT EXPECTED: policy, executable and verdict of each event, in alphabetical order.
check_reports() {
	new_events '(.process_kprobe | .policy_name + " " + .process.binary + " " + .verdict)' >"$T/reports"
	check_equal "$1" "$2" "$(sort "$T/reports")"
}

# of KIND: its executable, and the policy that stops it.
of() {
	by=enforce-no-reverse-shell
	case $1 in
	python3) by=enforce-no-interpreter-outbound binary=$python ;;
	perl) by=enforce-no-interpreter-outbound binary=/usr/bin/perl ;;
	*) binary=/usr/bin/$1 ;;
	esac
}

for kind in bash nc.traditional nc.openbsd python3 perl; do
	of "$kind"
	try_shell "$kind" 4 4444
	check_works "$kind works in monitor mode" "$T/attacker4"
	check_reports "$kind is reported" "detect-reverse-shell-outbound $binary allowed
$by $binary would-deny"
done

# enforce on alone changes nothing for policies that are in monitor mode.
enforce on
try_shell bash 6 4444
check_works 'bash works while no policy enforces' "$T/attacker6"
check_reports 'and is reported' 'detect-reverse-shell-outbound /usr/bin/bash allowed
enforce-no-reverse-shell /usr/bin/bash would-deny'

for id in enforce-no-bind-shell enforce-no-reverse-shell enforce-no-interpreter-outbound; do
	check "policy mode $id enforce" ctl policy mode "$id" enforce
done
for kind in bash nc.traditional nc.openbsd python3 perl; do
	of "$kind"
	for family in 4 6; do
		[ "$kind$family" != nc.traditional6 ] || continue
		capture_start 4444
		try_shell "$kind" "$family" 4444
		capture_stop
		check_stopped "$kind, IPv$family, enforced" "$family"
		check_equal "$kind, IPv$family, enforced: killed" 137 "$shell_status"
		check_reports "$kind, IPv$family, enforced: reported" "$by $binary killed"
	done
done

# Loopback is none of their business.
start_helper "$T/private.log" "$T/bin/listener" --send "$question"$'\n' serve tcp4 127.0.0.1 4447 "$T/private"
reverse_shell bash 127.0.0.1 4447
check_works 'bash to loopback works' "$T/private"
check_reports 'without a report' ''

nc_status=0
(timeout 120 nc.traditional -n -l -p 5555 -e /bin/sh; exit) >"$T/nc.out" 2>&1 </dev/null || nc_status=$?
check_equal 'nc that listens is killed' 137 "$nc_status"
check_reports 'and reported' 'enforce-no-bind-shell /usr/bin/nc.traditional killed'
finish
