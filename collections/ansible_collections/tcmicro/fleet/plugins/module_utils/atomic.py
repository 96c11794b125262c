# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and links replaced by one rename: readers see the old one or the new one, whenever a host loses its power."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, content: bytes, mode: int) -> None:
    """Make or replace a file; a link in its place goes, what it leads to stays."""
    scratch = _scratch(path)
    with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())  # a new name must not come to disk before what it names
    scratch.rename(path)


def point(link: Path, target: str) -> None:
    """Make or replace a symlink. The target need not exist."""
    scratch = _scratch(link)
    scratch.symlink_to(target)
    scratch.rename(link)


def _scratch(path: Path) -> Path:
    """Beside it, hence on the same file system; nothing is there, not even of a run that was cut."""
    scratch = path.with_name(path.name + ".tmp")
    scratch.unlink(missing_ok=True)
    return scratch
