#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# For tools/bench --matrix: what the daemon takes in time and memory, on two processors, by the guest's clock.
# times.sh bursts: only what is lost of 50,000 events at once, ten times.
. "$(dirname "$0")/../vm/lib.sh"

export PIN_DIR=/sys/fs/bpf/revshell
N=20000

# figure NAME VALUE UNIT
figure() {
	printf 'time\t%s\t%s\t%s\n' "$@"
}
# now: microseconds in $NOW, without a process of its own.
now() {
	NOW=${EPOCHREALTIME/./}
}
# took NAME TIMES COMMAND...: the least of so many times; it must succeed.
took() {
	local name=$1 least='' begin i

	for ((i = 0; i < $2; i++)); do
		now
		begin=$NOW
		"${@:3}" >"$T/out" 2>&1 || fail "${*:3} ($(cat "$T/out"))"
		now
		[ -n "$least" ] && [ "$least" -le "$((NOW - begin))" ] || least=$((NOW - begin))
	done
	figure "$name" "$((least / 1000))" ms
}
memory() {
	local key

	for key in RssAnon VmRSS VmHWM; do
		figure "$1: $key of the daemon" "$(sed -n "s/^$key:[^0-9]*\([0-9]*\) kB/\1/p" "/proc/$daemon_pid/status")" KiB
	done
}
# concern NAME ACTION: of every connect of the program of that name.
concern() {
	policy "$1.yaml" <<-END
		apiVersion: cilium.io/v1alpha1
		kind: TracingPolicy
		metadata: {name: $1}
		spec:
		  kprobes:
		  - call: security_socket_connect
		    syscall: false
		    args: [{index: 0, type: socket}, {index: 1, type: sockaddr}]
		    selectors:
		    - matchBinaries: [{operator: In, values: ["$T/bin/$1"]}]
		      matchActions: [{$2}]
	END
}
start() {
	start_daemon "$T/policies" --mode=enforce || exit 1
	renice_daemon
}
stop() {
	ctl stop --disarm >/dev/null || fail 'it stops'
	wait_for 20 process_gone "$daemon_pid"
}
# connects NAME PROGRAM CALLS: by two threads, so many in all.
connects() {
	local begin

	now
	begin=$NOW
	"$T/bin/$2" --quiet --repeat "$(($3 / 2))" --threads 2 udp4 connect 127.0.0.1 9 >/dev/null
	now
	figure "$1" "$(($3 * 1000000 / (NOW - begin)))" calls/s
}
# burst CALLS: connects that are reported, as fast as two processors make them.
burst() {
	"$T/bin/reported" --quiet --repeat "$(($1 / 2))" --threads 2 udp4 connect 127.0.0.1 9 >/dev/null
	sleep 2
	wait_for 120 none_waits
}
none_waits() {
	[ "$(counter events-waiting)" -eq 0 ]
}
# spent: nanoseconds of processor time of all the daemon's threads.
spent() {
	awk '{ n += $1 } END { printf "%.0f\n", n }' "/proc/$daemon_pid/task"/*/schedstat
}
# loss NAME COMMAND...: what is lost of the events meanwhile, and how many the daemon takes a second of its own
# processor time.
loss() {
	local name=$1 full slow seen spent

	full=$(counter events-dropped-ring-full) slow=$(counter subscriber-drops) seen=$(counter events-seen)
	spent=$(spent)
	"${@:2}"
	spent=$(($(spent) - spent))
	seen=$(($(counter events-seen) - seen))
	figure "$name: told" "$((seen * 1000000000 / spent))" events/s
	figure "$name: lost, ring full" "$(($(counter events-dropped-ring-full) - full))" events
	figure "$name: lost, subscribers slow" "$(($(counter subscriber-drops) - slow))" events
}
bursts() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		burst 400
	done
}
have_subscribers() {
	[ "$(counter subscribers)" -eq "$1" ]
}
# subscribers N: so many in all.
subscribers() {
	while [ "${#helper_pids[@]}" -lt "$1" ]; do
		ctl events -f -o json >/dev/null 2>&1 &
		helper_pids+=("$!")
	done
	wait_for 60 have_subscribers "$1" || fail "$1 subscribe"
}
denied() {
	until ! "$T/bin/denied" --quiet udp4 connect 127.0.0.1 9; do
		:
	done
}
launch() {
	"$REVSHELLD" --policy-dir "$T/policies" "--bus=$DBUS_SYSTEM_BUS_ADDRESS" "--pin-dir=$PIN_DIR" --mode=enforce \
		>>"$T/daemon.log" 2>&1 &
	daemon_pid=$!
	denied
}
# change NAME EXPRESSION: of sed, in which N is another number each time.
changes=0
change() {
	changes=$((changes + 1))
	sed -i "${2//N/$changes}" "$T/policies/$1.yaml"
	ctl reload
}
V4='0,/"[0-9.]*\/[0-9]*"/s//"9.N.7.0\/24"/'
V6='0,/"2001:[0-9a-f:]*\/[0-9]*"/s//"2001:db9:N:0:0:0:0:0\/64"/'

for name in reported denied other; do
	copy_probe "$T/bin/$name" >/dev/null
done
# Waiting for this machine's files would count as time: each look at a library is some 12 ms.
cp "$REVSHELLD" "$REVSHELLCTL" "$T/bin/"
mkdir "$T/lib"
ldd "$REVSHELLD" "$REVSHELLCTL" | awk '$3 ~ /^\// { print $3 }' | sort -u | xargs cp -t "$T/lib"
export LD_LIBRARY_PATH=$T/lib
REVSHELLD=$T/bin/revshelld REVSHELLCTL=$T/bin/revshellctl
start_bus
if [ "${1:-}" = bursts ]; then
	concern reported 'action: Post'
	start
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		loss '50000 events at once' burst 50000
	done
	ok 'all is measured'
	finish
fi
connects 'two threads connect, no daemon' other "$N"
concern reported 'action: Post'
concern denied 'action: Override, argError: -1'
took 'first denial after the start' 1 launch
wait_for 60 ctl status
took 'stop and disarm' 1 stop
took 'start, programs loaded afresh' 1 start
memory 'two policies'
connects 'two threads connect, unconcerned' other "$N"
took 'status, for comparison' 5 ctl status
took 'mode: enforce' 5 ctl enforce on
took 'mode: monitor' 5 ctl enforce off
took 'reload, one policy of two has other words' 5 change reported '$a # N'
took 'reload, one policy of two denies otherwise' 5 change denied 's/argError: -[0-9]*/argError: -N/'
for n in 0 1 8; do
	subscribers "$n"
	loss "ten times 400 events, $n subscribers" bursts
	loss "50000 events at once, $n subscribers" burst 50000
done
kill "${helper_pids[@]}"
helper_pids=()
memory 'two policies, after events'
kill_daemon
took 'start, programs taken over' 1 start
stop

rm "$T/policies/reported.yaml"
start
concern reported 'action: Post'
took 'reload, a policy beside the only one' 1 ctl reload
stop

umask 022
mkdir "$T/many"
"$BUILD/tests/engine/scale" "$T" "$T/many" || fail 'the policies are written'
cp "$T"/many/*.yaml "$T/policies/"
took 'start, 512 policies more of 100,000 prefixes' 1 start
memory '512 policies'
took 'reload, one policy of 514 has other words' 5 change p3 '$a # N'
took 'reload, one policy of 514 has another IPv4 prefix' 5 change p3 "$V4"
took 'reload, one policy of 514 has another IPv6 prefix' 5 change p3 "$V6"
memory '512 policies, after five reloads'
rm "$T"/policies/*.yaml
concern reported 'action: Post'
took 'reload, 513 policies removed' 1 ctl reload
memory 'one policy again'
ok 'all is measured'
finish
