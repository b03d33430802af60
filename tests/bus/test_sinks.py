# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where events go besides the bus: the journal, a file, metrics; and the signal that counts denials."""
import json
import os
import shutil
import signal
import stat
import time
import unittest

from harness import FAKE, NOBODY, PATH, SOURCE, BusTest, needs_root, policy, run, wait_for
from openmetrics import OpenMetrics

ONE, TWO = 1, 2  # bits of the policies' selectors
DENIED = {"verdict": 1, "error": -1, "mode": 1}
JOURNALD = "/lib/systemd/systemd-journald"

# The daemon in a mount namespace where /run is its own, and so is the journal in it.
WITH_JOURNAL = """
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journald.conf.d /run/log/journal
printf '[Journal]\\nStorage=volatile\\nAudit=no\\nReadKMsg=no\\n' > /run/systemd/journald.conf.d/t.conf
%s 2>/dev/null & echo $! > "$1/journald.pid"; shift
while ! [ -S /run/systemd/journal/socket ]; do sleep 0.1; done
JOURNAL_STREAM=$(stat -L -c %%d:%%i /proc/self/fd/2) exec "$@"
""" % JOURNALD

WITH_SMALL_DISK = """
mkdir "$1/small" && mount -t tmpfs -o size=32k tmpfs "$1/small"; shift; exec "$@"
"""


needs_mounts = unittest.skipUnless(os.geteuid() == 0 and run("unshare", "-m", "true").code == 0,
                                   "needs mount namespaces")


class SinkTest(BusTest):
    daemon = FAKE
    args = ["--backend=lsm", "--mode=enforce"]
    prefix = ()  # in front of the daemon's command line

    def daemon_argv(self, *args):
        return [*(a.replace("@DIR@", self.dir) for a in self.prefix),
                *(a.replace("@DIR@", self.dir) for a in super().daemon_argv(*args))]

    def tearDown(self):
        if self.process.poll() is None:
            self.assertEqual(self.stop_daemon(), 0, self.log())
        super().tearDown()

    def stat(self, name):
        return self.call("GetStatistics")[0].get(name)

    def seen(self, n):
        wait_for("%d events" % n, lambda: self.stat("events-seen") >= n)


class Denials(SinkTest):
    def listen(self):
        """Returns a function that waits for n denials and gives the signals' arguments."""
        self.monitor()
        path = self.dir + "/monitor"

        def listening():
            self.call("Reload", "a{sv}", "0")  # which is signalled
            time.sleep(0.1)
            return os.path.getsize(path) > 0

        def denied():
            with open(path, encoding="utf-8") as f:
                found = [json.loads(line) for line in f if line.endswith("\n")]
            found = [m for m in found if m.get("member") == "Denied"]
            self.assertTrue(all(m["path"] == PATH and m["payload"]["type"] == "stt" for m in found))
            return [m["payload"]["data"] for m in found]

        def finish(n):
            wait_for("%d denials" % n, lambda: sum(d[1] for d in denied()) >= n)
            return denied()
        wait_for("the monitor", listening)
        return finish

    def test_signal_is_bounded(self):
        finish = self.listen()
        begin = time.monotonic()
        for _ in range(10):
            self.fake_events(50, match=ONE, **DENIED)
            self.fake_events(5, match=TWO)  # only reports
            time.sleep(0.1)
        data = finish(500)
        seconds = time.monotonic() - begin
        self.assertTrue(2 <= len(data) <= seconds + 1, data)
        self.assertEqual({d[0] for d in data}, {"one"})
        self.assertEqual(sum(d[1] for d in data), 500)
        self.assertEqual([d[2] for d in data], [sum(d[1] for d in data[:i + 1])
                                                for i in range(len(data))])

    def test_limited_events_and_reloads(self):
        self.write("10-one.yaml", policy("one") + "      - action: Post\n        rateLimit: 1h\n")
        finish = self.listen()
        self.fake_events(30, match=ONE, **DENIED)
        wait_for("the count", lambda: self.stat("policy.one.denials") == 30)
        self.call("Reload", "a{sv}", "0")
        data = finish(30)
        self.fake_events(1, match=ONE, **DENIED)
        data = finish(31)
        self.assertEqual(sum(d[1] for d in data), 31, "kept back or not, told once")
        self.assertEqual(data[-1], ["one", 1, 31])


@needs_root
class Listener(SinkTest):
    """Anybody on the bus as it is installed hears how many there were, and nothing of what."""
    include = "<include>%s/dbus/org.revshell1.conf</include>" % SOURCE

    def test_another_user_hears_counts_only(self):
        path = self.dir + "/heard"

        def heard():
            with open(path, encoding="utf-8") as f:
                return f.read()
        with open(path, "w", encoding="utf-8") as out:
            self.start([*NOBODY, "dbus-monitor", "--address", self.address, "type='signal'"],
                       stdout=out, stderr=out)
        wait_for("the listener", lambda: "NameAcquired" in heard())
        time.sleep(0.3)  # until its match is there
        self.fake_events(3, match=ONE, exe="/tmp/secret", **DENIED)
        wait_for("the signal", lambda: "member=Denied" in heard())
        self.assertRegex(heard(), r'member=Denied\n +string "one"\n +uint64 \d+\n +uint64 \d+\n')
        for secret in "/tmp/secret", "198.51.100.7":
            self.assertNotIn(secret, heard())


class Degraded(SinkTest):
    args = ["--backend=kprobe", "--mode=enforce"]

    def write_policies(self):
        self.write("20-two.yaml", policy("two", deny=False))

    def test_told_when_it_comes_about(self):
        told = "Mode enforce is in force in part only"
        self.assertNotIn(told, self.log())
        self.write("10-one.yaml", policy("one"))
        self.call("Reload", "a{sv}", "0")
        self.assertEqual(self.log().count(told), 1)
        self.call("Reload", "a{sv}", "0")
        self.assertEqual(self.log().count(told), 1, "not for each reload")


class Losses(SinkTest):
    def test_losses_are_told(self):
        self.fake(**{"ring-full": 7})
        self.fake_events(1)
        wait_for("the message", lambda: "7 events were lost" in self.log(), 15)


class ExportFile(SinkTest):
    args = [*SinkTest.args, "--export-file=@DIR@/export", "--export-file-max-size=8K",
            "--export-file-max-files=2"]

    def lines(self, name="export"):
        with open(os.path.join(self.dir, name), encoding="utf-8") as f:
            return [json.loads(line) for line in f]

    def test_encoding(self):
        self.fake_events(1, match=ONE | TWO, exe="/tmp/a\nb\"\u202e", **DENIED)
        self.seen(2)
        path = self.dir + "/export"
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        one, two = self.lines()
        self.assertEqual(one["process_kprobe"]["policy_name"], "one")
        self.assertEqual(one["process_kprobe"]["process"]["pid"], 4211)
        self.assertEqual(one["process_kprobe"]["process"]["binary"], "/tmp/a\nb\"\u202e")
        self.assertEqual(two["process_kprobe"]["number"], 2)
        listed = self.ctl("events", "-o", "tetragon").out.splitlines()
        self.assertEqual([json.loads(line) for line in listed], [one, two])

    def test_rotation(self):
        self.fake_events(100, match=ONE, **DENIED)
        self.seen(100)
        names = sorted(n for n in os.listdir(self.dir) if n.startswith("export"))
        self.assertEqual(names, ["export", "export.1", "export.2"])
        self.assertTrue(all(os.path.getsize(self.dir + "/" + n) <= 8192 for n in names))
        numbers = [e["process_kprobe"]["number"] for n in reversed(names) for e in self.lines(n)]
        self.assertEqual(numbers, list(range(101 - len(numbers), 101)), "in order, none is missing")
        self.assertEqual(self.stat("export-lost"), 0)

    def test_sighup_opens_anew(self):
        self.fake_events(1)
        self.seen(1)
        os.rename(self.dir + "/export", self.dir + "/moved")
        self.process.send_signal(signal.SIGHUP)
        wait_for("a new file", lambda: os.path.exists(self.dir + "/export"))
        wait_for("the reload", lambda: self.get("Generation") == 2)
        self.fake_events(2)
        self.seen(3)
        self.assertEqual((len(self.lines("moved")), len(self.lines())), (1, 2))


class BadExportFile(SinkTest):
    args = [*SinkTest.args, "--export-file=@DIR@/none/export"]

    def test_daemon_starts_all_the_same(self):
        self.fake_events(3)
        self.seen(3)
        self.assertEqual(self.stat("export-lost"), 3)
        self.assertEqual(self.log().count("No such file or directory; events are missing"), 1)
        os.mkdir(self.dir + "/none")
        self.process.send_signal(signal.SIGHUP)
        wait_for("the file", lambda: os.path.exists(self.dir + "/none/export"))
        self.fake_events(1)
        wait_for("the end of the trouble", lambda: "3 are missing there" in self.log())


@needs_mounts
class FullDisk(SinkTest):
    prefix = ["unshare", "-m", "sh", "-c", WITH_SMALL_DISK, "sh", "@DIR@"]
    args = [*SinkTest.args, "--export-file=@DIR@/small/export", "--metrics-file=@DIR@/small/x.prom",
            "--metrics-interval=1s"]

    def test_events_are_counted_and_told_once(self):
        inside = "/proc/%d/root%s/small/" % (self.process.pid, self.dir)
        self.fake_events(100, match=ONE, **DENIED)
        self.seen(100)
        lost = self.stat("export-lost")
        with open(inside + "export", encoding="utf-8") as f:
            lines = [json.loads(line) for line in f]
        self.assertTrue(0 < lost < 100, lost)
        self.assertEqual(len(lines), 100 - lost, "whole lines alone")
        self.assertEqual(self.log().count("/small/export: No space left on device"), 1)
        wait_for("a failure of the metrics", lambda: self.stat("metrics-failed") > 0)
        self.assertIn("/small/x.prom: No space left on device", self.log())
        os.truncate(inside + "export", 0)
        self.fake_events(1, match=ONE, **DENIED)
        wait_for("the end of the trouble",
                 lambda: "again; %d are missing there" % lost in self.log())
        self.assertEqual(self.stat("policy.one.denials"), 101)
        wait_for("metrics again", lambda: "x.prom again" in self.log())


class Metrics(SinkTest):
    args = [*SinkTest.args, "--metrics-file=@DIR@/revshell.prom", "--metrics-interval=1s"]

    def read(self):
        with open(self.dir + "/revshell.prom", encoding="utf-8") as f:
            return OpenMetrics(f.read())

    def test_file(self):
        path = self.dir + "/revshell.prom"
        wait_for("the file", lambda: os.path.exists(path))
        first = open(path, "rb")  # which keeps its number from being given again
        self.addCleanup(first.close)
        self.fake_events(3, match=ONE, **DENIED)
        self.fake_events(2, match=ONE | TWO)
        wait_for("new figures",
                 lambda: self.read().get("revshell_policy_matches_total", policy="one") == 5)
        self.assertFalse(os.path.samestat(os.stat(path), os.fstat(first.fileno())),
                         "replaced, not written over")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o644)
        m = self.read()
        events = "revshell_policy_events_total"
        hook = "kprobe:security_socket_connect"
        self.assertEqual(m.get(events, policy="one", hook=hook, action="Override",
                               verdict="denied"), 3)
        self.assertEqual(m.get(events, policy="one", hook=hook, action="Override",
                               verdict="would-deny"), 2)
        self.assertEqual(m.get(events, policy="two", hook=hook, action="Post",
                               verdict="allowed"), 2)
        self.assertEqual(m.get("revshell_enforcing"), 1)
        self.assertEqual(m.help["revshell_policy_denials"],
                         "Calls that were refused, or their caller killed.")

    def test_same_as_asked_for(self):
        self.fake_events(3, match=ONE, **DENIED)
        self.seen(3)
        self.process.send_signal(signal.SIGHUP)
        wait_for("the reload", lambda: self.get("Generation") == 2)
        r = self.ctl("stats", "--openmetrics")
        self.assertEqual((r.code, r.err), (0, ""))
        asked = OpenMetrics(r.out)
        wait_for("the same figures", lambda: self.read().samples == asked.samples)
        self.assertEqual(self.read().kinds, asked.kinds)
        # a policy that is gone takes its counters along
        self.call("RemovePolicy", "sa{sv}", "one", "0")
        wait_for("no policy one", lambda: not any(
            'policy="one"' in labels for _, labels in self.read().samples))

    def test_no_half_files(self):
        self.fake_events(1)
        end = time.monotonic() + 2.5
        n = 0
        while time.monotonic() < end or n <= 100:
            if os.path.exists(self.dir + "/revshell.prom"):
                self.read()
                n += 1
        self.assertFalse(os.path.exists(self.dir + "/revshell.prom.new"))

    def test_the_reader_is_strict(self):
        good = "# TYPE a counter\n# HELP a b\na_total{c=\"d\"} 1\n# EOF\n"
        OpenMetrics(good)
        for bad in (good[:-6], good.replace("a_total", "a"), good.replace("} 1", "} x"),
                    good.replace("c=", "c="  "c="), good.replace("# EOF", "a_total 1\na_total 1\n# EOF"),
                    good.replace('"d"', '"d\\x"'), "# TYPE a counter\n" + good):
            with self.assertRaises(AssertionError, msg=bad):
                OpenMetrics(bad)


@needs_mounts
@unittest.skipUnless(os.path.exists(JOURNALD), "no systemd-journald")
class Journal(SinkTest):
    prefix = ["unshare", "-m", "bash", "-c", WITH_JOURNAL, "bash", "@DIR@"]

    def setUp(self):
        self.addCleanup(self.stop_journald)
        super().setUp()

    def stop_journald(self):
        try:
            with open(self.dir + "/journald.pid", encoding="utf-8") as f:
                os.kill(int(f.read()), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            pass

    def journal(self, *args):
        r = run("nsenter", "--mount", "--target=%d" % self.process.pid, "journalctl", "--no-pager",
                "-t", "revshelld", *args)
        self.assertIn(r.code, (0, 1), r)  # 1: nothing yet
        return r.out

    def records(self, *args):
        return [json.loads(line) for line in self.journal("-o", "json", *args).splitlines()]

    def record(self, *args):
        return wait_for("a record with " + " ".join(args), lambda: self.records(*args))[0]

    def test_events(self):
        exe = "/tmp/\nREVSHELL_POLICY=other\n\u001b[31m"
        self.fake_events(1, match=ONE, exe=exe, **DENIED)
        r = self.record("REVSHELL_VERDICT=denied")
        self.assertEqual(r["MESSAGE_ID"], "e6e26c7a3db4450abc882a4f15b210dc")
        self.assertEqual(r["PRIORITY"], "4")
        self.assertEqual(r["REVSHELL_POLICY"], "one")
        self.assertEqual(r["REVSHELL_DESTINATION"], "198.51.100.7:4444")
        found = r["REVSHELL_EXE"]  # as bytes, where it is not printable
        self.assertEqual(found if isinstance(found, str) else bytes(found).decode(), exe)
        self.assertEqual((r["OBJECT_PID"], r["REVSHELL_UID"]), ("4211", "1000"))
        self.assertEqual(r["_PID"], str(self.process.pid))
        self.assertIn("[4211] denied security_socket_connect to 198.51.100.7:4444 by policy one",
                      r["MESSAGE"])
        self.assertNotIn("\n", r["MESSAGE"])
        self.fake_events(1, match=ONE)
        r = self.record("REVSHELL_VERDICT=would-deny")
        self.assertEqual((r["PRIORITY"], r["REVSHELL_EVENT"]), ("5", "2"))

    def test_changes(self):
        self.ctl("enforce", "off", "--reason=lunch")
        r = self.record("MESSAGE_ID=524c105328d84051a3033cd269dae07b", "REVSHELL_REASON=lunch")
        self.assertEqual((r["REVSHELL_MODE"], r["REVSHELL_CALLER_UID"]), ("monitor", "0"))
        self.call("Reload", "a{sv}", "0")
        r = self.record("MESSAGE_ID=93bb60d59e274bacb65b3d3e72904024")
        self.assertEqual(r["REVSHELL_GENERATION"], "2")
        self.write("10-one.yaml", "nonsense")
        self.call_fails("Reload", "a{sv}", "0")
        r = self.record("MESSAGE_ID=23b3a6940a9e4a9790007a8ec3b91cdc")
        self.assertEqual((r["REVSHELL_GENERATION"], r["PRIORITY"]), ("2", "3"))

    def test_storm(self):
        begin = time.monotonic()
        self.fake_events(3000, match=ONE, **DENIED)
        self.fake_events(1, match=TWO, verdict=0)
        self.seen(3001)
        windows = 1 + int((time.monotonic() - begin) // 10)  # each of so many seconds has its own
        left_out = "MESSAGE_ID=8584ce5dae774d838c550f1f072f5518"

        def told():
            return sum(int(r["REVSHELL_LEFT_OUT"]) for r in self.records(left_out))
        self.assertLessEqual(len(self.records("REVSHELL_VERDICT=denied")), 100 * windows)
        wait_for("the summary",
                 lambda: len(self.records("REVSHELL_VERDICT=denied")) + told() == 3000)
        self.assertEqual({r["REVSHELL_POLICY"] for r in self.records(left_out)}, {"one"})
        self.assertEqual(self.stat("journal-left-out"), told())

    def test_catalog(self):
        folder = "/proc/%d/root/run/catalog/usr/lib/systemd/catalog" % self.process.pid
        os.makedirs(folder)
        shutil.copy(SOURCE + "/systemd/revshelld.catalog", folder)
        self.fake_events(1, match=ONE, **DENIED)
        self.record("REVSHELL_VERDICT=denied")
        r = run("nsenter", "--mount", "--target=%d" % self.process.pid, "bash", "-c",
                "set -e; mount -t tmpfs tmpfs /var/lib/systemd; mkdir -p /var/lib/systemd/catalog; "
                "journalctl --root=/run/catalog --update-catalog; "
                "cp /run/catalog/var/lib/systemd/catalog/database /var/lib/systemd/catalog/; "
                "journalctl --no-pager -x REVSHELL_VERDICT=denied")
        self.assertEqual(r.code, 0, r)
        self.assertIn("Subject: Policy one refused a call", r.out)
        self.assertRegex(r.out, r"/usr/bin/nc \(process 4211, user 1000\) made a call that policy\n"
                                r"\S+ one denies. The call failed with EPERM")


if __name__ == "__main__":
    unittest.main()
