#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The strict policy: what connect and listen do not show is refused as well, and shells get no connection.
# pins: shared
. "$(dirname "$0")/lib.sh"

python=$(readlink -f /usr/bin/python3)
modprobe -q tun
modprobe -q vsock
add_attacker
# Older than the policy, which would not let it listen.
: >"$T/got"
start_helper "$T/server" python3 -S -E -c 'import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 4444))
s.listen()
print("ready", flush=True)
while True:
    c = s.accept()[0]
    c.settimeout(60)
    try:
        data = c.recv(100)
    except OSError:
        data = b""
    with open(sys.argv[1], "ab") as f:
        f.write(data or b"nothing\n")
    c.close()' "$T/got"
policy strict.yaml <"$TREE/policies/strict/90-strict.yaml"
marker_policy
start_daemon "$T/policies" || exit 1
follow_events

cat >"$T/try.py" <<'END'
# try.py WAY...: prints what came of each, "through" or the error's name.
import ctypes, errno, fcntl, os, signal, socket, struct, sys

PUBLIC = "198.51.100.77"

def option(family, level, name, value):
    socket.socket(family, socket.SOCK_DGRAM).setsockopt(level, name, value)

libc = ctypes.CDLL(None, use_errno=True)

def call(function, *args):
    if function(*args) < 0:
        raise OSError(ctypes.get_errno(), "")

# with_child ACT: a child that sleeps, and what is done to it.
def with_child(act):
    pid = os.fork()
    if pid == 0:
        signal.pause()
    try:
        act(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

def write_memory(pid):
    buf = ctypes.create_string_buffer(b"x")
    iov = struct.pack("QQ", ctypes.addressof(buf), 1)
    call(libc.process_vm_writev, pid, iov, 1, iov, 1, 0)

def trace_me():
    pid = os.fork()
    if pid == 0:
        os._exit(0 if libc.ptrace(0, 0, 0, 0) == 0 else ctypes.get_errno())
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        raise OSError(status, "")

def tun():
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", b"tun%d", 1 | 0x1000))

def listen():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 4450))
    s.listen()

ways = {
    "packet": lambda: socket.socket(17, socket.SOCK_RAW, 0),
    "vsock": lambda: socket.socket(40, socket.SOCK_STREAM),
    "raw4": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
    "raw6": lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58),
    "mptcp": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262),
    "udplite": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136),
    "tun": tun,
    "attach": lambda: with_child(lambda pid: call(libc.ptrace, 16, pid, 0, 0)),
    "seize": lambda: with_child(lambda pid: call(libc.ptrace, 0x4206, pid, 0, 0)),
    "write": lambda: with_child(write_memory),
    "getfd": lambda: with_child(lambda pid: call(libc.syscall, 438, os.pidfd_open(pid), 1, 0)),
    "traceme": trace_me,
    "mem": lambda: with_child(lambda pid: open(f"/proc/{pid}/mem", "r+b").close()),
    "look": lambda: with_child(lambda pid: open(f"/proc/{pid}/environ", "rb").read()),
    "route4": lambda: option(socket.AF_INET, 0, 4, bytes([1] * 4)),
    "route6": lambda: option(socket.AF_INET6, 41, 57, b""),
    "connect": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect((sys.argv[1], 4444)),
    "sendto": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (sys.argv[1], 4444)),
    "listen": listen,
    "tcp": lambda: socket.socket(),
    "unix": lambda: socket.socketpair(),
    "netlink": lambda: socket.socket(16, socket.SOCK_RAW, 0),
    "inside": lambda: socket.create_connection(("127.0.0.1", 4444)),
}
for way in sys.argv[2:]:
    try:
        ways[way]()
        print(way, "through")
    except OSError as e:
        print(way, errno.errorcode.get(e.errno, e))
END

try() {
	python3 -S -E "$T/try.py" "$ATTACKER4" "$@" 2>&1
}

# What this kernel has at all; the rest has nothing to slip by.
ways=() rest=()
while read -r way outcome; do
	case $outcome in
	through) ways+=("$way") ;;
	EPROTONOSUPPORT | EAFNOSUPPORT | ESOCKTNOSUPPORT | ENOENT | ENODEV | ENOPROTOOPT) rest+=("$way") ;;
	*) fail "monitoring: $way goes through or is unknown to this kernel ($outcome)" ;;
	esac
done < <(try packet vsock raw4 raw6 mptcp udplite tun attach seize write getfd traceme route4 route6 connect sendto listen)
printf 'not in this kernel: %s\n' "${rest[*]:-nothing}"
check 'most ways are known to this kernel' test "${#ways[@]}" -ge 10
new_events '.process_lsm | "\(.process.binary) \(.verdict)"' >"$T/lines"
# what the kernel does not have may be asked about before it says so
check 'monitoring: each is reported' test "$(wc -l <"$T/lines")" -ge "${#ways[@]}" \
	-a "$(wc -l <"$T/lines")" -le $((${#ways[@]} + ${#rest[@]}))
check_equal 'monitoring: and nothing else' "$python would-deny" "$(sort -u "$T/lines")"

# A shell that somebody else's connection is given to: says something into it.
connection_for_bash() {
	: >"$T/got"
	python3 -S -E -c 'import os, socket, sys
s = socket.create_connection(("127.0.0.1", 4444))
os.dup2(s.fileno(), 0)
os.dup2(s.fileno(), 1)
os.execv("/usr/bin/bash", ["bash", "-c", "echo hello from a shell"])' 2>"$T/bash.err"
}
connection_for_bash
check 'monitoring: a shell speaks into it' wait_for 60 grep -q hello "$T/got"
new_events '.process_lsm | "\(.message) \(.process.binary) \(.verdict)"' >"$T/lines"
check_equal 'monitoring: that is reported' 'shell with a network connection for standard input or output /usr/bin/bash would-deny' \
	"$(sort -u "$T/lines")"

ctl policy mode strict enforce >"$T/mode.out"
enforce on
check_equal 'enforcing: each is refused' "$(printf '%s EPERM\n' "${ways[@]}")" "$(try "${ways[@]}")"
new_events '.process_lsm | "\(.process.binary) \(.verdict)"' >"$T/lines"
check_equal 'enforcing: each is reported' "${#ways[@]} $python denied" "$(sort "$T/lines" | uniq -c | sed 's/^ *//')"
check_equal 'enforcing: memory cannot be opened, with the error that the kernel makes of it' 'mem EACCES' "$(try mem)"
check_events 'enforcing: which is reported' "ptrace_access_check $python denied EPERM" \
	'.process_lsm | "\(.function_name) \(.process.binary) \(.verdict) \(.errno)"'
check_equal 'enforcing: what is meant to work does' "$(printf '%s through\n' tcp unix netlink inside look)" \
	"$(try tcp unix netlink inside look)"
connection_for_bash
check_match 'enforcing: the shell cannot' 'Operation not permitted' "$T/bash.err"
check 'enforcing: nothing came' wait_for 60 grep -q nothing "$T/got"
new_events '.process_lsm | "\(.process.binary) \(.verdict)"' >"$T/lines"
check_equal 'enforcing: that is reported' '/usr/bin/bash denied' "$(sort -u "$T/lines")"
finish
