# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon in its sandbox: what others see of it, what it may no more, and that it still works.

That no test of the others makes a call outside of the filter is checked by harness.py."""
import os
import signal
import sys
import unittest

from harness import FAKE, SANDBOX_OFF, BusTest, needs_root, policy, wait_for


@needs_root
class Sandbox(BusTest):
    daemon = FAKE
    args = ["--backend=lsm"]
    sandbox = "enforce"

    def proc(self):
        with open("/proc/%d/status" % self.process.pid) as f:
            return dict(line.rstrip("\n").split(":\t", 1) for line in f)

    def findings(self):
        return {f[1]: f for f in self.call("Diagnose")[0]}

    def test_shown_as_it_is(self):
        proc = self.proc()
        self.assertEqual((proc["Seccomp"], proc["NoNewPrivs"], proc["CapInh"], proc["CapAmb"]),
                         ("2", "1", "0" * 16, "0" * 16))
        # CAP_BPF and CAP_DAC_READ_SEARCH, as far as whoever runs the test has them
        self.assertEqual(int(proc["CapPrm"], 16) & ~(1 << 39 | 1 << 2), 0)
        self.assertEqual(proc["CapEff"], proc["CapPrm"])
        names = [name for bit, name in ((2, "cap_dac_read_search"), (39, "cap_bpf"))
                 if int(proc["CapPrm"], 16) >> bit & 1]
        text = ("enforce; capabilities %s; seccomp filter; no new privileges" %
                (",".join(names) or "none"))
        self.assertEqual(self.get("Sandbox"), text)
        self.assertIn("Sandbox: " + text, self.ctl("status").out)
        self.assertEqual(self.findings()["sandbox"], ["ok", "sandbox", text, ""])
        self.assertIn("[ ok ] sandbox: " + text, self.ctl("doctor").out)

    def test_a_call_outside_fails(self):
        self.fake(**{"try": "getpriority"})
        wait_for("the call", lambda: "getpriority: Operation not permitted" in self.log())
        self.call("Reload", "a{sv}", "0")

    def test_execve_ends_it(self):
        self.fake(**{"try": "execve"})
        self.assertEqual(self.process.wait(60), -signal.SIGSYS)

    def test_log_tells_and_lets(self):
        self.stop_daemon()
        self.start_daemon("--sandbox=log")
        self.fake(**{"try": "getpriority"})
        wait_for("the call", lambda: "getpriority: Success" in self.log())
        wait_for("the word of it", lambda: "Sandbox: getpriority(" in self.log())
        self.outside = ["getpriority"]
        self.assertEqual(self.get("Sandbox").split(";")[0], "log")
        self.assertEqual(self.findings()["sandbox"][0], "warn")

    def test_off(self):
        self.stop_daemon()
        self.start_daemon("--sandbox=off")
        self.fake(**{"try": "getpriority"})
        wait_for("the call", lambda: "getpriority: Success" in self.log())
        self.assertRegex(self.get("Sandbox"), "^off; capabilities .*; no seccomp filter$")
        self.assertEqual(self.findings()["sandbox"][0], "warn")
        self.assertEqual(self.proc()["Seccomp"], "0")

    def test_all_of_it_works(self):
        self.call("SetEnforce", "b", "true")
        self.call("PutPolicy", "ssa{sv}", "new", policy("new"), "0")
        self.call("SetPolicyMode", "ssa{sv}", "new", "monitor", "0")
        self.call("Apply", "a(sss)a{sv}", "2", "remove", "new", "", "put", "other",
                  policy("other"), "0")
        self.assertEqual(sorted(os.listdir(self.policies)),
                         ["10-one.yaml", "20-two.yaml", "other.yaml"])
        self.call("RemovePolicy", "sa{sv}", "other", "0")
        self.write("30-three.yaml", policy("three"))
        self.process.send_signal(signal.SIGHUP)
        wait_for("the reload", lambda: self.get("NPolicies") == 3)
        self.fake_events(3000)
        wait_for("the events", lambda: dict(self.call("GetStatistics")[0])["events-seen"] == 3000)
        self.assertEqual(len(self.call("ListEvents", "tua{sv}", "0", "100", "0")[0]), 100)
        self.call("OpenEventStream", "a{sv}", "0")
        self.stop_bus()
        self.start_bus()
        self.wait_name()
        self.assertEqual(self.get("Mode"), "enforce")
        self.assertEqual(self.stop_daemon(), 0)

    def test_bad_value(self):
        r = self.start(self.daemon_argv("--sandbox=on"), stderr=-1)
        self.assertIn(b"Bad value for --sandbox: 'on' (enforce, log or off)", r.communicate()[1])
        self.assertEqual(r.returncode, 2)


if __name__ == "__main__":
    if SANDBOX_OFF:
        print("built with sanitizers, which make calls of their own")
        sys.exit(77)
    unittest.main()
