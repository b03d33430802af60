# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may, beside root: a fake polkit decides, and callers are nobody."""
import os
import subprocess
import time
import unittest
import xml.etree.ElementTree as ElementTree

from harness import FAKE, MANAGER, NAME, NOBODY, PATH, SOURCE, BusTest, needs_root, policy, run, wait_for


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
        self.wait_owned("org.freedesktop.PolicyKit1")

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
        patient = [*NOBODY, "busctl", "--address=" + self.address, "--timeout=120", "call", NAME,
                   PATH, MANAGER]
        waiting = [self.start([*patient, "ListPolicies"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) for _ in range(100)]
        wait_for("100 questions", lambda: os.path.exists(self.asked) and
                 len(open(self.asked).readlines()) == 100)
        begin = time.monotonic()
        r = self.nobody("SetEnforce", "b", "true")
        self.assertIn("100 authorizations are pending", r.err)
        self.assertIn("LimitsExceeded", run(
            *NOBODY, "dbus-send", "--bus=" + self.address, "--print-reply", "--dest=" + NAME, PATH,
            MANAGER + ".SetEnforce", "boolean:true").err)
        self.assertLess(time.monotonic() - begin, 10)
        self.call("SetEnforce", "b", "true")
        self.assertEqual(self.get("Mode"), "enforce")
        self.assertTrue(all(w.poll() is None for w in waiting))
        # who vanishes makes room, for one
        waiting[50].kill()
        wait_for("a place", lambda: self.nobody("SetEnforce", "b", "true").code == 0)
        self.allow("hold inspect", "hold reload")
        held = self.start([*patient, "Reload", "a{sv}", "0"], stderr=subprocess.DEVNULL)
        wait_for("one more question", lambda: "reload 1" in self.questions())
        self.assertIn("100 authorizations are pending", self.nobody("SetEnforce", "b", "true").err)
        for process in [*waiting, held]:
            process.kill()
        self.allow("yes reload")
        wait_for("room for all", lambda: self.nobody("Reload", "a{sv}", "0").code == 0)


# A value of each type that arguments have.
VALUES = {"s": ["enforce"], "b": ["true"], "t": ["0"], "u": ["0"], "a{sv}": ["0"],
          "a(sss)": ["1", "set-mode", "one", "enforce"]}
# Whether a call changes something. One that is not here fails the test.
CHANGES = {
    MANAGER: {
        "SetEnforce": True, "SetMode": True, "Confirm": True, "Rollback": True, "Lock": True, "Stop": True,
        "Reload": True, "PutPolicy": True, "PutPolicyFd": True, "RemovePolicy": True,
        "SetPolicyMode": True, "Apply": True, "ApplyFd": True,
        "GetCapabilities": False, "Diagnose": False, "ListPolicies": False,
        "ValidatePolicy": False, "ValidatePolicyFd": False, "GetPolicy": False,
        "GetPolicySource": False, "GetStatistics": False, "OpenEventStream": False,
        "ListEvents": False, "Explain": False, "Simulate": False,
    },
    "org.revshell1.Policy": {"SetMode": True, "Remove": True, "GetSource": False},
}


def methods():
    """(interface, path, name, types of the arguments) of all that is written down."""
    for name, path in (("org.revshell1.xml", PATH), ("org.revshell1.Policy.xml",
                                                     PATH + "/policy/one")):
        root = ElementTree.parse(os.path.join(SOURCE, "dbus", name))
        for interface in root.iter("interface"):
            for m in interface.iter("method"):
                yield (interface.get("name"), path, m.get("name"),
                       [a.get("type") for a in m.iter("arg") if a.get("direction") == "in"])
    yield "org.freedesktop.DBus.Properties", PATH, "Get", ["s", "s"]
    yield "org.freedesktop.DBus.Properties", PATH, "GetAll", ["s"]
    yield "org.freedesktop.DBus.Properties", PATH + "/policy/one", "GetAll", ["s"]
    yield "org.freedesktop.DBus.ObjectManager", PATH, "GetManagedObjects", []


class Everybody(BusTest):
    """Every method that is written down, as nobody calls it."""
    daemon = FAKE
    args = ["--backend=lsm"]
    include = Polkit.include

    def error_of(self, interface, path, member, types, prefix=NOBODY):
        """The name of the error, or ""."""
        if "h" in types:  # which busctl cannot send
            with open(os.path.join(self.policies, "10-one.yaml")) as f:
                r = subprocess.run([*prefix, os.environ["FD_CALL"], self.address, member,
                                    *(["one"] if types[0] == "s" else [])],
                                   stdin=f, capture_output=True, text=True)
            return r.stdout.strip().removeprefix("ok")
        args = [v for t in types for v in VALUES[t]]
        if types[:1] == ["s"] and "Policy" in member:
            args[0] = "one"
        if types == ["s", "s", "a{sv}"] and member == "PutPolicy":
            args[1] = policy("one")
        if interface.endswith(".Properties"):
            args = [MANAGER if path == PATH else "org.revshell1.Policy", "Mode"][:len(types)]
        r = self.busctl("call", NAME, path, interface, member,
                        *(["".join(types), *args] if types else []), prefix=prefix)
        return r.err if r.code else ""

    def state(self):
        return self.get("Generation"), self.get("Mode"), sorted(os.listdir(self.policies))

    def all_are_refused(self):
        before = self.state()
        for m in methods():
            self.assertRegex(self.error_of(*m), "Access denied|AccessDenied", m)
        self.assertEqual(self.state(), before)

    def test_written_down(self):
        known = {(i, m) for i, members in CHANGES.items() for m in members}
        self.assertEqual({(i, m) for i, _, m, _ in methods() if i in CHANGES}, known)

    @needs_root
    def test_without_polkit(self):
        self.all_are_refused()

    @needs_root
    def test_with_polkit(self):
        rules, asked = (os.path.join(self.dir, name) for name in ("rules", "asked"))
        self.start([os.environ["FAKE_POLKIT"], self.address, rules, asked])
        self.wait_owned("org.freedesktop.PolicyKit1")
        self.all_are_refused()
        with open(asked) as f:
            self.assertEqual(len(f.readlines()), len(list(methods())))
        # the same calls with every right, so that it was not they that were wrong
        with open(rules, "w") as f:
            f.writelines("yes org.revshell1.%s\n" % action for action in (
                "inspect", "reload", "set-mode", "relax-mode", "manage-policies", "lock"))
        for m in sorted(methods(), key=lambda m: m[2] in ("Stop", "Remove", "RemovePolicy")):
            error = self.error_of(*m)
            self.assertNotRegex(error, "Access denied|AccessDenied|Unknown method|UnknownMethod", m)
            if m[2] == "Stop":
                self.process.wait(60)
                self.start_daemon()
            if m[2] == "Lock":  # or the rest would be refused
                self.stop_daemon()
                self.start_daemon()

    @needs_root
    def test_what_the_bus_keeps_from_all(self):
        for interface, member, args in (
                ("org.freedesktop.DBus.Introspectable", "Introspect", []),
                ("org.freedesktop.DBus.Properties", "Set",
                 ["ssv", MANAGER, "Mode", "s", "enforce"]),
                ("org.freedesktop.DBus.Peer", "Ping", [])):
            r = self.busctl("call", NAME, PATH, interface, member, *args, prefix=NOBODY)
            self.assertNotEqual(r.code, 0, member)
            self.assertIn("Access denied", r.err)
        r = self.busctl("set-property", NAME, "/org/freedesktop/LogControl1",
                        "org.freedesktop.LogControl1", "LogLevel", "s", "debug", prefix=NOBODY)
        self.assertIn("Access denied", r.err)

    def test_changes_are_logged(self):
        """Each call that changes something says who made it."""
        for m in sorted(methods(), key=lambda m: (m[2] == "Confirm", m[2] in (
                "Stop", "Remove", "RemovePolicy"))):
            if not CHANGES.get(m[0], {}).get(m[2]):
                continue
            self.write("10-one.yaml", policy("one"))
            self.call("Reload", "a{sv}", "0")
            if m[2] in ("Confirm", "Rollback"):
                self.call("SetEnforce", "b", "false")
                self.call("SetMode", "sa{sv}", "enforce", "1", "confirm-usec", "t", "60000000")
            before = len(self.log())
            self.assertEqual(self.error_of(*m, prefix=()), "", m)
            self.assertRegex(self.log()[before:], r"\(bus, uid %d, pid \d+\)" % os.geteuid(), m)
            if m[2] == "Stop":
                self.process.wait(60)
                self.start_daemon()
            if m[2] == "Lock":  # or the rest would be refused
                self.stop_daemon()
                self.start_daemon()

    def test_changes_of_the_log_are_logged(self):
        for name, value in (("LogLevel", "warning"), ("LogLevel", "info"),
                            ("LogTarget", "console")):
            before = len(self.log())
            r = self.busctl("set-property", NAME, "/org/freedesktop/LogControl1",
                            "org.freedesktop.LogControl1", name, "s", value)
            self.assertEqual(r.code, 0, r)
            self.assertRegex(self.log()[before:], r"Log \w+ %s \(bus, uid %d, pid \d+\)" %
                             (value, os.geteuid()))


@needs_root
class Group(BusTest):
    """AllowGroup= without polkit: members look and strengthen, no more."""
    daemon = FAKE
    args = ["--backend=lsm", "--allow-group=4242"]
    include = Polkit.include
    MEMBER = ["setpriv", "--reuid=65534", "--regid=65534", "--groups=4241,4242"]
    PRIMARY = ["setpriv", "--reuid=65534", "--regid=4242", "--clear-groups"]
    STRANGER = ["setpriv", "--reuid=65534", "--regid=65534", "--groups=4241,4243"]

    def may(self, prefix, member, *args):
        r = self.busctl("call", NAME, PATH, MANAGER, member, *args, prefix=prefix)
        if r.code:
            self.assertIn("Access denied", r.err)
        return r.code == 0

    def test_members(self):
        for who in self.MEMBER, self.PRIMARY:
            self.assertTrue(self.may(who, "ListPolicies"))
            self.assertTrue(self.may(who, "SetEnforce", "b", "true"))
            self.assertTrue(self.may(who, "SetPolicyMode", "ssa{sv}", "one", "enforce", "0"))
            self.assertFalse(self.may(who, "SetEnforce", "b", "false"))
            self.assertFalse(self.may(who, "SetMode", "sa{sv}", "monitor", "0"))
            self.assertFalse(self.may(who, "SetPolicyMode", "ssa{sv}", "one", "monitor", "0"))
            self.assertFalse(self.may(who, "Reload", "a{sv}", "0"))
            self.assertFalse(self.may(who, "RemovePolicy", "sa{sv}", "one", "0"))
            self.assertFalse(self.may(who, "Stop", "b", "false"))
            self.assertEqual(self.get("Mode"), "enforce")
            self.assertEqual(self.get("NPolicies"), 2)
        self.assertIn("Granted org.revshell1.set-mode to uid 65534, by group 4242", self.log())
        self.assertRegex(self.log(), r"Mode enforce \(was monitor\) \(bus, uid 65534, pid \d+\)")

    def test_others(self):
        for who in self.STRANGER, NOBODY:
            self.assertFalse(self.may(who, "ListPolicies"))
            self.assertFalse(self.may(who, "SetEnforce", "b", "true"))
        self.assertEqual(self.get("Mode"), "monitor")

    def test_a_name(self):
        self.stop_daemon()
        self.start_daemon("--allow-group=nogroup")
        self.assertTrue(self.may(NOBODY[:1] + ["--reuid=1", "--regid=65534", "--clear-groups"],
                                 "ListPolicies"))
        self.assertFalse(self.may(self.PRIMARY, "ListPolicies"))

    def test_a_name_of_none(self):
        self.stop_daemon()
        self.start_daemon("--allow-group=revshell-nobodies")
        self.assertIn("AllowGroup=revshell-nobodies: there is no such group", self.log())
        self.assertFalse(self.may(self.PRIMARY, "ListPolicies"))


def read_file(path):
    with open(path) as f:
        return f.read()


POLKITD = "/usr/lib/polkit-1/polkitd"


@needs_root
@unittest.skipUnless(os.path.exists(POLKITD), "polkitd is not installed")
class RealPolkit(BusTest):
    """Debian's polkitd on the private bus, with our actions and a rule of an administrator's."""
    daemon = FAKE
    args = ["--backend=lsm"]
    include = Polkit.include
    RULE = """polkit.addRule(function(action, subject) {
    if (subject.user == "nobody" && (action.id == "org.revshell1.inspect" ||
                                     action.id == "org.revshell1.set-mode"))
        return polkit.Result.YES;
});
"""

    def test_a_rule(self):
        for name, file, text in (
                ("rules", "10-nobody.rules", self.RULE),
                ("actions", "org.revshell1.policy",
                 read_file(os.path.join(SOURCE, "dbus/org.revshell1.policy")))):
            os.mkdir(os.path.join(self.dir, name))
            with open(os.path.join(self.dir, name, file), "w") as f:
                f.write(text)
        # its folders are fixed, so it gets others mounted there
        self.start(["unshare", "--mount", "sh", "-euc", """
            mount --bind "$1/rules" /etc/polkit-1/rules.d
            mount --bind "$1/rules" /usr/share/polkit-1/rules.d
            mount --bind "$1/actions" /usr/share/polkit-1/actions
            exec "$0" --no-debug""", POLKITD, self.dir],
                   env=dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.address))
        self.wait_owned("org.freedesktop.PolicyKit1")

        def nobody(*args):
            r = self.busctl("call", NAME, PATH, MANAGER, *args, prefix=NOBODY)
            self.assertTrue(r.code == 0 or "Access denied" in r.err, r)
            return r.code == 0
        self.assertTrue(nobody("ListPolicies"))
        self.assertTrue(nobody("SetEnforce", "b", "true"))
        self.assertEqual(self.get("Mode"), "enforce")
        self.assertFalse(nobody("SetEnforce", "b", "false"))
        self.assertFalse(nobody("Reload", "a{sv}", "0"))
        self.assertFalse(nobody("RemovePolicy", "sa{sv}", "one", "0"))
        self.assertEqual((self.get("Mode"), self.get("NPolicies")), ("enforce", 2))


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
