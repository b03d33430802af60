# SPDX-License-Identifier: LGPL-2.1-or-later
"""Transactions by revshellctl, whose words are the arguments, while two processes connect, about once a millisecond each.

Prints a line "NAME VALUE" for each result.
"""
import collections
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pairs import ALWAYS, PAIRS, SETS, denied, in_force, policies

T = os.environ["T"]
N = 200
DAEMON = int(os.environ["DAEMON_PID"])


def write(name, more):
    path = "%s/%s-%d.yaml" % (T, name, more)
    if not os.path.exists(path):
        with open(path, "w") as f:
            f.write("".join(policies(name, more)))
    return path


def more(i):
    """How many policies transaction i has beside the three that tell the sets apart."""
    return 497 if i % 50 == 49 else 61 if i % 10 == 5 else i % 4


def apply(name, n):
    return subprocess.run(sys.argv[1:] + ["apply", "--replace-all", write(name, n)], capture_output=True, text=True)


def memory():
    """Bytes of all maps, descriptors and resident KiB of the daemon. Old maps are freed a while after."""
    def maps():
        out = subprocess.run(["bpftool", "-j", "map", "show"], capture_output=True, text=True).stdout
        return sum(int(m.get("bytes_memlock", 0)) for m in json.loads(out))
    last, now = None, maps()
    while now != last:
        time.sleep(0.5)
        last, now = now, maps()
    with open("/proc/%d/statm" % DAEMON) as f:
        resident = int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024
    return now, len(os.listdir("/proc/%d/fd" % DAEMON)), resident


def storm(out):
    counts = collections.Counter()
    going = [True]
    signal.signal(signal.SIGTERM, lambda *_: going.clear())
    os.write(out, b"r")
    while going:
        for pair in PAIRS:
            counts[pair, denied(pair)] += 1
            # which leaves the transactions the processor, and still some calls in each; test 230 has no pause
            time.sleep(0.001)
    os.write(out, repr(dict(counts)).encode())
    os._exit(0)


# Each size once, so that what is kept for the largest is there; then as at the end, when the set before is
# still kept, too.
for name, n in (("a", 497), ("b", 497), ("b", more(N - 2)), ("a", 0)):
    apply(name, n)
before = memory()
children = []
for _ in range(2):
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        storm(w)
    os.close(w)
    os.read(r, 1)
    children.append((pid, r))
wrong = applied = n_policies = 0
for i in range(N):
    name = "ba"[i % 2]
    n = more(i) if i < N - 1 else 0
    done = apply(name, n)
    applied += done.returncode == 0
    n_policies = max(n_policies, n + 3)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
    # What comes back after the call is the new set's.
    wrong += in_force() != name
counts = collections.Counter()
for pid, r in children:
    os.kill(pid, signal.SIGTERM)
    text = b""
    while part := os.read(r, 65536):
        text += part
    counts.update(eval(text))
    os.waitpid(pid, 0)
after = memory()
some = SETS["a"] | SETS["b"]
print("applied", applied)
print("policies", n_policies)
print("wrong", wrong)
print("empty", counts[ALWAYS, False])
print("mixed", sum(counts[p, True] for p in PAIRS if p != ALWAYS and p not in some))
print("swapped", sum(counts[p, d] > 0 for p in some for d in (False, True)))
print("always", int(counts[ALWAYS, True] > 100))
print("maps", after[0] - before[0])
print("descriptors", after[1] - before[1])
print("resident", after[2] - before[2])
print("%d decisions; maps %d -> %d bytes, %d -> %d descriptors, %d -> %d KiB resident" %
      (sum(counts.values()), before[0], after[0], before[1], after[1], before[2], after[2]), file=sys.stderr)
