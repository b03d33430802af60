#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# An exemption by path is for the host's own file, not for one that somebody mounts over it.
# kernels: 5.10 6.12
# pins: shared
. "$(dirname "$0")/lib.sh"

agent=$(copy_probe "$T/opt/agent")
intruder=$(copy_probe "$T/bin/intruder")
PROBE=$(copy_probe "$T/bin/other")
listener 4444 "$T/got"

# deny_but SELECTORS: the policy that exempts the agent, in one way or the other.
deny_but() {
	{
		cat <<-END
			apiVersion: cilium.io/v1alpha1
			kind: TracingPolicy
			metadata:
			  name: exempt
			spec:
			  options: $2
			  kprobes:
			  - call: security_socket_connect
			    syscall: false
			    args: [{index: 0, type: socket}, {index: 1, type: sockaddr}]
			    selectors:
		END
		printf '%s\n' "$1"
	} | policy exempt.yaml
}

by_order="    - matchBinaries: [{operator: In, values: [$agent]}]
      matchActions: [{action: NoPost}]
    - matchBinaries: [{operator: Prefix, values: [$T/opt/, $T/bin/intruder, $T/bin/other]}]
      matchActions: [{action: Override, argError: -1}]"
by_not_in="    - matchBinaries: [{operator: NotIn, values: [$agent, $T/bin/listener, $T/bin/marker, /usr/bin/dbus-daemon, $REVSHELLD, $REVSHELLCTL]}]
      matchArgs: [{index: 1, operator: SPort, values: [\"4444\"]}]
      matchActions: [{action: Override, argError: -1}]"

# in_namespace COMMAND: with the intruder's file mounted over the agent's, where only it can see that.
in_namespace() {
	unshare -m bash -c "mount --make-rprivate / && mount --bind $intruder $agent && exec $agent tcp4 connect 127.0.0.1 4444"
}

exemption() {
	PROBE=$agent check_allowed "$1: the agent is exempt" tcp4 connect 127.0.0.1 4444
	check_events "$1: without a report" ''
	check_denied "$1: another program is denied" tcp4 connect 127.0.0.1 4444
	check_match "$1: with EPERM" '^denied connect EPERM' "$T/check.out"
	check_events "$1: reported" "security_socket_connect $PROBE 127.0.0.1 4444 exempt OVERRIDE denied EPERM"
	check_status "$1: a file mounted over the agent's is not exempt" 1 in_namespace
	check_match "$1: with EPERM" '^denied connect EPERM' "$T/check.out"
	check_events "$1: reported" "security_socket_connect $agent 127.0.0.1 4444 exempt OVERRIDE denied EPERM"
	check_status "$1: the agent's own file in another namespace is exempt" 0 \
		unshare -m "$agent" tcp4 connect 127.0.0.1 4444
	# Its file under another name is not the path that is exempt.
	cp -l "$agent" "$T/opt/linked"
	PROBE=$T/opt/linked check_denied "$1: another name of the agent's file is not exempt" tcp4 connect 127.0.0.1 4444
	rm "$T/opt/linked"
	new_events >/dev/null
}

check_allowed 'without the daemon the other program connects' tcp4 connect 127.0.0.1 4444
check_status 'and the intruder' 0 in_namespace
deny_but "$by_order" '[]'
marker_policy
start_daemon "$T/policies" || exit 1
follow_events
enforce on
exemption 'In before the denial'
deny_but "$by_not_in" '[]'
reload
exemption 'NotIn with the denial'

# With Tetragon's meaning a path is a path.
deny_but "$by_order" '[{name: binary-identity, value: path}]'
reload
check_status 'binary-identity=path: a file mounted there is exempt' 0 in_namespace
check_denied 'binary-identity=path: another program is denied' tcp4 connect 127.0.0.1 4444

# A new file of the same name is the agent after a reload, and before it is not.
deny_but "$by_order" '[]'
reload
cp "$intruder" "$T/opt/agent.new"
mv "$T/opt/agent.new" "$agent"
PROBE=$agent check_denied 'the agent replaced: unknown until a reload' tcp4 connect 127.0.0.1 4444
reload
PROBE=$agent check_allowed 'the agent replaced: exempt after a reload' tcp4 connect 127.0.0.1 4444
finish
