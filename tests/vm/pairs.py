# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two rule sets that can be told apart by what they deny, and from a mixture of them.

Both deny ALWAYS. Of the four pairs of the addresses 1, 2 and the ports 7001, 7002 either denies two, and
none denies any other.
"""
import socket

PAIRS = [(a, p) for a in (1, 2, 3) for p in (7001, 7002, 7003)]
SETS = {"a": {(1, 7001), (2, 7002)}, "b": {(1, 7002), (2, 7001)}}
ALWAYS = (3, 7003)

RULE = """---
apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata: {name: %s}
spec:
  kprobes:
  - call: security_socket_connect
    syscall: false
    args: [{index: 0, type: socket}, {index: 1, type: sockaddr}]
    selectors:
    - matchArgs:
      - {index: 1, operator: SAddr, values: [%s]}
      - {index: 1, operator: SPort, values: ["%d"]}
      matchActions: [{action: Override, argError: -1}]
"""


def rule(name, pair):
    return RULE % (name, "127.0.1.%d" % pair[0], pair[1])


def policies(name, more=0):
    """Texts of a set, and of as many policies more that are about nobody here."""
    texts = [rule("always", ALWAYS)]
    texts += [rule("p%d-%d" % pair, pair) for pair in sorted(SETS[name])]
    return texts + [RULE % ("more-%d" % i, "198.51.%d.%d" % (i // 250, i % 250 + 1), 7001)
                    for i in range(more)]


def denied(pair):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("127.0.1.%d" % pair[0], pair[1]))
            return False
        except PermissionError:
            return True


def in_force():
    """The name of the set that is in force, or "" if it is neither."""
    found = {p for p in PAIRS if denied(p)}
    return "".join(name for name, pairs in SETS.items() if found == pairs | {ALWAYS})
