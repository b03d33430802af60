# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon's life: how it starts, how it fails to, what it does without a bus, how it ends."""
import os
import signal
import socket
import unittest

from harness import DAEMON, FAKE, SOURCE, BusTest, policy, run, wait_for


class Start(BusTest):
    daemon = None  # each test starts its own

    def daemon_run(self, *args, env=None):
        """A daemon that is expected to end by itself."""
        return run(DAEMON, "--bus=" + self.address, *args, env=env)

    def test_help_and_version(self):
        r = run(DAEMON, "--help")
        self.assertEqual((r.code, r.err), (0, ""))
        for option in ("--policy-dir", "--bus", "--backend", "--mode", "--log-level"):
            self.assertIn(option, r.out)
        self.assertIn("/etc/revshell/policies.d", r.out)
        r = run(DAEMON, "--version")
        self.assertEqual(r.code, 0)
        self.assertRegex(r.out, r"^revshelld \d+\.\d+\.\d+\n$")

    def test_bad_command_lines(self):
        for args in (["--backend=magic"], ["--mode=off"], ["--log-level=8"], ["--bus=nowhere"],
                     ["--policy-dir="], ["--what"], ["extra"], ["--backend"]):
            r = self.daemon_run(*args)
            self.assertEqual((r.code, r.out), (2, ""), (args, r))
            self.assertIn("revshelld", r.err)

    def test_bad_policy(self):
        path = self.write("15-bad.yaml", policy("Bad"))
        r = self.daemon_run("--policy-dir", self.policies, "--backend=none")
        self.assertEqual(r.code, 1, r)
        self.assertTrue(r.err.startswith(path + ":4:9: error: "), r)

    def test_missing_directory(self):
        r = self.daemon_run("--policy-dir=" + self.dir + "/missing", "--backend=none")
        self.assertEqual(r.code, 1, r)
        self.assertIn(self.dir + "/missing", r.err)

    def test_no_policy_in_any_directory(self):
        for name in "ab":
            os.mkdir(os.path.join(self.dir, name))
        r = self.daemon_run("--policy-dir=" + self.dir + "/a", "--policy-dir=" + self.dir + "/b",
                            "--backend=none")
        self.assertEqual(r.code, 1, r)
        self.assertIn("no policy is left", r.err)

    def test_backend_that_cannot(self):
        self.daemon = FAKE
        self.start_daemon("--backend=fmod-ret", wait=False)
        self.assertEqual(self.process.wait(60), 3)
        self.assertIn("Failed to open backend fmod-ret: this kernel is only a fake", self.log())

    def kprobe_daemon(self, *args):
        self.daemon = FAKE
        self.write("10-one.yaml", policy("one"))
        self.start_daemon("--backend=kprobe", *args)

    def test_enforcement_that_the_backend_cannot(self):
        self.kprobe_daemon()
        r = self.ctl("enforce", "on")
        self.assertEqual(r.code, 1, r)
        self.assertIn("backend kprobe cannot deny, which 1 of the policies want (one)", r.err)
        self.assertIn("override-fallback", r.err)
        r = self.ctl("enforce", "on", "--confirm=1min")
        self.assertEqual(r.code, 1, r)
        self.assertEqual((self.get("Mode"), self.get("EffectiveMode")), ("monitor", "monitor"))
        self.assertEqual(self.ctl("status").code, 5)
        # once nobody wants to deny, it can be had
        self.write("10-one.yaml", policy("one", deny=False))
        self.assertEqual(self.ctl("reload").code, 0)
        self.assertEqual(self.ctl("enforce", "on").code, 0)
        self.assertEqual(self.ctl("status").code, 0)
        # and one that comes then is told
        self.write("10-one.yaml", policy("one"))
        r = self.ctl("reload")
        self.assertEqual(r.code, 0, r)
        self.assertEqual((self.get("Mode"), self.get("EffectiveMode")), ("enforce", "degraded"))
        self.assertEqual(self.ctl("status").code, 7)
        r = self.ctl("policy", "list", "--json=short")
        self.assertIn('"mode":"enforce","effective_mode":"degraded"', r.out.replace(" ", ""))

    def test_enforcement_from_the_start_that_the_backend_cannot(self):
        self.kprobe_daemon("--mode=enforce")
        self.assertEqual((self.get("Mode"), self.get("EffectiveMode")), ("enforce", "degraded"))
        self.assertIn("Mode enforce is in force in part only: backend kprobe cannot", self.log())

    def test_a_substitute_for_denials(self):
        self.kprobe_daemon("--mode=enforce", "--override-fallback=sigkill")
        self.assertEqual(self.get("EffectiveMode"), "enforce")
        r = self.daemon_run("--override-fallback=maybe")
        self.assertEqual(r.code, 2, r)

    def configuration(self, text):
        path = os.path.join(self.dir, "revshelld.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def test_configuration_file(self):
        path = self.configuration("[Daemon]\nBackend=none\nMode=enforce\nLogLevel=debug\n")
        self.daemon, self.args = DAEMON, []
        self.start_daemon("--config=" + path)
        self.assertEqual((self.get("Backend"), self.get("Mode")), ("none", "enforce"))
        self.stop_daemon()
        # the shipped one says nothing but the defaults
        self.start_daemon("--config=" + os.path.join(SOURCE, "systemd", "revshelld.conf"),
                          "--backend=none")
        self.assertEqual(self.get("Mode"), "monitor")
        self.stop_daemon()
        # the command line stands above it
        self.start_daemon("--config=" + path, "--mode=monitor")
        self.assertEqual((self.get("Backend"), self.get("Mode")), ("none", "monitor"))

    def test_bad_configuration_file(self):
        path = self.configuration("[Daemon]\nBackend=none\n  Colour=blue\n")
        r = self.daemon_run("--config=" + path, "--policy-dir", self.policies)
        self.assertEqual((r.code, r.err), (2, path + ':3:3: error: unknown key "Colour"\n'))
        r = self.daemon_run("--config=" + self.dir + "/missing")
        self.assertEqual(r.code, 2, r)
        self.assertIn("/missing: error: cannot be read", r.err)
        # whoever asks for help gets it
        self.assertEqual(self.daemon_run("--config=" + path, "--help").code, 0)

    def test_policies_are_read_first(self):
        # Or it would end with 3.
        self.write("15-bad.yaml", "")
        self.daemon = FAKE
        self.start_daemon("--backend=fmod-ret", wait=False)
        self.assertEqual(self.process.wait(60), 1)

    def test_precedence_of_directories(self):
        over = os.path.join(self.dir, "over")
        os.mkdir(over)
        with open(over + "/10-one.yaml", "w") as f:
            f.write(policy("another"))
        self.daemon = DAEMON
        self.args = ["--backend=none"]
        log = open(self.log_path, "w")
        self.addCleanup(log.close)
        self.process = self.start([DAEMON, "--bus=" + self.address, "--policy-dir=" + over,
                                   "--policy-dir=" + self.policies, "--backend=none"], stderr=log)
        self.wait_name()
        self.assertEqual([p[0] for p in self.call("ListPolicies")[0]], ["another", "two"])


class Persist(BusTest):
    """A mode that outlives what is in force. Each daemon here finds nothing in force."""
    def setUp(self):
        super().setUp()
        self.file = self.dir + "/state/mode"

    def again(self, *args):
        self.assertEqual(self.stop_daemon(), 0)
        self.start_daemon(*args)
        return self.get("Mode"), self.get("ModeSource")

    def kept(self):
        with open(self.file, encoding="utf-8") as f:
            return f.read()

    def test_only_on_demand(self):
        self.assertEqual(self.ctl("enforce", "on").code, 7)  # there is no backend
        self.assertFalse(os.path.exists(self.file))
        self.assertEqual(self.again(), ("monitor", "default"))

    def test_both_modes(self):
        self.ctl("enforce", "on", "--persist", "--reason=for good")
        self.assertEqual((self.get("Mode"), self.get("ModeSource")), ("enforce", "bus"))
        self.assertIn("Mode enforce is kept for the next boot (bus, ", self.log())
        self.assertEqual(self.kept(), "enforce\n")
        self.assertEqual(os.stat(self.file).st_mode & 0o777, 0o600)
        self.assertEqual(self.again(), ("enforce", "persisted"))
        # what does not persist leaves it as it is
        self.call("SetEnforce", "b", "false")
        self.assertEqual(self.again(), ("enforce", "persisted"))
        self.assertEqual(self.ctl("enforce", "off", "--persist").code, 0)
        self.assertEqual(self.again(), ("monitor", "persisted"))
        self.assertEqual(os.listdir(self.dir + "/state"), ["mode"])

    def test_below_what_is_configured(self):
        self.ctl("enforce", "on", "--persist")
        self.assertEqual(self.again("--mode=monitor"), ("monitor", "option"))
        self.ctl("enforce", "on", "--persist")
        self.assertIn("What is configured as mode stands above it", self.log())
        self.assertEqual(self.again("--state-dir=none"), ("monitor", "default"))

    def test_files_that_do_not_count(self):
        self.ctl("enforce", "on", "--persist")
        os.chmod(self.file, 0o602)
        self.assertEqual(self.again(), ("monitor", "default"))
        self.assertIn("others may have written it", self.log())
        os.chmod(self.file, 0o600)
        for text in "", "off\n", "enforcement\n":
            with open(self.file, "w", encoding="utf-8") as f:
                f.write(text)
            self.assertEqual(self.again(), ("monitor", "default"))
            self.assertIn("it is neither enforce nor monitor", self.log())
        os.rename(self.file, self.file + ".real")
        with open(self.file + ".real", "w", encoding="utf-8") as f:
            f.write("enforce\n")
        os.symlink(self.file + ".real", self.file)
        self.assertEqual(self.again(), ("monitor", "default"))

    def test_nothing_changes_if_it_cannot_be_kept(self):
        with open(self.dir + "/state", "w", encoding="utf-8"):
            pass
        r = self.ctl("enforce", "on", "--persist")
        self.assertEqual(r.code, 1, r)
        self.assertIn("Failed to keep mode enforce: Not a directory", r.err)
        self.assertEqual(self.get("Mode"), "monitor")
        self.again("--state-dir=none")
        self.assertEqual(self.ctl("enforce", "on", "--persist").code, 1)
        self.assertEqual(self.get("Mode"), "monitor")

    def test_not_with_a_trial(self):
        self.assertIn("exclude each other", self.call_fails(
            "SetMode", "sa{sv}", "enforce", "2", "confirm-usec", "t", "60000000",
            "persist", "b", "true"))
        self.ctl("enforce", "on", "--confirm=1m")
        self.assertIn("waits for Confirm", self.call_fails(
            "SetMode", "sa{sv}", "monitor", "1", "persist", "b", "true"))
        self.assertFalse(os.path.exists(self.file))


class PersistOverKernel(BusTest):
    """What the kernel refuses is not kept either."""
    daemon = FAKE
    args = []

    def test_what_was_kept_stays(self):
        self.ctl("enforce", "on", "--persist")
        self.fake(**{"fail-mode": 5})
        wait_for("a failure", lambda: self.ctl("enforce", "off", "--persist").code == 1)
        with open(self.dir + "/state/mode", encoding="utf-8") as f:
            self.assertEqual(f.read(), "enforce\n")


class Notify(BusTest):
    """What the service manager is told."""
    daemon = None

    def setUp(self):
        super().setUp()
        self.daemon = DAEMON
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notify.close)
        self.notify.bind(self.dir + "/notify")
        self.notify.settimeout(10)
        os.environ["NOTIFY_SOCKET"] = self.dir + "/notify"
        self.addCleanup(os.environ.pop, "NOTIFY_SOCKET")

    def next(self, wanted):
        """The next message with a line that begins with wanted."""
        while True:
            lines = self.notify.recv(4096).decode().splitlines()
            if any(line.startswith(wanted) for line in lines):
                return lines

    def test_ready_means_reachable(self):
        self.start_daemon(wait=False)
        self.assertIn("STATUS=monitor, backend none, 2 policies, generation 1", self.next("READY"))
        self.assertEqual(self.get("Mode"), "monitor")

    def test_ready_without_a_bus(self):
        self.stop_bus()
        self.start_daemon(wait=False)
        self.next("READY=1")

    def test_ready_with_a_bus_that_says_nothing(self):
        self.stop_bus()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.bind(self.dir + "/bus")
            s.listen()
            self.start_daemon(wait=False)
            self.next("READY=1")

    def test_changes(self):
        self.start_daemon()
        self.next("READY=1")
        self.call("SetEnforce", "b", "true")
        self.assertEqual(self.next("STATUS"),
                         ["STATUS=enforce, backend none, 2 policies, generation 1"])
        self.process.send_signal(signal.SIGHUP)
        lines = self.next("RELOADING=1")
        self.assertRegex(lines[1], r"^MONOTONIC_USEC=\d+$")
        self.assertIn("STATUS=enforce, backend none, 2 policies, generation 2",
                      self.next("READY=1"))
        self.process.terminate()
        self.next("STOPPING=1")
        self.assertEqual(self.process.wait(60), 0)


class Watchdog(Notify):
    """Which is fed while all is well, and else not."""
    test_changes = test_ready_means_reachable = test_ready_without_a_bus = None
    test_ready_with_a_bus_that_says_nothing = None

    def setUp(self):
        super().setUp()
        self.daemon = FAKE
        self.args = []
        os.environ["WATCHDOG_USEC"] = "400000"
        self.addCleanup(os.environ.pop, "WATCHDOG_USEC")
        self.start_daemon()
        self.next("WATCHDOG=1")

    def starves(self, reason):
        wait_for("a reason", lambda: "The watchdog is not fed: " + reason in self.log())
        self.notify.settimeout(1)
        with self.assertRaises(TimeoutError):
            while True:
                self.next("WATCHDOG=1")
                # what was sent before the reason was told may still be there
                self.drained = getattr(self, "drained", 0) + 1
                self.assertLess(self.drained, 300)
        self.notify.settimeout(10)
        self.assertEqual(self.log().count("The watchdog is not fed"), 1, "told once")

    def test_what_enforces_is_not_whole(self):
        self.fake(health=-2)
        self.starves("a pin of the fake's is gone")
        self.assertIsNone(self.process.poll())
        self.fake(health=0)
        self.next("WATCHDOG=1")
        wait_for("word of it", lambda: "All is well again" in self.log())

    def test_pins_that_are_put_back(self):
        self.fake(health=3)
        wait_for("word of it", lambda: "Somebody had removed 3 pins" in self.log())
        self.next("WATCHDOG=1")
        self.assertNotIn("not fed", self.log())

    def test_events_are_not_read(self):
        self.fake(deaf=5)
        self.fake(ring_full=1)
        self.starves("events are not read")


class Bus(BusTest):
    def test_ends_cleanly(self):
        for sig in signal.SIGTERM, signal.SIGINT:
            self.process.send_signal(sig)
            self.assertEqual(self.process.wait(60), 0)
            self.start_daemon()

    def test_bus_restarts(self):
        self.call("SetEnforce", "b", "true")
        pid = self.process.pid
        for _ in range(2):
            self.stop_bus()
            self.start_bus()
            self.wait_name()
        self.assertEqual(self.get("Mode"), "enforce")
        self.assertEqual(self.process.pid, pid)
        self.assertIsNone(self.process.poll())
        self.call("Reload", "a{sv}", "0")

    def test_bus_comes_later(self):
        self.stop_daemon()
        self.stop_bus()
        self.start_daemon(wait=False)
        wait_for("a failed attempt", lambda: "trying again" in self.log())
        self.start_bus()
        self.wait_name()
        self.assertEqual(self.log().count("trying again"), 1, "told once, not at each attempt")

    def test_hangup_without_a_bus(self):
        self.stop_bus()
        self.write("30-three.yaml", policy("three"))
        self.process.send_signal(signal.SIGHUP)
        wait_for("a reload", lambda: "Reloaded: generation 2, 3 policies" in self.log())
        self.start_bus()
        self.wait_name()
        self.assertEqual(self.get("Generation"), 2)

    def test_second_daemon_waits_for_the_name(self):
        first = self.process
        self.start_daemon(wait=False)
        wait_for("a complaint", lambda: "Another process owns" in self.log())
        first.terminate()
        self.assertEqual(first.wait(60), 0)
        self.wait_name()
        wait_for("the name", lambda: "On the bus as org.revshell1" in self.log())

    def test_hostile_bus(self):
        """Whatever answers at the address, the daemon lives."""
        self.stop_bus()
        for answer in (b"", b"ERROR\r\n", b"OK nonsense\r\n" * 100 + b"\0\xff" * 999):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
                s.bind(self.dir + "/bus")
                s.listen()
                s.settimeout(15)
                c, _ = s.accept()
                with c:
                    try:
                        c.sendall(answer)
                    except BrokenPipeError:
                        pass
            os.unlink(self.dir + "/bus")
            self.assertIsNone(self.process.poll(), answer)
        self.start_bus()
        self.wait_name()

    def test_no_descriptor_leaks(self):
        def count():
            return len(os.listdir("/proc/%d/fd" % self.process.pid))
        self.call("Reload", "a{sv}", "0")
        before = count()
        for _ in range(20):
            self.call("Reload", "a{sv}", "0")
            self.busctl("call", "org.revshell1", "/org/revshell1", "org.revshell1.Manager",
                        "OpenEventStream", "a{sv}", "0")
        wait_for("closed descriptors", lambda: count() == before)


if __name__ == "__main__":
    unittest.main()
