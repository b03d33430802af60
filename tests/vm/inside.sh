#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs the named tests one after the other in the guest; the results go to a folder of the host's.
set -u

# inside.sh RESULTS PLAN: a line of PLAN is the name, the time limit, the pins
# ("shared" or "none") and the file of one test.
# NAME.log gets the output, that of all boots, NAME.status the exit status, written only once the test is over.
results=$1 plan=$2
group=/sys/fs/cgroup/test
shared_pins=/sys/fs/bpf/shared

# Ends whatever a test left running: everything in its control group.
end_group() {
	local round=0 pids

	while [ "$round" -lt 20 ]; do
		round=$((round + 1))
		pids=$(cat "$group/cgroup.procs" 2>/dev/null)
		[ -n "$pids" ] || return 0
		# shellcheck disable=SC2086
		kill -KILL $pids 2>/dev/null
		sleep 0.1
	done
}

remove_pins() {
	find /sys/fs/bpf -mindepth 1 -depth -not -path "${1:-}*" -delete 2>/dev/null
}

# The next test must find no programs attached, no pins, no state. But loading takes longer than most
# tests: those that say "pins: shared", which come first, leave theirs to the next one, in monitor mode.
clean_up() {
	end_group
	rmdir "$group" 2>/dev/null
	if [ "$pins" = shared ] && [ "$status" -eq 0 ]; then
		remove_pins "$shared_pins"
	else
		remove_pins
	fi
	rm -rf /run/revshell /etc/revshell /var/lib/revshell /tmp/test.*
	ip addr flush dev lo scope global 2>/dev/null
}

while read -r name limit pins file <&3; do
	mkdir -p "$group"
	[ "$pins" = shared ] || remove_pins
	started=$SECONDS
	(
		[ "$pins" != shared ] || export SHARED_PINS=$shared_pins
		echo "$BASHPID" >"$group/cgroup.procs"
		exec timeout -k 10 "$limit" bash "$file" </dev/null 3<&-
	) >>"$results/$name.log" 2>&1
	status=$?
	clean_up
	sync
	echo "$status" >"$results/$name.status"
	printf '# %s: status %s, %s s\n' "$name" "$status" "$((SECONDS - started))"
done 3<"$plan"
