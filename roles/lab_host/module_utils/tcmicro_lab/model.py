"""The words of the lab: hosts, acts and the lab itself. Values only, no effects."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class LabError(Exception):
    """What is wrong with the lab and what to do about it; the text is meant for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One lab host as the inventory will show it."""

    name: str
    group: str
    v4: str
    v6: str
    labels: Mapping[str, str]
    site: str
    rack: str
    ha_group: str = ""


class Kind(Enum):
    """What an act makes. One effect class answers for each kind."""

    CGROUP = "cgroup"
    LIMIT = "limit"
    TREE = "tree"
    DIRECTORY = "directory"
    NETWORK = "network"
    KEYS = "keys"
    FILE = "file"
    OVERLAY = "overlay"
    BPFFS = "bpffs"
    MACHINE = "machine"
    IMAGE = "image"
    DISK = "disk"
    ACCELERATOR = "accelerator"
    VM = "vm"


@dataclass(frozen=True, slots=True)
class Act:
    """One thing to make, and later to remove: all that is needed for removing it is in `target`."""

    kind: Kind
    target: str

    def __str__(self) -> str:
        return f"{self.kind.value} {self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody asked for."""

    directory: Path
    inventory: Path
    hosts: int
    suites: tuple[str, ...]  # of containers, dealt to the hosts in turn
    packages: tuple[str, ...]
    images: tuple[
        str, ...
    ] = ()  # of virtual machines, dealt to the hosts in turn; none: containers


@dataclass(frozen=True, slots=True)
class Medium:
    """What a virtual machine boots from: the image's name, and its directory in the lab's."""

    host: str
    image: str
    directory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """One lab as planned: the record file holds exactly this. Acts stand in the order of making."""

    directory: Path
    inventory: Path
    roots: tuple[
        str, ...
    ]  # trees, dealt to the hosts in turn; the controller's own words run in the first
    hosts: int
    acts: tuple[Act, ...]
    media: tuple[Medium, ...] = ()  # of virtual machines; none: containers

    @property
    def name(self) -> str:
        return lab_name(self.directory)

    @property
    def tree(self) -> Path:
        return self.directory / self.roots[0]

    def tree_of(self, place: int) -> Path:
        """What the host at a place of the list is made of."""
        return self.directory / self.roots[place % len(self.roots)]

    @property
    def sockets(self) -> Path:
        return Path("/run") / self.name

    def host_directory(self, host: Host) -> Path:
        return self.directory / "hosts" / host.name

    def medium(self, host: Host) -> Medium:
        """What a virtual machine boots from."""
        return next(medium for medium in self.media if medium.host == host.name)

    def cgroup(self, host: Host) -> str:
        return f"{self.name}/{host.name}"


def lab_name(directory: Path) -> str:
    """Names namespace, cgroup and run directory: one per lab directory, so two checkouts never meet."""
    return "tcm-" + hashlib.sha256(str(directory).encode()).hexdigest()[:6]
