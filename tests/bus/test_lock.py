# SPDX-License-Identifier: LGPL-2.1-or-later
"""Under the lock nothing is weakened by the bus, the command line or files; what strengthens is let."""
import json
import os
import unittest

from harness import FAKE, MANAGER, NAME, PATH, BusTest, policy


class Lock(BusTest):
    daemon = FAKE
    args = ["--backend=lsm"]

    def state(self):
        return self.get("Mode"), self.get("Generation"), self.get("PolicySetDigest")

    def assert_locked(self, *args):
        state = self.state()
        r = self.busctl("--json=short", "call", NAME, PATH, MANAGER, *args)
        self.assertNotEqual(r.code, 0, args)
        self.assertRegex(r.err, "(?i)locked until the next boot", args)
        self.assertEqual(self.state(), state, args)

    def lock(self):
        self.call("SetEnforce", "b", "true")
        self.call("Lock", "a{sv}", "1", "reason", "s", "a drill")

    def test_state(self):
        self.assertFalse(self.get("Locked"))
        self.assertFalse(json.loads(self.ctl("status", "--json=short").out)["locked"])
        self.assertNotIn("locked", self.ctl("status").out)
        finish = self.monitor()
        r = self.ctl("lock", "--reason=a drill")
        self.assertEqual((r.code, r.out, r.err), (0, "", ""))
        self.assertEqual(finish(1)[0]["payload"]["data"],
                         [MANAGER, {"Locked": {"type": "b", "data": True}}, []])
        self.assertIn("reason: a drill", self.log())
        self.assertRegex(self.ctl("doctor").out, r"\[ ok \] lock: on until the next boot")
        self.assertIn(["ok", "lock", "on until the next boot", ""], self.call("Diagnose")[0])
        self.assertTrue(self.get("Locked"))
        self.assertTrue(json.loads(self.ctl("status", "--json=short").out)["locked"])
        self.assertIn(", locked until the next boot\n", self.ctl("status").out)
        self.assertEqual(self.ctl("lock").code, 0)

    def test_modes(self):
        self.call("Lock", "a{sv}", "0")
        self.call("SetEnforce", "b", "false")  # it is so already
        self.assert_locked("SetMode", "sa{sv}", "enforce", "1", "confirm-usec", "t", "60000000")
        self.call("SetEnforce", "b", "true")
        self.assert_locked("SetEnforce", "b", "false")
        self.assert_locked("SetMode", "sa{sv}", "monitor", "0")
        r = self.ctl("enforce", "off")
        self.assertRegex(r.err, ": Locked until the next boot\nHint: only a reboot ends the lock")
        self.assert_locked("Stop", "b", "true")
        self.assertEqual(self.get("Mode"), "enforce")

    def test_policies(self):
        self.lock()
        self.assert_locked("RemovePolicy", "sa{sv}", "one", "0")
        for mode in "monitor", "off":
            self.assert_locked("SetPolicyMode", "ssa{sv}", "one", mode, "0")
        self.assert_locked("PutPolicy", "ssa{sv}", "one", policy("one", "203.0.113.0/24"), "0")
        self.assert_locked("Apply", "a(sss)a{sv}", "2", "put", "new", policy("new"),
                           "remove", "one", "", "0")
        self.assert_locked("Apply", "a(sss)a{sv}", "1", "put", "new", policy("new"),
                           "1", "replace-all", "b", "true")
        self.assert_locked("Apply", "a(sss)a{sv}", "1", "remove", "one", "", "1", "dry-run", "b", "true")
        self.assertTrue(os.path.exists(os.path.join(self.policies, "10-one.yaml")))

    def test_reload(self):
        self.lock()
        path = os.path.join(self.policies, "10-one.yaml")
        with open(path) as f:
            text = f.read()
        for other in policy("one", "203.0.113.0/24"), policy("other"):
            self.write("10-one.yaml", other)
            self.assert_locked("Reload", "a{sv}", "0")
        os.unlink(path)
        self.assert_locked("Reload", "a{sv}", "0")
        self.assertIn('policy "one" would be removed', self.get("LastReloadError"))
        self.write("10-one.yaml", text)
        self.call("Reload", "a{sv}", "0")

    def test_stronger(self):
        self.call("SetPolicyMode", "ssa{sv}", "two", "monitor", "0")
        self.lock()
        self.call("RemovePolicy", "sa{sv}", "two", "0")  # it was not enforced
        self.call("PutPolicy", "ssa{sv}", "new", policy("new"), "0")
        self.assert_locked("RemovePolicy", "sa{sv}", "new", "0")

    def test_pending(self):
        self.call("SetMode", "sa{sv}", "enforce", "1", "confirm-usec", "t", "60000000")
        self.assertIn("waits for Confirm", self.call_fails("Lock", "a{sv}", "0"))
        self.call("Confirm")
        self.call("Lock", "a{sv}", "0")

    def test_at_start(self):
        self.assertRegex(self.ctl("doctor").out, r"\[ ok \] lock: off, and can be switched on")
        self.stop_daemon()
        self.start_daemon("--lock=yes")
        self.assertTrue(self.get("Locked"))

    def test_cannot(self):
        self.stop_daemon()
        self.args = ["--backend=kprobe"]
        self.start_daemon()
        self.assertIn("Failed to lock: the backend cannot deny", self.call_fails("Lock", "a{sv}", "0"))
        self.assertFalse(self.get("Locked"))
        self.assertRegex(self.ctl("doctor").out, r"\[skip\] lock: cannot be switched on: ")
        self.call("SetEnforce", "b", "false")
        self.stop_daemon()
        self.start_daemon("--lock=yes")
        self.assertIn("Failed to lock: the backend cannot deny", self.log())


if __name__ == "__main__":
    unittest.main()
