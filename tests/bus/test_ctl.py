# SPDX-License-Identifier: LGPL-2.1-or-later
"""revshellctl: output, exit statuses, and what it says when things fail."""
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import unittest

from harness import CTL, FAKE, NOBODY, BusTest, needs_root, policy, run, wait_for
from openmetrics import OpenMetrics

ABSENT, DENIED, MONITOR, DEGRADED = 3, 4, 5, 7
HINT_ABSENT = "Hint: start it with 'systemctl start revshelld', or name its bus with --bus=.\n"


class Status(BusTest):
    daemon = FAKE
    args = ["--backend=lsm"]

    def test_monitor_and_enforce(self):
        for verb in ([], ["status"]):
            r = self.ctl(*verb)
            self.assertEqual((r.code, r.err), (MONITOR, ""), r)
            lines = r.out.splitlines()
            self.assertRegex(lines[0], r"^revshelld \d+\.\d+\.\d+: monitoring$")
            self.assertEqual(lines[1:3], ["    Mode: monitor",
                                          " Backend: lsm, self-test: passed by a fake"])
            self.assertRegex(lines[3], "^Policies: 2, generation 1, digest [0-9a-f]{16}$")
            self.assertEqual(lines[4:], ["  Reload: never", " Sandbox: " + self.get("Sandbox")])
        r = self.ctl("enforce", "on")
        self.assertEqual((r.code, r.out, r.err), (0, "", ""))
        r = self.ctl("status")
        self.assertEqual(r.code, 0)
        self.assertIn(": enforcing\n", r.out)
        r = self.ctl("enforce", "off")
        self.assertEqual((r.code, r.out, r.err), (0, "", ""))
        self.assertEqual(self.ctl("status").code, MONITOR)

    def test_color(self):
        """Only on a terminal that has any, and not where NO_COLOR asks for none."""
        def shown(**env):
            master, slave = pty.openpty()
            full = dict({k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}, **env)
            r = subprocess.run([CTL, "--bus=" + self.address, "status"], stdout=slave, env=full)
            self.assertEqual(r.returncode, MONITOR)
            os.close(slave)
            text = b""
            try:
                while chunk := os.read(master, 4096):
                    text += chunk
            except OSError:  # the other side is closed
                pass
            os.close(master)
            return text.decode()
        self.assertTrue(shown(TERM="xterm").startswith("\033[1;33mrevshelld"))
        self.assertTrue(shown(TERM="xterm", NO_COLOR="").startswith("\033["))
        for env in {"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}:
            self.assertNotIn("\033", shown(**env), env)

    def test_enforce_status(self):
        for args in (["enforce"], ["enforce", "status"]):
            r = self.ctl(*args)
            self.assertEqual((r.code, r.out, r.err), (MONITOR, "monitor\n", ""))
        self.ctl("enforce", "on", "--reason=a drill")
        self.assertIn("reason: a drill", self.log())
        r = self.ctl("enforce", "status")
        self.assertEqual((r.code, r.out), (0, "enforce\n"))
        r = self.ctl("enforce", "status", "--json=short")
        self.assertEqual(json.loads(r.out), {"mode": "enforce", "effective_mode": "enforce"})

    def test_json(self):
        for form in "short", "pretty":
            r = self.ctl("status", "--json=" + form)
            self.assertEqual((r.code, r.err), (MONITOR, ""))
            self.assertEqual(r.out.count("\n") == 1, form == "short")
            status = json.loads(r.out)
            self.assertEqual(status["state"], "monitoring")
            self.assertEqual(status["policies"], 2)
            self.assertEqual(status["backend"], "lsm")
            self.assertEqual(status["sandbox"], self.get("Sandbox"))

    def test_hints(self):
        for verb in "confirm", "rollback":
            self.assertRegex(self.ctl(verb).err, ": No change waits for confirmation\nHint: .*--confirm=")
        self.ctl("enforce", "on", "--confirm=1m")
        r = self.ctl("status")
        self.assertIn("\n    Mode: enforce, on trial: 'revshellctl confirm' keeps it\n", r.out)
        status = json.loads(self.ctl("status", "--json=short").out)
        self.assertEqual(status["mode_source"], "trial")
        self.assertEqual(status["rollback_at_usec"], self.get("RollbackAtUSec"))
        self.assertRegex(self.ctl("enforce", "off").err,
                         ": A change waits for Confirm or Rollback\nHint: 'revshellctl confirm' ")
        self.assertEqual(self.ctl("confirm").code, 0)
        self.assertNotIn("trial", self.ctl("status").out)
        self.fake(**{"fail-mode": 5})
        self.assertRegex(self.ctl("enforce", "off").err, "\nHint: 'revshellctl doctor' ")

    def test_failed_reload_is_shown(self):
        path = self.write("15-bad.yaml", policy("Bad"))
        self.ctl("reload")
        r = self.ctl("status")
        self.assertEqual(r.code, MONITOR)
        self.assertRegex(r.out, r"\n  Reload: \d{4}-.*, failed:\n          %s:4:9: error: " % path)

    def test_absent(self):
        self.stop_daemon()
        for args in ([], ["status"], ["enforce"], ["enforce", "on"], ["reload"], ["stats"],
                     ["policy", "list"], ["policy", "cat", "one"], ["events"], ["events", "-f"],
                     ["policy", "mode", "one", "monitor"], ["policy", "diff"], ["simulate"],
                     ["explain"]):
            r = self.ctl(*args)
            self.assertEqual((r.code, r.out), (ABSENT, ""), args)
            self.assertRegex(r.err, "^revshellctl: Failed to .*: the daemon is not running\n")
            self.assertTrue(r.err.endswith(HINT_ABSENT))
        r = self.ctl("version")
        self.assertEqual((r.code, r.err), (0, ""))
        self.assertEqual(len(r.out.splitlines()), 1)

    def test_no_bus(self):
        self.stop_bus()
        r = self.ctl("status")
        self.assertEqual((r.code, r.out), (ABSENT, ""))
        self.assertRegex(r.err, "^revshellctl: Failed to get the status: no connection to the bus")
        self.assertTrue(r.err.endswith(HINT_ABSENT))

    def test_bus_from_the_environment(self):
        for where in "system", "session":
            r = run(CTL, "--bus=" + where, "status",
                    env={"DBUS_%s_BUS_ADDRESS" % where.upper(): self.address})
            self.assertEqual(r.code, MONITOR, r)

    @needs_root
    def test_denied(self):
        client = os.path.join(self.dir, "revshellctl")  # where everybody can reach it
        shutil.copy(CTL, client)
        os.chmod(client, 0o755)
        for args in (["enforce", "on"], ["reload"], ["stats"], ["policy", "list"], ["events"],
                     ["events", "-f"], ["policy", "cat", "one"], ["policy", "mode", "one", "x"],
                     ["simulate"], ["explain"]):
            r = run(*NOBODY, client, "--bus=" + self.address, *args)
            self.assertEqual((r.code, r.out), (DENIED, ""), (args, r))
            self.assertRegex(r.err, "^revshellctl: Failed to .*: access denied\nHint: ")

    def test_stats(self):
        r = self.ctl("stats")
        self.assertEqual((r.code, r.err), (0, ""))
        self.assertRegex(r.out.splitlines()[0], "^COUNTER +VALUE$")
        self.assertRegex(r.out, r"(?m)^policies +2$")
        r = self.ctl("stats", "--no-legend")
        self.assertNotIn("COUNTER", r.out)
        self.assertEqual(json.loads(self.ctl("stats", "--json=short").out)["policies"], 2)

    def test_every_verb_speaks_json(self):
        self.fake_events(1)
        wait_for("the event", lambda: self.call("GetStatistics")[0]["events-seen"] == 1)
        path = self.policies + "/10-one.yaml"
        for args in (["status"], ["enforce"], ["policy", "list"], ["policy", "show", "one"],
                     ["policy", "cat", "one"], ["policy", "check", path], ["policy", "diff", path],
                     ["apply", "--dry-run", path], ["reload"], ["events"], ["simulate"],
                     ["explain"], ["stats"], ["doctor"], ["version"], ["help"]):
            short, pretty = (self.ctl(*args, "--json=" + form) for form in ("short", "pretty"))
            self.assertEqual((short.err, short.out.count("\n")), ("", 1), args)
            self.assertIsNotNone(json.loads(short.out), args)
            if args[0] not in ("reload", "version", "events"):  # the same again
                self.assertEqual(json.loads(short.out), json.loads(pretty.out), args)

    def test_openmetrics(self):
        r = self.ctl("stats", "--openmetrics")
        self.assertEqual((r.code, r.err), (0, ""))
        metrics = OpenMetrics(r.out)
        self.assertEqual(metrics.get("revshell_policies"), 2)
        self.assertEqual(metrics.get("revshell_policy_denials_total", policy="one"), 0)
        for line in self.ctl("stats", "--no-legend").out.splitlines():
            if not line.startswith("policy."):
                self.assertIn("revshell_" + line.split()[0].replace("-", "_"), metrics.kinds)
        self.assertEqual(self.ctl("status", "--openmetrics").code, 1)

    def test_version(self):
        r = self.ctl("version")
        self.assertEqual(r.code, 0)
        self.assertRegex(r.out, r"^revshellctl (\S+)\nrevshelld \1\n$")
        self.assertIn("revshelld", json.loads(self.ctl("version", "--json=short").out))
        self.assertRegex(self.ctl("--version").out, "^revshellctl ")


class Degraded(BusTest):
    args = ["--backend=none"]

    def test_no_kernel_behind_it(self):
        r = self.ctl("status")
        self.assertEqual(r.code, DEGRADED)
        self.assertIn(": degraded\n    Mode: monitor (in effect: off)\n", r.out)
        r = self.ctl("enforce", "on")
        self.assertEqual((r.code, r.out), (DEGRADED, ""))
        self.assertRegex(r.err, "^revshellctl: Mode enforce is set, but backend none leaves it at: "
                         "off\nHint: ")
        self.assertEqual(self.ctl("enforce").out, "enforce (in effect: off)\n")


class Policy(BusTest):
    daemon = FAKE
    args = ["--backend=lsm", "--mode=enforce"]

    def test_list(self):
        r = self.ctl("policy", "list")
        self.assertEqual((r.code, r.err), (0, ""))
        lines = [line.split() for line in r.out.splitlines()]
        self.assertEqual(lines, [["POLICY", "MODE", "IN", "EFFECT", "ORIGIN"],
                                 ["one", "enforce", "enforce", self.policies + "/10-one.yaml"],
                                 ["two", "monitor-only", "monitor",
                                  self.policies + "/20-two.yaml"]])
        self.assertEqual(len(self.ctl("policy", "list", "--no-legend").out.splitlines()), 2)
        listed = json.loads(self.ctl("policy", "list", "--json=short").out)
        self.assertEqual([p["id"] for p in listed], ["one", "two"])
        self.assertEqual(listed[1]["mode"], "monitor-only")

    def test_cat(self):
        r = self.ctl("policy", "cat", "one")
        self.assertEqual((r.code, r.out, r.err), (0, policy("one"), ""))
        r = self.ctl("policy", "cat", "none")
        self.assertEqual((r.code, r.out), (1, ""))
        self.assertEqual(r.err, "revshellctl: Failed to get the policy: No policy 'none' is loaded\n"
                         "Hint: 'revshellctl policy list' shows which are.\n")

    def test_mode(self):
        r = self.ctl("policy", "mode", "one", "monitor")
        self.assertEqual((r.code, r.out, r.err), (0, "", ""))
        self.assertIn("one monitor", " ".join(self.ctl("policy", "list").out.split()))
        self.assertEqual(self.ctl("policy", "mode", "one", "maybe").code, 1)
        self.assertEqual(self.ctl("policy", "mode", "two", "enforce").code, 1)

    def test_disable(self):
        def modes():
            return [line.split()[1:3] for line in
                    self.ctl("policy", "list", "--no-legend").out.splitlines()]

        def verdict():
            r = self.ctl("simulate", "--dst=198.51.100.7:4444", "--json=short")
            return json.loads(r.out)["in_force"]["verdict"]
        self.assertEqual(verdict(), "denied")
        for _ in range(2):
            r = self.ctl("policy", "disable", "one", "--reason=a false alarm")
            self.assertEqual((r.code, r.out, r.err), (0, "", ""))
            self.assertEqual(modes(), [["off", "off"], ["monitor-only", "monitor"]])
            self.assertEqual(verdict(), "allowed")
        self.assertRegex(self.log(), r"Policy one: mode off, generation 2 \(bus, uid \d+, pid \d+, "
                         r"reason: a false alarm\)")
        self.assertEqual(self.get("Enabled", "org.revshell1.Policy", "/org/revshell1/policy/one"),
                         False)
        self.assertEqual(self.ctl("reload").code, 0)
        self.assertEqual(modes()[0], ["off", "off"], "a reload keeps it")
        for _ in range(2):
            self.assertEqual(self.ctl("policy", "enable", "one").code, 0)
            self.assertEqual(modes()[0], ["enforce", "enforce"])
            self.assertEqual(verdict(), "denied")
        self.assertIn("Policy one: mode default, ", self.log())
        self.ctl("policy", "mode", "one", "monitor")
        self.ctl("policy", "enable", "one")
        self.assertEqual(modes()[0], ["monitor", "monitor"], "it was not disabled")
        # what only monitors can be disabled too
        self.assertEqual(self.ctl("policy", "disable", "two").code, 0)
        self.assertEqual(modes()[1], ["off", "off"])
        for verb in "enable", "disable":
            r = self.ctl("policy", verb, "none")
            self.assertEqual(r.code, 1)
            self.assertEqual(r.err, "revshellctl: Failed to %s the policy: No policy 'none' is loaded"
                             "\nHint: 'revshellctl policy list' shows which are.\n" % verb)

    def test_diff(self):
        r = self.ctl("policy", "diff", self.policies)
        self.assertEqual((r.code, r.out, r.err), (0, "", ""))
        self.write("10-one.yaml", policy("one", cidr="203.0.113.0/24"))
        self.write("30-new.yaml", policy("new"))
        r = self.ctl("policy", "diff", self.policies)
        self.assertEqual((r.code, r.err), (1, ""))
        lines = r.out.splitlines()
        self.assertEqual(lines[:2], ["--- one in force", f"+++ {self.policies}/10-one.yaml"])
        changed = [line for line in lines[2:] if line[0] in "+-"]
        self.assertEqual([line[0] for line in changed], ["-", "+"])
        self.assertIn("198.51.100.0/24", changed[0])
        self.assertIn("203.0.113.0/24", changed[1])
        self.assertEqual(lines[-1], f"Only in {self.policies}/30-new.yaml: new")
        r = self.ctl("policy", "diff", self.policies + "/30-new.yaml", "--json=short")
        self.assertEqual((r.code, json.loads(r.out)), (1, [
            {"id": "one", "change": "removed"}, {"id": "two", "change": "removed"},
            {"id": "new", "change": "added"}]))
        self.assertEqual(self.ctl("reload").code, 0)
        self.assertEqual(self.ctl("policy", "diff", self.policies).out, "")
        self.write("30-new.yaml", "no: policy\n")
        r = self.ctl("policy", "diff", self.policies)
        self.assertEqual((r.code, r.out), (1, ""))
        self.assertIn("/30-new.yaml:1:1: error: ", r.err)
        self.assertIn("the files have errors", r.err)


class Warnings(BusTest):
    daemon = FAKE

    def test_reload_and_apply(self):
        """What a change is warned of is told by what asked for it."""
        path = os.path.join(self.policies, "old.yaml")
        old = policy("old").replace("cilium.io/v1alpha1", "v1", 1)
        line = '1:13: warning: apiVersion "v1" is taken as cilium.io/v1alpha1\n'
        self.write("old.yaml", old)
        r = self.ctl("reload")
        self.assertEqual((r.code, r.out, r.err), (0, "Generation 2 is in force.\n", f"{path}:{line}"))
        os.remove(path)
        r = self.ctl("reload")
        self.assertEqual((r.code, r.err), (0, ""))
        self.assertEqual(self.get("Warnings"), [])
        given = os.path.join(self.dir, "given.yaml")
        for args in ["apply"], ["policy", "add"]:
            with open(given, "w", encoding="utf-8") as f:
                f.write(old)
            r = self.ctl(*args, given)
            self.assertEqual(r.code, 0, r)
            self.assertRegex(r.err, f"^.*{re.escape(line)}$")
            self.assertEqual(self.ctl("policy", "remove", "old").code, 0)

    def test_many(self):
        """The daemon keeps a hundred, and says how many more there were."""
        self.write("many.yaml", "---\n".join(
            policy(f"p{i}").replace("cilium.io/v1alpha1", "v1", 1) for i in range(103)))
        lines = self.ctl("reload").err.splitlines()
        self.assertEqual(len(lines), 101)
        self.assertEqual(lines[100], "warning: 3 more warnings")


class Check(BusTest):
    daemon = None

    def check(self, *args):
        return run(CTL, "policy", "check", *args, env={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/x"})

    def test_good(self):
        path = self.policies + "/10-one.yaml"
        r = self.check(path)
        self.assertEqual((r.code, r.out, r.err), (0, path + ": 1 policy, no error\n", ""))
        r = self.check(self.policies)
        self.assertEqual((r.code, r.out), (0, self.policies + ": 2 policies, no error\n"))
        r = self.check("--json=short", path)
        self.assertEqual((r.code, r.out), (0, "[]\n"))

    def test_bad(self):
        path = self.write("15-bad.yaml", policy("bad", "300.0.0.0/8"))
        for what in path, self.policies:
            r = self.check(what)
            self.assertEqual(r.code, 1)
            self.assertTrue(r.out.startswith(path + ":21:11: error: "), r)
            self.assertEqual(len(r.out.splitlines()), 1)
        r = self.check("--json=short", path, self.policies + "/10-one.yaml")
        self.assertEqual(r.code, 1)
        found = json.loads(r.out)
        self.assertEqual([(d["file"], d["line"], d["column"], d["severity"]) for d in found],
                         [(path, 21, 11, "error")])

    def test_what_is_not_there(self):
        r = self.check(self.dir + "/missing.yaml")
        self.assertEqual(r.code, 1)
        self.assertIn("missing.yaml", r.out)
        os.mkdir(self.dir + "/empty")
        r = self.check(self.dir + "/empty")
        self.assertEqual(r.code, 1)

    def test_tetragon(self):
        path = self.write("15-int.yaml", policy("one").replace('"198.51.100.0/24"',
                                                               "198.51.100.0/24") +
                          "---\n" + policy("other"))
        self.assertNotIn("warning", self.check(path).out)
        r = self.check("--tetragon", "--offline", path)
        self.assertEqual(r.code, 0)
        self.assertIn(": warning: ", r.out)

    @needs_root
    def test_needs_no_root(self):
        client = os.path.join(self.dir, "revshellctl")
        shutil.copy(CTL, client)
        os.chmod(client, 0o755)
        r = run(*NOBODY, client, "policy", "check", self.policies)
        self.assertEqual((r.code, r.err), (0, ""), r)


class Usage(BusTest):
    daemon = None

    def test_mistakes(self):
        for args in (["dance"], ["policy"], ["policy", "dance"], ["status", "x"], ["enforce", "x"],
                     ["policy", "cat"], ["policy", "mode", "one"], ["--json=xml"], ["--bus=here"],
                     ["events", "-n", "-1"], ["events", "-n", "x"], ["events", "-n", "99999999999"],
                     ["events", "-o", "xml"], ["status", "-f"], ["reload", "--policy=x"],
                     ["--what"], ["policy", "check"], ["list"]):
            r = self.ctl(*args)
            self.assertEqual((r.code, r.out), (1, ""), (args, r))
            self.assertTrue(r.err, args)

    def test_help(self):
        for args in (["help"], ["--help"], ["-h"]):
            r = run(CTL, *args)
            self.assertEqual((r.code, r.err), (0, ""))
            for verb in ("status", "enforce", "policy list", "policy check", "policy cat",
                         "policy mode", "reload", "events", "stats", "version"):
                self.assertIn("  " + verb, r.out)
        for args in (["help", "policy", "add"], ["policy", "add", "--help"], ["policy", "add", "-h"]):
            r = run(CTL, *args)
            self.assertEqual((r.code, r.err), (0, ""))
            self.assertEqual(r.out.splitlines()[:3], [
                "revshellctl [OPTIONS...] policy add FILE|-", "",
                "Add or replace the policies of a file."])
            for option in "--reason=TEXT", "--dry-run", "--runtime", "--bus=BUS":
                self.assertIn(option, r.out)
            self.assertNotIn("--mask", r.out)
        for args in ["help", "dance"], ["help", "policy"], ["help", "status", "x"]:
            self.assertEqual(run(CTL, *args).code, 1)

    def test_help_is_read_in_a_terminal(self):
        verbs = json.loads(run(CTL, "help", "--json=short").out)["verbs"]
        for verb in [[]] + [[*([v["group"]] if "group" in v else []), v["verb"]] for v in verbs]:
            for line in run(CTL, "help", *verb).out.splitlines():
                self.assertLessEqual(len(line), 110, (verb, line))

    def test_what_was_meant(self):
        for args, meant in ((["enforec"], "enforce"), (["polcy", "list"], "policy"),
                            (["policy", "lst"], "policy list"), (["list"], "policy list"),
                            (["policy", "enabel"], "policy enable"), (["evnets"], "events")):
            r = self.ctl(*args)
            self.assertEqual((r.code, r.out), (1, ""))
            self.assertEqual(r.err, "revshellctl: Unknown verb '%s'\nHint: did you mean '%s'?\n"
                             % (" ".join(args if args[0] == "policy" else args[:1]), meant))
        r = self.ctl("status", "--follow")
        self.assertEqual(r.err, "revshellctl: Verb 'status' does not take --follow\n"
                         "Hint: see 'revshellctl help'.\n")
        r = self.ctl("events", "-o", "xml")
        self.assertEqual(r.err, "revshellctl: Bad value for --output: 'xml'\n"
                         "Hint: it may be json|tetragon|compact.\n")

    def test_every_mistake_has_one_hint(self):
        for args in (["dance"], ["policy"], ["status", "x"], ["--json=xml"], ["--bus=here"], ["--what"],
                     ["events", "-n", "x"], ["events", "--since=never"], ["reload", "--policy=x"],
                     ["enforce", "on", "--confirm=2d"], ["policy", "cat"], ["enforce", "x"]):
            r = self.ctl(*args)
            lines = r.err.splitlines()
            self.assertEqual(len(lines), 2, (args, r))
            self.assertRegex(lines[0], "^(revshellctl: |%s: )" % re.escape(CTL), args)
            self.assertRegex(lines[1], "^Hint: .", args)

    def test_full_disk(self):
        with open("/dev/full", "w") as full:
            r = subprocess.run([CTL, "help"], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(r.returncode, 1)
        self.assertIn("No space left on device", r.stderr)


BRIDGE = "/usr/bin/systemd-stdio-bridge"


@unittest.skipUnless(os.path.exists(BRIDGE), "no " + BRIDGE)
class Host(BusTest):
    """-H by a stand-in for ssh: descriptors cannot pass, all else must work."""
    daemon = FAKE
    args = ["--backend=lsm"]

    def setUp(self):
        super().setUp()
        self.bin = os.path.join(self.dir, "bin")
        os.mkdir(self.bin)
        with open(self.bin + "/ssh", "w") as f:
            f.write("#!/bin/sh\nexec %s -p '%s'\n" % (BRIDGE, self.address))
        os.chmod(self.bin + "/ssh", 0o755)
        self.env = dict(os.environ, PATH=self.bin + ":" + os.environ["PATH"])

    def test_calls(self):
        r = run(CTL, "-H", "root@there", "status", env=self.env)
        self.assertEqual(r.code, MONITOR, r)
        r = run(CTL, "--host=there", "policy", "list", "--no-legend", env=self.env)
        self.assertEqual(len(r.out.splitlines()), 2, r)
        r = run(CTL, "-H", "there", "simulate", "--dst=198.51.100.7:4444", env=self.env)
        self.assertEqual((r.code, r.out.splitlines()[1]),
                         (0, "Under enforce: denied with EPERM, reported"))

    def test_doctor(self):
        """What the daemon there sees, not this host."""
        r = run(CTL, "-H", "there", "doctor", "--json=short", env=self.env)
        found = json.loads(r.out)
        there = [list(f) for f in self.call("Diagnose")[0]]
        self.assertEqual([[f["state"], f["name"], f["text"], f["hint"]] for f in found[:-1]], there)
        self.assertEqual((found[-1]["name"], found[-1]["state"]), ("daemon", "ok"))

    def test_no_way_there(self):
        with open(self.bin + "/ssh", "w") as f:
            f.write("#!/bin/sh\nexit 255\n")
        for args in ["status"], ["policy", "list"], ["events", "-f"], ["doctor"]:
            r = run(CTL, "-H", "there", *args, env=self.env)
            self.assertEqual((r.code, r.out), (ABSENT, ""), args)
            self.assertRegex(r.err, "^revshellctl: Failed to .*: no connection to the bus of there\n"
                             "Hint: 'ssh there systemd-stdio-bridge' has to work.\n$")

    def test_follow(self):
        self.fake_events(2)
        wait_for("2 events", lambda: self.call("GetStatistics")[0]["events-seen"] == 2)
        f = self.start([CTL, "-H", "there", "events", "-f", "-n", "1", "-o", "json"],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.env)
        self.assertIn('"one"', f.stdout.readline())
        self.fake_events(3, match=2)
        for _ in range(3):
            self.assertIn('"two"', f.stdout.readline())
        f.send_signal(signal.SIGINT)
        self.assertEqual(f.wait(60), 0)


if __name__ == "__main__":
    unittest.main()
