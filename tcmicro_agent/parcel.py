"""A compressed archive that never grows over its bound, written as it comes."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

BLOCK = 512  # of tar: a header, and what content is filled up to
END = 20 * BLOCK  # zeros at the end of an archive
RESERVE = 1 << 16  # for the list of contents, which comes last
SLACK = 1 << 12  # gzip's own bytes; what cannot be compressed grows by less than a thousandth
CUT = "[the beginning was left out]\n"


@dataclass
class Contents:
    """What is in it and what is not, with the reason."""

    files: dict[str, int] = field(default_factory=dict)
    left_out: list[dict[str, str]] = field(default_factory=list)


class Parcel:
    """Entries below one folder. Content is counted as it is, so the file is always smaller than `most` bytes."""

    def __init__(self, path: Path, folder: str, most: int, now: float) -> None:
        self.contents = Contents()
        self._path, self._folder, self._now = path, folder, now
        self._draft = path.with_name(f".{path.name}.{os.getpid()}")
        self._left = most - most // 1000 - END - SLACK - RESERVE

    def __enter__(self) -> Parcel:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.fdopen(os.open(self._draft, flags, 0o600), "wb")
        self._gzip = gzip.GzipFile("", "wb", 6, self._file, int(self._now))
        self._tar = tarfile.open(fileobj=self._gzip, mode="w|", format=tarfile.GNU_FORMAT)  # noqa: SIM115
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        """Only what is whole gets its name."""
        try:
            self._tar.close()
            self._gzip.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            if kind is None:
                os.rename(self._draft, self._path)
        finally:
            self._file.close()
            self._draft.unlink(missing_ok=True)

    def add(self, name: str, content: bytes) -> bool:
        """Whole, or not at all."""
        size = _size(content)
        if size > self._left:
            self.leave_out(name, f"{size} bytes, and {max(self._left, 0)} are left")
            return False
        self._write(name, content)
        return True

    def add_tail(self, name: str, text: str) -> bool:
        """As much of the end as there is room for."""
        content = text.encode()
        room = self._left // BLOCK * BLOCK - BLOCK
        if len(content) > room > 2 * BLOCK:
            kept = content[-(room - len(CUT)) :]
            self.leave_out(name, f"the first {len(content) - len(kept)} of {len(content)} bytes")
            content = CUT.encode() + kept
        return self.add(name, content)

    def add_last(self, name: str, content: bytes) -> None:
        """The list of contents, for which room was kept."""
        self._left += RESERVE
        self._write(name, content[: RESERVE - 2 * BLOCK])

    def leave_out(self, what: str, why: str) -> None:
        self.contents.left_out.append({"what": what, "why": why})

    def _write(self, name: str, content: bytes) -> None:
        entry = tarfile.TarInfo(f"{self._folder}/{name}")
        entry.size, entry.mtime, entry.mode = len(content), int(self._now), 0o600
        self._tar.addfile(entry, io.BytesIO(content))
        self._left -= _size(content)
        self.contents.files[name] = len(content)


def _size(content: bytes) -> int:
    """In the archive: a header, and whole blocks."""
    return BLOCK + -(-len(content) // BLOCK) * BLOCK
