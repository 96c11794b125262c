"""A disk for each virtual machine: a copy of its image with the files that make it one host."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import documents, mounts
from .images import image
from .machine import CONSOLE
from .model import Act, Host, Lab
from .record import write_file
from .run import run

UNIT = "sys-kernel-btf.mount"  # systemd wants a mount's name to follow from its place
UNITS = "etc/systemd/system"


class Disks:
    """Effect of Kind.DISK: a host's home directory with `disk`; debugfs writes into it, so nothing is mounted."""

    def __init__(self, lab: Lab, members: tuple[Host, ...]) -> None:
        self.lab = lab
        self.members = {host.name: host for host in members}

    def exists(self, act: Act) -> bool:
        return (Path(act.target) / "disk").exists()

    def make(self, act: Act) -> None:
        home = Path(act.target)
        mounts.clear(home)
        staged = home / "files"
        staged.mkdir(parents=True)
        self._stage(staged, self.members[home.name])
        draft = home / "disk.partial"
        run(["cp", "--sparse=always", str(self._image(home.name) / "disk"), str(draft)], limit=300)
        without = image(self.lab.medium(self.members[home.name]).image).without
        write_into(draft, staged, without)
        shutil.rmtree(staged)
        draft.rename(home / "disk")

    def remove(self, act: Act) -> None:
        """What the machine said outlives it, until the next one of its name is removed."""
        home, kept = Path(act.target), self.lab.directory / "consoles"
        if (home / CONSOLE).exists():
            kept.mkdir(exist_ok=True)
            (home / CONSOLE).replace(kept / f"{home.name}.log")
        mounts.clear(home)

    def _image(self, name: str) -> Path:
        return self.lab.directory / self.lab.medium(self.members[name]).directory

    def _stage(self, folder: Path, host: Host) -> None:
        keys = self.lab.directory / "keys"
        texts = documents.host_files(self.lab, host, tuple(self.members.values()))
        for path, text in texts.items():
            write_file(folder / path.lstrip("/"), text)
        for path, source, mode in (
            ("etc/ssh/ssh_host_ed25519_key", keys / host.name, 0o600),
            ("etc/ssh/ssh_host_ed25519_key.pub", keys / f"{host.name}.pub", 0o644),
            ("root/.ssh/authorized_keys", keys / "lab.pub", 0o600),
        ):
            write_file(folder / path, source.read_text(), mode)
        if not image(self.lab.medium(host).image).btf:
            write_file(folder / UNITS / UNIT, documents.HIDE_BTF)
            wants = folder / UNITS / "local-fs.target.wants"
            wants.mkdir()
            (wants / UNIT).symlink_to(f"/{UNITS}/{UNIT}")


def write_into(disk: Path, folder: Path, without: tuple[str, ...] = ()) -> None:
    """Into an ext4 image that nobody has mounted: writes the files below a folder, with their modes; removes others."""
    script = folder.with_name("debugfs")
    words = [_debugfs(path, f"/{path.relative_to(folder)}") for path in sorted(folder.rglob("*"))]
    words += ["set_inode_field /root/.ssh mode 040700", *(f"rm {path}" for path in without)]
    script.write_text("\n".join([*words, ""]))
    run(["debugfs", "-w", "-f", str(script), str(disk)], limit=120)
    script.unlink()


def _debugfs(path: Path, name: str) -> str:
    """What debugfs has to do for one file, directory or link."""
    if path.is_symlink():
        return f"symlink {name} {path.readlink()}"
    return f"rm {name}\nwrite {path} {name}" if path.is_file() else f"mkdir {name}"
