"""The one setting of this machine that a lab may need raised: inotify instances, a few per host."""

from __future__ import annotations

from pathlib import Path

from .model import Act
from .record import write_file

SETTING = Path("/proc/sys/fs/inotify/max_user_instances")
BASE, PER_HOST = (
    128,
    8,
)  # the kernel's default stays for everybody else; a host was seen to take 4 to 6


class Limit:
    """Effect of Kind.LIMIT; the target is a note of the value before and after, written before raising it."""

    def __init__(self, hosts: int) -> None:
        self.needed = BASE + PER_HOST * hosts

    def exists(self, act: Act) -> bool:
        return int(SETTING.read_text()) >= self.needed

    def make(self, act: Act) -> None:
        write_file(Path(act.target), f"{int(SETTING.read_text())} {self.needed}\n")
        SETTING.write_text(str(self.needed))

    def remove(self, act: Act) -> None:
        """Puts the old value back, unless somebody else has changed ours meanwhile."""
        note = Path(act.target)
        if not note.exists():
            return
        before, after = note.read_text().split()
        if SETTING.read_text().strip() == after:
            SETTING.write_text(before)
        note.unlink()
