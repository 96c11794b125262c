"""Cgroups of the lab in every hierarchy. All that the lab starts lives in them: they say which processes are ours."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from .model import Act, LabError

MOUNTS = Path("/proc/self/mountinfo")
PATIENCE = 20.0  # seconds for killed processes to be gone
WEIGHTS = (  # file, what one process weighs, and the most there may be: of v1 and of v2
    ("cpu.shares", 1024, 262144),
    ("cpu.weight", 100, 10000),
)


def hierarchies(mountinfo: str) -> tuple[Path, ...]:
    """Mount points of all cgroup hierarchies, the unified one first: pure v2, v1 and hybrid alike."""
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind, point = after.split()[0], before.split()[4]
        if kind in ("cgroup", "cgroup2"):
            found.append((kind != "cgroup2", point))
    return tuple(Path(point) for _, point in sorted(found))


def weigh(path: Path, hosts: int) -> None:
    """Gives a lab the weight of one process for each host. Of itself a cgroup weighs as much as a single process
    outside: beside thirty of them all hosts of a lab together would get a thirtieth of the machine."""
    for name, each, most in WEIGHTS:
        if (path / name).exists():
            (path / name).write_text(str(min(each * hosts, most)))


class Cgroups:
    """Effect of Kind.CGROUP; a target is a path below the root of each hierarchy."""

    def __init__(self, hosts: int = 1) -> None:
        self.roots = hierarchies(MOUNTS.read_text())
        self.hosts = hosts

    def exists(self, act: Act) -> bool:
        return all(path.is_dir() for path in self._paths(act.target))

    def make(self, act: Act) -> None:
        for path in self._paths(act.target):
            path.mkdir(exist_ok=True)
            for setting in (
                "cpuset.cpus",
                "cpuset.mems",
            ):  # v1: empty until copied, and no process enters then
                if (path / setting).exists():
                    (path / setting).write_text((path.parent / setting).read_text())
            if "/" not in act.target:
                weigh(path, self.hosts)

    def remove(self, act: Act) -> None:
        self.kill(act.target)
        for path in self._paths(act.target):
            for directory in [*_below(path), path]:
                _rmdir(directory, time.monotonic() + PATIENCE)

    def enter(self, target: str) -> None:
        """Moves the calling process in; meant to run between fork and exec."""
        for path in self._paths(target):
            (path / "cgroup.procs").write_text("0")

    def members(self, target: str) -> set[int]:
        """Every process in this cgroup and below; one hierarchy tells, since all are entered together."""
        pids: set[int] = set()
        for path in self._paths(target)[:1]:
            for directory in [*_below(path), path]:
                pids.update(_procs(directory))
        return pids

    def kill(self, target: str) -> None:
        """Kills until nobody is left: a process that forks meanwhile leaves its child in the same cgroup."""
        deadline = time.monotonic() + PATIENCE
        while pids := self.members(target):
            if time.monotonic() > deadline:
                raise LabError(f"cgroup {target}: processes {sorted(pids)} outlive SIGKILL")
            for pid in pids:
                _kill(pid)
            time.sleep(0.02)

    def _paths(self, target: str) -> list[Path]:
        return [root / target for root in self.roots]


def _rmdir(directory: Path, deadline: float) -> None:
    """A v1 cgroup stays busy until its zombies are reaped, a moment after the last process died."""
    while True:
        try:
            return directory.rmdir()
        except FileNotFoundError:
            return None
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _below(path: Path) -> Iterator[Path]:
    """All directories below, the deepest first; none when the path is gone."""
    for name, directories, _ in os.walk(path, topdown=False):
        for directory in directories:
            yield Path(name) / directory


def _procs(directory: Path) -> list[int]:
    try:
        return [int(pid) for pid in (directory / "cgroup.procs").read_text().split() if pid != "0"]
    except (FileNotFoundError, OSError):
        return []  # removed while we looked


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
