"""The ssh connection that this command came by, and since when it is there: told from the processes above this one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
NAME = b"SSH_CONNECTION="
# What the processes of one connection call themselves; the listener, which serves all, does not.
TITLES, LISTENER = (b"sshd: ", b"sshd-session: "), b"[listener]"
PARENT, START = 1, 19  # in /proc/PID/stat, behind the name


@dataclass(frozen=True)
class Ends:
    """Addresses and ports as ssh tells them; `born_ms` since boot: when the server of this connection began."""

    peer: str
    peer_port: int
    local: str
    port: int
    born_ms: int


@dataclass(frozen=True)
class _Process:
    parent: int
    start_ms: int
    connection: bytes  # content of SSH_CONNECTION, b"" without
    title: bytes

    @property
    def serves_one(self) -> bool:
        return self.title.startswith(TITLES) and LISTENER not in self.title


def find(pid: int | None = None, proc: Path = PROC) -> Ends | None:
    """None: this command did not come by ssh. Looked for upwards, because sudo hides the variable from its children. A
    connection that commands share has an old server."""
    above = _upwards(pid or os.getpid(), proc)
    inside = next((p for p in above if p.connection), None)
    server = next((p for p in above if not p.connection), None)
    if inside is None or server is None:
        return None
    for parent in above:
        if not parent.serves_one:
            break
        server = parent
    words = inside.connection.decode(errors="replace").split()
    if len(words) != 4 or not (words[1].isdigit() and words[3].isdigit()):
        return None
    return Ends(words[0], int(words[1]), words[2], int(words[3]), server.start_ms)


def _upwards(pid: int, proc: Path) -> Iterator[_Process]:
    """The process and those above it; each is looked at once, by whoever asks for the next."""
    while pid:
        found = _read(proc / str(pid))
        if found is None:
            return
        yield found
        pid = found.parent


def _read(directory: Path) -> _Process | None:
    try:
        stat = (directory / "stat").read_text(errors="replace").rpartition(")")[2].split()
        environ = (directory / "environ").read_bytes().split(b"\0")
        title = (directory / "cmdline").read_bytes()
    except OSError:
        return None
    ticks = os.sysconf("SC_CLK_TCK")
    connection = next((e[len(NAME) :] for e in environ if e.startswith(NAME)), b"")
    return _Process(int(stat[PARENT]), int(stat[START]) * 1000 // ticks, connection, title)
