# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may, beside root: a fake polkit decides, and callers are nobody."""
import os
import subprocess
import unittest
import xml.etree.ElementTree as ElementTree

from harness import FAKE, MANAGER, NAME, NOBODY, PATH, SOURCE, BusTest, needs_root, policy, wait_for


@needs_root
class Polkit(BusTest):
    daemon = FAKE
    args = ["--backend=lsm"]
    include = "<include>%s/dbus/org.revshell1.conf</include>" % SOURCE

    def setUp(self):
        super().setUp()
        self.rules = os.path.join(self.dir, "rules")
        self.asked = os.path.join(self.dir, "asked")
        self.allow()
        self.start([os.environ["FAKE_POLKIT"], self.address, self.rules, self.asked])
        wait_for("polkit", lambda: self.busctl(
            "call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "NameHasOwner", "s",
            "org.freedesktop.PolicyKit1").out == "b true\n")

    def allow(self, *rules):
        with open(self.rules, "w") as f:
            f.writelines("%s org.revshell1.%s\n" % tuple(r.split()) for r in rules)

    def questions(self):
        if not os.path.exists(self.asked):
            return []
        with open(self.asked) as f:
            lines = [line.replace("org.revshell1.", "") for line in f.read().splitlines()]
        # one that is opened but not written yet is left for the next look
        if lines:
            os.unlink(self.asked)
        return lines

    def nobody(self, member, *args, interface=MANAGER, path=PATH, options=()):
        return self.busctl(*options, "--json=short", "call", NAME, path, interface, member, *args,
                           prefix=NOBODY)

    def check(self, action, member, *args, **kwargs):
        """Refused without the action's right, whatever else is granted; then let through."""
        every = {"inspect", "reload", "set-mode", "relax-mode", "manage-policies", "lock"}
        self.allow(*("yes " + a for a in every - {action}))
        self.questions()
        generation, mode = self.get("Generation"), self.get("Mode")
        r = self.nobody(member, *args, **kwargs)
        self.assertNotEqual(r.code, 0, (member, r))
        self.assertIn("Access denied", r.err)
        self.assertEqual((self.get("Generation"), self.get("Mode")), (generation, mode))
        self.allow("yes " + action)
        r = self.nobody(member, *args, **kwargs)
        self.assertEqual(r.code, 0, (member, r))
        self.assertEqual([q.split()[0] for q in self.questions()], [action, action])

    def test_each_method_has_its_action(self):
        self.check("inspect", "ListPolicies")
        self.check("inspect", "GetPolicySource", "s", "one")
        self.check("inspect", "GetStatistics")
        self.check("inspect", "ListEvents", "tua{sv}", "0", "1", "0")
        self.check("inspect", "OpenEventStream", "a{sv}", "0")
        self.check("inspect", "GetAll", "s", MANAGER, interface="org.freedesktop.DBus.Properties")
        self.check("inspect", "GetManagedObjects",
                   interface="org.freedesktop.DBus.ObjectManager")
        self.check("inspect", "GetSource", interface="org.revshell1.Policy",
                   path=PATH + "/policy/one")
        self.check("reload", "Reload", "a{sv}", "0")
        self.check("set-mode", "SetEnforce", "b", "true")
        self.assertEqual(self.get("Mode"), "enforce")
        self.check("relax-mode", "SetEnforce", "b", "false")
        self.check("set-mode", "SetMode", "sa{sv}", "enforce", "0")
        self.check("relax-mode", "SetMode", "sa{sv}", "monitor", "0")
        self.check("relax-mode", "SetPolicyMode", "ssa{sv}", "one", "monitor", "0")
        self.check("set-mode", "SetPolicyMode", "ssa{sv}", "one", "enforce", "0")
        self.check("relax-mode", "SetPolicyMode", "ssa{sv}", "one", "off", "0")
        self.check("inspect", "Simulate", "a{sv}", "1", "dst", "s", "198.51.100.7:4444")
        self.check("relax-mode", "SetPolicyMode", "ssa{sv}", "one", "default", "0")
        self.check("relax-mode", "SetMode", "sa{sv}", "monitor", "0",
                   interface="org.revshell1.Policy", path=PATH + "/policy/one")
        self.check("manage-policies", "PutPolicy", "ssa{sv}", "new", policy("new"), "0")
        self.check("manage-policies", "RemovePolicy", "sa{sv}", "new", "0")
        self.check("manage-policies", "Apply", "a(sss)a{sv}", "1", "set-mode", "one", "monitor",
                   "0")

    def test_uid_and_action_are_logged(self):
        self.allow("yes set-mode")
        self.nobody("SetEnforce", "b", "true")
        self.assertIn("Granted org.revshell1.set-mode to uid 65534", self.log())
        self.assertRegex(self.log(), r"Mode enforce \(was monitor\) \(bus, uid 65534, pid \d+\)")
        self.nobody("SetEnforce", "b", "false")
        self.assertIn("Refused org.revshell1.relax-mode to uid 65534", self.log())

    def test_interaction_only_if_allowed(self):
        self.allow("ask set-mode")
        r = self.nobody("SetEnforce", "b", "true",
                        options=["--allow-interactive-authorization=no"])
        self.assertNotEqual(r.code, 0)
        self.assertEqual(self.questions(), ["set-mode 0"])
        r = self.nobody("SetEnforce", "b", "true")
        self.assertEqual(r.code, 0, r)
        self.assertEqual(self.questions(), ["set-mode 1"])

    def test_client(self):
        self.allow("yes inspect")
        r = self.ctl("policy", "list", "--no-legend", prefix=NOBODY)
        self.assertEqual((r.code, r.err), (0, ""), r)
        r = self.ctl("enforce", "on", prefix=NOBODY)
        self.assertEqual(r.code, 4, r)

    def test_root_is_not_asked_about(self):
        self.call("SetEnforce", "b", "true")
        self.assertEqual(self.questions(), [])

    def test_pending_is_bounded_and_blocks_nobody(self):
        self.allow("hold inspect", "yes set-mode")
        waiting = [self.start([*NOBODY, "busctl", "--address=" + self.address, "call", NAME, PATH,
                               MANAGER, "ListPolicies"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) for _ in range(100)]
        wait_for("100 questions", lambda: os.path.exists(self.asked) and
                 len(open(self.asked).readlines()) == 100, 30)
        r = self.nobody("SetEnforce", "b", "true")
        self.assertIn("100 authorizations are pending", r.err)
        self.call("SetEnforce", "b", "true")
        self.assertEqual(self.get("Mode"), "enforce")
        self.assertTrue(all(w.poll() is None for w in waiting))


class ActionsFile(unittest.TestCase):
    def test_weakening_is_never_kept(self):
        root = ElementTree.parse(os.path.join(SOURCE, "dbus/org.revshell1.policy"))
        defaults = {a.get("id").removeprefix("org.revshell1."): {d.text for d in a.find("defaults")}
                    for a in root.iter("action")}
        self.assertEqual(set(defaults), {"inspect", "reload", "set-mode", "relax-mode",
                                         "manage-policies", "lock"})
        for action in "relax-mode", "manage-policies":
            self.assertEqual(defaults[action], {"auth_admin"})
        for values in defaults.values():
            self.assertLessEqual(values, {"auth_admin", "auth_admin_keep"})


if __name__ == "__main__":
    unittest.main()
