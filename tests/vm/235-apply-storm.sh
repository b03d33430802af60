#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# 50 transactions by revshellctl under a storm of connects: each decision is of the old set or the new one.
# timeout: 240
. "$(dirname "$0")/lib.sh"

# rule NAME ADDRESS PORT: denies that pair.
rule() {
	cat <<-END
		---
		apiVersion: cilium.io/v1alpha1
		kind: TracingPolicy
		metadata: {name: $1}
		spec:
		  kprobes:
		  - call: security_socket_connect
		    syscall: false
		    args: [{index: 0, type: socket}, {index: 1, type: sockaddr}]
		    selectors:
		    - matchArgs:
		      - {index: 1, operator: SAddr, values: [127.0.1.$2]}
		      - {index: 1, operator: SPort, values: ["$3"]}
		      matchActions: [{action: Override, argError: -1}]
	END
}

# Both deny 3:7003. Of the four pairs of 1, 2 with 7001, 7002 either denies two, and no set any other.
{ rule always 3 7003; rule one 1 7001; rule two 2 7002; } >"$T/a.yaml"
{ rule always 3 7003; rule one 1 7002; rule other 2 7001; } >"$T/b.yaml"
rule always 3 7003 | policy always.yaml

cat >"$T/storm.py" <<'END'
import collections, errno, os, socket, subprocess, sys
import signal

PAIRS = [(a, p) for a in (1, 2, 3) for p in (7001, 7002, 7003)]
SETS = {"a": {(1, 7001), (2, 7002)}, "b": {(1, 7002), (2, 7001)}}
ALWAYS = (3, 7003)

def denied(pair):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("127.0.1.%d" % pair[0], pair[1]))
            return False
        except PermissionError:
            return True

def storm(out):
    counts = collections.Counter()
    going = [True]
    signal.signal(signal.SIGTERM, lambda *_: going.clear())
    os.write(out, b"r")
    while going:
        for pair in PAIRS:
            counts[pair, denied(pair)] += 1
    os.write(out, repr(dict(counts)).encode())
    os._exit(0)

children = []
for _ in range(2):
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        storm(w)
    os.close(w)
    os.read(r, 1)
    children.append((pid, r))
wrong = applied = 0
for i in range(50):
    name = "ab"[i % 2]
    done = subprocess.run(sys.argv[1:] + ["apply", "--replace-all", "%s/%s.yaml" % (os.environ["T"], name)],
                          capture_output=True)
    applied += done.returncode == 0
    if done.returncode:
        print(done.stderr.decode())
    # What comes back after the call is the new set's.
    wrong += {p for p in PAIRS if denied(p)} != SETS[name] | {ALWAYS}
counts = collections.Counter()
for pid, r in children:
    os.kill(pid, signal.SIGTERM)
    text = b""
    while part := os.read(r, 65536):
        text += part
    counts.update(eval(text))
    os.waitpid(pid, 0)
print("applied", applied)
print("wrong", wrong)
print("empty", counts[ALWAYS, False])
print("mixed", sum(counts[p, True] for p in PAIRS if p != ALWAYS and p not in SETS["a"] | SETS["b"]))
both = sum(counts[p, d] > 0 for p in SETS["a"] | SETS["b"] for d in (False, True))
print("swapped", both)
print("always", int(counts[ALWAYS, True] > 100))
print("decisions", sum(counts.values()), file=sys.stderr)
END

start_daemon "$T/policies" || exit 1
check 'enforce' ctl enforce on
python3 -S -E "$T/storm.py" "$REVSHELLCTL" --bus="$DBUS_SYSTEM_BUS_ADDRESS" >"$T/result" 2>"$T/decisions" || cat "$T/decisions"
cat "$T/decisions"
value() { awk -v key="$1" '$1 == key { print $2 }' "$T/result"; }
check_equal 'all transactions are in force' 50 "$(value applied)"
check_equal 'at once' 0 "$(value wrong)"
check_equal 'no decision out of an empty set' 0 "$(value empty)"
check_equal 'none out of a mixture' 0 "$(value mixed)"
check_equal 'each pair was allowed and denied in the storm' 8 "$(value swapped)"
check_equal 'what both sets deny was tried' 1 "$(value always)"
check_equal 'files' 'always.yaml one.yaml other.yaml' "$(cd "$T/policies" && echo *)"
finish
