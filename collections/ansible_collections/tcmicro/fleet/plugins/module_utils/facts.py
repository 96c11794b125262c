# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kind of host this is: kernel, architecture, distribution."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

RELEASE_FILES = (Path("/etc/os-release"), Path("/usr/lib/os-release"))


def facts() -> dict[str, str]:
    """ "" where the host does not say."""
    kernel = os.uname()
    system = os_release(_text(RELEASE_FILES))
    return {
        "kernel": kernel.release,
        "arch": kernel.machine,
        "distribution": system.get("ID", ""),
        "version": system.get("VERSION_ID", ""),
    }


def os_release(text: str) -> dict[str, str]:
    """Values of os-release(5), by name; a line that a shell would not take is left out."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if not equals or name.startswith("#"):
            continue
        try:
            found[name] = "".join(shlex.split(value))
        except ValueError:
            continue
    return found


def _text(files: tuple[Path, ...]) -> str:
    """The first that can be read."""
    for file in files:
        try:
            return file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
    return ""
