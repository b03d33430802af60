# SPDX-License-Identifier: LGPL-2.1-or-later
"""revshellctl simulate and explain: verdicts, reasons, and what is not known."""
import json
import os
import shutil
import subprocess
import unittest

from harness import CTL, FAKE, NOBODY, BusTest, needs_root, policy, run, wait_for

CGROUPS = [d for d in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
           if subprocess.run(["stat", "-f", "-c", "%T", d], capture_output=True).stdout == b"cgroup2fs\n"]
ABSENT, DENIES, DEPENDS = 3, 10, 11

SHELLS = """apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata:
  name: shells
spec:
  kprobes:
  - call: tcp_connect
    syscall: false
    args:
    - {index: 0, type: sock}
    selectors:
    - matchBinaries:
      - {operator: Postfix, values: [/bash]}
      matchParentBinaries:
      - {operator: NotIn, values: [/usr/sbin/sshd]}
      matchArgs:
      - {index: 0, operator: NotDAddr, values: ["10.0.0.0/8", "127.0.0.0/8"]}
      matchActions:
      - action: Sigkill
    - matchArgs:
      - {index: 0, operator: SPort, values: ["4444"]}
"""

STDIO = """apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata:
  name: {name}
spec:
  lsmhooks:
  - hook: socket_listen
    args:
    - {{index: 0, type: socket}}
    - {{index: 1, type: int}}
    selectors:
    - matchStdio:
      - {{operator: In, values: ["0"]}}
      matchUnits:
      - {{operator: NotIn, values: [ssh.service]}}
      matchCapabilities:
      - {{type: Effective, operator: NotIn, values: [CAP_NET_RAW]}}
      matchNamespaces:
      - {{namespace: Net, operator: In, values: [host_ns]}}
      matchPIDs:
      - {{operator: NotIn, followForks: true, values: [1]}}
      matchArgs:
      - {{index: 1, operator: GT, values: ["10"]}}
      - {{index: 0, operator: State, values: [TCP_CLOSE]}}
      matchActions:
      - {{action: Override, argError: -13}}
  - hook: socket_create
    args:
    - {{index: 0, type: int}}
    - {{index: 2, type: int}}
    selectors:
    - matchArgs:
      - {{index: 0, operator: Equal, values: ["2"]}}
      - {{index: 2, operator: Equal, values: ["132"]}}
      matchActions:
      - {{action: Override, argError: -97}}
  - hook: socket_connect
    args:
    - {{index: 1, type: sockaddr_un}}
    selectors:
    - matchArgs:
      - {{index: 1, operator: Prefix, values: [/run/secret]}}
      matchActions:
      - {{action: Override, argError: -13}}
  - hook: socket_bind
    args:
    - {{index: 1, type: sockaddr}}
    selectors:
    - matchArgs:
      - {{index: 1, operator: SPortPriv}}
      matchActions:
      - {{action: Override, argError: -13}}
"""


class Offline(BusTest):
    daemon = None
    env = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"}

    def write_policies(self):
        self.one = self.write("10-one.yaml", policy("one"))
        self.shells = self.write("20-shells.yaml", SHELLS)
        self.stdio = self.write("30-stdio.yaml", STDIO.format(name="stdio"))

    def simulate(self, path, *args):
        return run(CTL, "simulate", "--offline", path, *args, env=self.env)

    def report(self, path, *args):
        r = self.simulate(path, "--json=short", *args)
        self.assertEqual((r.err, r.out.count("\n")), ("", 1), r)
        report = json.loads(r.out)
        report["code"] = r.code
        return report

    def test_denied_and_allowed(self):
        args = ["--exe=/usr/bin/nc", "--dst=198.51.100.7:4444"]
        r = self.simulate(self.one, *args)
        self.assertEqual((r.code, r.err), (DENIES, ""))
        self.assertEqual(r.out.splitlines(), [
            "Under enforce: denied with EPERM, reported",
            "  by policy one, selector 0 of security_socket_connect",
            "",
            "socket_connect:",
            "  policy one (enforce)",
            f"    selector 0 of security_socket_connect ({self.one}:17:7) matches: Override EPERM"])
        r = self.simulate(self.one, "--dst=[::ffff:203.0.113.1]:4444")
        self.assertEqual((r.code, r.err), (0, ""))
        self.assertEqual(r.out.splitlines()[0], "Under enforce: allowed")
        self.assertEqual(r.out.splitlines()[-2:], [
            f"    selector 0 of security_socket_connect ({self.one}:17:7) does not match",
            f"      {self.one}:18:9: matchArgs[0] SAddr 198.51.100.0/24: address is 203.0.113.1"])
        self.assertEqual(self.simulate(self.one, "--dst=[::ffff:198.51.100.1]:1").code, DENIES)

    def test_unknown(self):
        report = self.report(self.one, "--exe=/usr/bin/nc")
        self.assertEqual(report["code"], DEPENDS)
        self.assertEqual(report["enforce"], {
            "mode": "enforce", "verdict": "depends", "denied": "maybe", "errno": ["EPERM"],
            "signals": {}, "reported": "maybe", "depends_on": ["dst"]})
        self.assertEqual(report["selectors"][0]["match"], "maybe")
        self.assertEqual(report["selectors"][0]["depends_on"], ["dst"])
        r = self.simulate(self.one)
        self.assertIn("allowed, or denied with EPERM, perhaps reported\n  depends on --dst\n", r.out)

    def test_a_connection_of_tcp(self):
        """Sigkill on tcp_connect is decided at connect, where nothing has left yet."""
        args = ["--exe=/usr/bin/bash", "--parent=/usr/bin/vi", "--dst=198.51.100.7:80"]
        report = self.report(self.shells, "--protocol=tcp", *args)
        self.assertEqual(report["enforce"]["verdict"], "killed")
        self.assertEqual(report["enforce"]["errno"], ["EPERM"])
        self.assertEqual(report["enforce"]["signals"], {"SIGKILL": "yes"})
        self.assertEqual(report["code"], DENIES)
        self.assertEqual([(s["hook"], s["selector"], s["match"]) for s in report["selectors"]],
                         [("socket_connect", 0, "yes"), ("tcp_connect", 0, "yes"),
                          ("tcp_connect", 1, "shadowed")])
        out = self.simulate(self.shells, "--protocol=tcp", *args).out
        self.assertTrue(out.startswith("Under enforce: denied with EPERM, killed by SIGKILL, "
                                       "reported\n"), out)
        self.assertIn("\ntcp_connect (not reached under enforce):\n", out)
        self.assertNotIn("not reached", self.simulate(self.shells, "--protocol=tcp",
                                                      "--dst=198.51.100.7:80").out)
        # of UDP there is no tcp_connect at all
        report = self.report(self.shells, "--protocol=udp", *args)
        self.assertEqual((report["code"], report["enforce"]["verdict"]), (0, "allowed"))
        self.assertEqual([s["hook"] for s in report["selectors"]], ["socket_connect"])
        self.assertEqual(report["selectors"][0]["reason"],
                         "tcp_connect is about TCP sockets: its type is another")
        # without --protocol it may be either
        report = self.report(self.shells, *args)
        self.assertEqual(report["code"], DEPENDS)
        self.assertEqual(report["enforce"]["depends_on"], ["type", "protocol"])
        report = self.report(self.shells, "--protocol=tcp", args[0], args[2])
        self.assertEqual(report["enforce"]["depends_on"], ["parent", "src"])

    def test_other_facts(self):
        facts = ["--hook=listen", "--stdio=0,1", "--unit=cron.service,system.slice",
                 "--caps=chown", "--namespaces=host", "--pid=9", "--ancestors=8,7",
                 "--arg=1:128", "--state=close"]
        self.assertEqual(self.report(self.stdio, *facts)["enforce"]["errno"], ["EACCES"])
        # each of them makes a difference, and is missed where it is not told
        for without in facts[1:]:
            name = without.split("=")[0]
            report = self.report(self.stdio, *[f for f in facts if f != without])
            self.assertEqual(report["code"], DEPENDS, name)
            self.assertEqual(report["enforce"]["depends_on"], [name[2:]])
        for other, reason in {
                "--stdio=none": "matchStdio[0] In 0: none is a socket",
                "--unit=ssh.service": "matchUnits[0] NotIn ssh.service: unit is ssh.service",
                "--caps=all": "matchCapabilities[0] effective NotIn: some of them are held",
                "--ancestors=8,1": "matchPIDs[0] NotIn 1: PID is 9",
                "--arg=1:10": "matchArgs[0] GT 10: argument 1 is 10",
                "--state=listen": "matchArgs[1] State TCP_CLOSE: state is TCP_LISTEN"}.items():
            report = self.report(self.stdio, *facts, other)
            self.assertEqual(report["code"], 0, other)
            self.assertEqual(report["selectors"][0]["reason"], reason)

    def test_lineage(self):
        followed = self.write("50-followed.yaml", STDIO.format(name="followed").replace(
            "    - matchStdio:\n      - {operator: In, values: [\"0\"]}\n",
            "    - matchBinaries:\n"
            "      - {operator: In, values: [/usr/sbin/nginx], followChildren: true}\n"))
        facts = ["--hook=listen", "--unit=none", "--caps=none", "--namespaces=host", "--pid=9",
                 "--ancestors=8", "--arg=1:128", "--state=close"]
        for code, args in ((DEPENDS, ["--exe=/bin/sh"]),
                           (DEPENDS, ["--lineage=none"]),
                           (0, ["--exe=/bin/sh", "--lineage=none"]),
                           (0, ["--exe=/bin/sh", "--lineage=/usr/bin/env"]),
                           (DENIES, ["--lineage=/usr/bin/env,/usr/sbin/nginx"]),
                           (DENIES, ["--exe=/usr/sbin/nginx"])):
            self.assertEqual(self.report(followed, *facts, *args)["code"], code, args)

    def test_other_hooks(self):
        for code, errors, args in (
                (DENIES, ["EAFNOSUPPORT"], ["--hook=create", "--family=inet", "--protocol=sctp"]),
                (0, [], ["--hook=socket_create", "--family=AF_INET6"]),
                (DEPENDS, ["EAFNOSUPPORT"], ["--hook=create", "--family=2"]),
                (DENIES, ["EACCES"], ["--dst=/run/secret/x"]),
                (0, [], ["--dst=@/run/secret/x"]),
                (DENIES, ["EACCES"], ["--hook=bind", "--src=0.0.0.0:80"]),
                (0, [], ["--hook=bind", "--src=0.0.0.0:8080"]),
                (DEPENDS, ["EACCES"], ["--hook=bind", "--src=0.0.0.0"]),
                (DEPENDS, ["EACCES"], ["--hook=bind", "--src=:80"]),
                (0, [], ["--hook=tcp_close", "--dst=192.0.2.1:80"])):
            report = self.report(self.stdio, *args)
            self.assertEqual((report["code"], report["enforce"]["errno"]), (code, errors), args)

    def test_several_files(self):
        r = run(CTL, "simulate", "--offline", self.one, self.shells, "--dst=198.51.100.7:1",
                "--json=short", env=self.env)
        self.assertEqual({s["policy"] for s in json.loads(r.out)["selectors"]}, {"one", "shells"})
        r = run(CTL, "simulate", "--offline", self.policies, "--dst=198.51.100.7:1", "--json=short",
                env=self.env)
        self.assertEqual({s["policy"] for s in json.loads(r.out)["selectors"]},
                         {"one", "shells", "stdio"})

    def test_mistakes(self):
        bad = self.write("40-bad.yaml", policy("bad", "300.0.0.0/8"))
        r = self.simulate(bad)
        self.assertEqual((r.code, r.out), (1, ""))
        self.assertIn(bad + ":21:11: error: ", r.err)
        os.mkdir(self.dir + "/empty")
        self.assertEqual(self.simulate(self.dir + "/empty").code, 1)
        for option in ("--hook=dance", "--dst=300.0.0.1:1", "--dst=1.2.3.4:65536", "--dst=", "--src=x",
                       "--family=x", "--type=x", "--protocol=x", "--state=x", "--arg=1", "--arg=9:1",
                       "--uid=no such", "--gid=no such", "--pid=x", "--ancestors=1,2,3,4,5,6,7,8",
                       "--unit=a,b,c,d,e,f,g,h,i", "--lineage=/a,/b,/c,/d,/e,/f,/g,/h,/i", "--stdio=3", "--caps=x", "--namespaces=mine"):
            r = self.simulate(self.one, option)
            self.assertEqual((r.code, r.out), (1, ""), option)
            self.assertRegex(r.err, "^revshellctl: Failed to simulate: bad value for "
                             + option.split("=")[0] + ": ")
        self.assertEqual(self.simulate(self.one, "--verdict=denied").code, 1)

    @needs_root
    def test_needs_no_root(self):
        client = os.path.join(self.dir, "revshellctl")
        shutil.copy(CTL, client)
        os.chmod(client, 0o755)
        r = run(*NOBODY, client, "simulate", "--offline", self.one, "--dst=198.51.100.7:1")
        self.assertEqual((r.code, r.err), (DENIES, ""), r)


class Online(BusTest):
    daemon = FAKE
    args = ["--backend=lsm"]
    call = ["--dst=198.51.100.7:4444", "--json=short"]

    def verdicts(self):
        r = self.ctl("simulate", *self.call)
        report = json.loads(r.out)
        return r.code, report["in_force"]["mode"], report["in_force"]["verdict"], \
            report["enforce"]["verdict"]

    def test_modes(self):
        self.assertEqual(self.verdicts(), (0, "monitor", "allowed", "denied"))
        r = self.ctl("simulate", self.call[0])
        self.assertEqual(r.out.splitlines()[:3], [
            "In force (monitor): allowed, reported", "Under enforce: denied with EPERM, reported",
            "  by policy one, selector 0 of security_socket_connect"])
        self.ctl("enforce", "on")
        self.assertEqual(self.verdicts(), (DENIES, "enforce", "denied", "denied"))
        self.ctl("policy", "mode", "one", "monitor")
        self.assertEqual(self.verdicts(), (0, "enforce", "allowed", "allowed"))
        self.assertIn("matches: Override EPERM (only reported: the policy's mode is monitor)\n",
                      self.ctl("simulate", self.call[0]).out)

    def test_the_policies_in_force_are_asked(self):
        os.unlink(self.policies + "/10-one.yaml")
        self.write("30-stream.yaml", policy("b") + "---\n" + policy("a", "192.0.2.0/24"))
        self.assertIn("policy one (enforce)", self.ctl("simulate", self.call[0]).out)
        self.assertEqual(self.ctl("reload").code, 0)
        r = self.ctl("simulate", *self.call)
        self.assertEqual([(s["policy"], s["match"]) for s in json.loads(r.out)["selectors"]],
                         [("two", "no"), ("b", "yes"), ("a", "no")])

    def test_no_files(self):
        r = self.ctl("simulate", self.policies)
        self.assertEqual((r.code, r.out), (1, ""))
        self.assertIn("Hint: --offline takes files instead.\n", r.err)

    def test_absent(self):
        self.stop_daemon()
        for args in ["simulate"], ["explain"], ["explain", "1"]:
            r = self.ctl(*args)
            self.assertEqual((r.code, r.out), (ABSENT, ""))
            self.assertIn("the daemon is not running\n", r.err)


class Explain(BusTest):
    daemon = FAKE
    args = ["--backend=lsm", "--mode=enforce"]
    denied = {"match": 1, "verdict": 1, "error": -1, "mode": 1}

    def events(self, n, **what):
        seen = self.call("GetStatistics")[0]["events-seen"]
        self.fake_events(n, **what)
        wait_for("the events", lambda: self.call("GetStatistics")[0]["events-seen"] == seen + n)

    def explain(self, *args, code=0):
        r = self.ctl("explain", "--json=short", *args)
        self.assertEqual((r.code, r.err), (code, ""), r)
        return json.loads(r.out)

    def test_the_last_event(self):
        self.events(1, **self.denied)
        r = self.ctl("explain")
        self.assertEqual((r.code, r.err), (0, ""))
        self.assertEqual(r.out.splitlines()[:4], [
            "Event 1: denied with EPERM, by policy one, selector 0 of security_socket_connect",
            "  /usr/bin/nc on socket_connect, mode enforce, the policy's own enforce",
            "",
            "In force (enforce): denied with EPERM, reported"])
        report = self.explain()
        self.assertEqual(report["event"]["generation"], 1)
        self.assertEqual((report["changed"], report["match_now"]), (False, "yes"))
        self.assertEqual([(s["policy"], s["match"]) for s in report["selectors"]],
                         [("one", "yes"), ("two", "no")])
        self.assertEqual(report["selectors"][1]["reason"],
                         "matchArgs[0] SAddr 203.0.113.0/24: address is 198.51.100.7")

    def test_which_event(self):
        self.events(1, **self.denied)
        self.events(1, match=1, exe="/usr/bin/socat")
        self.events(1, match=2)
        self.assertEqual([self.explain(*args)["event"]["number"] for args in (
            [], ["1"], ["2"], ["3"], ["--verdict=denied"], ["--exe=/usr/bin/socat"],
            ["--policy=two"], ["--policy=one"])], [3, 1, 2, 3, 1, 2, 3, 2])
        for args in ["4"], ["0"], ["x"], ["-1"], ["--exe=/no"], ["1", "2"]:
            r = self.ctl("explain", *args)
            self.assertEqual((r.code, r.out), (1, ""), args)
        # the number that the event itself shows
        last = json.loads(self.ctl("events", "-n", "1", "-o", "json").out)
        self.assertEqual(last["process_kprobe"]["number"], 3)

    def test_changed_policies(self):
        self.events(1, **self.denied)
        self.write("10-one.yaml", policy("one", cidr="192.0.2.0/24"))
        self.assertEqual(self.ctl("reload").code, 0)
        r = self.ctl("explain", "1")
        self.assertIn("\nThe policies or their modes have changed since then: generation 1 is now 2.\n"
                      "That selector is not the one that would match now.\n", r.out)
        report = self.explain("1")
        self.assertEqual((report["changed"], report["match_now"], report["generation"]),
                         (True, "no", 2))
        self.assertEqual(report["in_force"]["verdict"], "allowed")
        os.unlink(self.policies + "/10-one.yaml")
        self.assertEqual(self.ctl("reload").code, 0)
        self.assertIn("\nThat selector is not there any more.\n", self.ctl("explain", "1").out)

    def test_an_event_from_elsewhere(self):
        self.events(1, **self.denied)
        path = self.write("../new.yaml", policy("one", cidr="0.0.0.0/0"))
        for form in "json", "tetragon":
            event = self.ctl("events", "-o", form).out
            r = run(CTL, "explain", "-", "--offline", path, "--json=short", stdin=event)
            self.assertEqual((r.code, r.err), (0, ""))
            report = json.loads(r.out)
            self.assertEqual(report["match_now"], "yes")
            self.assertNotIn("in_force", report)
        event = json.loads(event)
        event["process_kprobe"]["process"]["binary"] = "/tmp/\x1b[2J\n"
        r = run(CTL, "explain", "-", "--offline", path, stdin=json.dumps(event))
        self.assertIn("\n  /tmp/\\x1b[2J\\n on socket_connect, mode enforce, ", r.out)
        for text in "", "{}", "[]", '{"process_lsm": 1}', '{"process_exec": {"hook": "x"}}':
            r = run(CTL, "explain", "-", "--offline", path, stdin=text)
            self.assertEqual((r.code, r.out), (1, ""), text)

    def test_what_was_asked_of_the_process(self):
        """The kernel's answers are in the event: nothing depends on what it does not show."""
        deep = """apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata:
  name: deep
spec:
  lsmhooks:
  - hook: socket_connect
    args:
    - {index: 1, type: sockaddr}
    selectors:
    - matchUsers:
      - {type: gid, operator: In, values: ["100"]}
      matchUnits:
      - {operator: NotIn, values: [ssh.service]}
      matchStdio:
      - {operator: In, values: ["0"]}
      matchActions:
      - {action: Override, argError: -13}
    - matchArgs:
      - {index: 1, operator: SPort, values: ["4444"]}
"""
        self.write("30-deep.yaml", deep)
        self.assertEqual(self.ctl("reload").code, 0)
        # of three predicates: group, unit, descriptor; the first is the only one that events show
        for answers, match, reason in ((1, "no", "matchStdio[0] In 0: it was not so"),
                                       (7, "no", "matchUnits[0] NotIn ssh.service: it was not so"),
                                       (5, "yes", None)):
            # bits 0 and 1 are those of the policies one and two
            self.events(1, match=8, predicates=answers)
            report = self.explain()
            found = [s for s in report["selectors"] if s["policy"] == "deep"]
            self.assertEqual((found[0]["match"], found[0].get("reason")), (match, reason), answers)
            self.assertNotIn("depends_on", found[0])
            self.assertNotIn("depends_on", report["in_force"])
        # they are answers to the questions of that generation
        self.write("30-deep.yaml", deep.replace('"4444"', '"4444", "5555"'))
        self.assertEqual(self.ctl("reload").code, 0)
        self.assertEqual(self.explain()["selectors"][2]["depends_on"], ["unit", "stdio"])
        event = self.ctl("events", "-n", "1", "-o", "json").out
        r = self.ctl_stdin(event, "explain", "-", "--json=short")
        self.assertEqual(json.loads(r.out)["selectors"][2]["depends_on"], ["unit", "stdio"])

    @unittest.skipUnless(CGROUPS, "no cgroup2 hierarchy here: test-cgroup has one of its own")
    def test_unit(self):
        """A policy that came later asks the unit: that is looked up by the cgroup's number."""
        path, _, _ = next(os.walk(CGROUPS[0]))
        for below, _, _ in os.walk(CGROUPS[0]):
            if below != path:
                path = below
                break
        self.events(1, match=1, cgroup=os.stat(path).st_ino)
        name = path[len(CGROUPS[0]):] or "/"
        self.assertEqual(self.explain()["cgroup"], name)
        self.assertIn("\n  in %s (looked up now, by the cgroup's number)\n" % name,
                      self.ctl("explain").out)
        if name != "/":
            self.write("30-unit.yaml", policy("unit").replace("    - matchArgs:", """    - matchUnits:
      - {operator: In, values: [%s]}
      matchArgs:""" % name.split("/")[-1]))
            self.assertEqual(self.ctl("reload").code, 0)
            self.assertEqual(self.explain()["selectors"][2]["match"], "yes")
        self.events(1, match=1, cgroup=2**40)
        self.assertNotIn("cgroup", self.explain())
        self.assertNotIn("looked up", self.ctl("explain").out)

    def ctl_stdin(self, text, *args):
        return run(CTL, "--bus=" + self.address, *args, stdin=text)

    def test_what_events_do_not_show(self):
        """A policy that asks more than its events tell."""
        path = self.write("../uid.yaml", STDIO.format(name="x"))
        event = {"process_lsm": {
            "process": {"pid": 1, "uid": 0, "binary": "", "binary_identity": ["path-unknown"]},
            "function_name": "socket_listen", "policy_name": "x", "selector": 0,
            "hook": "socket_listen", "verdict": "denied", "args": [
                {"sock_arg": {"family": "AF_INET", "type": "SOCK_STREAM", "state": "TCP_CLOSE",
                              "protocol": "IPPROTO_TCP", "saddr": "0.0.0.0", "daddr": "0.0.0.0"}},
                {"int_arg": 11}]}}
        r = run(CTL, "explain", "-", "--offline", path, "--json=short", stdin=json.dumps(event))
        self.assertEqual((r.code, r.err), (0, ""))
        self.assertEqual(json.loads(r.out)["selectors"][0]["reason"],
                         "matchPIDs[0] NotIn 1: PID is 1")
        event["process_lsm"]["process"]["pid"] = 2
        r = run(CTL, "explain", "-", "--offline", path, "--json=short", stdin=json.dumps(event))
        self.assertEqual(json.loads(r.out)["enforce"]["depends_on"],
                         ["ancestors", "unit", "namespaces", "caps", "stdio"])
        event["process_lsm"]["args"][1]["int_arg"] = 10
        r = run(CTL, "explain", "-", "--offline", path, "--json=short", stdin=json.dumps(event))
        self.assertEqual(json.loads(r.out)["selectors"][0]["reason"],
                         "matchArgs[0] GT 10: argument 1 is 10")


if __name__ == "__main__":
    unittest.main()
