#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Sockets from elsewhere, inherited, received, taken, or older than the policy, are judged when they are used.
# pins: shared
. "$(dirname "$0")/lib.sh"

mkdir -p "$T/bin"
for name in maker taker; do
	cp "$BUILD/tests/vm/handed" "$T/bin/$name"
done
maker=$T/bin/maker taker=$T/bin/taker
receive=1
[[ $(uname -r) == 5.10.* ]] && receive=''
listener 4444 "$T/got"

# refuse NAME HOOK OPERATOR PORT: what the taker does with a socket of that port.
refuse() {
	refuse_lsm "$1" "$taker" "$2" '{index: 0, type: socket}' "{index: 0, operator: $3, values: [\"$4\"]}"
}
refuse sends socket_sendmsg DPort 4444
refuse accepts socket_accept SPort 4445:4446
marker_policy
start_daemon "$T/policies" || exit 1
follow_events

ways=(inherit scm-rights pidfd-getfd listen-inherit listen-scm-rights listen-pidfd-getfd)
# hand: has each way tried, and prints what came of it.
hand() {
	local way

	for way in "${ways[@]}"; do
		"$maker" "$way" "$taker" 2>&1
	done
}

# older WAY: starts the taker with a socket of its own; finish_older has it used.
older() {
	rm -f "$T/go.$1"
	mkfifo "$T/go.$1"
	"$taker" "$1" - <>"$T/go.$1" >"$T/older.$1" 2>&1 &
	helper_pids+=("$!")
	wait_for 60 grep -q ready "$T/older.$1"
}
finish_older() {
	echo >"$T/go.$1"
	wait_for 60 grep -q "^$1 " "$T/older.$1"
	grep "^$1 " "$T/older.$1"
}

check_equal 'monitoring: each gets through' "$(printf '%s through\n' "${ways[@]}")" "$(hand)"
new_events '.process_lsm | "\(.function_name) \(.process.binary) \(.verdict)"' >"$T/lines"
check_equal 'monitoring: each is reported' "      3 socket_accept $taker would-deny
      3 socket_sendmsg $taker would-deny" "$(sort "$T/lines" | uniq -c)"
older older
older listen-older
enforce on
check_equal 'enforcing: each is refused where it is used' 'inherit EACCES send
scm-rights EACCES send
pidfd-getfd EACCES send
listen-inherit EACCES accept
listen-scm-rights EACCES accept
listen-pidfd-getfd EACCES accept' "$(hand)"
check_equal 'enforcing: a connection from before is of no use' 'older EACCES send' "$(finish_older older)"
check_equal 'enforcing: nor is a listener' 'listen-older EACCES accept' "$(finish_older listen-older)"
new_events '.process_lsm | "\(.function_name) \(.process.binary) \(.verdict) \(.errno)"' >"$T/lines"
check_equal 'enforcing: each is reported' "      4 socket_accept $taker denied EACCES
      4 socket_sendmsg $taker denied EACCES" "$(sort "$T/lines" | uniq -c)"
check_equal 'enforcing: the maker may use its own' 'inherit through' "$("$maker" inherit "$maker")"

if [ -n "$receive" ]; then
	rm "$T/policies/sends.yaml" "$T/policies/accepts.yaml"
	refuse receives file_receive DPort 4444
	reload
	check_equal 'a descriptor is refused as it comes' 'scm-rights withheld
pidfd-getfd EACCES pidfd_getfd' "$(ways=(scm-rights pidfd-getfd) && hand)"
	check_events 'which is reported' "file_receive $taker denied EACCES
file_receive $taker denied EACCES" '.process_lsm | "\(.function_name) \(.process.binary) \(.verdict) \(.errno)"'
fi
finish
