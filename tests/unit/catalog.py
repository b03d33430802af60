# SPDX-License-Identifier: LGPL-2.1-or-later
"""The message catalog: a text for every MESSAGE_ID, and one that systemd itself can read."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

MESSAGES, CATALOG, *SOURCES = sys.argv[1:]
FIELDS = re.compile(r"@([A-Z_]+)@")


def fail(text):
    sys.exit("catalog: " + text)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def read_ids():
    found = re.findall(r'^#define MESSAGE_([A-Z_]+)\s+"([^"]*)"$', read(MESSAGES), re.M)
    for name, value in found:
        if not re.fullmatch("[0-9a-f]{32}", value):
            fail("MESSAGE_%s is not 128 bits: %s" % (name, value))
    if not found or len({value for _, value in found}) != len(found):
        fail("an id is there twice, or none at all")
    return {value: name for name, value in found}


def read_entries():
    """Id to header and body, as systemd's catalog format has them."""
    entries = {}
    text = re.sub(r"(?m)^#.*\n", "", read(CATALOG))
    for part in re.split(r"(?m)^-- ", text)[1:]:
        head, _, body = part.partition("\n\n")
        first, *header = head.split("\n")
        if first in entries:
            fail(first + " is there twice")
        entries[first] = dict(line.split(": ", 1) for line in header), body
    return entries


def check_entry(name, header, body, fields):
    if "Subject" not in header or header.get("Defined-By") != "revshell" or len(body) < 40:
        fail("the entry of %s lacks Subject, Defined-By or text" % name)
    for field in FIELDS.findall(header["Subject"] + body):
        if field not in fields:
            fail("the entry of %s names @%s@, which no record has" % (name, field))


def check_by_systemd(ids):
    if not shutil.which("journalctl"):
        return
    with tempfile.TemporaryDirectory() as root:
        folder = os.path.join(root, "usr/lib/systemd/catalog")
        os.makedirs(folder)
        shutil.copy(CATALOG, folder)
        r = subprocess.run(["journalctl", "--root=" + root, "--update-catalog"],
                           capture_output=True, text=True, check=False)
        if r.returncode or r.stderr:
            fail("journalctl --update-catalog: " + r.stderr)
        r = subprocess.run(["journalctl", "--root=" + root, "--list-catalog"],
                           capture_output=True, text=True, check=False)
        listed = {line.split()[0] for line in r.stdout.splitlines()}
        if r.returncode or listed != set(ids):
            fail("journalctl lists %s\n%s" % (sorted(listed), r.stderr))


def main():
    ids, entries = read_ids(), read_entries()
    if set(ids) != set(entries):
        fail("ids without an entry: %s; entries without an id: %s" %
             ([ids[i] for i in set(ids) - set(entries)], sorted(set(entries) - set(ids))))
    sources = "".join(read(path) for path in SOURCES)
    fields = set(re.findall(r'"((?:REVSHELL|OBJECT)_[A-Z_]+)[="]', sources))
    for i, (header, body) in entries.items():
        check_entry(ids[i], header, body, fields)
        if "MESSAGE_%s" % ids[i] not in sources:
            fail("nothing is written with MESSAGE_%s" % ids[i])
    check_by_systemd(ids)


main()
