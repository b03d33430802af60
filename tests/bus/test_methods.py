# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every method, property, signal and error of org.revshell1."""
import os
import re
import time
import unittest
import xml.etree.ElementTree as ElementTree

from harness import (MANAGER, NAME, NOBODY, PATH, SOURCE, BusTest, FAKE, needs_root, policy,
                     wait_for)


def interface_of(xml, name):
    """An interface as comparable data: comments, blanks and order do not count."""
    root = ElementTree.fromstring(xml)
    found = [i for i in root.iter("interface") if i.get("name") == name]
    assert len(found) == 1, "interface %s: %d times" % (name, len(found))
    members = {}
    for member in found[0]:
        args = [(a.get("name"), a.get("type"), a.get("direction")) for a in member.iter("arg")]
        notes = sorted((a.get("name"), a.get("value")) for a in member.iter("annotation"))
        members[member.tag, member.get("name")] = (member.get("type"), member.get("access"), args,
                                                   notes)
    return members


def abi_number():
    """The layout's number in the header that both sides share."""
    path = os.path.join(SOURCE, "bpf", "revshell-abi.h")
    with open(path, encoding="utf-8") as f:
        return int(re.search(r"#define REVSHELL_ABI\s+(\d+)", f.read()).group(1))


class Introspection(BusTest):
    def test_live_is_as_kept(self):
        r = self.busctl("introspect", "--xml-interface", NAME, PATH)
        self.assertEqual(r.code, 0, r)
        with open(os.path.join(SOURCE, "dbus/org.revshell1.xml")) as f:
            kept = interface_of(f.read(), MANAGER)
        self.assertEqual(interface_of(r.out, MANAGER), kept)

    def test_policy_is_as_kept(self):
        r = self.busctl("introspect", "--xml-interface", NAME, PATH + "/policy/one")
        self.assertEqual(r.code, 0, r)
        with open(os.path.join(SOURCE, "dbus/org.revshell1.Policy.xml")) as f:
            kept = interface_of(f.read(), "org.revshell1.Policy")
        self.assertEqual(interface_of(r.out, "org.revshell1.Policy"), kept)

    def test_bus_policy_names_every_method(self):
        with open(os.path.join(SOURCE, "dbus/org.revshell1.xml")) as f:
            kept = interface_of(f.read(), MANAGER)
        methods = {name for tag, name in kept if tag == "method"}
        conf = ElementTree.parse(os.path.join(SOURCE, "dbus/org.revshell1.conf"))
        allowed = {a.get("send_member") for a in conf.iter("allow")
                   if a.get("send_interface") == MANAGER}
        self.assertEqual(allowed, methods)

    def test_object_manager(self):
        r = self.busctl("call", NAME, PATH, "org.freedesktop.DBus.ObjectManager",
                        "GetManagedObjects")
        self.assertEqual(r.code, 0, r)


class Properties(BusTest):
    def test_values(self):
        self.assertEqual(self.get("Mode"), "monitor")
        self.assertEqual(self.get("EffectiveMode"), "off")
        self.assertEqual(self.get("Backend"), "none")
        self.assertEqual(self.get("Generation"), 1)
        self.assertEqual(self.get("NPolicies"), 2)
        self.assertRegex(self.get("PolicySetDigest"), "^[0-9a-f]{16}$")
        self.assertRegex(self.get("Version"), r"^\d+\.\d+\.\d+$")
        self.assertEqual(self.get("LastReloadError"), "")
        self.assertEqual(self.get("LastReloadUSec"), 0)

    def test_are_read_only(self):
        r = self.busctl("set-property", NAME, PATH, MANAGER, "Mode", "s", "enforce")
        self.assertNotEqual(r.code, 0)
        self.assertEqual(self.get("Mode"), "monitor")

    def test_mode_option(self):
        self.stop_daemon()
        self.start_daemon("--mode=enforce")
        self.assertEqual(self.get("Mode"), "enforce")


# Closes the bus to everybody, were it enforced.
NO_BUS = """apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata:
  name: no-bus
spec:
  lsmhooks:
  - hook: socket_accept
    args: [{index: 0, type: socket}]
    selectors:
    - matchArgs: [{index: 0, operator: Family, values: [AF_UNIX]}]
      matchActions: [{action: Override, argError: -13}]
"""


class Modes(BusTest):
    daemon = FAKE
    args = ["--backend=lsm"]

    @unittest.skipUnless(os.path.exists("/usr/bin/dbus-daemon"), "of other programs nothing is said")
    def test_management(self):
        text = "could not accept on the bus's socket: denied by policy no-bus"

        def told():
            return [s for s in self.log().splitlines() if text in s]
        found = self.call("ValidatePolicy", "s", NO_BUS)[0]
        self.assertEqual({(d[0], d[1], d[2], d[3]) for d in found}, {("warning", 10, 7, "plane-closed")})
        self.assertEqual(told(), [])
        self.write("no-bus.yaml", NO_BUS)
        self.call("Reload", "a{sv}", "0")
        n = len(wait_for("the log", told))
        warnings = self.get("Warnings")
        self.assertEqual({tuple(w[:4]) for w in warnings},
                         {(os.path.join(self.policies, "no-bus.yaml"), 10, 7, "plane-closed")})
        self.assertEqual([text in w[4] for w in warnings], [True] * n)
        self.call("SetEnforce", "b", "true")
        wait_for("the log", lambda: len(told()) == 2 * n)
        found = [f for f in self.call("Diagnose")[0] if f[1] == "management"]
        self.assertEqual([f[0] for f in found], ["warn"] * n)
        self.assertIn(text, found[0][2])

    def test_set_enforce(self):
        self.call("SetEnforce", "b", "true")
        self.assertEqual(self.get("Mode"), "enforce")
        self.assertEqual(self.get("EffectiveMode"), "enforce")
        self.call("SetEnforce", "b", "false")
        self.assertEqual(self.get("Mode"), "monitor")
        self.assertEqual(self.get("EffectiveMode"), "monitor")

    def test_set_mode_gives_the_previous(self):
        self.assertEqual(self.call("SetMode", "sa{sv}", "enforce", "0"), ["monitor"])
        self.assertEqual(self.call("SetMode", "sa{sv}", "enforce", "0"), ["enforce"])
        self.assertEqual(self.call("SetMode", "sa{sv}", "monitor", "0"), ["enforce"])

    def test_who_and_why_are_logged(self):
        self.call("SetMode", "sa{sv}", "enforce", "1", "reason", "s", "drill\x1b[31m")
        log = wait_for("the log", lambda: [s for s in self.log().splitlines() if "drill" in s])
        self.assertRegex(log[0], r"^Mode enforce \(was monitor\) \(bus, uid %d, pid \d+, "
                         r"reason: drill\\x1b\[31m\)$" % os.geteuid())

    def trial(self, usec):
        return self.call("SetMode", "sa{sv}", "enforce", "1", "confirm-usec", "t", str(usec))

    def test_trial_is_confirmed(self):
        self.assertEqual(self.get("RollbackAtUSec"), 0)
        self.assertEqual(self.trial(60000000), ["monitor"])
        self.assertEqual(self.get("EffectiveMode"), "enforce")
        self.assertGreater(self.get("RollbackAtUSec"), time.clock_gettime(time.CLOCK_BOOTTIME) * 1e6)
        for args in (["SetEnforce", "b", "false"], ["SetMode", "sa{sv}", "monitor", "0"]):
            self.assertIn("waits for Confirm", self.call_fails(*args))
        self.call("Confirm")
        self.assertEqual(self.get("RollbackAtUSec"), 0)
        self.assertEqual(self.get("EffectiveMode"), "enforce")
        self.assertIn("No change waits", self.call_fails("Confirm"))
        # what is in force already is on no trial
        self.assertEqual(self.trial(60000000), ["enforce"])
        self.assertEqual(self.get("RollbackAtUSec"), 0)

    def test_trial_is_rolled_back(self):
        self.trial(60000000)
        self.call("Rollback")
        self.assertEqual(self.get("Mode"), "monitor")
        self.assertEqual(self.get("RollbackAtUSec"), 0)
        self.assertIn("No change waits", self.call_fails("Rollback"))
        self.call("SetEnforce", "b", "true")

    def test_trial_runs_out(self):
        self.trial(300000)
        wait_for("the older mode", lambda: self.get("Mode") == "monitor")
        self.assertIn("nobody confirmed in time", self.log())
        self.assertIn("No change waits", self.call_fails("Confirm"))

    def test_trial_is_refused(self):
        self.assertIn("more than a day", self.call_fails(
            "SetMode", "sa{sv}", "enforce", "1", "confirm-usec", "t", str(86400000001)))
        self.assertIn("enforce only", self.call_fails(
            "SetMode", "sa{sv}", "monitor", "1", "confirm-usec", "t", "1000000"))
        self.assertEqual(self.get("Mode"), "monitor")

    def test_capabilities(self):
        found = self.call("GetCapabilities")[0]
        self.assertEqual(found["backend"]["data"], "lsm")
        self.assertEqual(found["persistent"]["data"], False)
        self.assertEqual(found["abi"]["data"], abi_number())
        self.assertIn("socket_connect", found["hooks"]["data"])
        self.assertIn("tcp_close", found["hooks"]["data"])
        self.assertEqual(found["attached"]["data"], ["socket_connect", "socket_listen"])
        self.assertEqual(found["map-bytes"]["data"], 4096)
        self.assertEqual((found["can-deny"]["data"], found["degraded"]["data"]), (True, 0))

    def test_diagnose(self):
        found = {f[1]: f for f in self.call("Diagnose")[0]}
        self.assertEqual(found["kernel"][0], "ok")
        self.assertEqual(found["kernel"][2].split()[0], os.uname().release)
        self.assertEqual(found["policies"][0], "ok", found["policies"])
        r = self.ctl("doctor", "--json=short")
        self.assertIn("mode monitor", r.out)
        self.assertEqual(found["management"][0], "ok", found["management"])
        self.assertIn('"management"', r.out)

    def test_stop(self):
        self.call("Stop", "b", "true")
        wait_for("the end", lambda: self.process.poll() is not None)
        self.assertEqual(self.process.returncode, 0)
        self.assertIn("Stopping; nothing is enforced", self.log())

    def test_bad_mode(self):
        self.assertIn("Mode 'off' is neither enforce nor monitor",
                      self.call_fails("SetMode", "sa{sv}", "off", "0"))

    def test_unknown_options(self):
        for args in (["SetMode", "sa{sv}", "enforce", "1", "forever", "b", "true"],
                     ["SetMode", "sa{sv}", "enforce", "1", "", "b", "true"],
                     ["Reload", "a{sv}", "1", "dry-run", "b", "true"],
                     ["SetPolicyMode", "ssa{sv}", "one", "monitor", "1", "x", "s", "y"],
                     ["OpenEventStream", "a{sv}", "1", "x", "s", "y"],
                     ["ListEvents", "tua{sv}", "0", "1", "1", "x", "s", "y"]):
            self.assertIn("Unknown or not yet supported option", self.call_fails(*args))
        self.assertEqual(self.get("Mode"), "monitor")
        self.assertEqual(self.get("Generation"), 1)

    def test_options_of_wrong_type(self):
        self.assertIn("Option 'reason' must be of type s",
                      self.call_fails("SetMode", "sa{sv}", "enforce", "1", "reason", "u", "1"))
        self.assertIn("longer than 256",
                      self.call_fails("SetMode", "sa{sv}", "enforce", "1", "reason", "s",
                                      "x" * 257))
        self.assertEqual(self.get("Mode"), "monitor")
        self.call("SetMode", "sa{sv}", "enforce", "1", "reason", "s", "x" * 256)

    def test_backend_fails(self):
        self.fake(**{"fail-mode": 5})
        self.assertIn("Input/output error", self.call_fails("SetEnforce", "b", "true"))
        self.assertEqual(self.get("Mode"), "monitor")

    def test_policy_modes(self):
        def modes():
            return {p[0]: (p[2], p[3]) for p in self.call("ListPolicies")[0]}
        self.assertEqual(modes(), {"one": ("enforce", "monitor"),
                                   "two": ("monitor-only", "monitor")})
        self.call("SetEnforce", "b", "true")
        self.assertEqual(modes()["one"], ("enforce", "enforce"))
        self.call("SetPolicyMode", "ssa{sv}", "one", "monitor", "0")
        self.assertEqual(modes()["one"], ("monitor", "monitor"))
        self.assertEqual(self.get("Generation"), 2)
        self.call("Reload", "a{sv}", "0")
        self.assertEqual(modes()["one"], ("monitor", "monitor"), "a reload keeps it")
        self.call("SetPolicyMode", "ssa{sv}", "one", "default", "0")
        self.assertEqual(modes()["one"], ("enforce", "enforce"))
        self.assertEqual(self.get("Generation"), 4)

    def test_policy_mode_goes_with_its_policy(self):
        self.call("SetPolicyMode", "ssa{sv}", "one", "monitor", "0")
        path = os.path.join(self.policies, "10-one.yaml")
        os.rename(path, path + ".off")
        self.call("Reload", "a{sv}", "0")
        os.rename(path + ".off", path)
        self.call("Reload", "a{sv}", "0")
        self.assertEqual(self.call("ListPolicies")[0][0][2], "enforce")

    def test_policy_mode_of_a_stream_of_documents(self):
        self.write("30-many.yaml", policy("three") + "\n---\n" + policy("four"))
        self.call("Reload", "a{sv}", "0")
        self.call("SetPolicyMode", "ssa{sv}", "four", "monitor", "0")
        self.assertEqual([(p[0], p[2]) for p in self.call("ListPolicies")[0]],
                         [("one", "enforce"), ("two", "monitor-only"), ("three", "enforce"),
                          ("four", "monitor")])

    def test_policy_mode_errors(self):
        self.assertIn("No policy 'three' is loaded",
                      self.call_fails("SetPolicyMode", "ssa{sv}", "three", "monitor", "0"))
        self.assertIn("holds no action that enforces",
                      self.call_fails("SetPolicyMode", "ssa{sv}", "two", "enforce", "0"))
        self.assertIn("none of enforce, monitor, off, default",
                      self.call_fails("SetPolicyMode", "ssa{sv}", "one", "on", "0"))
        self.fake(**{"fail-publish": 16})
        self.assertIn("Device or resource busy",
                      self.call_fails("SetPolicyMode", "ssa{sv}", "one", "monitor", "0"))
        self.fake(**{"fail-publish": 0})
        self.call("Reload", "a{sv}", "0")
        self.assertEqual(self.call("ListPolicies")[0][0][2], "enforce", "failed, so not kept")


class Policies(BusTest):
    def test_list(self):
        policies = self.call("ListPolicies")[0]
        self.assertEqual([p[:5] for p in policies],
                         [["one", self.policies + "/10-one.yaml", "enforce", "off", True],
                          ["two", self.policies + "/20-two.yaml", "monitor-only", "off", True]])
        self.assertNotEqual(policies[0][5], policies[1][5])
        self.assertEqual(policies[0][6], "/org/revshell1/policy/one")

    def test_source(self):
        self.assertEqual(self.call("GetPolicySource", "s", "one"), [policy("one")])
        self.assertIn("No policy 'three' is loaded", self.call_fails("GetPolicySource", "s",
                                                        "three"))

    def test_validate(self):
        self.assertEqual(self.call("ValidatePolicy", "s", policy("three")), [[]])
        for text, line, column in (("", 1, 1), (policy("three", "198.51.100.0/33"), 21, 11),
                                   (policy("UPPER"), 4, 9)):
            found = self.call("ValidatePolicy", "s", text)[0]
            errors = [d for d in found if d[0] == "error"]
            self.assertEqual([d[1:3] for d in errors], [[line, column]], found)
            self.assertTrue(errors[0][3] and errors[0][4])
        self.assertEqual(self.get("Generation"), 1)

    def test_statistics(self):
        stats = self.call("GetStatistics")[0]
        for name in ("denied", "events-sent", "events-dropped-ring-full", "generation",
                     "policies", "events-seen", "subscribers", "subscriber-drops",
                     "policy.one.matches", "policy.one.denials", "policy.two.matches"):
            self.assertIn(name, stats)
        self.assertEqual(stats["generation"], 1)
        self.assertEqual(stats["policies"], 2)
        # no kernel, so no hook with a program
        self.assertFalse([n for n in stats if n.startswith("hook.")])


class Signals(BusTest):
    daemon = FAKE
    args = ["--backend=lsm"]

    def test_mode(self):
        finish = self.monitor()
        self.call("SetEnforce", "b", "true")
        changed = finish(1)[0]
        self.assertEqual((changed["interface"], changed["member"]),
                         ("org.freedesktop.DBus.Properties", "PropertiesChanged"))
        self.assertEqual(changed["payload"]["data"],
                         [MANAGER, {"Mode": {"type": "s", "data": "enforce"},
                                    "EffectiveMode": {"type": "s", "data": "enforce"},
                                    "ModeSource": {"type": "s", "data": "bus"},
                                    "RollbackAtUSec": {"type": "t", "data": 0}}, []])

    def test_reload(self):
        self.write("10-one.yaml", policy("one", "192.0.2.0/24"))
        self.write("30-three.yaml", policy("three"))
        os.unlink(os.path.join(self.policies, "20-two.yaml"))
        finish = self.monitor()
        self.call("Reload", "a{sv}", "0")
        signals = finish(5)
        self.assertEqual([s["member"] for s in signals],
                         ["Reloading", "PropertiesChanged", "PolicySetChanged",
                          "PropertiesChanged", "Reloading"])
        self.assertEqual(signals[0]["payload"]["data"], [True])
        self.assertEqual(signals[1]["payload"]["data"][1]["Generation"]["data"], 2)
        self.assertEqual(signals[1]["payload"]["data"][1]["NPolicies"]["data"], 2)
        self.assertIn("PolicySetDigest", signals[1]["payload"]["data"][1])
        self.assertEqual(signals[2]["payload"]["data"], [2, ["three"], ["one"], ["two"]])
        self.assertIn("LastReloadUSec", signals[3]["payload"]["data"][1])
        self.assertEqual(signals[3]["payload"]["data"][2], ["LastReloadError"],
                         "the text of an error is not for everybody's ears")
        self.assertEqual(signals[4]["payload"]["data"], [False])

    def test_policy_mode(self):
        finish = self.monitor()
        self.call("SetPolicyMode", "ssa{sv}", "one", "monitor", "0")
        signals = finish(2)
        self.assertEqual([s["member"] for s in signals], ["PropertiesChanged",
                                                          "PolicySetChanged"])
        self.assertEqual(signals[1]["payload"]["data"], [2, [], ["one"], []])


class LogControl(BusTest):
    PATH = "/org/freedesktop/LogControl1"
    INTERFACE = "org.freedesktop.LogControl1"

    def set(self, name, value, prefix=()):
        return self.busctl("set-property", NAME, self.PATH, self.INTERFACE, name, "s", value,
                           prefix=prefix)

    def test_level(self):
        self.assertEqual(self.get("LogLevel", self.INTERFACE, self.PATH), "info")
        self.assertEqual(self.get("LogTarget", self.INTERFACE, self.PATH), "console")
        self.assertEqual(self.get("SyslogIdentifier", self.INTERFACE, self.PATH), "revshelld")
        self.assertEqual(self.set("LogLevel", "err").code, 0)
        self.assertEqual(self.get("LogLevel", self.INTERFACE, self.PATH), "err")
        self.call("SetEnforce", "b", "true")
        self.assertNotIn("Mode enforce", self.log())
        self.assertIn("Bad log level", self.set("LogLevel", "loud").err)
        self.assertIn("Bad log target", self.set("LogTarget", "moon").err)

    @needs_root
    def test_not_for_everybody(self):
        self.assertNotEqual(self.set("LogLevel", "debug", prefix=NOBODY).code, 0)
        self.assertEqual(self.get("LogLevel", self.INTERFACE, self.PATH), "info")


@needs_root
class Unprivileged(BusTest):
    """The bus here lets everybody through: it is the daemon that refuses."""
    CALLS = [["SetEnforce", "b", "true"], ["SetMode", "sa{sv}", "enforce", "0"],
             ["Reload", "a{sv}", "0"], ["ListPolicies"], ["ValidatePolicy", "s", ""],
             ["GetPolicySource", "s", "one"], ["SetPolicyMode", "ssa{sv}", "one", "monitor", "0"],
             ["GetStatistics"], ["GetCapabilities"], ["Diagnose"], ["OpenEventStream", "a{sv}", "0"],
             ["ListEvents", "tua{sv}", "0", "1", "0"], ["GetPolicy", "s", "one"],
             ["Simulate", "a{sv}", "1", "dst", "s", "198.51.100.7:4444"],
             ["PutPolicy", "ssa{sv}", "new", policy("new"), "0"],
             ["Apply", "a(sss)a{sv}", "1", "put", "new", policy("new"), "0"],
             ["RemovePolicy", "sa{sv}", "new", "0"]]
    # Need something to settle or to explain, or leave nobody to ask.
    LAST_CALLS = [["Confirm"], ["Explain", "t", "0"], ["Rollback"],
                  ["Lock", "a{sv}", "0"], ["Stop", "b", "true"]]
    # busctl cannot send descriptors: test_apply.py calls these.
    FD_CALLS = {"PutPolicyFd", "ApplyFd", "ValidatePolicyFd"}

    def test_every_method_is_refused(self):
        for args in self.CALLS + self.LAST_CALLS:
            r = self.busctl("call", NAME, PATH, MANAGER, *args, prefix=NOBODY)
            self.assertNotEqual(r.code, 0, args)
            self.assertIn("Access denied", r.err)
        self.assertEqual(self.get("Mode"), "monitor")
        self.assertEqual(self.get("Generation"), 1)

    def test_the_list_is_complete(self):
        with open(os.path.join(SOURCE, "dbus/org.revshell1.xml")) as f:
            methods = {n for t, n in interface_of(f.read(), MANAGER) if t == "method"}
        self.assertEqual({c[0] for c in self.CALLS + self.LAST_CALLS} | self.FD_CALLS, methods)


@needs_root
class BusPolicy(BusTest):
    """With the bus policy as shipped, the bus refuses before the daemon is asked."""
    include = "<include>%s/dbus/org.revshell1.conf</include>" % SOURCE

    def test_root_may(self):
        for args in Unprivileged.CALLS:
            r = self.busctl("call", NAME, PATH, MANAGER, *args)
            self.assertEqual(r.code, 0, (args, r))
        self.assertEqual(self.busctl("introspect", NAME, PATH).code, 0)
        self.assertEqual(self.get("Mode"), "enforce")
        for args in Unprivileged.LAST_CALLS:
            self.assertNotIn("Access denied",
                             self.busctl("call", NAME, PATH, MANAGER, *args).err)

    def test_others_may_nothing(self):
        for args in (["call", NAME, PATH, MANAGER, "SetEnforce", "b", "true"],
                     ["get-property", NAME, PATH, MANAGER, "Mode"],
                     ["introspect", NAME, PATH],
                     ["call", NAME, PATH, "org.freedesktop.DBus.Peer", "Ping"]):
            r = self.busctl(*args, prefix=NOBODY)
            self.assertNotEqual(r.code, 0, (args, r))
        self.assertEqual(self.get("Mode"), "monitor")


if __name__ == "__main__":
    unittest.main()
