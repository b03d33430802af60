# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reload is all or nothing: every way in which a policy directory can be bad."""
import os
import signal
import subprocess
import time
import unittest

from harness import FAKE, BusTest, needs_root, policy, wait_for

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    "{0}: &{0} [{1}]\n".format(chr(98 + i), ", ".join(["*" + chr(97 + i)] * 9)) for i in range(9))

BAD = {
    "empty file": ("", ":1:1: error: "),
    "blanks only": ("\n\n  \n", ": error: "),
    "too big": (b"# " + b"x" * (2 * 1024 * 1024), ": error: "),
    "NUL bytes": (b"apiVersion: a\0b\n", ":1:14: error: "),
    "only NUL": (b"\0" * 4096, ":1:1: error: "),
    "not UTF-8": (b"a: \xff\xfe\n", ": error: "),
    "alias bomb": (BOMB, ":1:4: error: "),
    "no YAML": ("{[}", ": error: "),
    "unclosed": ("a: [", ": error: "),
    "deep": ("[" * 5000, ": error: "),
    "a list": ("- a\n- b\n", ":1:1: error: "),
    "tab": ("a:\n\tb: c\n", ":2:1: error: "),
    "unknown key": (policy("bad").replace("selectors:", "selectorz:"), ":16:5: error: "),
    "duplicate key": (policy("bad") + "kind: TracingPolicy\n", ":25:1: error: "),
    "bad CIDR": (policy("bad", "300.0.0.0/8"), ":21:11: error: "),
    "bad name": (policy("Bad"), ":4:9: error: "),
    "bad kind": (policy("bad").replace("TracingPolicy", "Deployment"), ":2:7: error: "),
    "name taken": (policy("one"), ": error: "),
    "huge number": (policy("bad").replace("argError: -1", "argError: 99999999999999999999"),
                    ":24:19: error: "),
}


class Reload(BusTest):
    def write_policies(self):
        for i in range(30):
            self.write("%02d-good.yaml" % i, policy("good-%d" % i, "198.51.100.%d/32" % i))
        self.write("00-one.yaml", policy("one"))

    def setUp(self):
        super().setUp()
        self.state = self.digest()

    def digest(self):
        return self.get("Generation"), self.get("NPolicies"), self.get("PolicySetDigest")

    def assert_refused(self, r, path, expected):
        self.assertEqual(r.code, 1, r)
        self.assertEqual(r.out, "")
        lines = r.err.splitlines()
        self.assertEqual(lines[-2], "revshellctl: Failed to reload: the policies have errors")
        self.assertTrue(lines[-1].startswith("Hint: "), r)
        self.assertGreater(len(lines), 2, r)
        self.assertTrue(lines[0].startswith(path), r)
        self.assertIn(expected, lines[0][len(path):], r)
        self.assertEqual(self.get("LastReloadError"), "\n".join(lines[:-2]))
        self.assertEqual(self.digest(), self.state, "the old generation is in force")

    def test_one_bad_file_among_many(self):
        path = self.write("15-bad.yaml", "")
        for what, (text, expected) in BAD.items():
            with self.subTest(what):
                self.write("15-bad.yaml", text)
                self.assert_refused(self.ctl("reload"), path, expected)
        os.unlink(path)
        r = self.ctl("reload")
        self.assertEqual((r.code, r.out, r.err), (0, "Generation 2 is in force.\n", ""))
        self.assertEqual(self.get("LastReloadError"), "")
        self.assertEqual(self.digest(), (2,) + self.state[1:])

    def test_patience(self):
        self.process.send_signal(signal.SIGSTOP)
        ctl = self.start([os.environ["REVSHELLCTL"], "--bus=" + self.address, "reload"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(27)  # a bus library's own limit is 25
        self.process.send_signal(signal.SIGCONT)
        self.assertEqual(ctl.communicate(timeout=60), ("Generation 2 is in force.\n", ""))

    def test_errors_of_all_files_are_told(self):
        first = self.write("05-bad.yaml", "")
        second = self.write("25-bad.yaml", policy("Bad"))
        r = self.ctl("reload")
        self.assertEqual(r.code, 1)
        lines = r.err.splitlines()
        self.assertTrue(lines[0].startswith(first + ":"), r)
        self.assertTrue(lines[1].startswith(second + ":"), r)

    def test_very_many_errors(self):
        for i in range(200):
            self.write("50-%d.yaml" % i, "")
        r = self.ctl("reload")
        self.assertEqual(r.code, 1)
        self.assertEqual(len(r.err.splitlines()), 103)
        self.assertIn("100 more errors\n", r.err)
        self.assertEqual(self.digest(), self.state)

    def test_more_than_a_rule_set_holds(self):
        for i in range(2):
            self.write("50-%d.yaml" % i, "---\n".join(policy("p-%d-%d" % (i, j))
                                                      for j in range(600)))
        r = self.ctl("reload")
        self.assertEqual(r.code, 1, r)
        self.assertIn(": error: ", r.err)
        self.assertIn("1024", r.err)
        self.assertEqual(self.digest(), self.state)

    def test_missing_directory(self):
        os.rename(self.policies, self.policies + ".gone")
        self.assert_refused(self.ctl("reload"), self.policies, ": error: ")
        os.rename(self.policies + ".gone", self.policies)
        self.assertEqual(self.ctl("reload").code, 0)

    def test_empty_directory(self):
        os.rename(self.policies, self.policies + ".full")
        os.mkdir(self.policies)
        self.assert_refused(self.ctl("reload"), self.policies, ": error: ")

    def test_a_file_in_place_of_the_directory(self):
        os.rename(self.policies, self.policies + ".full")
        with open(self.policies, "w"):
            pass
        self.assert_refused(self.ctl("reload"), self.policies, ": error: ")

    def test_things_that_are_no_files(self):
        path = os.path.join(self.policies, "15-bad.yaml")
        for what, make in {
            "directory": os.mkdir,
            "fifo": os.mkfifo,
            "loop": lambda p: os.symlink(p, p),
            "dangling": lambda p: os.symlink("/nowhere", p),
            "device": lambda p: os.symlink("/dev/zero", p),
        }.items():
            with self.subTest(what):
                make(path)
                self.assert_refused(self.ctl("reload"), path, ": error: ")
                (os.rmdir if what == "directory" else os.unlink)(path)

    def test_masked(self):
        os.unlink(os.path.join(self.policies, "00-one.yaml"))
        os.symlink("/dev/null", os.path.join(self.policies, "00-one.yaml"))
        self.assertEqual(self.ctl("reload").code, 0)
        self.assertEqual(self.get("NPolicies"), self.state[1] - 1)

    def test_writable_by_others(self):
        path = self.write("15-bad.yaml", policy("bad"))
        os.chmod(path, 0o666)
        self.assert_refused(self.ctl("reload"), path, ": error: ")

    @needs_root
    def test_owned_by_others(self):
        path = self.write("15-bad.yaml", policy("bad"))
        os.chown(path, 65534, 65534)
        self.assert_refused(self.ctl("reload"), path, ": error: ")

    def test_other_names_are_not_read(self):
        self.write("README", "")
        self.write("15-bad.yaml~", "")
        self.write(".15-bad.yaml", "")
        self.assertEqual(self.ctl("reload").code, 0)

    def test_hostile_file_name(self):
        self.write("15-\x1b[31m\n:1:1: error: lie.yaml", "")
        r = self.ctl("reload")
        self.assertEqual(r.code, 1)
        self.assertNotIn("\x1b", r.err)
        self.assertEqual(len(r.err.splitlines()), 3, r)
        self.assertNotIn("\x1b", self.log())

    def test_hangup_reloads(self):
        self.write("40-more.yaml", policy("more"))
        self.process.send_signal(signal.SIGHUP)
        wait_for("a generation", lambda: self.get("Generation") == 2)
        self.assertEqual(self.get("NPolicies"), self.state[1] + 1)

    def test_hangup_with_a_bad_file(self):
        path = self.write("15-bad.yaml", policy("Bad"))
        self.process.send_signal(signal.SIGHUP)
        wait_for("an error", lambda: self.get("LastReloadError"))
        self.assertTrue(self.get("LastReloadError").startswith(path + ":4:9: error: "))
        self.assertIn("generation 1 stays in force", self.log())
        self.assertEqual(self.digest(), self.state)


class Publish(BusTest):
    """The kernel may refuse what is right in itself."""
    daemon = FAKE
    args = ["--backend=lsm"]

    def test_failure_keeps_the_old(self):
        state = self.get("Generation"), self.get("PolicySetDigest")
        self.write("30-three.yaml", policy("three"))
        self.fake(**{"fail-publish": 28})
        r = self.ctl("reload")
        self.assertEqual((r.code, r.out), (1, ""))
        self.assertEqual(r.err, "revshellctl: Failed to reload: Failed to publish the rule set: "
                         "No space left on device\n"
                         "Hint: 'revshellctl doctor' tells what stands in the way.\n")
        self.assertEqual(self.get("LastReloadError"), "No space left on device")
        self.assertEqual((self.get("Generation"), self.get("PolicySetDigest")), state)
        self.fake(**{"fail-publish": 0})
        self.assertEqual(self.ctl("reload").code, 0)
        self.assertEqual(self.get("NPolicies"), 3)

    def test_many_generations(self):
        for i in range(20):
            self.write("30-three.yaml", policy("three", "192.0.2.%d/32" % i))
            self.assertEqual(self.ctl("reload").code, 0)
        self.assertEqual(self.get("Generation"), 21)


if __name__ == "__main__":
    unittest.main()
