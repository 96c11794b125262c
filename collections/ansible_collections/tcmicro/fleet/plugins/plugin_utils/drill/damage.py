# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An artifact made to be bad: the same release under another version, with programs that no kernel accepts. Pure."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import struct
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

OBJECT, MANIFEST, VERSION = "tcmicro.bpf.o", "manifest.json", "lib/tcmicro_agent/version.py"
UNREADABLE = struct.pack("<BBhi", 0xBF, 0x90, 0, 0)  # r0 = r9, which nothing was written to
EXECUTABLE = 0x4
HEADER, SECTION = "<16xHHIQQQIHHHHHH", "<IIQQQQIIQQ"


class DamageError(Exception):
    """It is not an artifact of a release with programs in it."""


@dataclass(frozen=True)
class Member:
    """A file of an artifact, by its path below the folder of the release."""

    info: tarfile.TarInfo
    content: bytes


def damaged(artifact: bytes, old: str, new: str) -> bytes:
    """The tar.gz of release `old` as one of `new`; the same bytes for the same. Raises DamageError."""
    try:
        files = dict(_members(artifact, old))
        files[OBJECT] = Member(files[OBJECT].info, broken(files[OBJECT].content))
        files[VERSION] = Member(files[VERSION].info, _renumbered(files[VERSION].content, new))
        files[MANIFEST] = Member(files[MANIFEST].info, _manifest(files, new))
    except (KeyError, ValueError, struct.error, tarfile.TarError, OSError) as exc:
        raise DamageError(f"no artifact of release {old} with programs in it: {exc}") from exc
    return _packed(files, new)


def broken(content: bytes) -> bytes:
    """An ELF object, every program of which begins with what the verifier refuses."""
    if content[:4] != b"\x7fELF":
        raise ValueError(f"{OBJECT} is no ELF object")
    fields = struct.unpack_from(HEADER, content)
    offset, size, number = fields[5], fields[10], fields[11]
    found = bytearray(content)
    for place in range(offset, offset + size * number, size):
        _, kind, flags, _, start, length, *_ = struct.unpack_from(SECTION, content, place)
        if kind == 1 and flags & EXECUTABLE and length >= len(UNREADABLE):
            found[start : start + len(UNREADABLE)] = UNREADABLE
    if found == content:
        raise ValueError(f"{OBJECT} has no programs")
    return bytes(found)


def _members(artifact: bytes, version: str) -> Iterator[tuple[str, Member]]:
    with tarfile.open(fileobj=io.BytesIO(artifact), mode="r:gz") as tar:
        for info in tar.getmembers():
            reader = tar.extractfile(info)
            if reader:
                yield info.name.removeprefix(f"tcmicro-{version}/"), Member(info, reader.read())


def _renumbered(source: bytes, version: str) -> bytes:
    return re.sub(rb'(?m)^VERSION = ".*"$', f'VERSION = "{version}"'.encode(), source)


def _manifest(files: dict[str, Member], version: str) -> bytes:
    document = json.loads(files[MANIFEST].content)
    changed = {name: hashlib.sha256(files[name].content).hexdigest() for name in (OBJECT, VERSION)}
    known = {**document, "version": version, "files": {**document["files"], **changed}}
    return (json.dumps(known, indent=1) + "\n").encode()


def _packed(files: dict[str, Member], version: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, member in sorted(files.items()):
            info = member.info
            info.name, info.size = f"tcmicro-{version}/{name}", len(member.content)
            tar.addfile(info, io.BytesIO(member.content))
    return gzip.compress(buffer.getvalue(), mtime=0)
