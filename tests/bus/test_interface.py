# SPDX-License-Identifier: LGPL-2.1-or-later
"""Simulate, Explain, what state the daemon says it is in; and that org.revshell1(5) tells all of it."""
import json
import os
import re
import shutil
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

from harness import DAEMON, FAKE, MANAGER, NAME, PATH, SOURCE, BusTest, needs_root, policy, run, wait_for

DENIED = {"match": 1, "verdict": 1, "error": -1, "mode": 1}


class Judged(BusTest):
    daemon = FAKE
    args = ["--backend=lsm"]

    def plain(self, member, *args):
        """An a{sv} without the types, and its "json" read."""
        values = {k: v["data"] for k, v in self.call(member, *args)[0].items()}
        values["json"] = json.loads(values["json"])
        return values

    def simulate(self, **facts):
        args = [a for key, value in facts.items() for a in (key, "s", value)]
        return self.plain("Simulate", "a{sv}", str(len(facts)), *args)


class Simulate(Judged):
    def test_denied(self):
        found = self.simulate(exe="/usr/bin/nc", dst="198.51.100.7:4444")
        report = found.pop("json")
        self.assertEqual(found, {
            "mode": "monitor", "verdict": "allowed", "denied": "no", "reported": "yes",
            "enforce-verdict": "denied", "errno": ["EPERM"], "depends-on": [], "policy": "one",
            "call": "security_socket_connect", "selector": 0})
        self.assertEqual(report["enforce"]["by"], {"policy": "one", "selector": 0,
                                                   "call": "security_socket_connect"})
        self.call("SetEnforce", "b", "true")
        found = self.simulate(exe="/usr/bin/nc", dst="198.51.100.7:4444")
        self.assertEqual((found["mode"], found["verdict"], found["denied"]),
                         ("enforce", "denied", "yes"))

    def test_allowed(self):
        found = self.simulate(dst="192.0.2.1:80")
        self.assertEqual((found["verdict"], found["enforce-verdict"], found["reported"]),
                         ("allowed", "allowed", "no"))
        self.assertNotIn("policy", found)
        self.assertEqual([s["match"] for s in found["json"]["selectors"]], ["no", "no"])

    def test_unknown(self):
        found = self.simulate(exe="/usr/bin/nc")
        self.assertEqual((found["enforce-verdict"], found["depends-on"]), ("depends", ["dst"]))
        self.assertNotIn("policy", found)

    def test_the_client_says_the_same(self):
        for facts in {"dst": "198.51.100.7:1"}, {"hook": "listen", "src": ":80"}, {"uid": "0"}:
            r = self.ctl("simulate", "--json=short", *["--%s=%s" % f for f in facts.items()])
            self.assertEqual(self.simulate(**facts)["json"], json.loads(r.out))

    def test_mistakes(self):
        for facts, text in (({"dst": "300.0.0.1:1"}, "bad value for --dst: '300.0.0.1:1'"),
                            ({"hook": "dance"}, "bad value for --hook"),
                            ({"uid": "root"}, "bad value for --uid: 'root'"),  # no names here
                            ({"stdio": "3"}, "bad value for --stdio"),
                            ({"whose": "x"}, "Unknown or not yet supported option 'whose'")):
            args = [a for key, value in facts.items() for a in (key, "s", value)]
            self.assertIn(text, self.call_fails("Simulate", "a{sv}", "1", *args))
        self.assertIn("must be of type s", self.call_fails("Simulate", "a{sv}", "1", "uid", "u", "0"))
        self.simulate(uid="0", gid="0", auid="4294967295")


class Explain(Judged):
    args = ["--backend=lsm", "--mode=enforce"]

    def events(self, n, **what):
        seen = self.call("GetStatistics")[0]["events-seen"]
        self.fake_events(n, **what)
        wait_for("the events", lambda: self.call("GetStatistics")[0]["events-seen"] == seen + n)

    def test_explain(self):
        self.events(1, **DENIED)
        found = self.plain("Explain", "t", "1")
        report = found.pop("json")
        self.assertEqual(found, {
            "number": 1, "verdict": "denied", "errno": "EPERM", "hook": "socket_connect",
            "mode": "enforce", "policy-mode": "enforce", "generation": 1, "policy": "one",
            "call": "security_socket_connect", "selector": 0, "changed": False,
            "match-now": "yes", "verdict-now": "denied"})
        self.assertEqual(report, json.loads(self.ctl("explain", "1", "--json=short").out))

    def test_after_a_change(self):
        self.events(1, **DENIED)
        self.write("10-one.yaml", policy("one", cidr="192.0.2.0/24"))
        self.call("Reload", "a{sv}", "0")
        found = self.plain("Explain", "t", "1")
        self.assertEqual((found["changed"], found["match-now"], found["verdict-now"]),
                         (True, "no", "allowed"))
        os.unlink(self.policies + "/10-one.yaml")
        self.call("Reload", "a{sv}", "0")
        self.assertEqual(self.plain("Explain", "t", "1")["match-now"], "")

    def test_which(self):
        self.assertIn("No event 0 is in memory", self.call_fails("Explain", "t", "0"))
        self.events(3, match=2)
        self.assertEqual(self.plain("Explain", "t", "0")["number"], 3)
        self.assertEqual(self.plain("Explain", "t", "2")["number"], 2)
        self.assertIn("No event 4 is in memory", self.call_fails("Explain", "t", "4"))
        r = self.busctl("--json=short", "call", NAME, PATH, MANAGER, "Explain", "t", "4")
        self.assertNotEqual(r.code, 0)


class State(BusTest):
    daemon = FAKE
    args = ["--backend=lsm"]

    def source(self):
        return self.get("ModeSource")

    def test_mode_source(self):
        self.assertEqual(self.source(), "default")
        self.call("SetEnforce", "b", "true")
        self.assertEqual(self.source(), "bus")
        self.call("SetEnforce", "b", "false")
        self.call("SetMode", "sa{sv}", "enforce", "1", "confirm-usec", "t", "60000000")
        self.assertEqual(self.source(), "trial")
        self.call("Confirm")
        self.assertEqual(self.source(), "bus")
        self.call("SetEnforce", "b", "false")
        self.call("SetMode", "sa{sv}", "enforce", "1", "confirm-usec", "t", "200000")
        wait_for("the older mode", lambda: self.get("Mode") == "monitor")
        self.assertEqual(self.source(), "rollback")
        self.stop_daemon()
        self.start_daemon("--mode=monitor")
        self.assertEqual(self.source(), "option")

    def test_features(self):
        self.assertEqual(self.get("Features"), ["report", "deny", "track-sock", "lock"])
        self.stop_daemon()
        self.args = ["--backend=kprobe"]
        self.start_daemon()
        self.assertNotIn("deny", self.get("Features"))
        self.assertNotIn("lock", self.get("Features"))
        self.stop_daemon()
        self.args = ["--backend=none"]
        self.daemon = DAEMON
        self.start_daemon()
        self.assertEqual(self.get("Features"), [])

    @staticmethod
    def told(signals):
        return [s["payload"]["data"] for s in signals if s["member"] == "Degraded"]

    def test_degraded_policies(self):
        finish = self.monitor()
        bad = self.write("30-bad.yaml", "no: policy\n")
        for _ in range(2):
            self.call_fails("Reload", "a{sv}", "0")
        os.unlink(bad)
        self.call("Reload", "a{sv}", "0")
        # each reload: Reloading, PropertiesChanged, Reloading; the last one has a generation too
        signals = finish(9 + 2)
        self.assertEqual(self.told(signals), [["policies", "reload-failed"], ["policies", "ok"]])

    def test_degraded_enforcement(self):
        self.stop_daemon()
        self.args = ["--backend=kprobe"]
        finish = self.monitor()
        self.start_daemon("--mode=enforce")
        self.assertEqual(self.get("EffectiveMode"), "degraded")
        self.call("SetEnforce", "b", "false")
        self.assertEqual(self.told(finish(3)), [["enforcement", "degraded"], ["enforcement", "ok"]])


class Errors(BusTest):
    """By the names that go over the bus, of which busctl tells in its debug output only."""
    daemon = FAKE
    args = ["--backend=lsm"]
    # Locked is another test's: it cannot be taken back.
    ELSEWHERE = {"Locked"}

    def write_policies(self):
        super().write_policies()
        self.lower = os.path.join(self.dir, "lower")
        self.run = tempfile.mkdtemp(prefix="revshell-test-", dir="/run")
        self.addCleanup(shutil.rmtree, self.run)
        os.mkdir(self.lower)
        with open(os.path.join(self.lower, "50-low.yaml"), "w") as f:
            f.write(policy("low"))
        self.args = [*self.args, "--policy-dir=" + self.run, "--policy-dir=" + self.lower]

    def error(self, member, *args):
        r = run("busctl", "--address=" + self.address, "call", NAME, PATH, MANAGER, member, *args,
                env={"SYSTEMD_LOG_LEVEL": "debug"})
        self.assertNotEqual(r.code, 0, (member, args))
        names = re.findall(r"error-name=org\.revshell1\.Error\.(\w+)", r.err)
        self.assertEqual(len(names), 1, r)
        return names[0]

    @needs_root  # writes below /run
    def test_names(self):
        with open(os.path.join(SOURCE, "manager/bus-error.h")) as f:
            names = set(re.findall(r'"org\.revshell1\.Error\.(\w+)"', f.read()))
        found = [
            self.error("GetPolicy", "s", "none"),
            self.error("PutPolicy", "ssa{sv}", "one", policy("one"), "1", "runtime", "b", "true"),
            self.error("PutPolicy", "ssa{sv}", "bad", "kind: Nonsense", "0"),
            self.error("RemovePolicy", "sa{sv}", "low", "0"),
            self.error("RemovePolicy", "sa{sv}", "one", "1", "expected-generation", "t", "99"),
            self.error("Confirm"),
            self.error("Explain", "t", "1"),
            self.error("Apply", "a(sss)a{sv}", "2049", *["remove", "x", ""] * 2049, "0"),
        ]
        self.call("SetMode", "sa{sv}", "enforce", "1", "confirm-usec", "t", "60000000")
        found.append(self.error("SetEnforce", "b", "false"))
        self.call("Confirm")
        self.fake(**{"fail-mode": 5})
        found.append(self.error("SetEnforce", "b", "false"))
        self.assertEqual(found, ["NoSuchPolicy", "PolicyExists", "PolicyInvalid", "PolicyIsVendor",
                                 "GenerationMismatch", "NothingPending", "NoSuchEvent",
                                 "LimitExceeded", "ChangePending", "BackendUnavailable"])
        self.assertEqual(set(found) | self.ELSEWHERE, names)


class Objects(BusTest):
    daemon = FAKE
    args = ["--backend=lsm"]

    def test_managed_objects(self):
        r = self.busctl("--json=short", "call", NAME, PATH, "org.freedesktop.DBus.ObjectManager",
                        "GetManagedObjects")
        objects = json.loads(r.out)["data"][0]
        self.assertEqual(set(objects), {PATH + "/policy/one", PATH + "/policy/two"})
        one = objects[PATH + "/policy/one"]["org.revshell1.Policy"]
        self.assertEqual((one["Id"]["data"], one["Mode"]["data"], one["NRules"]["data"]),
                         ("one", "enforce", 1))
        # what is of everybody's concern leaves out what a policy says of itself
        self.assertNotIn("Description", one)
        self.assertEqual(self.get("Description", "org.revshell1.Policy", PATH + "/policy/one"), "")

    def test_introspection_of_the_rest(self):
        for path, names in ((PATH, {"org.freedesktop.DBus.ObjectManager", MANAGER}),
                            ("/org/freedesktop/LogControl1", {"org.freedesktop.LogControl1"}),
                            (PATH + "/policy/one", {"org.revshell1.Policy"})):
            r = self.busctl("introspect", "--xml-interface", NAME, path)
            self.assertEqual(r.code, 0, r)
            found = {i.get("name") for i in ElementTree.fromstring(r.out).iter("interface")}
            self.assertLessEqual(names, found)
        log = {i.get("name"): i for i in ElementTree.fromstring(
            self.busctl("introspect", "--xml-interface", NAME, "/org/freedesktop/LogControl1").out)
            .iter("interface")}["org.freedesktop.LogControl1"]
        self.assertEqual({(p.get("name"), p.get("type"), p.get("access")) for p in log.iter("property")},
                         {("LogLevel", "s", "readwrite"), ("LogTarget", "s", "readwrite"),
                          ("SyslogIdentifier", "s", "read")})

    def test_activation_file(self):
        with open(os.path.join(SOURCE, "dbus/org.revshell1.service")) as f:
            lines = f.read().splitlines()
        self.assertIn("Name=" + NAME, lines)
        self.assertIn("SystemdService=revshelld.service", lines)
        self.assertTrue(os.path.exists(os.path.join(SOURCE, "systemd/revshelld.service.in")))


class Manual(unittest.TestCase):
    """Every member, argument and error stands in org.revshell1(5)."""

    @classmethod
    def setUpClass(cls):
        with open(os.path.join(SOURCE, "docs/man/org.revshell1.5.scd")) as f:
            cls.page = f.read()
        cls.interfaces = {}
        for name in "org.revshell1", "org.revshell1.Policy":
            root = ElementTree.parse(os.path.join(SOURCE, "dbus", name + ".xml"))
            for interface in root.iter("interface"):
                cls.interfaces[interface.get("name")] = interface

    def section(self, prefix):
        found = [s for s in re.split(r"(?m)^# ", self.page) if s.startswith(prefix)]
        self.assertTrue(found, prefix)
        return "".join(found)

    @staticmethod
    def signature(member, tag):
        def args(direction):
            return [(a.get("type"), a.get("name")) for a in member.iter("arg")
                    if a.get("direction", "in") == direction]
        text = "*%s*(%s)" % (member.get("name"), ", ".join("%s %s" % a for a in args("in")))
        out = args("out")
        if tag == "method" and out:
            text += " -> " + ", ".join("%s %s" % a for a in out)
        return text

    def test_members(self):
        for name, title in ((MANAGER, "MANAGER"), ("org.revshell1.Policy", "POLICY")):
            text = self.section(title)
            for member in self.interfaces[name]:
                if member.tag == "property":
                    expected = "*%s* %s" % (member.get("name"), member.get("type"))
                elif member.tag in ("method", "signal"):
                    expected = self.signature(member, member.tag)
                else:
                    continue
                self.assertTrue(re.search(r"(?m)^%s(\+\+)?$" % re.escape(expected), text),
                                "%s does not say: %s" % (title, expected))

    def test_nothing_else(self):
        for name, title in ((MANAGER, "MANAGER"), ("org.revshell1.Policy", "POLICY")):
            members = {m.get("name") for m in self.interfaces[name]}
            told = set(re.findall(r"(?m)^\*(\w+)\*[( ]", self.section(title)))
            self.assertEqual(told, members)

    def test_errors(self):
        with open(os.path.join(SOURCE, "manager/bus-error.h")) as f:
            names = re.findall(r'"org\.revshell1\.Error\.(\w+)"', f.read())
        with open(os.path.join(SOURCE, "manager/bus-error.c")) as f:
            errnos = dict(re.findall(r"MAP\(BUS_ERROR_(\w+), (\w+)\)", f.read()))
        self.assertEqual(len(names), len(errnos))
        text = self.section("ERRORS")
        for name in names:
            errno = errnos[re.sub(r"(?<!^)([A-Z])", r"_\1", name).upper()]
            self.assertRegex(text, r"(?m)^\|[\[ ] \*%s\* \(%s\)$" % (name, errno))


if __name__ == "__main__":
    unittest.main()
