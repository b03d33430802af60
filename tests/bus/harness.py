# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private bus, a daemon on it, and the ways to speak to it that the tests share."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

NAME = "org.revshell1"
PATH = "/org/revshell1"
MANAGER = "org.revshell1.Manager"
SOURCE = os.environ["REVSHELL_SOURCE"]
DAEMON = os.environ["REVSHELLD"]
FAKE = os.environ["REVSHELLD_FAKE"]  # the same with tests/bus/fake-backend.c
CTL = os.environ["REVSHELLCTL"]

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
  {include}
</busconfig>
"""

POLICY = """apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata:
  name: "{name}"
spec:
  kprobes:
  - call: "security_socket_connect"
    syscall: false
    args:
    - index: 0
      type: "socket"
    - index: 1
      type: "sockaddr"
    - index: 2
      type: "int"
    selectors:
    - matchArgs:
      - index: 1
        operator: "SAddr"
        values:
        - "{cidr}"
{actions}"""

OVERRIDE = """      matchActions:
      - action: Override
        argError: -1
"""


def policy(name, cidr="198.51.100.0/24", deny=True):
    return POLICY.format(name=name, cidr=cidr, actions=OVERRIDE if deny else "")


def wait_for(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("waited in vain for " + what)


class Result:
    def __init__(self, process):
        self.code = process.returncode
        self.out = process.stdout
        self.err = process.stderr

    def __repr__(self):
        return "exit %d\n--- out\n%s--- err\n%s" % (self.code, self.out, self.err)


def run(*argv, env=None, stdin=None, timeout=60):
    full = dict(os.environ, NO_COLOR="1", **(env or {}))
    return Result(subprocess.run(argv, capture_output=True, text=True, env=full, input=stdin,
                                 timeout=timeout))


class BusTest(unittest.TestCase):
    """One bus, one policy directory and (unless daemon is None) one daemon a test."""
    daemon = DAEMON
    args = ["--backend=none"]
    include = ""  # further XML for the bus
    # In mode log, which tells of every call that enforce would refuse, so that each test shows that
    # its part of the daemon gets along. The sanitizers' own calls at the end are more than it needs.
    sandbox = os.environ["REVSHELL_SANDBOX"]
    maxDiff = None

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="revshell-bus-")
        os.chmod(self.dir, 0o755)
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.address = "unix:path=%s/bus" % self.dir
        self.policies = os.path.join(self.dir, "policies.d")
        os.mkdir(self.policies)
        self.fake_socket = os.path.join(self.dir, "fake")
        self.log_path = os.path.join(self.dir, "log")
        self.bus_process = self.process = None
        self.outside = []  # calls outside of the filter that are expected
        self.addCleanup(self.check_sandbox)
        self.write_policies()
        self.start_bus()
        if self.daemon:
            self.start_daemon()

    def write_policies(self):
        self.write("10-one.yaml", policy("one"))
        self.write("20-two.yaml", policy("two", "203.0.113.0/24", deny=False))

    def write(self, name, text):
        path = os.path.join(self.policies, name)
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        return path

    def start(self, argv, **kwargs):
        process = subprocess.Popen(argv, **kwargs)
        self.addCleanup(self.stop, process)
        return process

    def stop(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()
        for f in process.stdout, process.stderr:
            if f:
                f.close()

    def start_bus(self):
        config = os.path.join(self.dir, "bus.conf")
        with open(config, "w") as f:
            f.write(BUS_CONFIG.format(socket=self.dir + "/bus", include=self.include))
        with open(os.path.join(self.dir, "bus.log"), "a") as log:
            self.bus_process = self.start(["dbus-daemon", "--nofork", "--config-file=" + config],
                                          stdout=log, stderr=log)
        wait_for("the bus", lambda: os.path.exists(self.dir + "/bus"))

    def stop_bus(self):
        self.bus_process.terminate()
        self.bus_process.wait()
        if os.path.exists(self.dir + "/bus"):
            os.unlink(self.dir + "/bus")

    def check_sandbox(self):
        if os.path.exists(self.log_path):
            lines = [line for line in self.log().splitlines() if line.startswith("Sandbox: ")]
            self.assertEqual([re.match(r"Sandbox: (\w+)", line)[1] for line in lines],
                             self.outside, lines)

    def daemon_argv(self, *args):
        return [self.daemon, "--bus=" + self.address, "--policy-dir=" + self.policies,
                "--state-dir=" + self.dir + "/state", "--sandbox=" + self.sandbox, *self.args, *args]

    def start_daemon(self, *args, wait=True):
        if os.path.exists(self.fake_socket):
            os.unlink(self.fake_socket)
        self.check_sandbox()
        with open(self.log_path, "w") as log:
            self.process = self.start(self.daemon_argv(*args), stdout=log, stderr=log,
                                      env=dict(os.environ, REVSHELL_FAKE_SOCKET=self.fake_socket))
        if wait:
            self.wait_name()

    def is_owned(self, name):
        return self.busctl("call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus",
                           "NameHasOwner", "s", name).out == "b true\n"

    def wait_owned(self, name):
        wait_for(name, lambda: self.is_owned(name))

    def wait_name(self):
        def owned():
            if self.process.poll() is not None:
                raise AssertionError("the daemon ended: " + self.log())
            return self.is_owned(NAME)
        wait_for(NAME, owned)

    def stop_daemon(self):
        self.process.terminate()
        return self.process.wait(60)

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    def busctl(self, *args, prefix=()):
        return run(*prefix, "busctl", "--address=" + self.address, *args)

    def ctl(self, *args, prefix=(), env=None):
        return run(*prefix, CTL, "--bus=" + self.address, *args, env=env)

    def call(self, member, *args, prefix=()):
        """The values of a reply as JSON has them."""
        r = self.busctl("--json=short", "call", NAME, PATH, MANAGER, member, *args, prefix=prefix)
        self.assertEqual(r.code, 0, r)
        return json.loads(r.out)["data"] if r.out else []

    def call_policy(self, id, member, *args, prefix=()):
        return self.busctl("call", NAME, PATH + "/policy/" + id, "org.revshell1.Policy", member,
                           *args, prefix=prefix)

    def call_fails(self, member, *args):
        """The name and text of the error, as a direct call shows them."""
        r = self.busctl("call", NAME, PATH, MANAGER, member, *args)
        self.assertNotEqual(r.code, 0, r)
        return r.err

    def get(self, name, interface=MANAGER, path=PATH):
        r = self.busctl("--json=short", "get-property", NAME, path, interface, name)
        self.assertEqual(r.code, 0, r)
        return json.loads(r.out)["data"]

    def monitor(self, below=False):
        """Starts to collect signals of the manager's object, or of all below it too; returns a
        function that ends it and gives the list."""
        out = open(os.path.join(self.dir, "monitor"), "w+")
        self.addCleanup(out.close)
        said = open(os.path.join(self.dir, "monitor.err"), "w+")
        self.addCleanup(said.close)
        process = self.start(["busctl", "--address=" + self.address, "--json=short", "monitor",
                              "--match=type='signal',sender='%s'" % NAME], stdout=out, stderr=said)

        def is_monitoring():
            self.assertIsNone(process.poll())
            said.seek(0)
            return "Monitoring bus message stream." in said.read()
        # what is sent before is not seen
        wait_for("the monitor", is_monitoring)

        def finish(n, seconds=60):
            def lines():
                out.seek(0)
                # the last line may be half written
                return [json.loads(line) for line in out.read().split("\n")[:-1] if line]
            wait_for("%d signals" % n, lambda: len(self.of_daemon(lines(), below)) >= n, seconds)
            process.terminate()
            process.wait()
            return self.of_daemon(lines(), below)
        return finish

    @staticmethod
    def of_daemon(messages, below):
        return [m for m in messages if m["type"] == "signal" and
                (m["path"].startswith(PATH) if below else
                 m["path"] == PATH and not m["member"].startswith("Interfaces"))]

    def fake(self, **what):
        """Tells the fake backend something; blocks while it has not read what came before."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.connect(self.fake_socket)
            s.sendall(json.dumps(what).encode())

    def fake_events(self, n, **what):
        what.setdefault("match", 1)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.connect(self.fake_socket)
            data = json.dumps(what).encode()
            for _ in range(n):
                s.sendall(data)


NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
SANDBOX_OFF = os.environ["REVSHELL_SANDBOX"] == "off"
needs_root = unittest.skipUnless(os.geteuid() == 0, "needs root")
