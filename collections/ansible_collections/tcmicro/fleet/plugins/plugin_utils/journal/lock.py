# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One controller at a time: a lock that ends with the process it is for, however that ends.

Tasks run in short-lived processes, so the lock is handed to a small program that waits for the controller to end and
does nothing else. The kernel gives the lock free with it. Should that program be killed alone, another controller can
take over; the epoch in the journal then keeps the first from writing anything more.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import select
import subprocess
import sys
import time
from pathlib import Path

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import JournalError

GONE = "the controller is gone; nothing more is done here"
MOMENT_S = 10.0
HOLDER = (
    "import select, sys\np = select.poll()\np.register(int(sys.argv[1]), select.POLLIN)\np.poll()\n"
)


def controller() -> int:
    """The process whose task this is, also where it has been killed since: the parent of what it left behind is init."""
    parent = multiprocessing.parent_process()
    return parent.pid if parent and parent.pid else os.getppid()


def take(path: Path, controller: int) -> None:
    """Hold the lock for as long as the process `controller` lives; what it holds already, from a play before, it keeps.
    Raises JournalError when another one holds it, or when that process has ended."""
    watched = _watch(controller)
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _lock(lock, path, controller):
            return
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{controller}\n".encode(), 0)
        subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", HOLDER, str(watched)],
            pass_fds=(lock, watched),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    finally:
        os.close(lock)
        os.close(watched)


def _watch(controller: int) -> int:
    """A descriptor that can be read from the moment on that the process ends."""
    try:
        watched = os.pidfd_open(controller)
    except ProcessLookupError:
        raise JournalError(GONE) from None
    if select.select([watched], [], [], 0)[0]:
        os.close(watched)
        raise JournalError(GONE)
    return watched


def _lock(lock: int, path: Path, controller: int) -> bool:
    """Whether it had to be locked, and is now. A holder that has ended lets go in a moment; one that lives does not."""
    end = time.monotonic() + MOMENT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            holder = os.pread(lock, 32, 0).decode().strip() or "unknown"
            if holder == str(controller):
                return False
            if _lives(holder) or time.monotonic() > end:
                raise JournalError(
                    f"another controller (process {holder}) holds {path}; nothing was changed. "
                    "Wait until it ends, or end it: hosts on trial go back by themselves"
                ) from None
            time.sleep(0.05)


def _lives(holder: str) -> bool:
    try:
        os.close(_watch(int(holder)))
    except (ValueError, JournalError):
        return False
    return True
