#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The creator of a socket is known after fork, exec, its own end and descriptor passing; nothing leaks.
# kernels: 6.1 6.12 7
# pins: shared
. "$(dirname "$0")/lib.sh"

python=$(readlink -f /usr/bin/python3)
perl=$(readlink -f /usr/bin/perl)
policy bind-shell.yaml <"$TREE/tests/policies/seed/4.2-detect-bind-shell.yaml"
marker_policy
start_daemon "$T/policies" || exit 1
follow_events

cat >"$T/track.py" <<'END'
# track.py HOW PORT: prints the creator's PID and that of who listens.
import os, socket, sys

how, port = sys.argv[1], int(sys.argv[2])

def create():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", port))
    return s

def child(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return pid

if how == "itself":
    create().listen()
    print(os.getpid(), os.getpid())
elif how == "exec":
    s = create()
    s.set_inheritable(True)
    pid = child(lambda: os.execv("/usr/bin/perl", ["perl", "-e", 'open(S, "+<&=", $ARGV[0]); listen(S, 5)', str(s.fileno())]))
    os.waitpid(pid, 0)
    print(os.getpid(), pid)
elif how == "orphan":
    r, w = os.pipe()
    def creator():
        s, me = create(), os.getpid()
        def orphan():
            while os.getppid() == me:
                pass
            s.listen()
            os.write(w, b"%d %d" % (me, os.getpid()))
        child(orphan)
    os.waitpid(child(creator), 0)
    print(os.read(r, 100).decode())
elif how == "passed":
    a, b = socket.socketpair()
    def receiver():
        _, fds, _, _ = socket.recv_fds(b, 1, 1)
        socket.socket(fileno=fds[0]).listen()
    pid = child(receiver)
    s = create()
    socket.send_fds(a, [b"x"], [s.fileno()])
    os.waitpid(pid, 0)
    print(os.getpid(), pid)
END

line='.process_kprobe | [.function_name, .process.binary, .process.pid.value, (.current // .process | .binary, .pid.value),
	.args[0].sock_arg.sport] | map(tostring) | join(" ")'

# track HOW PORT BINARY: the event names the creator as the process, and BINARY as the current one.
track() {
	# until all who have the socket have ended
	both=$(python3 -S -E "$T/track.py" "$1" "$2")
	read -r creator current <<<"$both"
	check "$1: there are two processes" test "$1" = itself -o "$creator" != "$current"
	check_events "$1: the creator is named" "inet_csk_listen_start $python $creator $3 $current $2" "$line"
}

track itself 4444 "$python"
track exec 8888 "$perl"
track orphan 1337 "$python"
check_equal 'orphan: what is told of the creator' "0 execve true -S -E $T/track.py orphan 1337 true" \
	"$(jq -r '.process_kprobe | select(.policy_name != "marker") | [.process.uid.value, (.process.flags | split(" ")[0]),
		.process.exec_id == .current.parent_exec_id, .process.arguments, .process.parent_exec_id == .parent.exec_id]
		| map(tostring) | join(" ")' "$T/events.new")"
track passed 9001 "$python"

# The memory that sockets and their owners take comes back.
unreclaimable() {
	awk '$1 == "SUnreclaim:" { print $2 }' /proc/meminfo
}
many() {
	"$PROBE" --quiet --repeat "$1" tcp4 create >"$T/many"
}
many 1000
sleep 2
before=$(unreclaimable)
check '20,000 sockets' many 20000
reclaimed() {
	after=$(unreclaimable)
	[ $((after - before)) -lt 4096 ]
}
check 'the memory of 20,000 sockets is free again' wait_for 60 reclaimed
printf 'unreclaimable slab: %s kB, then %s kB\n' "$before" "$after"
check_events 'without a report' ''
track exec 5555 "$perl"

# A socket that may hold no more: its creator is not known, and whoever calls is named.
optmem=$(sysctl -n net.core.optmem_max)
sysctl -qw net.core.optmem_max=1024
both=$(python3 -S -E "$T/track.py" exec 5555)
read -r creator current <<<"$both"
sysctl -qw "net.core.optmem_max=$optmem"
check_events 'without memory: the caller is named' "inet_csk_listen_start $perl $current $perl $current 5555" "$line"
check 'creators without memory are counted' test "$(counter owners-without-memory)" -gt 0
track exec 5555 "$perl"
finish
