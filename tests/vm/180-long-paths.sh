#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Executables with long paths are recognised; one too deep to be named is nobody's exception.
# kernels: 5.10 6.12
# pins: shared
. "$(dirname "$0")/lib.sh"

listener 4444 "$T/got"

# long_path LENGTH: a copy of the probe whose path has that many bytes; prints it.
long_path() {
	local path=$T/l$1 rest part

	while rest=$(($1 - ${#path})) && [ "$rest" -gt 0 ]; do
		part=$((rest - 1 > 200 ? 200 : rest - 1))
		# A slash needs a name behind it.
		[ "$((rest - 1 - part))" -ne 1 ] || part=$((part - 1))
		path+=/$(printf "%${part}s" '' | tr ' ' x)
	done
	mkdir -p "${path%/*}"
	cp "$PROBE" "$path"
	printf '%s\n' "$path"
}

# deep_path N: a copy of the probe in N folders below each other.
deep_path() {
	local path=$T/deep i

	for ((i = 0; i < $1; i++)); do
		path+=/d
	done
	copy_probe "$path/probe"
}

lengths=(254 255 256 300 1100)
values='' paths=() twins=()
for length in "${lengths[@]}"; do
	path=$(long_path "$length")
	check_equal "the path has $length bytes" "$length" "${#path}"
	paths+=("$path")
	# The same but for the last byte, which a cut comparison would not see.
	cp "$path" "${path%?}y"
	twins+=("${path%?}y")
	values+="\"$path\", "
done
deep=$(deep_path 60)
shallow=$(copy_probe "$T/bin/shallow")
denier='      matchActions: [{action: Override, argError: -1}]'
policy long.yaml <<END
apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata:
  name: long
spec:
  kprobes:
  - call: security_socket_connect
    syscall: false
    args: [{index: 0, type: socket}, {index: 1, type: sockaddr}]
    selectors:
    - matchBinaries: [{operator: In, values: [${values%, }]}]
$denier
END
marker_policy
start_daemon "$T/policies" || exit 1
follow_events
before=$(counter paths-unknown)
for i in "${!lengths[@]}"; do
	PROBE=${paths[i]} check_allowed "${lengths[i]} bytes: allowed in monitor mode" tcp4 connect 127.0.0.1 4444
done
new_events '.process_kprobe.verdict' >"$T/verdicts"
check_equal 'each is reported once' "$(printf 'would-deny\n%.0s' "${lengths[@]}")" "$(cat "$T/verdicts")"
enforce on
for i in "${!lengths[@]}"; do
	PROBE=${paths[i]} check_denied "${lengths[i]} bytes: denied" tcp4 connect 127.0.0.1 4444
	check_match "${lengths[i]} bytes: with EPERM" '^denied connect EPERM' "$T/check.out"
	new_events '.process_kprobe | .process.binary[:255] + " " + .verdict' >"$T/lines"
	check_equal "${lengths[i]} bytes: reported" "${paths[i]:0:255} denied" "$(cat "$T/lines")"
	PROBE=${twins[i]} check_allowed "${lengths[i]} bytes: another last byte is another path" tcp4 connect 127.0.0.1 4444
done

# An unknown identity might be the one that is meant: it is denied by every denial.
PROBE=$deep check_denied 'a path too deep may be in the list' tcp4 connect 127.0.0.1 4444
new_events '.process_kprobe.verdict' >"$T/verdicts"
check_equal 'which is reported' denied "$(cat "$T/verdicts")"

# And it is not exempt, in either way of exempting.
policy long.yaml <<END
apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata:
  name: not-in
spec:
  kprobes:
  - call: security_socket_connect
    syscall: false
    args: [{index: 0, type: socket}, {index: 1, type: sockaddr}]
    selectors:
    - matchBinaries: [{operator: NotIn, values: ["$shallow", "$deep", "${paths[4]}"]}]
      matchArgs: [{index: 1, operator: SPort, values: ["4444"]}]
$denier
END
reload
PROBE=$shallow check_allowed 'NotIn: the exempted path is allowed' tcp4 connect 127.0.0.1 4444
PROBE=${paths[4]} check_allowed 'NotIn: also one of 1100 bytes' tcp4 connect 127.0.0.1 4444
PROBE=${paths[0]} check_denied 'NotIn: another one is denied' tcp4 connect 127.0.0.1 4444
new_events >/dev/null
PROBE=$deep check_denied 'NotIn: a path too deep is denied though it is in the list' tcp4 connect 127.0.0.1 4444
check_match 'NotIn: with EPERM' '^denied connect EPERM' "$T/check.out"
new_events '.process_kprobe.verdict' >"$T/verdicts"
check_equal 'NotIn: reported' denied "$(cat "$T/verdicts")"
check 'it was counted' test "$(counter paths-unknown)" -gt "$before"

policy long.yaml <<END
apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata:
  name: shield
spec:
  kprobes:
  - call: security_socket_connect
    syscall: false
    args: [{index: 0, type: socket}, {index: 1, type: sockaddr}]
    selectors:
    - matchBinaries: [{operator: In, values: ["$shallow", "$deep"]}]
      matchActions: [{action: NoPost}]
    - matchArgs: [{index: 1, operator: SPort, values: ["4444"]}]
$denier
END
reload
PROBE=$shallow check_allowed 'In: the shielded path is allowed' tcp4 connect 127.0.0.1 4444
PROBE=${paths[0]} check_denied 'In: another one is denied' tcp4 connect 127.0.0.1 4444
PROBE=$deep check_denied 'In: a path too deep is not shielded' tcp4 connect 127.0.0.1 4444
finish
