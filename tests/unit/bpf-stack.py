#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Adds up the stack of each chain of calls in BPF objects as the verifier of Linux 5.10 does.

Usage: bpf-stack.py OBJDUMP OBJECT...

A frame counts at least one byte and is rounded up to 32; a chain may have 512 and eight frames.
"""
import re
import subprocess
import sys

LIMIT = 512
FRAMES = 8


class Object:
    def __init__(self, objdump, path):
        self.frames, self.calls, self.entries = {}, {}, set()
        starts, section, name, target = {}, "", None, 0
        text = subprocess.run([objdump, "-dr", path], capture_output=True, text=True,
                              check=True).stdout
        for line in text.splitlines():
            if m := re.match(r"Disassembly of section (\S+):", line):
                section = m.group(1)
            elif m := re.match(r"([0-9a-f]+) <(.*)>:", line):
                if not m.group(2).startswith("LBB"):
                    name = m.group(2)
                    self.frames[name], self.calls[name] = 0, set()
                    starts[section, int(m.group(1), 16) // 8] = name
                    if section != ".text":
                        self.entries.add(name)
            elif m := re.search(r"R_BPF_64_32\s+(\S+)", line):
                # of a function in the same section the instruction before has the place
                symbol = m.group(1)
                self.calls[name].discard((section, target))
                self.calls[name].add((".text", call_imm + 1) if symbol == ".text" else symbol)
            elif m := re.match(r"\s*(\d+):\s+85 10 00 00 ((?:[0-9a-f]{2} ){3}[0-9a-f]{2})", line):
                call_imm = int.from_bytes(bytes.fromhex(m.group(2)), "little", signed=True)
                target = int(m.group(1)) + 1 + call_imm
                self.calls[name].add((section, target))
            else:
                depths = [int(d) for d in re.findall(r"r10 - (\d+)", line)]
                # the address of something on the stack, which a call gets
                depths += [int(d) for d in re.findall(r"r\d+ \+= -(\d+)$", line) if int(d) <= LIMIT]
                if depths and name:
                    self.frames[name] = max(self.frames[name], *depths)
        for function in self.calls:
            self.calls[function] = {starts.get(c, c) for c in self.calls[function]}

    def deepest(self, name):
        frame = (max(self.frames[name], 1) + 31) // 32 * 32
        below = max((self.deepest(c) for c in self.calls[name] if c in self.frames),
                    default=(0, []))
        return frame + below[0], [name] + below[1]


def main():
    worst, bad, n = (0, []), 0, 0
    for path in sys.argv[2:]:
        obj = Object(sys.argv[1], path)
        for entry in sorted(obj.entries):
            size, chain = obj.deepest(entry)
            worst = max(worst, (size, chain))
            n += 1
            if size > LIMIT or len(chain) > FRAMES:
                bad += 1
                print("%s: %d bytes: %s" % (path, size, " > ".join(chain)))
    if n == 0:
        print("no program was found")
        return 1
    print("%d programs, the deepest has %d bytes: %s" % (n, worst[0], " > ".join(worst[1])))
    return bad > 0


sys.exit(main())
