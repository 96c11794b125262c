"""Datapaths of ours beside the present one: of another abi, or set aside to get maps of other sizes.

Each is a directory of pins with programs that may still be attached. They stay so until ours are in their place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tcmicro_agent import abi
from tcmicro_agent.abi import SessionTable
from tcmicro_agent.datapath import libbpf
from tcmicro_agent.sessions import Chunk

# The maps that held sessions in each abi. Keys and values are laid out as today in all of them; abi 1 had no flags but
# in their place `adopted`, whose one value is the flag of today.
SESSION_MAPS: Mapping[int, tuple[str, ...]] = {
    1: ("tcm_half4", "tcm_half6", "tcm_sessions4", "tcm_sessions6"),
    2: tuple(table.map_name for table in SessionTable),
}
NAME = re.compile(r"(\d+)(-aside)?")


@dataclass(frozen=True)
class Predecessor:
    """One such datapath, by its pins."""

    pins: Path
    abi: int

    def __str__(self) -> str:
        return f"the datapath of abi {self.abi}"

    @property
    def known(self) -> bool:
        """Whether we can read its sessions."""
        return self.abi in SESSION_MAPS

    def sessions(self) -> Iterator[Chunk]:
        """What its tables hold, as far as they are laid out as they should be; keys tell the family only."""
        for name in SESSION_MAPS.get(self.abi, ()):
            for table in (SessionTable.HALF4, SessionTable.HALF6):
                layout = (libbpf.LRU_HASH, table.key.size, abi.SESSION.size)
                pin = self.pins / name
                if pin.exists() and libbpf.pinned_layout(pin) == layout:
                    yield from _chunks(pin, table)

    def hand_over_links(self, pins: Path) -> None:
        """Makes its links those of `pins`: attaching there swaps the program behind each, and no packet sees a gap."""
        for link in sorted((self.pins / "links").glob("*")):
            if not (pins / "links" / link.name).exists():
                os.rename(link, pins / "links" / link.name)


def find(pins: Path) -> list[Predecessor]:
    """Those beside `pins`, in order of age."""
    found = []
    for path in pins.parent.iterdir() if pins.parent.exists() else ():
        name = NAME.fullmatch(path.name)
        if name and path != pins:
            found.append(Predecessor(path, int(name.group(1))))
    return sorted(found, key=lambda one: one.abi)


def aside(pins: Path) -> Predecessor:
    """What the present datapath is once it is set aside."""
    return Predecessor(pins.with_name(f"{pins.name}-aside"), int(pins.name))


def set_aside(pins: Path) -> None:
    """Gives the present datapath another name, so that a new one can be made; it stays attached."""
    os.rename(pins, aside(pins).pins)


def _chunks(pin: Path, table: SessionTable) -> Iterator[Chunk]:
    fd = libbpf.get(pin)
    try:
        for keys, values in libbpf.Map(fd, table.key.size, abi.SESSION.size).chunks():
            yield Chunk(table, keys, values)
    finally:
        os.close(fd)
