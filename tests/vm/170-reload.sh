#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A reload with one bad file among many changes nothing: the old rule set goes on denying.
# kernels: 5.10 6.12
# pins: shared
. "$(dirname "$0")/lib.sh"

# deny NAME PORT: a policy against one port.
deny() {
	policy "$1.yaml" <<-END
		apiVersion: cilium.io/v1alpha1
		kind: TracingPolicy
		metadata:
		  name: $1
		spec:
		  kprobes:
		  - call: security_socket_connect
		    syscall: false
		    args: [{index: 0, type: socket}, {index: 1, type: sockaddr}]
		    selectors:
		    - matchBinaries: [{operator: In, values: ["$PROBE"]}]
		      matchArgs: [{index: 1, operator: SPort, values: ["$2"]}]
		      matchActions: [{action: Override, argError: -1}]
	END
}

PROBE=$(copy_probe "$T/bin/target")
listener 4444 "$T/got"
listener 4500 "$T/got2"
for i in $(seq 10 29); do
	deny "port-$i" "44$i"
done
deny port-4444 4444
marker_policy
check_allowed 'without the daemon, 4444 can be reached' tcp4 connect 127.0.0.1 4444
start_daemon "$T/policies" || exit 1
follow_events
enforce on
before=$(counter generation)

# still_denies WHAT: nothing was lost, and nothing of the new files is in force.
still_denies() {
	check_denied "$1: 4444 is denied" tcp4 connect 127.0.0.1 4444
	check_match "$1: with EPERM" '^denied connect EPERM' "$T/check.out"
	check_allowed "$1: 4500 is allowed" tcp4 connect 127.0.0.1 4500
	check_equal "$1: the generation" "$before" "$(counter generation)"
	check_equal "$1: the number of policies" 22 "$(ctl policy list --json=short | jq length)"
	check_events "$1: reported by the old rule set" \
		"security_socket_connect $PROBE 127.0.0.1 4444 port-4444 OVERRIDE denied EPERM"
}
still_denies 'at first'

# refused WHAT PATTERN
refused() {
	check_status "$1: reload fails" 1 ctl reload
	cp "$T/check.out" "$T/reload.out"
	check_match "$1: and says where" "$2" "$T/reload.out"
	still_denies "$1"
}

# The new files would change what is denied; the bad one stands in the middle.
rm "$T/policies/port-4444.yaml"
deny port-4500 4500
deny port-20 4420
bad=$T/policies/port-20.yaml
sed -i 's/operator: SPort/operator: SPrt/' "$bad"
refused 'an unknown operator' "$bad:12:[0-9]+: .*SPrt"
printf 'kind: [\n' >"$bad"
refused 'broken YAML' "$bad:[0-9]+:[0-9]+: "
: >"$bad"
refused 'an empty file' "$bad"
head -c 2097152 /dev/zero | tr '\0' '#' >"$bad"
refused 'a file of 2 MiB' "$bad"
printf 'kind: "a\0b"\n' >"$bad"
refused 'a NUL byte' "$bad:[0-9]+:[0-9]+: "
cp "$TREE/tests/policies/bad/yaml-alias-bomb.yaml" "$bad"
refused 'a bomb of aliases' "$bad:[0-9]+:[0-9]+: "
check_equal 'LastReloadError says so' 1 "$(busctl --address="$DBUS_SYSTEM_BUS_ADDRESS" get-property org.revshell1 \
	/org/revshell1 org.revshell1.Manager LastReloadError | grep -c port-20.yaml)"

mv "$T/policies" "$T/away"
refused 'no folder' "$T/policies"
mkdir "$T/policies"
refused 'an empty folder' "$T/policies"
rmdir "$T/policies"
mv "$T/away" "$T/policies"

# With the file repaired the new rule set is there at once, as a whole.
deny port-20 4420
check 'a reload of good files' ctl reload
check_allowed 'now 4444 is allowed' tcp4 connect 127.0.0.1 4444
check_denied 'and 4500 denied' tcp4 connect 127.0.0.1 4500
check_events 'which is reported' "security_socket_connect $PROBE 127.0.0.1 4500 port-4500 OVERRIDE denied EPERM"
check 'the generation has changed' test "$(counter generation)" -gt "$before"

# The signal does the same as the verb.
deny port-4444 4444
kill -HUP "$daemon_pid"
reloaded() {
	[ "$(ctl policy list --json=short | jq length)" = 23 ]
}
check 'SIGHUP reloads as well' wait_for 60 reloaded
check_denied 'and 4444 is denied again' tcp4 connect 127.0.0.1 4444
finish
