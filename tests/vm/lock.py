#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""One way to take enforcement away by system calls: lock.py WAY ARGUMENT.

Exit status: 0 it went through, 1 refused with EPERM, 3 refused otherwise (told), 2 could not be tried."""
import ctypes
import errno
import os
import resource
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
BPF = 321
PIDFD_OPEN, PIDFD_GETFD = 434, 438
OPEN_TREE, MOVE_MOUNT = 428, 429
AT_FDCWD, OPEN_TREE_CLONE, FROM_FD = -100, 1, 4
MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, PROG_LOAD, OBJ_PIN, OBJ_GET = 0, 1, 2, 5, 6, 7
PROG_NEXT, MAP_NEXT, PROG_BY_ID, MAP_BY_ID, INFO = 11, 12, 13, 14, 15
LINK_UPDATE, LINK_BY_ID, LINK_NEXT, LINK_DETACH = 29, 30, 31, 34
ARRAY_OF_MAPS = 12  # its elements cannot be written as they are read
PTRACE_SEIZE = 0x4206


def call(*args):
    r = libc.syscall(*args)
    if r < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return r


def bpf(cmd, data):
    buf = ctypes.create_string_buffer(data.ljust(128, b"\0"), 128)
    return call(BPF, cmd, buf, 128), buf.raw


def address(buf):
    return ctypes.addressof(buf)


def by_pin(path):
    name = ctypes.create_string_buffer(path.encode())
    return bpf(OBJ_GET, struct.pack("=QII", address(name), 0, 0))[0]


def named(next_cmd, open_cmd, name_at, name):
    """Descriptors of all objects of that name; what cannot be opened is an error."""
    number, found = 0, []
    while True:
        try:
            number = struct.unpack_from("=I", bpf(next_cmd, struct.pack("=II", number, 0))[1], 4)[0]
        except FileNotFoundError:
            break
        fd = bpf(open_cmd, struct.pack("=I", number))[0]
        info = ctypes.create_string_buffer(256)
        bpf(INFO, struct.pack("=IIQ", fd, 256, address(info)))
        kind = struct.unpack_from("=I", info.raw)[0]
        if info.raw[name_at:name_at + 16].split(b"\0")[0] == name.encode() and kind != ARRAY_OF_MAPS:
            found.append(fd)
        else:
            os.close(fd)
    if not found:
        sys.exit(f"nothing is called {name}")
    return found


def rewrite(fd):
    """Writes an element as it was: who may do that may write another."""
    key, value = ctypes.create_string_buffer(4), ctypes.create_string_buffer(1 << 20)
    bpf(MAP_LOOKUP, struct.pack("=IIQQ", fd, 0, address(key), address(value)))
    bpf(MAP_UPDATE, struct.pack("=IIQQ", fd, 0, address(key), address(value)))


def map_by_pin(path):
    rewrite(by_pin(path))


def map_by_number(name):
    for fd in named(MAP_NEXT, MAP_BY_ID, 24, name):
        rewrite(fd)


def program_by_number(name):
    named(PROG_NEXT, PROG_BY_ID, 64, name)


def program_by_pin(path):
    os.close(by_pin(path))


def pin(path):
    """A map of one's own where a pin of the daemon's could be."""
    fd = bpf(MAP_CREATE, struct.pack("=IIII", 2, 4, 4, 1))[0]
    name = ctypes.create_string_buffer(path.encode())
    bpf(OBJ_PIN, struct.pack("=QI", address(name), fd))


def link_detach(path):
    bpf(LINK_DETACH, struct.pack("=I", by_pin(path)))


def link_update(path):
    fd = by_pin(path)
    bpf(LINK_UPDATE, struct.pack("=IIII", fd, fd, 0, 0))


def load_tracing(_):
    code = ctypes.create_string_buffer(struct.pack("=BBhiBBhi", 0xb7, 0, 0, 0, 0x95, 0, 0, 0))
    licence = ctypes.create_string_buffer(b"GPL")
    bpf(PROG_LOAD, struct.pack("=IIQQ", 2, 2, address(code), address(licence)))


def trace(pid):
    if libc.ptrace(PTRACE_SEIZE, int(pid), None, None) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def memory(pid):
    os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))


def take_descriptor(pid):
    call(PIDFD_GETFD, call(PIDFD_OPEN, int(pid), 0), 1, 0)


def move_mount(path):
    """By the system call of that name, which mount(8) may not use."""
    call(MOVE_MOUNT, call(OPEN_TREE, AT_FDCWD, b"/tmp", OPEN_TREE_CLONE), b"", AT_FDCWD, path.encode(), FROM_FD)


def write_to(path):
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND))


def main():
    ways = {f.__name__: f for f in (map_by_pin, map_by_number, program_by_number, program_by_pin, pin, link_detach,
                                    link_update, load_tracing, trace, memory, take_descriptor, move_mount,
                                    write_to)}
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (-1, -1))  # which 5.10 charges
    try:
        ways[sys.argv[1]](sys.argv[2])
    except OSError as e:
        print(f"{sys.argv[1]}: {errno.errorcode[e.errno]}")
        return 1 if e.errno == errno.EPERM else 3
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyError:
        sys.exit(2)
