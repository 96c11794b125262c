"""Work that takes much memory for a moment, done in a child process: what it took ends with it.

Python gives little of such memory back: whatever small thing stays keeps a megabyte around it.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import time
from collections.abc import Callable
from typing import NoReturn, TypeVar

T = TypeVar("T")
PATIENCE_S = 30.0
PIECE_BYTES = 1 << 20


def in_child(work: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """What `work` returns, which must be picklable; `work` changes nothing. It is done here where no child can be made,
    and where the child says nothing: then what it raises is raised here."""
    try:
        reader, writer = os.pipe()
    except OSError:
        return work()
    try:
        pid = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        return work()
    if pid == 0:
        _answer(writer, work)
    os.close(writer)
    said = _hear(reader, pid, patience_s)
    found: T = pickle.loads(said) if said else work()
    return found


def _answer(writer: int, work: Callable[[], object]) -> NoReturn:
    """The child: no handler, no buffer and no lock of its parent may be touched on its way out."""
    try:
        said = pickle.dumps(work())
        with open(writer, "wb") as pipe:
            pipe.write(said)
        os._exit(0)
    finally:
        os._exit(1)


def _hear(reader: int, pid: int, patience_s: float) -> bytes:
    """All that the child says, "" where it fails or takes too long."""
    pieces, end = [], time.monotonic() + patience_s
    while select.select([reader], [], [], max(end - time.monotonic(), 0))[0]:
        piece = os.read(reader, PIECE_BYTES)
        if not piece:
            break
        pieces.append(piece)
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    return b"" if status else b"".join(pieces)
