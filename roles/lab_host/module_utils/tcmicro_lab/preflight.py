"""What the lab needs of this machine, all that is missing at once, each with what to do. The judgement is pure."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .cgroup import hierarchies
from .images import MEMORY_MB
from .run import succeeds

COMMANDS = {  # command: Debian package
    "apt-config": "apt",
    "chroot": "coreutils",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "mount": "mount",
    "nsenter": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "systemd-nspawn": "systemd-container",
    "umount": "mount",
}
VM_COMMANDS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
}
SAFE_PATH = re.compile(r"[A-Za-z0-9._/+@-]+")  # it stands in mount options, --bind and ssh_config


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was found on this machine."""

    directory: Path
    uid: int
    commands: frozenset[str]
    filesystems: frozenset[str]
    directory_filesystem: str
    cgroups: tuple[Path, ...]
    cgroups_writable: bool
    machine_id: str
    memory_mb: int


def missing(facts: Facts, machines: int = 0) -> list[str]:
    """One line per fault, as `what is: what to do`; empty when the lab can be brought up.

    `machines` is how many of its hosts are virtual machines.
    """
    commands = {**COMMANDS, **(VM_COMMANDS if machines else {})}
    absent = sorted(set(commands) - facts.commands)
    packages = " ".join(sorted({commands[name] for name in absent}))
    wanted_mb = machines * MEMORY_MB
    checks = (
        (
            facts.memory_mb < wanted_mb,
            f"{machines} virtual machines need {wanted_mb} MB of memory, {facts.memory_mb} MB are available: "
            "free some or want fewer hosts",
        ),
        (facts.uid != 0, need_root(facts.uid)),
        (absent, f"commands not found: {', '.join(absent)}: apt-get install {packages}"),
        (
            "bpf" not in facts.filesystems,
            "the kernel has no bpffs: one with CONFIG_BPF_SYSCALL=y is needed",
        ),
        ("overlay" not in facts.filesystems, "the kernel has no overlayfs: modprobe overlay"),
        (
            not facts.cgroups,
            "no cgroup hierarchy is mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup",
        ),
        (
            facts.uid == 0 and facts.cgroups and not facts.cgroups_writable,
            f"cgroups are not writable at {facts.cgroups[0] if facts.cgroups else ''}: "
            "in a container, start it privileged with its own writable cgroup mount",
        ),
        (
            facts.directory_filesystem == "overlay",
            f"{facts.directory} is on overlayfs, which cannot carry another overlay: "
            "set lab_host_directory to a directory on a disk or tmpfs",
        ),
        (
            not SAFE_PATH.fullmatch(str(facts.directory)),
            f"{facts.directory}: only letters, digits and . _ / + @ - are allowed in the path: set lab_host_directory",
        ),
        (
            not facts.machine_id,
            "/etc/machine-id is empty, the hosts' MACs follow from it: systemd-machine-id-setup",
        ),
    )
    return [text for fault, text in checks if fault]


def need_root(uid: int) -> str:
    return f"uid {uid} runs this, mounts and namespaces need root: run as root, or with sudo -E"


def gather(directory: Path, which: Callable[[str], str | None] = shutil.which) -> Facts:
    """Looks at this machine; tries what only trying tells."""
    cgroups = hierarchies(Path("/proc/self/mountinfo").read_text())
    machine_id = Path("/etc/machine-id")
    return Facts(
        directory=directory,
        uid=os.geteuid(),
        commands=frozenset(name for name in (*COMMANDS, *VM_COMMANDS) if which(name)),
        filesystems=_filesystems(),
        directory_filesystem=_filesystem_of(directory, Path("/proc/self/mountinfo").read_text()),
        cgroups=cgroups,
        cgroups_writable=all(os.access(path, os.W_OK) for path in cgroups),
        machine_id=machine_id.read_text().strip() if machine_id.exists() else "",
        memory_mb=_available_mb(Path("/proc/meminfo").read_text()),
    )


def _available_mb(meminfo: str) -> int:
    line = next(line for line in meminfo.splitlines() if line.startswith("MemAvailable:"))
    return int(line.split()[1]) // 1024


def _filesystems() -> frozenset[str]:
    known = Path("/proc/filesystems")
    if "overlay" not in known.read_text():
        succeeds(["modprobe", "overlay"]) if shutil.which("modprobe") else None
    return frozenset(line.split()[-1] for line in known.read_text().splitlines() if line)


def _filesystem_of(directory: Path, mountinfo: str) -> str:
    """Type of the file system a path (existing or not) is on: that of the nearest mount point above it."""
    best, kind = Path("/"), ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4])
        if (point == directory or point in directory.parents) and len(point.parts) >= len(
            best.parts
        ):
            best, kind = point, after.split()[0]
    return kind
