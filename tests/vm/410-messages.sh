#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What policies say of connect holds for messages that carry an address; sockets from elsewhere can be refused.
# pins: shared
. "$(dirname "$0")/lib.sh"

python=$(readlink -f /usr/bin/python3)
modprobe -q tun
receive=1
[[ $(uname -r) == 5.10.* ]] && receive=''

to='{index: 1, type: sockaddr}'
refuse_lsm connect "$python" socket_connect "$to" '{index: 1, operator: SPort, values: ["4444"]}'
refuse_lsm accept "$python" socket_accept '{index: 0, type: socket}' '{index: 0, operator: SPort, values: ["4445"]}'
refuse_lsm option "$python" socket_setsockopt '{index: 1, type: int}, {index: 2, type: int}' \
	'{index: 1, operator: Equal, values: ["0"]}, {index: 2, operator: Equal, values: ["4"]}'
[ -z "$receive" ] || refuse_lsm receive "$python" file_receive '{index: 0, type: socket}' '{index: 0, operator: SPort, values: ["4446"]}'
policy tun.yaml <<END
apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata:
  name: tun
spec:
  lsmhooks:
  - hook: tun_dev_create
    selectors:
    - matchBinaries: [{operator: In, values: ["$python"]}]
      matchActions: [{action: Override, argError: -13}]
END
marker_policy
sysctl -qw net.ipv4.tcp_fastopen=3
start_daemon "$T/policies" || exit 1
follow_events

cat >"$T/try.py" <<'END'
# try.py WAY: prints what came of it, "sent" or the error's name.
import array, ctypes, errno, fcntl, os, socket, struct, sys

PORT = 4444
libc = ctypes.CDLL(None, use_errno=True)

def datagram(family, to, protocol=0, get=None):
    get = get or socket.socket(family, socket.SOCK_DGRAM, protocol)
    get.bind((to, PORT))
    get.settimeout(30)
    s = socket.socket(family, socket.SOCK_DGRAM, protocol)
    s.sendto(b"x", (to, PORT))
    assert get.recv(1) == b"x"

def mapped():
    get = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    get.bind(("127.0.0.1", PORT))
    get.settimeout(30)
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.sendto(b"x", ("::ffff:127.0.0.1", PORT))
    assert get.recv(1) == b"x"

def no_family():
    get = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    get.bind(("127.0.0.1", PORT))
    get.settimeout(30)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sa = struct.pack("=H", 0) + struct.pack("!H", PORT) + socket.inet_aton("127.0.0.1") + bytes(8)
    if libc.sendto(s.fileno(), b"x", 1, 0, sa, len(sa)) < 0:
        raise OSError(ctypes.get_errno(), "")
    assert get.recv(1) == b"x"

def many():
    class iovec(ctypes.Structure):
        _fields_ = [("base", ctypes.c_char_p), ("len", ctypes.c_size_t)]
    class msghdr(ctypes.Structure):
        _fields_ = [("name", ctypes.c_char_p), ("namelen", ctypes.c_uint32), ("iov", ctypes.POINTER(iovec)), ("iovlen", ctypes.c_size_t),
                    ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int), ("len", ctypes.c_uint)]
    get = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    get.bind(("127.0.0.1", PORT))
    get.settimeout(30)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sa = struct.pack("=H", socket.AF_INET) + struct.pack("!H", PORT) + socket.inet_aton("127.0.0.1") + bytes(8)
    iov = iovec(b"x", 1)
    m = msghdr(sa, 16, ctypes.pointer(iov), 1, None, 0, 0, 0)
    if libc.sendmmsg(s.fileno(), ctypes.byref(m), 1, 0) < 0:
        raise OSError(ctypes.get_errno(), "")
    assert get.recv(1) == b"x"

def fastopen(family, to):
    server = socket.socket(family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((to, PORT))
    server.listen()
    server.settimeout(30)
    s = socket.socket(family)
    s.sendto(b"x", 0x20000000, (to, PORT))
    assert server.accept()[0].recv(1) == b"x"

def accept():
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", 4445))
    server.listen()
    s = socket.create_connection(("127.0.0.1", 4445))
    server.accept()

def receive():
    a, b = socket.socketpair()
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 4446))
    socket.send_fds(a, [b"x"], [s.fileno(), a.fileno()])
    _, fds, _, _ = socket.recv_fds(b, 1, 2)
    if not fds:
        raise OSError(errno.EACCES, "")

def tun():
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", b"tun%d", 1 | 0x1000))

ways = {
    "udp4": lambda: datagram(socket.AF_INET, "127.0.0.1"),
    "udp6": lambda: datagram(socket.AF_INET6, "::1"),
    "udplite": lambda: datagram(socket.AF_INET, "127.0.0.1", 136),
    "mapped": mapped,
    "no-family": no_family,
    "sendmmsg": many,
    "fastopen4": lambda: fastopen(socket.AF_INET, "127.0.0.1"),
    "fastopen6": lambda: fastopen(socket.AF_INET6, "::1"),
    "accept": accept,
    "option": lambda: socket.socket().setsockopt(0, 4, bytes([1] * 4)),
    "receive": receive,
    "tun": tun,
}
for way in sys.argv[1:]:
    try:
        ways[way]()
        print(way, "sent")
    except OSError as e:
        print(way, errno.errorcode.get(e.errno, e))
END

sends=(udp4 udp6 mapped no-family sendmmsg fastopen4 fastopen6)
# the newest kernels are built without it
python3 -S -E -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136)' 2>/dev/null && sends+=(udplite)
others=(accept option tun)
[ -z "$receive" ] || others+=(receive)

# try EXPECTED: every way ends like this.
try() {
	check_equal "${mode:-monitoring}: each way ends with $1" "$(printf "%s $1\n" "${sends[@]}" "${others[@]}")" \
		"$(python3 -S -E "$T/try.py" "${sends[@]}" "${others[@]}" 2>&1)"
}

line='.process_lsm | "\(.policy_name) \(.function_name) \(.process.binary) \(.via // "-") \(.verdict)"'
# reported VERDICT: by one event each, as what the policy asks about.
reported() {
	new_events "$line" >"$T/lines"
	check_equal "${mode:-monitoring}: each is reported" "$({
		for _ in "${sends[@]}"; do
			echo "connect socket_connect $python sendmsg $1"
		done
		echo "accept socket_accept $python - $1"
		echo "option socket_setsockopt $python - $1"
		echo "tun tun_dev_create $python - $1"
		[ -z "$receive" ] || echo "receive file_receive $python - $1"
	} | sort)" "$(sort "$T/lines")"
}

try sent
reported would-deny
enforce on
mode=enforcing
try EACCES
reported denied
check_allowed 'another process may send' udp4 sendto 127.0.0.1 4444
check_events 'and goes unreported' ''
finish
