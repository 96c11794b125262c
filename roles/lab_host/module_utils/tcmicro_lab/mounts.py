"""Directories and mounts of the hosts: an overlay over the shared tree and a bpffs each."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path

from . import documents
from .model import Act, Host, Lab, LabError
from .record import write_file
from .run import run

MOUNTINFO = Path("/proc/self/mountinfo")
ATTEMPTS, PAUSE = 25, 0.2  # a killed host lets go of its mounts a moment later


def points(mountinfo: str, path: Path) -> list[Path]:
    """Mount points at or below a path, the latest first."""
    found = [Path(line.split()[4]) for line in mountinfo.splitlines()]
    return [point for point in reversed(found) if point == path or path in point.parents]


def mounted(path: Path) -> bool:
    return path in points(MOUNTINFO.read_text(), path)


def clear(path: Path) -> None:
    """Unmounts everything at or below a path of ours, then removes it; never deletes through a mount."""
    for point in points(MOUNTINFO.read_text(), path):
        _unmount(point)
    if path.exists():
        shutil.rmtree(path)


def _unmount(point: Path) -> None:
    for _ in range(ATTEMPTS):
        try:
            run(["umount", str(point)])
            return
        except LabError:
            time.sleep(PAUSE)
    run(["umount", str(point)])


class Overlay:
    """Effect of Kind.OVERLAY: a host's home directory with `root`, its own files over the shared tree."""

    def __init__(self, lab: Lab, members: tuple[Host, ...]) -> None:
        self.lab = lab
        self.members = {host.name: host for host in members}
        self.trees = {host.name: lab.tree_of(place) for place, host in enumerate(members)}

    def exists(self, act: Act) -> bool:
        return mounted(Path(act.target) / "root")

    def make(self, act: Act) -> None:
        home = Path(act.target)
        clear(home)
        for name in ("upper", "work", "root", "bpf"):
            (home / name).mkdir(parents=True)
        self._fill(home / "upper", self.members[home.name])
        layers = f"lowerdir={self.trees[home.name]},upperdir={home}/upper,workdir={home}/work"
        run(
            [
                "mount",
                "-t",
                "overlay",
                "-o",
                layers,
                f"{self.lab.name}/{home.name}",
                str(home / "root"),
            ]
        )

    def remove(self, act: Act) -> None:
        home = Path(act.target)
        clear(home)
        with contextlib.suppress(OSError):
            home.parent.rmdir()  # the last one leaves it empty

    def _fill(self, upper: Path, host: Host) -> None:
        keys = self.lab.directory / "keys"
        for path, text in documents.host_files(
            self.lab, host, tuple(self.members.values())
        ).items():
            write_file(upper / path.lstrip("/"), text)
        for path, source, mode in (
            ("etc/ssh/ssh_host_ed25519_key", keys / f"{host.name}", 0o600),
            ("etc/ssh/ssh_host_ed25519_key.pub", keys / f"{host.name}.pub", 0o644),
            ("root/.ssh/authorized_keys", keys / "lab.pub", 0o600),
        ):
            write_file(upper / path, source.read_text(), mode)
        for private in ("root", "root/.ssh"):
            (upper / private).chmod(0o700)


class Bpffs:
    """Effect of Kind.BPFFS: pins of one host stay on that host."""

    def exists(self, act: Act) -> bool:
        return mounted(Path(act.target))

    def make(self, act: Act) -> None:
        run(["mount", "-t", "bpf", "bpf", act.target])

    def remove(self, act: Act) -> None:
        if self.exists(act):
            _unmount(Path(act.target))
