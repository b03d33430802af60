# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every example of the man pages is run as it stands there, and its output compared."""
import glob
import json
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest

from harness import CTL, DAEMON, FAKE, SOURCE, BusTest, run, wait_for

PAGES = sorted(glob.glob(os.path.join(SOURCE, "docs/man/*.scd")))
COMMANDS = ("revshellctl", "revshelld", "busctl", "systemctl", "journalctl", "curl", "jq", "ssh")

# What is not run here, and why. Nothing else is left out.
NOT_RUN = {
    "systemctl enable --now revshelld": "needs systemd; tests/vm does it",
    "systemctl reload revshelld": "needs systemd; tests/vm does it",
    "systemctl service-log-level revshelld debug": "needs systemd; LogControl1 is tested without",
    "journalctl -t revshelld -x -g denied": "needs journald; bus-sinks has one",
    "journalctl -t revshelld REVSHELL_VERDICT=denied -o json": "needs journald; bus-sinks has one",
    "revshelld --stop-disarm": "would disarm the host that the tests run on",
}

# Beside -f: what has to happen before an example, by its beginning.
EVENTS = {
    "revshellctl events -f": {"match": 2, "mode": 0},
    "revshellctl explain": {"match": 2, "verdict": 1, "error": -1, "mode": 1},
    "busctl --json=short call org.revshell1 /org/revshell1 org.revshell1.Manager Explain":
        {"match": 2, "verdict": 1, "error": -1, "mode": 1},
}


def read(page):
    with open(page) as f:
        return f.read()


def blocks(page):
    return re.findall(r"(?ms)^```\n(.*?)^```$", read(page))


def examples(page):
    """(command, output) in order. A command goes on in the next line behind a backslash."""
    found = []
    for block in blocks(page):
        if block.startswith("$ "):
            for example in re.split(r"(?m)^\$ ", block)[1:]:
                command, output = re.match(r"(?s)((?:[^\n]*\\\n)*[^\n]*)\n(.*)", example).groups()
                found.append((command, output.rstrip("\n") + "\n" if output.strip() else ""))
    return found


def pattern(output):
    """What differs from host to host and from day to day is not compared, nor what ... stands for."""
    text = re.escape(output).replace("\\ ", " ").replace("\\-", "-").replace("\\:", ":")
    for a, b in ((r"\b[0-9a-f]{16}\b", "[0-9a-f]{16}"), (r"\b\d+\\\.\d+\\\.\d+(?=\b[^.])(?=:| |$)", r"[0-9.]+"),
                 (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\\\.\d+)?( ?[A-Z]+)?",
                  r"\\d{4}-\\d\\d-\\d\\d[ T]\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?( ?[A-Z]+)?")):
        text = re.sub(a, lambda m: b.replace("\\\\", "\\"), text)
    text = re.sub(r"(?m)^\\\.\\\.\\\.\\?\n", "(?:.*\n)*", text)
    return re.compile(r"\A" + text.replace(r"\.\.\.", ".*") + r"\Z")


class Page(BusTest):
    """One page: its policies are in force, and its commands run in order."""
    page = None
    daemon = FAKE
    args = ["--backend=lsm"]
    DIR = "/etc/revshell/policies.d"

    def write_policies(self):
        self.work = os.path.join(self.dir, "work")
        os.mkdir(self.work)
        texts = [b for name in (self.page, "revshellctl.1") if name
                 for b in blocks(os.path.join(SOURCE, "docs/man", name + ".scd"))
                 if b.startswith("apiVersion:")]
        for text in texts:
            name = re.search(r"(?m)^  name: (\S+)$", text)[1] + ".yaml"
            with open(os.path.join(self.work, name), "w") as f:
                f.write(text)
            if name == "no-nc.yaml":
                self.write(name, text)

    def setUp(self):
        super().setUp()
        bin = os.path.join(self.dir, "bin")
        os.mkdir(bin)
        for name, command in (("revshellctl", "%s --bus='%s'" % (CTL, self.address)),
                              ("busctl", "/usr/bin/busctl --address='%s'" % self.address),
                              ("revshelld", DAEMON),
                              ("ssh", "/usr/bin/systemd-stdio-bridge -p '%s' #" % self.address)):
            with open(os.path.join(bin, name), "w") as f:
                f.write('#!/bin/sh\nexec %s "$@"\n' % command)
            os.chmod(os.path.join(bin, name), 0o755)
        self.env = dict(os.environ, PATH=bin + ":" + os.environ["PATH"], NO_COLOR="1",
                        SYSTEMD_PAGER="", TZ="UTC")

    def shell(self, command):
        command = command.replace(self.DIR, self.policies)
        return subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=self.env,
                              cwd=self.work, timeout=30)

    def happen(self, command):
        for beginning, event in EVENTS.items():
            if command.startswith(beginning):
                seen = self.call("GetStatistics")[0]["events-seen"]
                self.fake_events(1, **event,
                                 **{"time-ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME)})
                wait_for("the event",
                         lambda: self.call("GetStatistics")[0]["events-seen"] == seen + 1)
                return

    def follow(self, command, n_lines):
        """What "events -f" prints until it is interrupted."""
        wait_for("the end of the one before", lambda: self.call("GetStatistics")[0]["subscribers"] == 0)
        process = self.start(["bash", "-c", "exec " + command], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, env=self.env, cwd=self.work)
        wait_for("a subscriber", lambda: self.call("GetStatistics")[0]["subscribers"] == 1)
        self.happen(command)
        out = "".join(process.stdout.readline() for _ in range(n_lines))
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), 0)
        return out, process.stderr.read()

    def run_all(self):
        ran = 0
        for command, expected in examples(os.path.join(SOURCE, "docs/man", self.page + ".scd")):
            if command in NOT_RUN:
                continue
            self.assertNotRegex(command, r"\b(systemctl|journalctl)\b", "would ask this host's own")
            if " -f" in command:
                out, err = self.follow(command, expected.count("\n"))
            else:
                self.happen(command)
                r = self.shell(command)
                out, err = r.stdout, r.stderr
            for here, there in ((self.policies, self.DIR), ("Origin: other", "Origin: admin"),
                                (" %s " % os.uname().nodename, " gateway ")):
                out = out.replace(here, there)
            # both are what a terminal shows
            self.assertRegex(out + err, pattern(expected), command)
            ran += 1
        self.assertGreater(ran, 0)


class Ctl(Page):
    page = "revshellctl.1"

    def test_examples(self):
        self.run_all()


class Daemon(Page):
    page = "revshelld.8"

    def test_examples(self):
        self.run_all()


class Policy(Page):
    page = "revshell-policy.5"

    def test_examples(self):
        self.run_all()


class Bus(Page):
    page = "org.revshell1.5"

    def test_examples(self):
        self.run_all()


class Conf(Page):
    page = "revshelld.conf.5"

    def write_policies(self):
        super().write_policies()
        conf = [b for b in blocks(os.path.join(SOURCE, "docs/man", self.page + ".scd"))
                if b.startswith("[")]
        self.assertEqual(len(conf), 1)
        with open(os.path.join(self.work, "revshelld.conf"), "w") as f:
            f.write(conf[0])

    def test_examples(self):
        self.run_all()

    def test_it_is_read(self):
        """The file is good: what ends the daemon is that there are no policies."""
        command = "revshelld --config=revshelld.conf --backend=none --policy-dir=nowhere"
        r = self.shell(command)
        self.assertEqual((r.returncode, r.stderr.count("revshelld.conf")), (1, 0), r)
        r = self.shell("echo Nonsense=1 >>revshelld.conf; " + command)
        self.assertEqual((r.returncode, r.stderr.count("revshelld.conf:")), (2, 1), r)


class Complete(unittest.TestCase):
    """No example is forgotten, and what the text calls commands are such."""

    def test_every_page_is_run(self):
        pages = {c.page for c in Page.__subclasses__()}
        self.assertEqual(pages, {os.path.basename(p)[:-len(".scd")] for p in PAGES})

    def test_every_block_is_known(self):
        for page in PAGES:
            for block in blocks(page):
                self.assertRegex(block, r"\A(\$ |apiVersion:|\[Daemon\])", page)
            outside = re.sub(r"(?ms)^```\n.*?^```$", "", read(page))
            for line in outside.splitlines():
                self.assertFalse(re.match(r"\t[$#]? ?(%s) " % "|".join(COMMANDS), line),
                                 "%s: an example that is not run: %s" % (page, line))

    def test_what_is_not_run_is_there(self):
        there = {command for page in PAGES for command, _ in examples(page)}
        self.assertEqual(set(NOT_RUN) - there, set())
        for command in there:
            self.assertRegex(command, r"(^|[|&] )(%s) " % "|".join(COMMANDS))

    def test_policies_are_good(self):
        n = 0
        for page in PAGES:
            for block in blocks(page):
                if block.startswith("apiVersion:"):
                    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
                        f.write(block)
                        f.flush()
                        r = run(CTL, "policy", "check", "--offline", f.name)
                    self.assertEqual((r.code, r.out.count("\n")), (0, 1), r)
                    n += 1
        self.assertGreater(n, 1)

    def test_commands_in_the_text(self):
        tables = json.loads(run(CTL, "help", "--json=short").out)
        everywhere = {o["name"] for o in tables["options"]}
        verbs = {" ".join(v[k] for k in ("group", "verb") if k in v):
                 everywhere | {o["name"] for o in v["options"]} for v in tables["verbs"]}
        daemon = set(re.findall(r"--([a-z][a-z-]+)", run(DAEMON, "--help").out))
        pages = [*PAGES, *(os.path.join(SOURCE, n) for n in ("README.md", "SECURITY.md"))]
        n = 0
        for page in pages:
            text = re.sub(r"\s*\n\s+", " ", read(page))
            for command in re.findall(r"[*`](revshell(?:ctl|d) [a-z-][^*`\n]*)[*`]", text):
                words = re.sub(r"[_\\]", "", command).split()
                options = {re.match("--([a-z-]+)", w)[1] for w in words if w.startswith("--")}
                if words[0] == "revshelld":
                    self.assertLessEqual(options, daemon, (page, command))
                    n += 1
                    continue
                plain = [w for w in words[1:] if not w.startswith("-")]
                found = [v for v in (" ".join(plain[:2]), *plain[:1]) if v in verbs]
                self.assertTrue(found, (page, command))
                self.assertLessEqual(options, verbs[found[0]], (page, command))
                n += 1
        self.assertGreater(n, 10)

    def test_every_verb_and_option_has_its_place(self):
        text = read(os.path.join(SOURCE, "docs/man/revshellctl.1.scd"))
        verbs_text = text[text.index("# VERBS"):text.index("# OPTIONS")]
        options_text = text[text.index("# OPTIONS"):text.index("# EXIT STATUS")]
        tables = json.loads(run(CTL, "help", "--json=short").out)
        for v in tables["verbs"]:
            name = " ".join(v[k] for k in ("group", "verb") if k in v)
            self.assertRegex(verbs_text, r"(?m)^\*%s\*" % name)
        for o in tables["options"] + [o for v in tables["verbs"] for o in v["options"]]:
            names = r"\*-%s\*, " % o["letter"] if "letter" in o else ""
            self.assertRegex(options_text, r"(?m)^(\*.*, )?%s\*--%s\*" % (names, o["name"]))
        for v in set(re.findall(r"(?m)^\*([a-z][a-z ]*)\*", verbs_text)):
            self.assertIn(v, [" ".join(w[k] for k in ("group", "verb") if k in w)
                              for w in tables["verbs"]])

    def test_daemon_options(self):
        text = read(os.path.join(SOURCE, "docs/man/revshelld.8.scd"))
        for option in set(re.findall(r"(?m)^ .*?--([a-z][a-z-]+)", run(DAEMON, "--help").out)):
            self.assertRegex(text, r"(?m)^(\*.*, )?\*--%s\*" % option)

    def test_exit_statuses(self):
        with open(os.path.join(SOURCE, "cli/ctl.h")) as f:
            statuses = re.findall(r"CTL_[A-Z]+ = (\d+)", f.read())
        text = read(os.path.join(SOURCE, "docs/man/revshellctl.1.scd"))
        for status in statuses:
            self.assertRegex(text, r"(?m)^\|[\[ ] \*%s\*$" % status)


if __name__ == "__main__":
    unittest.main()
