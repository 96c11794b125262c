# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One controller at a time: a lock that ends with the process it is for, however that ends.

Tasks run in short-lived processes, so the lock is handed to a small program that waits for the controller to end and
does nothing else. The kernel gives the lock free with it. Should that program be killed alone, another controller can
take over; the epoch in the journal then keeps the first from writing anything more.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import JournalError

HOLDER = (
    "import select, sys\np = select.poll()\np.register(int(sys.argv[1]), select.POLLIN)\np.poll()\n"
)


def take(path: Path, controller: int) -> None:
    """Hold the lock for as long as the process `controller` lives. Raises JournalError when another one holds it."""
    watched = os.pidfd_open(controller)
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(lock, path)
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


def _lock(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode().strip() or "unknown"
        raise JournalError(
            f"another controller (process {holder}) holds {path}; nothing was changed. "
            "Wait until it ends, or end it: hosts on trial go back by themselves"
        ) from None
