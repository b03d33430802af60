#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The same behaviour on each backend, forced; where one must differ, a table says why.
# lsm: any
# timeout: 1500
. "$(dirname "$0")/lib.sh"

# result FEATURE yes|no: a line that README.md's table is made of, by tools/support-table.
result() {
	printf 'result: %s %s %s\n' "$backend" "$1" "$2"
}

# What a backend cannot do, and why. All else is expected to work.
#   deny       kprobes see a call, they cannot change what it returns
#   no-packet  so a caller is killed when its packet has left
#   persist    5.10 has no link for a kprobe that could be pinned
cannot() {
	case $1 in
	deny* | no-packet) [ "$backend" = kprobe ] ;;
	persist) [ "$backend" = kprobe ] && [ "$release" = 5.10 ] ;;
	*) false ;;
	esac
}

# expect FEATURE WHAT COMMAND...: COMMAND succeeds, or fails where the table says so.
expect() {
	local feature=$1 what=$2

	shift 2
	if "$@" >"$T/expect.out" 2>&1; then
		result "$feature" yes
		if cannot "$feature"; then
			fail "$backend: $what works, though the table says that it cannot"
		else
			ok "$backend: $what"
		fi
	else
		result "$feature" no
		if cannot "$feature"; then
			ok "$backend: $what is not possible, as the table says"
		else
			sed 's/^/  | /' "$T/expect.out"
			fail "$backend: $what"
		fi
	fi
}

release=$(uname -r | cut -d . -f 1,2)
lsm_list=
grep -qw bpf /sys/kernel/security/lsm && lsm_list=1
sysctl -qw net.ipv4.tcp_fastopen=3
target=$(copy_probe "$T/bin/target")
killed=$(copy_probe "$T/bin/killed")
watched=$(copy_probe "$T/bin/watched")
listener 4444 "$T/got"
listener 4444 "$T/got.udp" udp4

# policy_of NAME BINARY ACTION [OPTIONS]: ACTION on connect, listen and messages with an address.
policy_of() {
	policy "$1.yaml" <<-YAML
		apiVersion: cilium.io/v1alpha1
		kind: TracingPolicy
		metadata:
		  name: $1
		spec:
		  options: [{name: policy-mode, value: enforce}${4:-}]
		  kprobes:
		  - call: security_socket_connect
		    syscall: false
		    args: [{index: 0, type: socket}, {index: 1, type: sockaddr}]
		    selectors:
		    - matchBinaries: [{operator: In, values: ["$2"]}]
		      matchArgs: [{index: 1, operator: SPort, values: ["4444"]}]
		      matchActions: [{action: $3}]
		  - call: security_socket_listen
		    syscall: false
		    args: [{index: 0, type: socket}]
		    selectors:
		    - matchBinaries: [{operator: In, values: ["$2"]}]
		      matchActions: [{action: $3}]
	YAML
}

# watch: a policy with an entry on each function that is only observed, and one that tracks sockets.
watch() {
	{
		cat <<-YAML
			apiVersion: cilium.io/v1alpha1
			kind: TracingPolicy
			metadata:
			  name: watch
			spec:
			  kprobes:
		YAML
		for call in tcp_connect inet_csk_listen_start tcp_close tcp_sendmsg tcp_set_state udp_sendmsg \
			sk_free __sk_free; do
			cat <<-YAML
				  - call: $call
				    syscall: false
				    args: [{index: 0, type: sock}]
				    selectors:
				    - matchBinaries: [{operator: In, values: ["$watched"]}]
			YAML
		done
		cat <<-YAML
			  - call: sk_alloc
			    syscall: false
			    return: true
			    args: [{index: 1, type: int}]
			    returnArg: {index: 0, type: sock}
			    selectors:
			    - matchBinaries: [{operator: In, values: ["$watched"]}]
			      matchArgs: [{index: 1, operator: Equal, values: ["2"]}]
		YAML
	} | policy watch.yaml
}

denied() { [ "$("$PROBE" --quiet "$@" >/dev/null; echo $?)" = 1 ]; }
gone() { [ "$(bash -c '"$@"; exit' - "$PROBE" --quiet "$@" >/dev/null 2>&1; echo $?)" = 137 ]; }
passes() { bash -c '"$@"; exit' - "$PROBE" --quiet "$@"; }
# A killed caller whose connection was accepted is no success.
quietly_gone() {
	local before

	before=$(grep -c '\[connection\]' "$T/got")
	capture_start 4444
	gone "$@"
	local status=$?
	capture_stop
	[ "$status" = 0 ] && [ "$PACKETS" = 0 ] && [ "$(grep -c '\[connection\]' "$T/got")" = "$before" ]
}

# seen CALL: an event of it has come.
seen() { grep -q "^$1 " "$T/lines"; }

try_backend() {
	local PIN_DIR=/sys/fs/bpf/revshell-$backend call can_deny

	rm -rf "$T/policies"
	policy_of deny "$target" 'Override, argError: -13'
	policy_of kill "$killed" Sigkill
	watch
	marker_policy
	if [ "$backend" = fmod-ret ] && ! fmod_ret_is_possible; then
		"$REVSHELLD" --backend=fmod-ret --policy-dir "$T/policies" "--bus=$DBUS_SYSTEM_BUS_ADDRESS" \
			--pin-dir=none >"$T/refused" 2>&1
		check_match "fmod-ret: a preemptible kernel is refused, with the reason" 'preemptible' "$T/refused"
		printf 'result: fmod-ret refused preemptible\n'
		return
	fi
	start_daemon "$T/policies" "--backend=$backend" || return
	check_equal "$backend: it is the one in use" "$backend" "$(ctl status --json=short | jq -r .backend)"
	can_deny=true
	! cannot deny || can_deny=false
	busctl --address="$DBUS_SYSTEM_BUS_ADDRESS" --json=short call org.revshell1 /org/revshell1 org.revshell1.Manager \
		GetCapabilities >"$T/capabilities"
	check_equal "$backend: what it says of itself" "[\"$backend\",$can_deny,true,true]" "$(jq -c \
		'.data[0] | [.backend.data, .["can-deny"].data, (.attached.data | index("tcp_close") != null), .["map-bytes"].data > 100000]' \
		"$T/capabilities")"
	follow_events
	PROBE=$watched check_allowed "$backend: what is only watched may connect" --send hello tcp4 connect 127.0.0.1 4444
	PROBE=$watched check_allowed "$backend: and listen" tcp4 listen 127.0.0.1 4447
	PROBE=$watched check_allowed "$backend: and send" udp4 sendto 127.0.0.1 4444
	new_events >"$T/lines"
	for call in tcp_connect inet_csk_listen_start tcp_close tcp_sendmsg tcp_set_state udp_sendmsg sk_alloc \
		sk_free __sk_free; do
		expect "see-$call" "$call is seen" seen "$call"
	done

	if [ "$backend" = kprobe ]; then
		check_status "kprobe: enforce on is refused" 1 ctl enforce on
		check_match 'kprobe: with the reason' 'cannot deny.*deny' "$T/check.out"
		check_match 'kprobe: and the remedy' 'override-fallback' "$T/check.out"
		check_equal 'kprobe: the policy says that it could not' 'enforce monitor' \
			"$(ctl policy list --json=short | jq -r '.[] | select(.id == "deny") | "\(.mode) \(.effective_mode)"')"
		PROBE=$target check_allowed 'kprobe: nothing is denied' tcp4 connect 127.0.0.1 4444
		check_events 'kprobe: nor claimed to be' \
			"security_socket_connect $target 127.0.0.1 4444 deny OVERRIDE would-deny -"
		policy_of deny "$target" 'Override, argError: -13' ', {name: override-fallback, value: monitor}'
		reload
	fi
	enforce on
	check_status "$backend: enforcing" 0 ctl status
	PROBE=$target expect deny 'a connect is denied' denied tcp4 connect 127.0.0.1 4444
	PROBE=$target expect deny-v6 'a connect by IPv6 is denied' denied tcp6 connect ::1 4444
	PROBE=$target expect deny-listen 'listen is denied' denied tcp4 listen 127.0.0.1 4448
	PROBE=$target expect deny-message 'a message with an address is denied' denied udp4 sendto 127.0.0.1 4444
	PROBE=$target expect deny-fastopen 'TCP fast open is denied' denied tcp4 tfo 127.0.0.1 4444
	new_events >"$T/lines"
	if cannot deny; then
		check_equal "$backend: what was not denied is not said to be" would-deny \
			"$(awk '$5 == "deny" { print $7 }' "$T/lines" | sort -u)"
	else
		check_equal "$backend: each denial is reported with its errno" 'denied EACCES' \
			"$(awk '$5 == "deny" { print $7, $8 }' "$T/lines" | sort -u)"
	fi
	PROBE=$killed expect kill 'the caller of connect is killed' gone tcp4 connect 127.0.0.1 4444
	PROBE=$killed expect kill 'the caller of listen is killed' gone tcp4 listen 127.0.0.1 4448
	check_events "$backend: both are reported" "security_socket_connect $killed 127.0.0.1 4444 kill SIGKILL killed $(errno_of_kill)
security_socket_listen $killed 0.0.0.0 - kill SIGKILL killed $(errno_of_kill)"
	PROBE=$killed expect no-packet 'no packet leaves and nothing is accepted' quietly_gone tcp4 connect 127.0.0.1 4444
	PROBE=$T/bin/listener check_allowed "$backend: others may connect" tcp4 connect 127.0.0.1 4444

	if [ "$backend" = kprobe ]; then
		policy_of deny "$target" 'Override, argError: -13' ', {name: override-fallback, value: sigkill}'
		reload
		PROBE=$target check_status 'kprobe: a substitute kills instead' 0 gone tcp4 connect 127.0.0.1 4444
		new_events >"$T/lines"
		check_match 'kprobe: and says so' "^security_socket_connect $target 127.0.0.1 4444 deny OVERRIDE killed" "$T/lines"
	fi
	kill_daemon
	PROBE=$killed expect persist 'it outlives the daemon' gone tcp4 connect 127.0.0.1 4444
	"$REVSHELLD" --stop-disarm --pin-dir="$PIN_DIR" >/dev/null 2>&1
	# the kernel lets go of programs in its own time
	PROBE=$killed check "$backend: and ends with its pins" wait_for 60 passes tcp4 connect 127.0.0.1 4444
}

fmod_ret_is_possible() { ! grep -Eq '\((full|lazy)\)' /sys/kernel/debug/sched/preempt 2>/dev/null; }
errno_of_kill() { if [ "$backend" = kprobe ]; then echo -; else echo EPERM; fi; }

mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
start_bus
# Each backend once on each kernel: fmod_ret in the boot without bpf in lsm=, where it is the one by default, and where
# there is such a boot; kprobes there on 5.10 alone, whose default that boot is.
case $release${lsm_list:+ lsm} in
5.10) backends='fmod-ret kprobe' ;;
'5.10 lsm') backends=lsm ;;
7.*) backends='lsm fmod-ret kprobe' ;;
*lsm) backends='lsm kprobe' ;;
*) backends=fmod-ret ;;
esac
for backend in $backends; do
	try_backend
done
finish
