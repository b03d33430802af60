# SPDX-License-Identifier: LGPL-2.1-or-later
"""Transactions: Apply and its short forms, the files they write, policies as objects."""
import json
import os
import stat
import subprocess
import tempfile
import unittest

from harness import FAKE, NAME, NOBODY, PATH, BusTest, needs_root, policy, wait_for

POLICY = "org.revshell1.Policy"


class Transactions(BusTest):
    daemon = FAKE
    args = ["--backend=lsm"]

    def setUp(self):
        self.lower = None
        super().setUp()

    def daemon_argv(self, *args):
        self.lower = os.path.join(self.dir, "lower.d")
        os.makedirs(self.lower, exist_ok=True)
        return super().daemon_argv("--policy-dir=" + self.lower, *args)

    def ids(self):
        return sorted(p[0] for p in self.call("ListPolicies")[0])

    def files(self):
        return sorted(os.listdir(self.policies))

    def read(self, name):
        with open(os.path.join(self.policies, name)) as f:
            return f.read()

    def apply(self, *changes, options=("0",)):
        return self.call("Apply", "a(sss)a{sv}", str(len(changes)),
                         *[word for c in changes for word in c], *options)[0]

    def apply_fails(self, *changes, options=("0",)):
        before = self.get("Generation"), {f: self.read(f) for f in self.files()}
        text = self.call_fails("Apply", "a(sss)a{sv}", str(len(changes)),
                               *[word for c in changes for word in c], *options)
        self.assertEqual((self.get("Generation"), {f: self.read(f) for f in self.files()}), before)
        return text

    def reload_changes_nothing(self):
        digest, ids = self.get("PolicySetDigest"), self.ids()
        self.call("Reload", "a{sv}", "0")
        self.assertEqual((self.get("PolicySetDigest"), self.ids()), (digest, ids))

    def test_three_changes_are_one_generation(self):
        finish = self.monitor()
        generation = self.apply(("put", "new", policy("new")), ("remove", "two", ""),
                                ("set-mode", "one", "monitor"))
        self.assertEqual(generation, 2)
        self.assertEqual(self.ids(), ["new", "one"])
        self.assertEqual(self.files(), ["10-one.yaml", "new.yaml"])
        self.assertEqual(self.read("new.yaml"), policy("new"))
        mode = stat.S_IMODE(os.stat(os.path.join(self.policies, "new.yaml")).st_mode)
        self.assertEqual(mode, 0o644)
        signals = finish(2)
        self.assertEqual(signals[1]["payload"]["data"], [2, ["new"], ["one"], ["two"]])
        self.reload_changes_nothing()
        self.assertEqual(self.get("Mode", POLICY, PATH + "/policy/one"), "monitor")

    def test_one_bad_change_stops_all(self):
        good = ("put", "new", policy("new"))
        for bad, text in ((("put", "bad", "kind: Nonsense\n"), "error: "),
                          (("put", "other", policy("bad")), 'named "other"'),
                          (("remove", "absent", ""), "No policy 'absent' is loaded"),
                          (("set-mode", "absent", "monitor"), "No policy 'absent'"),
                          (("set-mode", "two", "enforce"), "no action that enforces"),
                          (("set-mode", "one", "on"), "none of enforce, monitor"),
                          (("remove", "one", "text"), "takes no text"),
                          (("rename", "one", "x"), "none of put, remove, set-mode"),
                          (("put", "", policy("x")), "id is empty"),
                          (("put", "new", policy("new")), "already defined")):
            self.assertIn(text, self.apply_fails(("set-mode", "one", "monitor"), good, bad))
        self.assertEqual(self.get("Mode", POLICY, PATH + "/policy/one"), "enforce")
        self.assertEqual(self.apply(good), 2)

    def test_the_kernel_refuses(self):
        self.fake(**{"fail-publish": 5})
        wait_for("the failure", lambda: "Failed to publish" in self.apply_fails(
            ("put", "one", policy("one", "192.0.2.0/24")), ("remove", "two", "")))
        self.assertEqual(self.files(), ["10-one.yaml", "20-two.yaml"])
        self.fake(**{"fail-publish": 0})
        self.assertEqual(self.apply(("remove", "two", "")), 2)

    def test_a_change_that_cannot_be_committed(self):
        # of the set that is put back in force one policy was changed, the other is as it was
        journal = os.path.join(self.policies, ".revshell-journal")
        sources = [self.call("GetPolicySource", "s", id) for id in ("one", "two")]
        digest = self.get("PolicySetDigest")
        self.fake(spoil=journal)
        self.call_fails("Apply", "a(sss)a{sv}", "1", "put", "one", policy("one", "192.0.2.0/24"),
                        "0")
        os.rmdir(journal)
        self.assertEqual(self.get("Generation"), 3)
        self.assertEqual(self.get("PolicySetDigest"), digest)
        self.assertEqual([self.call("GetPolicySource", "s", id) for id in ("one", "two")], sources)
        self.reload_changes_nothing()

    def test_expected_generation(self):
        options = ("1", "expected-generation", "t", "7")
        self.assertIn("Generation 1 is in force",
                      self.apply_fails(("remove", "two", ""), options=options))
        self.assertEqual(self.apply(("remove", "two", ""),
                                    options=("1", "expected-generation", "t", "1")), 2)

    def test_dry_run(self):
        before = self.files()
        self.assertEqual(self.apply(("put", "new", policy("new")), ("set-mode", "one", "monitor"),
                                    options=("1", "dry-run", "b", "true")), 1)
        self.assertEqual(self.files(), before)
        self.assertEqual(self.get("Mode", POLICY, PATH + "/policy/one"), "enforce")
        self.assertIn("error: ", self.apply_fails(("put", "new", "x: y\n"),
                                                  options=("1", "dry-run", "b", "true")))

    def test_replace_all(self):
        self.apply(("put", "new", policy("new")), options=("1", "replace-all", "b", "true"))
        self.assertEqual(self.ids(), ["new"])
        self.assertEqual(self.files(), ["new.yaml"])

    def test_the_last_one_stays(self):
        self.assertIn("no policy would be left",
                      self.apply_fails(("remove", "one", ""), ("remove", "two", "")))

    def test_a_file_of_two(self):
        self.write("30-both.yaml", policy("a", "192.0.2.1/32") + "---\n" +
                   policy("b", "192.0.2.2/32"))
        self.call("Reload", "a{sv}", "0")
        self.call("PutPolicy", "ssa{sv}", "a", policy("a", "192.0.2.9/32"), "0")
        self.assertIn("192.0.2.9/32", self.read("30-both.yaml"))
        self.assertIn("192.0.2.2/32", self.read("30-both.yaml"))
        self.reload_changes_nothing()
        self.call("RemovePolicy", "sa{sv}", "a", "0")
        self.assertNotIn("192.0.2.9/32", self.read("30-both.yaml"))
        self.assertEqual(self.ids(), ["b", "one", "two"])
        self.reload_changes_nothing()

    def test_lower_directory(self):
        with open(os.path.join(self.lower, "50-low.yaml"), "w") as f:
            f.write(policy("low"))
        self.call("Reload", "a{sv}", "0")
        self.assertIn("option 'mask' hides it", self.apply_fails(("remove", "low", "")))
        self.call("PutPolicy", "ssa{sv}", "low", policy("low", "192.0.2.0/24"), "0")
        self.assertIn("192.0.2.0/24", self.read("50-low.yaml"))
        self.reload_changes_nothing()
        self.call("RemovePolicy", "sa{sv}", "low", "1", "mask", "b", "true")
        self.assertEqual(os.readlink(os.path.join(self.policies, "50-low.yaml")), "/dev/null")
        self.assertEqual(self.ids(), ["one", "two"])
        self.reload_changes_nothing()

    def test_runtime(self):
        self.assertIn("below /run",
                      self.call_fails("PutPolicy", "ssa{sv}", "new", policy("new"), "1",
                                      "runtime", "b", "true"))
        self.assertEqual(self.ids(), ["one", "two"])

    def test_unfinished_change_is_taken_back(self):
        self.stop_daemon()
        os.link(os.path.join(self.policies, "10-one.yaml"),
                os.path.join(self.policies, ".revshell-old-0"))
        os.unlink(os.path.join(self.policies, "10-one.yaml"))
        self.write("10-one.yaml", policy("one", "192.0.2.0/24"))
        self.write("99-new.yaml", policy("new"))
        self.write(".revshell-journal", "+10-one.yaml\n-99-new.yaml\n")
        self.start_daemon()
        self.assertEqual(self.files(), ["10-one.yaml", "20-two.yaml"])
        self.assertEqual(self.read("10-one.yaml"), policy("one"))
        self.assertIn("Took back an unfinished change", self.log())

    @needs_root
    def test_runtime_directory(self):
        self.stop_daemon()
        run = tempfile.mkdtemp(prefix="revshell-test-", dir="/run")
        os.chmod(run, 0o755)
        self.addCleanup(os.rmdir, run)
        self.start_daemon("--policy-dir=" + run)
        self.call("PutPolicy", "ssa{sv}", "new", policy("new"), "1", "runtime", "b", "true")
        self.assertEqual(os.listdir(run), ["new.yaml"])
        self.assertEqual(self.get("Origin", POLICY, PATH + "/policy/new"), "runtime")
        self.assertIn("higher precedence",
                      self.apply_fails(("remove", "one", ""), options=("1", "runtime", "b",
                                                                      "true")))
        self.call("RemovePolicy", "sa{sv}", "new", "1", "runtime", "b", "true")
        self.assertEqual(os.listdir(run), [])


class Objects(BusTest):
    daemon = FAKE
    args = ["--backend=lsm"]

    def object(self, id):
        return PATH + "/policy/" + id

    def test_properties(self):
        def get(name):
            return self.get(name, POLICY, self.object("one"))
        self.assertEqual((get("Id"), get("Mode"), get("EffectiveMode"), get("Enabled"),
                          get("NRules"), get("Matches"), get("Denials"), get("Origin")),
                         ("one", "enforce", "monitor", True, 1, 0, 0, "other"))
        self.assertEqual(get("Path"), os.path.join(self.policies, "10-one.yaml"))
        self.assertGreater(get("LoadedUSec"), 10**15)
        loaded = get("LoadedUSec")
        self.fake(match=1, verdict=1, error=-1)
        wait_for("the match", lambda: get("Matches") == 1)
        self.call("Reload", "a{sv}", "0")
        self.assertEqual((get("LoadedUSec"), get("Matches")), (loaded, 1))

    def test_get_policy(self):
        self.assertEqual(self.call("GetPolicy", "s", "one"), [self.object("one")])
        self.assertIn("No policy 'x' is loaded", self.call_fails("GetPolicy", "s", "x"))

    def test_managed(self):
        r = self.busctl("--json=short", "call", NAME, PATH, "org.freedesktop.DBus.ObjectManager",
                        "GetManagedObjects")
        self.assertEqual(r.code, 0, r)
        found = {p: o[POLICY]["Id"]["data"] for p, o in json.loads(r.out)["data"][0].items()
                 if POLICY in o}
        self.assertEqual(found, {self.object("one"): "one", self.object("two"): "two"})

    def test_methods(self):
        r = self.call_policy("one", "GetSource")
        self.assertIn("198.51.100.0/24", r.out)
        self.assertEqual(self.call_policy("one", "SetMode", "sa{sv}", "monitor", "0").code, 0)
        self.assertEqual(self.get("Mode", POLICY, self.object("one")), "monitor")
        self.assertEqual(self.call_policy("one", "Remove", "a{sv}", "0").code, 0)
        self.assertEqual(os.listdir(self.policies), ["20-two.yaml"])
        self.assertNotEqual(self.call_policy("one", "GetSource").code, 0)

    def test_signals(self):
        finish = self.monitor(below=True)
        self.call("PutPolicy", "ssa{sv}", "new", policy("new"), "0")
        self.call("RemovePolicy", "sa{sv}", "new", "0")
        self.fake_events(50, verdict=1, error=-1)
        signals = [s for s in finish(6) if s["member"] != "Denied"]
        self.assertEqual([s["member"] for s in signals],
                         ["PropertiesChanged", "PolicySetChanged", "InterfacesAdded",
                          "PropertiesChanged", "PolicySetChanged", "InterfacesRemoved"])
        self.assertEqual(signals[2]["payload"]["data"][0], self.object("new"))
        added = signals[2]["payload"]["data"][1][POLICY]
        self.assertNotIn("Description", added)
        self.assertEqual(signals[5]["payload"]["data"], [self.object("new"), [POLICY]])


class Descriptors(BusTest):
    daemon = FAKE
    args = ["--backend=lsm"]
    LIMIT = "org.revshell1.Error.LimitExceeded"
    INVALID = "org.freedesktop.DBus.Error.InvalidArgs"
    CALLS = [["ApplyFd"], ["PutPolicyFd", "new"], ["ValidatePolicyFd"]]

    def fd_call(self, fd, *args, prefix=()):
        return subprocess.run([*prefix, os.environ["FD_CALL"], self.address, *args], stdin=fd,
                              capture_output=True, text=True, timeout=30).stdout.strip()

    def memfd(self, text):
        fd = os.memfd_create("text")
        self.addCleanup(os.close, fd)
        os.write(fd, text.encode())  # the offset is now at the end, which must not matter
        return fd

    def test_good(self):
        fd = self.memfd(policy("new"))
        for args in self.CALLS:
            self.assertEqual(self.fd_call(fd, *args), "ok")
        self.assertEqual(self.call("GetPolicySource", "s", "new"), [policy("new")])
        self.assertEqual(self.get("Generation"), 3)

    def test_refused(self):
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, write)
        blind = os.open(self.write("30-blind", policy("new")), os.O_WRONLY)
        self.addCleanup(os.close, blind)
        directory = os.open(self.dir, os.O_RDONLY)
        self.addCleanup(os.close, directory)
        for args in self.CALLS:
            for fd, error in ((read, self.INVALID), (blind, self.INVALID),
                              (directory, self.INVALID), (self.memfd("a\0b"), self.INVALID),
                              (self.memfd("#" * (1 << 20) + "#"), self.LIMIT)):
                self.assertEqual(self.fd_call(fd, *args), error, args)
        self.assertEqual(self.get("Generation"), 1)

    @needs_root
    def test_not_for_everybody(self):
        fd = self.memfd(policy("new"))
        for args in self.CALLS:
            self.assertEqual(self.fd_call(fd, *args, prefix=NOBODY),
                             "org.freedesktop.DBus.Error.AccessDenied")
        self.assertEqual(self.get("Generation"), 1)


class Client(BusTest):
    daemon = FAKE
    args = ["--backend=lsm"]

    def path(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def test_apply_a_file(self):
        text = policy("a", "192.0.2.1/32") + "---\n" + policy("b", "192.0.2.2/32")
        path = self.path("both.yaml", text)
        r = self.ctl("apply", path, "--dry-run")
        self.assertEqual((r.code, r.out, r.err), (0, "generation 1 stays\n", ""))
        r = self.ctl("apply", path, "--reason=a drill")
        self.assertEqual((r.code, r.out, r.err), (0, "generation 2\n", ""))
        self.assertIn("reason: a drill", self.log())
        self.assertEqual(sorted(os.listdir(self.policies)),
                         ["10-one.yaml", "20-two.yaml", "a.yaml", "b.yaml"])
        r = self.ctl("apply", path, "--replace-all", "--json=short")
        self.assertEqual(json.loads(r.out), {"generation": 3, "dry_run": False})
        self.assertEqual(sorted(os.listdir(self.policies)), ["a.yaml", "b.yaml"])

    def test_apply_a_directory(self):
        os.mkdir(os.path.join(self.dir, "in"))
        self.path("in/1.yaml", policy("a", "192.0.2.1/32"))
        self.path("in/2.yml", policy("b", "192.0.2.2/32"))
        self.path("in/.3.yaml", "nonsense")
        r = self.ctl("apply", os.path.join(self.dir, "in"))
        self.assertEqual((r.code, r.out, r.err), (0, "generation 2\n", ""))
        self.assertEqual(self.get("NPolicies"), 4)

    def test_bad_input_changes_nothing(self):
        r = self.ctl("apply", self.path("bad.yaml", policy("a") + "---\nkind: Nonsense\n"))
        self.assertEqual(r.code, 1)
        self.assertIn(": error: ", r.err)
        r = self.ctl("apply", os.path.join(self.dir, "absent"))
        self.assertEqual(r.code, 1)
        self.assertIn("No such file or directory", r.err)
        r = self.ctl("apply", self.path("big.yaml", "#" * (1024 * 1024 + 10)))
        self.assertEqual(r.code, 1)
        self.assertIn("more than 1 MiB", r.err)
        self.assertEqual(self.get("Generation"), 1)

    def test_policy_verbs(self):
        r = self.ctl("policy", "add", self.path("a.yaml", policy("a", "192.0.2.1/32")))
        self.assertEqual((r.code, r.out, r.err), (0, "", ""))
        r = self.ctl("policy", "show", "a")
        self.assertEqual((r.code, r.err), (0, ""), r)
        self.assertIn("       File: %s/a.yaml\n" % self.policies, r.out)
        self.assertEqual(json.loads(self.ctl("policy", "show", "a", "--json=short").out)["rules"],
                         1)
        r = self.ctl("policy", "remove", "a")
        self.assertEqual((r.code, r.out, r.err), (0, "", ""))
        for verb in "show", "remove":
            r = self.ctl("policy", verb, "a")
            self.assertEqual(r.code, 1)
            self.assertIn("No policy 'a' is loaded", r.err)

    def test_options_are_of_their_verbs(self):
        for args in (["apply", "x", "--mask"], ["policy", "remove", "one", "--replace-all"],
                     ["reload", "--dry-run"]):
            self.assertIn("does not take --", self.ctl(*args).err)


if __name__ == "__main__":
    unittest.main()
