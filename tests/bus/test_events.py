# SPDX-License-Identifier: LGPL-2.1-or-later
"""Events: from the backend to the list, to streams, and to the counters."""
import json
import os
import signal
import subprocess
import time
import unittest

from harness import CTL, FAKE, SOURCE, BusTest, policy, wait_for

ONE, TWO = 1, 2  # bits of the policies' selectors
DENIED = {"verdict": 1, "error": -1, "mode": 1}


class EventTest(BusTest):
    daemon = FAKE
    args = ["--backend=lsm", "--mode=enforce"]

    def seen(self, n):
        wait_for("%d events" % n, lambda: self.stat("events-seen") >= n, 30)

    def stat(self, name):
        return self.call("GetStatistics")[0][name]

    def events(self, *args):
        r = self.ctl("events", *args)
        self.assertEqual((r.code, r.err), (0, ""), r)
        return r.out.splitlines()

    def follow(self, *args, **kwargs):
        n = self.stat("subscribers")
        process = self.start([CTL, "--bus=" + self.address, "events", "-f", *args],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)
        wait_for("a subscriber", lambda: self.stat("subscribers") == n + 1)
        return process


class List(EventTest):
    def test_formats(self):
        self.fake_events(1, match=ONE, **DENIED)
        self.seen(1)
        lines = self.events("-n", "1", "-o", "json")
        self.assertEqual(len(lines), 1)
        body = json.loads(lines[0])["process_kprobe"]
        self.assertEqual(body["policy_name"], "one")
        self.assertEqual(body["verdict"], "denied")
        self.assertEqual(body["function_name"], "security_socket_connect")
        self.assertEqual(body["process"]["pid"], {"value": 4211})
        self.assertEqual(body["process"]["binary"], "/usr/bin/nc")
        with open(os.path.join(SOURCE, "docs/man/revshellctl.1.scd")) as f:
            page = f.read()
        for key in set(body) - {"process", "function_name", "args", "action", "policy_name", "parent",
                                "return_action"}:
            self.assertIn("_%s_" % key, page, "a key that Tetragon has not")
        body = json.loads(self.events("-o", "tetragon")[0])["process_kprobe"]
        self.assertEqual(body["process"]["pid"], 4211)
        compact = self.events()
        self.assertEqual(len(compact), 1)
        self.assertIn("/usr/bin/nc", compact[0])
        self.assertIn("198.51.100.7", compact[0])
        self.assertEqual(json.loads(self.events("--json=short")[0])["process_kprobe"]["process"]
                         ["pid"], {"value": 4211})

    def test_since(self):
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        for ago in 7200, 600, 0:
            self.fake_events(1, match=ONE, **{"time-ns": now - ago * 10**9})
        self.seen(3)
        moment = time.localtime(time.time() - 660)
        for since, n in (("3h", 3), ("1h", 2), ("3600", 2), ("5m", 1), ("30s", 1), ("yesterday", 3),
                         (time.strftime("%Y-%m-%d %H:%M:%S", moment), 2),
                         (time.strftime("%Y-%m-%d %H:%M", moment), 2),
                         ("2000-01-01", 3), ("2100-01-01", 0)):
            self.assertEqual(len(self.events("--since=" + since)), n, since)
        self.assertEqual(len(self.events("--since=1h", "-n", "1")), 1)
        for since in "", "x", "1w", "-1h", "2026-13-01", "12:61", "tomorrow":
            r = self.ctl("events", "--since=" + since)
            self.assertEqual((r.code, r.out), (1, ""), since)
        f = self.follow("--since=1h", "-o", "json")
        for _ in range(2):
            self.assertIn('"one"', f.stdout.readline())
        self.fake_events(1, match=TWO, **{"time-ns": now})
        self.assertIn('"two"', f.stdout.readline())

    def test_nothing(self):
        self.assertEqual(self.events(), [])
        self.assertEqual(self.events("-n", "5"), [])

    def test_filters(self):
        self.fake_events(1, match=ONE | TWO, **DENIED)
        self.fake_events(1, match=TWO, exe="/usr/bin/socat")
        self.seen(3)

        def names(*args):
            return [json.loads(e)["process_kprobe"]["policy_name"]
                    for e in self.events("-o", "json", *args)]
        self.assertEqual(names(), ["one", "two", "two"])
        self.assertEqual(names("-n", "2"), ["two", "two"])
        self.assertEqual(names("--policy=one"), ["one"])
        self.assertEqual(names("--policy=one", "-n", "5"), ["one"])
        self.assertEqual(names("--exe=/usr/bin/socat"), ["two"])
        self.assertEqual(names("--verdict=denied"), ["one"])
        self.assertEqual(names("--verdict=killed"), [])
        r = self.ctl("events", "--verdict=maybe")
        self.assertEqual((r.code, r.err), (1, "revshellctl: Failed to get events: "
                                           "Unknown verdict 'maybe'\n"))

    def test_bounds_and_paging(self):
        self.fake_events(1500, match=ONE)
        self.seen(1500)
        events, last = self.call("ListEvents", "tua{sv}", "0", "100000", "0")
        self.assertTrue(500 < len(events) <= 1000, len(events))
        self.assertEqual(last, 1500)
        n, after = 0, 1500 - len(events)
        while True:
            page, after = self.call("ListEvents", "tua{sv}", str(after), "300", "0")
            if not page:
                break
            n += len(page)
        self.assertEqual((n, after), (len(events), 1500))
        self.assertEqual(self.call("ListEvents", "tua{sv}", "0", "0", "0"), [[], 1500])
        self.assertEqual(self.call("ListEvents", "tua{sv}", "1490", "20", "1", "until", "t",
                                   "1495")[1], 1495)

    def test_counters(self):
        self.fake_events(3, match=ONE, **DENIED)
        self.fake_events(2, match=ONE | TWO)
        self.seen(7)
        self.assertEqual(self.stat("policy.one.matches"), 5)
        self.assertEqual(self.stat("policy.one.denials"), 3)
        self.assertEqual(self.stat("policy.two.matches"), 2)
        self.assertEqual(self.stat("policy.two.denials"), 0)
        self.call("Reload", "a{sv}", "0")
        self.assertEqual(self.stat("policy.one.denials"), 3, "kept across a reload")

    def test_rate_limit(self):
        post = "      - action: Post\n        rateLimit: 1h\n"
        self.write("10-one.yaml", policy("one") + post)
        self.call("Reload", "a{sv}", "0")
        self.fake_events(1000, match=ONE, **DENIED)
        wait_for("limited events", lambda: self.stat("events-rate-limited") == 999)
        self.assertEqual(len(self.events()), 1)
        self.assertEqual(self.stat("policy.one.denials"), 1000, "only the event is kept back")
        self.call("Reload", "a{sv}", "0")
        self.fake_events(1, match=ONE | TWO)
        wait_for("another event", lambda: self.stat("events-rate-limited") == 1000)
        self.seen(2)
        self.assertEqual(len(self.events()), 2)

    def test_generations(self):
        self.write("00-zero.yaml", policy("zero"))
        self.call("Reload", "a{sv}", "0")
        self.fake_events(1, match=ONE, generation=1)
        self.fake_events(1, match=ONE, generation=2)
        self.seen(2)
        names = [json.loads(e)["process_kprobe"]["policy_name"] for e in self.events("-o", "json")]
        self.assertEqual(names, ["one", "zero"], "each by the rule set that made it")
        self.assertEqual(self.stat("policy.one.matches"), 1)
        os.unlink(self.policies + "/00-zero.yaml")
        self.call("Reload", "a{sv}", "0")
        self.fake_events(1, match=ONE, generation=2)
        self.seen(3)
        for _ in range(3):
            self.call("Reload", "a{sv}", "0")
        self.fake_events(1, match=ONE, generation=1)
        self.fake_events(1, match=ONE, generation=999)
        wait_for("stale events", lambda: self.stat("events-stale") == 2)

    def test_refused_records(self):
        self.fake_events(1, match=1 << 40)
        self.fake_events(1, match=ONE, hook=200)
        wait_for("refused events", lambda: self.stat("events-refused") == 2)
        self.assertEqual(self.events(), [])
        self.assertIsNone(self.process.poll())


class Follow(EventTest):
    def test_lines_come_at_once(self):
        f = self.follow("-o", "json")
        self.fake_events(1, match=ONE)
        self.assertEqual(json.loads(f.stdout.readline())["process_kprobe"]["policy_name"], "one")
        self.fake_events(1, match=TWO)
        self.assertEqual(json.loads(f.stdout.readline())["process_kprobe"]["policy_name"], "two")
        f.send_signal(signal.SIGINT)
        out, err = f.communicate(timeout=60)
        self.assertEqual((f.returncode, out, err), (0, "", ""))
        wait_for("no subscriber", lambda: self.stat("subscribers") == 0)

    def test_begins_with_the_last(self):
        self.fake_events(3, match=ONE)
        self.fake_events(2, match=TWO)
        self.seen(5)
        f = self.follow("-n", "3", "-o", "tetragon")
        self.fake_events(1, match=ONE)
        names = [json.loads(f.stdout.readline())["process_kprobe"]["policy_name"]
                 for _ in range(4)]
        self.assertEqual(names, ["one", "two", "two", "one"])

    def test_filter(self):
        f = self.follow("--policy=two", "-o", "json")
        self.fake_events(5, match=ONE)
        self.fake_events(1, match=ONE | TWO)
        self.assertEqual(json.loads(f.stdout.readline())["process_kprobe"]["policy_name"], "two")

    def test_reader_that_has_seen_enough(self):
        f = self.follow()
        f.stdout.close()
        self.assertEqual(f.wait(60), 0)
        self.assertEqual(f.stderr.read(), "")
        wait_for("its end", lambda: self.stat("subscribers") == 0)
        f = self.start(["sh", "-c", "'%s' --bus='%s' events -f | head -n 1" % (CTL, self.address)],
                       stdout=subprocess.PIPE, text=True)
        wait_for("a subscriber", lambda: self.stat("subscribers") == 1)
        self.fake_events(2, match=ONE)
        self.assertEqual(f.wait(60), 0)

    def test_daemon_stops(self):
        f = self.follow()
        self.stop_daemon()
        out, err = f.communicate(timeout=60)
        self.assertEqual((f.returncode, out), (3, ""))
        self.assertTrue(err.startswith("revshellctl: The daemon closed the event stream"), err)
        self.assertIn("\nHint: ", err)

    def test_bus_restarts(self):
        f = self.follow("-o", "json")
        self.stop_bus()
        self.fake_events(1, match=ONE)
        self.assertIn("one", f.stdout.readline(), "events need no bus")
        self.start_bus()
        self.wait_name()
        self.fake_events(1, match=TWO)
        self.assertIn("two", f.stdout.readline())

    def test_subscriber_that_is_late(self):
        late = self.follow("-o", "tetragon")
        late.send_signal(signal.SIGSTOP)
        self.fake_events(1000, match=ONE)
        self.seen(1000)
        self.assertEqual(self.stat("subscriber-drops"), 0)
        late.send_signal(signal.SIGCONT)
        self.fake_events(1, match=TWO)
        numbers = [json.loads(late.stdout.readline())["process_kprobe"]["number"]
                   for _ in range(1001)]
        self.assertEqual(numbers, list(range(1, 1002)))

    def test_subscriber_that_never_reads(self):
        n = 5000
        slow = self.follow("-o", "json")
        quick = self.follow("-o", "json", "--policy=two")
        slow.send_signal(signal.SIGSTOP)
        self.fake_events(n, match=ONE)
        self.seen(n)
        drops = self.stat("subscriber-drops")
        self.assertTrue(0 < drops < n, drops)
        self.fake_events(1, match=TWO)
        self.assertIn("two", quick.stdout.readline(), "the others are not held up")
        slow.send_signal(signal.SIGCONT)
        lines = [slow.stdout.readline() for _ in range(n - drops)]
        self.assertTrue(all('"one"' in line for line in lines))
        # "two" was dropped as well, if the queue was still full; drops are told without a new event.
        told = slow.stderr.readline()
        self.assertRegex(told, r"^revshellctl: (%d|%d) events were lost" % (drops, drops + 1))
        self.fake_events(1, match=ONE)
        self.assertTrue(slow.stdout.readline())

    def test_too_many(self):
        followers = [self.start([CTL, "--bus=" + self.address, "events", "-f"],
                                stdout=subprocess.DEVNULL) for _ in range(64)]
        wait_for("64 subscribers", lambda: self.stat("subscribers") == 64)
        r = self.ctl("events", "-f")
        self.assertEqual(r.code, 1)
        self.assertIn("There are already 64 event streams", r.err)
        followers[0].terminate()
        self.assertEqual(followers[0].wait(60), 0)
        wait_for("room", lambda: self.stat("subscribers") == 63)


if __name__ == "__main__":
    unittest.main()
