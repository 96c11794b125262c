# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ssh connection that a module runs in, as the host sees it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

VARIABLE = "SSH_CONNECTION"
PROC = Path("/proc")


def connection(environ: Mapping[str, str], parent: int, proc: Path = PROC) -> dict[str, Any]:
    """Client address and port reached. sudo drops the variable, so the parents are asked too."""
    return parse(environ.get(VARIABLE, "") or _of_parents(proc, parent))


def parse(text: str) -> dict[str, Any]:
    """`client client_port server server_port`; empty when it is anything else."""
    words = text.split()
    if len(words) != 4 or not words[3].isdigit():
        return {}
    return {"client": words[0], "port": int(words[3])}


def _of_parents(proc: Path, pid: int) -> str:
    while pid > 1:
        process = proc / str(pid)
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
            pid = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return ""
        for entry in environment:
            name, _, value = entry.partition(b"=")
            if name == VARIABLE.encode() and value:
                return value.decode(errors="replace")
    return ""
