# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a bad world does to the daemon: the right error, nothing lost, and it is still there."""
import errno
import os
import signal
import subprocess
import unittest
import xml.etree.ElementTree as ElementTree

from harness import FAKE, MANAGER, SOURCE, BusTest, needs_root, policy, run, wait_for

STORM = os.environ["BUS_STORM"]


class World(BusTest):
    daemon = FAKE
    args = ["--backend=lsm"]

    def state(self):
        """What a failure must leave as it is."""
        return [self.get(name) for name in ("Mode", "Generation", "PolicySetDigest", "NPolicies")]

    def stat(self, name):
        return self.call("GetStatistics")[0][name]

    def n_descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))


class Clients(World):
    def test_garbage_to_every_method(self):
        root = ElementTree.parse(os.path.join(SOURCE, "dbus/org.revshell1.xml"))
        methods = [m.get("name") for m in root.iter("method")]
        self.assertGreater(len(methods), 20)
        before = self.state(), self.n_descriptors()
        r = run(STORM, self.address, "garbage", "100", *methods)
        self.assertEqual((r.code, r.out), (0, "%d\n" % (100 * len(methods))), r)
        self.assertEqual(self.state(), before[0])
        wait_for("closed descriptors", lambda: self.n_descriptors() == before[1])

    def test_4096_subscribers_that_never_read(self):
        before = self.n_descriptors()
        storm = self.start([STORM, self.address, "subscribe", "4096"], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, text=True)
        self.assertEqual(storm.stdout.readline(), "64 4032\n")
        self.assertEqual(self.stat("subscribers-refused"), 4032)
        self.fake_events(3000)
        wait_for("all events", lambda: self.stat("events-seen") == 3000, 60)
        self.assertGreater(self.stat("subscriber-drops"), 64)
        self.assertEqual(len(self.call("ListEvents", "tua{sv}", "2990", "100", "0")[0]), 10)
        self.assertEqual(self.n_descriptors(), before + 64)
        storm.stdin.close()
        self.assertEqual(storm.wait(60), 0)
        wait_for("no subscriber", lambda: self.stat("subscribers") == 0)
        wait_for("closed descriptors", lambda: self.n_descriptors() == before)

    def test_bus_is_killed(self):
        self.call("SetPolicyMode", "ssa{sv}", "one", "monitor", "0")
        self.call("SetEnforce", "b", "true")
        before = self.state()
        for _ in range(2):
            self.bus_process.send_signal(signal.SIGKILL)
            self.bus_process.wait()
            os.unlink(self.dir + "/bus")
            self.fake_events(1)
            self.start_bus()
            self.wait_name()
            self.assertEqual(self.state(), before)
        self.assertEqual(self.call("ListPolicies")[0][0][2:4], ["monitor", "monitor"])
        self.assertEqual(self.stat("policy.one.matches"), 2, "counted while there was no bus")
        self.call("PutPolicy", "ssa{sv}", "new", policy("new"), "0")


@needs_root
class Disk(World):
    """The policies are in a file system of 64 KiB that only the daemon sees."""

    def write_policies(self):
        super().write_policies()
        self.seed = os.path.join(self.dir, "seed")
        os.rename(self.policies, self.seed)
        os.mkdir(self.policies)

    def daemon_argv(self, *args):
        return ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=64k,mode=755 none "$0" && '
                'cp "$1"/* "$0" && shift && exec "$@"', self.policies, self.seed,
                *super().daemon_argv(*args)]

    def inside(self, name=""):
        return "/proc/%d/root%s/%s" % (self.process.pid, self.policies, name)

    def remount(self, how):
        r = run("nsenter", "-t", str(self.process.pid), "-m", "mount", "-o", "remount," + how,
                self.policies)
        self.assertEqual(r.code, 0, r)

    def fill(self, pages):
        """Leaves so many pages free."""
        page = os.sysconf("SC_PAGE_SIZE")
        with open(self.inside("fill"), "wb", buffering=0) as f:
            try:
                while f.write(b"x" * page) == page:
                    pass
            except OSError as e:
                self.assertEqual(e.errno, errno.ENOSPC)
            f.truncate(os.fstat(f.fileno()).st_size // page * page - pages * page)

    def files(self):
        found = {}
        for name in os.listdir(self.inside()):
            if name != "fill":
                with open(self.inside(name), "rb") as f:
                    found[name] = f.read()
        return found

    def apply(self, *changes):
        """The error's text, or None."""
        r = self.busctl("call", "org.revshell1", "/org/revshell1", MANAGER, "Apply", "a(sss)a{sv}",
                        str(len(changes)), *[word for c in changes for word in c], "0")
        return r.err if r.code else None

    def refuses_all(self, text):
        before = self.state(), self.files()
        for changes in ([("put", "new", policy("new"))],
                        [("put", "one", policy("one", "192.0.2.0/24"))],
                        [("remove", "two", "")],
                        [("put", "new", policy("new")), ("remove", "two", ""),
                         ("set-mode", "one", "monitor")]):
            self.assertIn("policy directory: " + text, self.apply(*changes))
            self.assertEqual((self.state(), self.files()), before)
        # what needs no disk goes on
        self.call("SetEnforce", "b", "true")
        self.call("SetPolicyMode", "ssa{sv}", "one", "monitor", "0")
        self.call("Reload", "a{sv}", "0")
        self.assertEqual(self.get("NPolicies"), 2)
        self.assertEqual(self.files(), before[1])

    def is_well_again(self):
        self.assertIsNone(self.apply(("put", "new", policy("new")), ("remove", "two", "")))
        digest = self.get("PolicySetDigest")
        self.call("Reload", "a{sv}", "0")
        self.assertEqual(self.get("PolicySetDigest"), digest)
        self.assertEqual(sorted(self.files()), ["10-one.yaml", "new.yaml"])

    def test_full(self):
        self.fill(0)
        self.refuses_all("No space left on device")
        os.unlink(self.inside("fill"))
        self.is_well_again()

    def test_almost_full(self):
        long = "# %s\n" % ("x" * 6000)
        outcomes = set()
        for pages in range(14):
            self.fill(pages)
            before = self.state(), self.files()
            error = self.apply(("put", "a", policy("a") + long), ("put", "b", policy("b") + long),
                               ("put", "one", policy("one", "192.0.2.0/24") + long))
            outcomes.add(error is None)
            if error:
                self.assertIn("No space left on device", error)
                self.assertEqual((self.state(), self.files()), before, pages)
                continue
            self.assertEqual(sorted(self.files()), ["10-one.yaml", "20-two.yaml", "a.yaml",
                                                    "b.yaml"])
            break
        self.assertEqual(outcomes, {True, False})

    def test_read_only(self):
        self.remount("ro")
        self.refuses_all("Read-only file system")
        self.remount("rw")
        self.is_well_again()


if __name__ == "__main__":
    unittest.main()
