# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lets each call of a reload, and some of a start, fail or be the last; looks at what is in force then.

Prints "ok: WHAT" and "not ok: WHAT" lines, as lib.sh does.
"""
import errno
import mmap
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pairs

T = os.environ["T"]
POLICIES = T + "/faults.d"
CTL = [os.environ["REVSHELLCTL"], "--bus=" + os.environ["DBUS_SYSTEM_BUS_ADDRESS"]]
ANY = 0xffffffff
COMMANDS = {0: "MAP_CREATE", 1: "MAP_LOOKUP", 2: "MAP_UPDATE", 3: "MAP_DELETE", 4: "MAP_GET_NEXT_KEY",
            5: "PROG_LOAD", 6: "OBJ_PIN", 7: "OBJ_GET", 15: "OBJ_GET_INFO", 17: "RAW_TRACEPOINT_OPEN",
            18: "BTF_LOAD", 22: "MAP_FREEZE", 26: "MAP_UPDATE_BATCH", 28: "LINK_CREATE",
            33: "ITER_CREATE", 35: "PROG_BIND_MAP",
            1000: "rename", 1001: "unlink", 1002: "unlinkat", 1003: "mkdir", 1004: "rmdir"}
# Those first that a reload needs for a program that is not there yet.
KINDS = [5, 17, 28, 6, 1000, 1001, 1003, 0, 1, 2, 3, 7, 15, 22, 26]
# Hooks whose programs are loaded on demand, so that a reload that brings one loads, attaches and pins it.
# Once it is there it stays, so the next fault needs another.
ON_DEMAND = ["socket_bind", "socket_setsockopt", "socket_accept", "tun_dev_create", "file_receive",
             "socket_sendmsg", "socket_create", "ptrace_access_check", "ptrace_traceme"]
HOOK = """---
apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata: {name: on-demand}
spec:
  lsmhooks:
  - hook: %s
    selectors:
    - matchBinaries: [{operator: In, values: [/nonexistent]}]
      matchActions: [{action: Override, argError: -1}]
"""


class Fault:
    """The file that the preloaded library looks at."""
    def __init__(self):
        self.path = T + "/fault"
        with open(self.path, "wb") as f:
            f.write(bytes(4096))
        self.f = open(self.path, "r+b")
        self.map = mmap.mmap(self.f.fileno(), 4096)

    def arm(self, nth, error=errno.EIO, only=ANY):
        self.map[0:20] = struct.pack("=IIIII", 0, error, 0, only, ANY)
        self.map[0:4] = struct.pack("=I", nth)

    def disarm(self):
        """The call that was hit, or None if there were fewer."""
        self.map[0:4] = bytes(4)
        what = struct.unpack_from("=I", self.map, 16)[0]
        return None if what == ANY else COMMANDS.get(what, "bpf %d" % what)


fault = Fault()
failed = 0


def check(what, good, *details):
    global failed
    failed += not good
    print("ok: " + what if good else "not ok: " + " ".join([what, *map(str, details)]), flush=True)


def put(name, hook=ON_DEMAND[0]):
    with open(POLICIES + "/set.yaml", "w") as f:
        f.write("".join(pairs.policies(name) + [HOOK % hook] * (name == "b")))


class Daemon:
    def __init__(self):
        self.process = None
        self.log = open(T + "/faults.log", "ab")

    def start(self):
        """True once it says that it is ready, False if it ends before."""
        path = T + "/notify"
        if os.path.exists(path):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(path)
            self.process = subprocess.Popen(
                [os.environ["REVSHELLD"], "--policy-dir=" + POLICIES, "--pin-dir=" + os.environ["PIN_DIR"],
                 "--bus=" + os.environ["DBUS_SYSTEM_BUS_ADDRESS"]],
                stdout=self.log, stderr=self.log,
                env=dict(os.environ, LD_PRELOAD=os.environ["FAULT_LIBRARY"], NOTIFY_SOCKET=path,
                         REVSHELL_FAULT=fault.path))
            end = time.monotonic() + 120
            while time.monotonic() < end:
                if select.select([s], [], [], 0.05)[0] and b"READY=1" in s.recv(4096):
                    return True
                if self.process.poll() is not None:
                    return False
        raise AssertionError("the daemon neither starts nor ends")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))


def reload():
    return subprocess.run(CTL + ["reload"], capture_output=True, text=True, timeout=120)


def reload_to(name):
    put(name)
    done = reload()
    if done.returncode != 0 or pairs.in_force() != name:
        raise AssertionError("cannot go to %s: %s" % (name, done.stderr))


daemon = Daemon()


def fail_reloads(kinds):
    """Each call of a reload from a to b fails, one after another, kind by kind."""
    hooks, hit, wrong = ON_DEMAND, {}, []
    for kind in kinds:
        nth = 0
        while True:
            nth += 1
            put("b", hooks[0])
            fault.arm(nth, only=kind)
            done = reload()
            call = fault.disarm()
            found = pairs.in_force()
            # what failed has changed nothing, what succeeded all
            if found != ("b" if done.returncode == 0 else "a") or daemon.process.poll() is not None:
                wrong.append((nth, call, done.returncode, found, done.stderr))
            if done.returncode == 0:
                reload_to("a")
                hooks = hooks[1:] or hooks
            if call is None:
                break
            hit[call] = hit.get(call, 0) + 1
    print("faults: %s" % ", ".join("%d %s" % (n, c) for c, n in sorted(hit.items())))
    check("faults: after each one set is in force, whole", not wrong, wrong)
    return hit


def crash_reloads():
    """The daemon dies at each call of a reload; the next one goes on from there."""
    wrong, sides, nth = [], {"a": 0, "b": 0}, 0
    while True:
        nth += 1
        reload_to("a")
        put("b")
        fault.arm(nth, 0)
        reload()
        call = fault.disarm()
        if call is None:
            break
        # or the process that loads programs for it died, which the daemon outlives
        try:
            daemon.process.wait(0.2)
        except subprocess.TimeoutExpired:
            daemon.kill()
        found = pairs.in_force()
        sides[found] = sides.get(found, 0) + 1
        started = daemon.start()
        if found not in ("a", "b") or not started or pairs.in_force() != "b":
            wrong.append((nth, call, found, started, pairs.in_force()))
    print("crashes: %d, before the set changed %d, after %d" % (nth - 1, sides["a"], sides["b"]))
    check("crashes: each leaves one set in force, whole, and the next start goes on", not wrong, wrong)
    check("crashes: there were some on either side", sides["a"] > 0 and sides["b"] > 0)


def fail_starts(stride):
    """Every so many calls of a start that takes over fails: it starts or it does not, a stays."""
    reload_to("a")
    wrong, nth, n, n_failed = [], 1, 0, 0
    while True:
        daemon.kill()
        fault.arm(nth)
        started = daemon.start()
        call = fault.disarm()
        if call is None:
            break
        n += 1
        n_failed += not started
        if pairs.in_force() != "a":
            wrong.append((nth, call, started, pairs.in_force()))
        nth += stride
    print("starts: %d faults in %d calls, %d ended the start" % (n, nth - stride, n_failed))
    check("starts: what is in force stays, whichever call fails", not wrong, wrong)
    check("starts: with no fault left it starts", started)


def main():
    shutil.rmtree(POLICIES, ignore_errors=True)
    os.mkdir(POLICIES, 0o755)
    put("a")
    check("the daemon starts", daemon.start())
    subprocess.run(CTL + ["enforce", "on"], check=True, capture_output=True)
    check("set a is in force", pairs.in_force() == "a")
    hit = fail_reloads(KINDS)
    for call in "MAP_CREATE", "MAP_UPDATE", "PROG_LOAD", "OBJ_PIN", "rename":
        check("faults: %s was tried" % call, call in hit)
    check("faults: an attachment was tried", "LINK_CREATE" in hit or "RAW_TRACEPOINT_OPEN" in hit)
    # by now no more programs are loaded
    before = daemon.descriptors()
    fail_reloads([0, 26])
    check("no descriptor is lost", daemon.descriptors() == before, before, daemon.descriptors())
    crash_reloads()
    fail_starts(13)
    daemon.kill()
    return failed > 0


sys.exit(main())
