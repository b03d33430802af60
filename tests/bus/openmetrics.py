# SPDX-License-Identifier: LGPL-2.1-or-later
"""A strict reader of OpenMetrics text."""
import re


class OpenMetrics:
    """A strict reader of OpenMetrics 1.0 text, of what counters and gauges need."""
    NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
    LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
    SAMPLE = re.compile(r"(%s)(?:\{(%s(?:,%s)*)?\})? (-?[0-9]+(?:\.[0-9]+)?)$" % (NAME, LABEL, LABEL))

    def __init__(self, text):
        assert text.endswith("\n# EOF\n"), "no end"
        self.kinds, self.help, self.samples = {}, {}, {}
        self.current = None
        for line in text[:-len("# EOF\n")].splitlines():
            if line.startswith("# "):
                self.metadata(*line.split(" ", 3)[1:])
            else:
                self.sample(line)

    def metadata(self, what, name, value):
        assert re.fullmatch(self.NAME, name), name
        if what == "TYPE":
            assert name not in self.kinds, "family %s is told twice" % name
            assert value in ("counter", "gauge"), value
            self.kinds[name] = value
            self.current = name
        else:
            assert what == "HELP" and name == self.current and name not in self.help, name
            assert not re.search(r'\\[^\\"n]', value), value
            self.help[name] = value

    def sample(self, line):
        m = self.SAMPLE.match(line)
        assert m, line
        name, labels, value = m.groups()
        suffix = {"counter": "_total", "gauge": ""}[self.kinds[self.current]]
        assert name == self.current + suffix, "%s among those of %s" % (name, self.current)
        labels = re.findall(self.LABEL, labels or "")
        keys = [label.split("=", 1)[0] for label in labels]
        assert len(set(keys)) == len(keys), line
        key = name, frozenset(labels)
        assert key not in self.samples, "told twice: " + line
        assert self.kinds[self.current] == "gauge" or float(value) >= 0, line
        self.samples[key] = float(value)

    def get(self, name, **labels):
        return self.samples.get((name, frozenset('%s="%s"' % kv for kv in labels.items())))
