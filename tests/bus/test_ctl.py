# SPDX-License-Identifier: LGPL-2.1-or-later
"""revshellctl: output, exit statuses, and what it says when things fail."""
import json
import os
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
        for args in (["help"], ["--help"], ["-h"], ["status", "--help"]):
            r = run(CTL, *args)
            self.assertEqual((r.code, r.err), (0, ""))
            for verb in ("status", "enforce", "policy list", "policy check", "policy cat",
                         "policy mode", "reload", "events", "stats", "version"):
                self.assertIn("  " + verb, r.out)

    def test_full_disk(self):
        with open("/dev/full", "w") as full:
            r = subprocess.run([CTL, "help"], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(r.returncode, 1)
        self.assertIn("No space left on device", r.stderr)


BRIDGE = "/usr/bin/systemd-stdio-bridge"


class Completion(BusTest):
    daemon = None
    DIR = os.path.join(os.environ["REVSHELL_SOURCE"], "completions")

    def setUp(self):
        super().setUp()
        text = self.ctl("help").out
        self.verbs = [m.split() for m in re.findall(r"(?m)^  ((?:policy )?[a-z]+) ", text)]
        self.options = set(re.findall(r"--([a-z][a-z-]+)", text))
        self.assertIn(["policy", "diff"], self.verbs)
        self.assertIn("openmetrics", self.options)

    def test_nothing_is_missing(self):
        option = {"revshellctl.bash": "--%s", "_revshellctl": "--%s", "revshellctl.fish": "-l %s"}
        for name, form in option.items():
            with open(os.path.join(self.DIR, name)) as f:
                words = f.read()
            for verb in self.verbs:
                self.assertRegex(words, r"\b%s\b" % verb[-1], name)
            for o in self.options:
                self.assertRegex(words, r"(?<!\S)\S*%s(?![a-z-])" % re.escape(form % o), name)

    def bash(self, *words):
        """What bash offers for the last of the words."""
        script = ("source %s/revshellctl.bash; COMP_WORDS=(revshellctl \"$@\"); COMP_CWORD=$#; "
                  "compopt() { :; }; _revshellctl; printf '%%s\\n' \"${COMPREPLY[@]}\"" % self.DIR)
        r = run("bash", "-c", script, "bash", *words)
        self.assertEqual((r.code, r.err), (0, ""))
        return r.out.split()

    def test_bash(self):
        self.assertEqual(sorted(self.bash("")), sorted({v[0] for v in self.verbs}))
        self.assertEqual(sorted(self.bash("policy", "")),
                         sorted(v[1] for v in self.verbs if v[0] == "policy"))
        self.assertEqual(self.bash("enforce", "o"), ["on", "off"])
        self.assertIn("--openmetrics", self.bash("stats", "--o"))
        self.assertIn("--dst=", self.bash("simulate", "--d"))
        self.assertEqual(self.bash("simulate", "--hook", "=", "li"), ["listen"])
        self.assertEqual(sorted(self.bash("explain", "--")), sorted(
            ["--bus=", "--host=", "--json=", "--no-legend", "--help", "--version", "--policy=",
             "--exe=", "--verdict=", "--offline"]))


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
        self.assertEqual(f.wait(10), 0)


if __name__ == "__main__":
    unittest.main()
