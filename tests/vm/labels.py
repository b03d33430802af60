#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fills the map that holds processes where there is no task storage, or drains it: labels.py fill|drain PIN."""
import ctypes
import errno
import os
import struct
import sys
import time

sys.dont_write_bytecode = True
from lock import INFO, address, bpf, by_pin  # pylint: disable=wrong-import-position

DELETE, UPDATE_BATCH, DELETE_BATCH = 3, 26, 27
FIRST = 1 << 24  # no process has such a number


def main():
    fd = by_pin(sys.argv[2])
    info = ctypes.create_string_buffer(128)
    bpf(INFO, struct.pack("=IIQ", fd, 128, address(info)))
    value_size, n = struct.unpack_from("=II", info.raw, 12)
    values = ctypes.create_string_buffer(n * value_size)
    cmd = UPDATE_BATCH if sys.argv[1] == "fill" else DELETE_BATCH
    if cmd == UPDATE_BATCH:
        # the end of this process must not make room for another
        me = ctypes.create_string_buffer(struct.pack("=I", os.getpid()))
        bpf(DELETE, struct.pack("=IIQ", fd, 0, address(me)))
    for turn in range(2):
        first = FIRST + turn * n
        keys = ctypes.create_string_buffer(struct.pack(f"={n}I", *range(first, first + n)))
        try:
            bpf(cmd, struct.pack("=QQQQIIQQ", 0, 0, address(keys), address(values), n, fd, 0, 0))
        except OSError as e:
            # the processes that are there take some of the room
            if e.errno != (errno.E2BIG if cmd == UPDATE_BATCH else errno.ENOENT):
                raise
        # processes that have ended leave the map a while after
        if cmd == UPDATE_BATCH and turn == 0:
            time.sleep(1)


main()
