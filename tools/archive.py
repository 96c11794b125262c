"""A tar.gz whose bytes depend on its files alone: sorted, owned by root, without a clock."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping

# Python compares a source's time with its cached byte code; any constant will do, 0 puzzles other tools.
EPOCH = 315532800  # 1980-01-01


def member(name: str, size: int, *, executable: bool) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mtime = EPOCH
    info.mode = 0o755 if executable else 0o644
    info.uname = info.gname = "root"
    return info


def pack(top: str, files: Mapping[str, bytes], executables: frozenset[str]) -> bytes:
    """One folder `top` with these files, as gzipped tar."""
    tar_bytes = io.BytesIO()
    with tarfile.open(fileobj=tar_bytes, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in sorted(files.items()):
            info = member(f"{top}/{name}", len(content), executable=name in executables)
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(tar_bytes.getvalue(), compresslevel=9, mtime=0)
