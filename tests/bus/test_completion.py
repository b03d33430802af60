# SPDX-License-Identifier: LGPL-2.1-or-later
"""Completions for bash, zsh and fish against the tables of verbs and options that the client has."""
import json
import os
import re
import shutil
import unittest

from harness import CTL, SOURCE, run

PATH = {"PATH": os.path.dirname(CTL) + ":" + os.environ["PATH"]}
DIR = os.path.join(SOURCE, "completions")


def read(name):
    with open(os.path.join(DIR, name)) as f:
        return f.read()


class Completion(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        tables = json.loads(run(CTL, "help", "--json=short").out)
        cls.options = {o["name"]: o for o in tables["options"]}
        # (group, verb) or (verb,): the names of its own options
        cls.verbs = {tuple(v[k] for k in ("group", "verb") if k in v):
                     {o["name"]: o for o in v["options"]} for v in tables["verbs"]}

    def test_tables(self):
        self.assertIn(("policy", "disable"), self.verbs)
        self.assertIn("openmetrics", self.verbs["stats",])
        self.assertIn("json", self.options)

    def first_words(self):
        return sorted({v[0] for v in self.verbs})

    def policy_verbs(self):
        return sorted(v[1] for v in self.verbs if v[0] == "policy")

    # bash: what it really offers

    def bash(self, *words):
        """What bash offers for the last of the words."""
        script = ("source %s/revshellctl.bash; COMP_WORDS=(revshellctl \"$@\"); COMP_CWORD=$#; "
                  "compopt() { :; }; _revshellctl; printf '%%s\\n' \"${COMPREPLY[@]}\"" % DIR)
        r = run("bash", "-c", script, "bash", *words, env=PATH)
        self.assertEqual((r.code, r.err), (0, ""))
        return r.out.split()

    def test_bash_verbs(self):
        self.assertEqual(sorted(self.bash("")), self.first_words())
        self.assertEqual(sorted(self.bash("policy", "")), self.policy_verbs())
        self.assertEqual(sorted(self.bash("help", "")), self.first_words())
        self.assertEqual(sorted(self.bash("help", "policy", "")), self.policy_verbs())
        self.assertEqual(self.bash("enforce", "o"), ["on", "off"])
        self.assertEqual(sorted(self.bash("policy", "mode", "one", "")),
                         ["default", "enforce", "monitor", "off"])

    def test_bash_options(self):
        for verb, own in self.verbs.items():
            expected = sorted("--" + o["name"] + ("=" if "argument" in o else "")
                              for o in [*own.values(), *self.options.values()])
            self.assertEqual(sorted(self.bash(*verb, "--")), expected, verb)

    def test_bash_values(self):
        for verb, own in self.verbs.items():
            for o in [*own.values(), *self.options.values()]:
                values = o.get("values", "").split("|")
                if "values" in o:
                    expected = sorted(v for v in values if v != "...")
                    self.assertEqual(sorted(self.bash(*verb, "--" + o["name"], "=", "")), expected,
                                     (verb, o))
        self.assertEqual(self.bash("simulate", "--hook", "=", "li"), ["listen"])

    # zsh: the branch of each verb names its options

    def test_zsh(self):
        text = read("_revshellctl")

        def listed(function):
            body = re.search(r"(?ms)^%s\(\) \{\n(.*?)^\}" % function, text)[1]
            return sorted(re.findall(r"(?m)^\t\t'([a-z]+):", body))
        self.assertEqual(listed("_revshellctl_verbs"), self.first_words())
        self.assertEqual(listed("_revshellctl_policy_verbs"), self.policy_verbs())
        body = re.search(r"(?ms)^_revshellctl_arguments\(\) \{\n(.*?)^\}", text)[1]
        for name in "reason", "change":
            value = re.search(r"(?m)^\tlocal (?:-a )?%s=(.*)$" % name, body)[1]
            body = body.replace("$" + name, value.replace("$reason", "--reason="))
        branches = {}
        for names, branch in re.findall(r"(?ms)^\t([a-z| -]+)\)(.*?);;$", body):
            for name in names.split(" | "):
                branches[name] = set(re.findall(r"(?<![(\w-])(?:'|,)?--([a-z-]+)[=\[,}]", branch))
        for verb, own in self.verbs.items():
            self.assertEqual(branches.get("-".join(verb), set()), set(own), verb)
        main = re.search(r"(?ms)^_revshellctl\(\) \{\n(.*?)^\}", text)[1]
        self.assertEqual(set(re.findall(r"(?<![(\w-])(?:'|,|\))?--([a-z-]+)[=\[,}]", main)) | {"help"},
                         set(self.options))

    # fish: its conditions, read as fish would

    def fish(self):
        """(condition, argument): letters and words of every complete line, loops unrolled."""
        text = read("revshellctl.fish")

        def unroll(m):
            words = re.findall(r"'([^']*)'|(\S+)", m[1])
            return "".join(m[2].replace("$verb", a or b) for a, b in words)
        text = re.sub(r"(?ms)^for verb in (.*?)\n(.*?)^end\n", unroll, text)
        found = []
        for quoted, word, rest in re.findall(r"(?m)^ *complete -c revshellctl(?: -n (?:['\"](.*?)['\"]"
                                             r"|(\S+)))?( .*)$", text):
            condition = re.match(r"__revshellctl_(at|in) ?(.*)", quoted or word)
            found.append((condition[1] if condition else quoted, condition[2] if condition else "",
                          rest))
        return found

    def test_fish(self):
        lines = self.fish()

        def offered(at):
            found = []
            for kind, words, rest in lines:
                m = re.search(r" -a ('[^'(]*'|[a-z]+)", rest)
                if kind == "at" and words == at and m:
                    found += m[1].strip("'").split()
            return sorted(found)
        self.assertEqual(offered(""), self.first_words())
        self.assertEqual(offered("policy"), self.policy_verbs())
        self.assertEqual(offered("help"), self.first_words())
        self.assertEqual(offered("help policy"), self.policy_verbs())
        for verb, own in self.verbs.items():
            found = {m for kind, words, rest in lines if kind == "in" and words == " ".join(verb)
                     for m in re.findall(r" -l ([a-z-]+)", rest)}
            self.assertEqual(found, set(own), verb)
        self.assertEqual({m for kind, words, rest in lines if not kind
                          for m in re.findall(r" -l ([a-z-]+)", rest)}, set(self.options))

    @unittest.skipUnless(shutil.which("fish"), "no fish here: its file is read by test_fish all the same")
    def test_fish_itself(self):
        for verb, own in self.verbs.items():
            r = run("fish", "--no-config", "-c", "source %s/revshellctl.fish; "
                    "complete -C 'revshellctl %s --'" % (DIR, " ".join(verb)), env=PATH)
            self.assertEqual(r.err, "")
            found = {re.match("--([a-z-]+)", line)[1] for line in r.out.splitlines()}
            self.assertEqual(found, {*own, *self.options}, verb)


if __name__ == "__main__":
    unittest.main()
