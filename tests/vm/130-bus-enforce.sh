#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# SetEnforce by busctl does what revshellctl's enforce does, and introspection shows the whole interface.
# kernels: 6.12
# pins: shared
. "$(dirname "$0")/lib.sh"

call() {
	busctl --address="$DBUS_SYSTEM_BUS_ADDRESS" --timeout=300 call org.revshell1 /org/revshell1 org.revshell1.Manager "$@"
}

property() {
	busctl --address="$DBUS_SYSTEM_BUS_ADDRESS" --timeout=300 get-property org.revshell1 /org/revshell1 \
		org.revshell1.Manager "$1"
}

connect_status() {
	local status=0

	"$PROBE" --quiet tcp4 connect 127.0.0.1 4444 || status=$?
	printf '%s\n' "$status"
}

PROBE=$(copy_probe "$T/bin/target")
listener 4444 "$T/got"
policy target.yaml <<END
apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata:
  name: target
spec:
  kprobes:
  - call: security_socket_connect
    syscall: false
    args: [{index: 0, type: socket}, {index: 1, type: sockaddr}]
    selectors:
    - matchBinaries: [{operator: In, values: ["$PROBE"]}]
      matchActions: [{action: Override, argError: -1}]
END
start_daemon "$T/policies" "--export-file=$T/events.json" "--metrics-file=$T/revshell.prom" --metrics-interval=1s ||
	exit 1
check_equal 'monitor at first' 's "monitor"' "$(property Mode)"
check_equal 'which allows' 0 "$(connect_status)"

# One by the bus, the other by the client: the same states, the same effects.
for way in bus client; do
	case $way in
	bus) on=(call SetEnforce b true) off=(call SetEnforce b false) ;;
	client) on=(ctl enforce on) off=(ctl enforce off) ;;
	esac
	check "${on[*]}" "${on[@]}"
	check_equal "${on[*]}: denies" 1 "$(connect_status)"
	check_equal "${on[*]}: Mode" 's "enforce"' "$(property Mode)"
	check_equal "${on[*]}: EffectiveMode" 's "enforce"' "$(property EffectiveMode)"
	check_status "${on[*]}: enforce status says so" 0 ctl enforce status
	check "${off[*]}" "${off[@]}"
	check_equal "${off[*]}: allows" 0 "$(connect_status)"
	check_equal "${off[*]}: Mode" 's "monitor"' "$(property Mode)"
	check_status "${off[*]}: enforce status says so" 5 ctl enforce status
done

# The same by the files that are written besides.
events='^revshell_policy_events_total{policy="target",hook="kprobe:security_socket_connect",action="Override",verdict='
check 'the metrics file has them' wait_for 100 grep -q "$events\"denied\"} 2\$" "$T/revshell.prom"
check 'and those that were let through' wait_for 100 grep -q "$events\"would-deny\"} 3\$" "$T/revshell.prom"
check_equal 'the export file has them, with their address' 2 \
	"$(grep '"verdict": *"denied"' "$T/events.json" | grep -c '"addr": *"127.0.0.1", *"port": *4444')"
check_equal 'for root alone' 600 "$(stat -c %a "$T/events.json")"

# The same judgement before the call and after it, by the policies in force and by the event.
simulated() {
	busctl --address="$DBUS_SYSTEM_BUS_ADDRESS" --timeout=300 --json=short call org.revshell1 /org/revshell1 \
		org.revshell1.Manager "$@" | jq -r '.data[0] | "\(.verdict.data) \(.policy.data) \(.selector.data)"'
}
ctl enforce on
check_equal 'Simulate: denied' 'denied target 0' "$(simulated Simulate 'a{sv}' 2 exe s "$PROBE" dst s 127.0.0.1:4444)"
check_equal 'Simulate: another program' 'allowed null null' \
	"$(simulated Simulate 'a{sv}' 2 exe s /usr/bin/true dst s 127.0.0.1:4444)"
check_equal 'denied indeed' 1 "$(connect_status)"
wait_for 60 eval '[ "$(simulated Explain t 0)" = "denied target 0" ]'
check_equal 'Explain: the newest event' 'denied target 0' "$(simulated Explain t 0)"
ctl policy disable target
check_equal 'disabled: allowed' 0 "$(connect_status)"
ctl policy enable target
check_equal 'enabled: denied' 1 "$(connect_status)"
check_equal 'ModeSource' 's "bus"' "$(property ModeSource)"
check_equal 'Features' '"report" "deny"' "$(property Features | cut -d ' ' -f 3,4)"
ctl enforce off

# What another user may not do on this bus must have no effect.
refused=0
setpriv --reuid 65534 --regid 65534 --clear-groups busctl --address="$DBUS_SYSTEM_BUS_ADDRESS" --timeout=300 \
	call org.revshell1 /org/revshell1 org.revshell1.Manager SetEnforce b true >"$T/refused" 2>&1 || refused=$?
check 'another user may not' test "$refused" -ne 0
check_match 'and is told so' '[Dd]enied|not allowed|[Rr]ejected' "$T/refused"
check_equal 'nor does it happen' 's "monitor"' "$(property Mode)"

busctl --address="$DBUS_SYSTEM_BUS_ADDRESS" --timeout=300 --no-legend \
	introspect org.revshell1 /org/revshell1 org.revshell1.Manager |
	awk '{ print $2, substr($1, 2), ($3 == "-" ? "" : $3) ($2 == "method" && $4 != "-" ? ">" $4 : "") }' |
	sort >"$T/shown"
cat >"$T/written.py" <<'END'
import sys, xml.etree.ElementTree as tree
for interface in tree.parse(sys.argv[1]).getroot():
    for m in interface:
        args = [a for a in m if a.tag == 'arg']
        ins = ''.join(a.get('type') for a in args if a.get('direction') != 'out')
        outs = ''.join(a.get('type') for a in args if a.get('direction') == 'out')
        print(m.tag, m.get('name'), m.get('type') or ins + ('>' + outs if outs else ''))
END
python3 -S -E "$T/written.py" "$TREE/dbus/org.revshell1.xml" | sort >"$T/written"
check 'the interface is written down' test "$(wc -l <"$T/written")" -gt 15
check 'busctl introspect shows what is written down, and nothing else' diff "$T/written" "$T/shown"

# What would close the bus, were it enforced, is told and not refused.
policy no-bus.yaml <<END
apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata:
  name: no-bus
spec:
  lsmhooks:
  - hook: socket_accept
    args: [{index: 0, type: socket}]
    selectors:
    - matchArgs: [{index: 0, operator: Family, values: [AF_UNIX]}]
      matchActions: [{action: Override, argError: -13}]
END
reload
check_match 'a policy that closes the bus: a warning' "dbus.* could not accept on the bus's socket: denied by policy no-bus" \
	"$T/daemon.log"
ctl doctor >"$T/doctor.out"
check_match 'which doctor repeats' 'warn\] management: .*no-bus' "$T/doctor.out"
finish
