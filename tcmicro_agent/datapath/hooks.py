"""Where our programs hang: tcx links where the kernel has them (6.6), else filters of our own on clsact.

A tcx link is pinned, so it outlives the agent and vanishes with its pin. On clsact we own exactly one filter per
direction (our priority, handle and name); nobody else's filter and no clsact qdisc is ever removed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from struct import Struct
from typing import Any, Protocol

from tcmicro_agent.abi import Direction
from tcmicro_agent.datapath import libbpf, netlink
from tcmicro_agent.errors import KernelError
from tcmicro_agent.interfaces import Interface

TCX_ATTACH_TYPES = {Direction.INGRESS: 46, Direction.EGRESS: 47}  # enum bpf_attach_type

CLSACT_PARENTS = {Direction.INGRESS: 0xFFFFFFF2, Direction.EGRESS: 0xFFFFFFF3}
PRIORITY = 49000
HANDLE = 1
ETH_P_ALL = 3
TC = Struct("=B3xiIII")  # struct tcmsg: family, index, handle, parent, info
RTM_GETQDISC, RTM_GETTFILTER = 38, 46
TCA_KIND, TCA_OPTIONS = 1, 2
TCA_BPF_NAME, TCA_BPF_ID = 7, 11


class Hook(Protocol):
    """One way to attach; `attach` creates or swaps in one step, `attached` tells the program id or None."""

    name: str

    def attach(
        self, interface: Interface, direction: Direction, program: libbpf.Program
    ) -> None: ...

    def attached(self, interface: Interface, direction: Direction) -> int | None: ...

    def detach(self, index: int, direction: Direction) -> None: ...

    def present(self) -> set[int]:
        """Indexes of the interfaces where something of ours hangs, or hung when they were still there."""


class Tcx:
    """Pinned links, one per interface and direction, named by interface index.

    Ours comes first: one that runs before us and says TCX_PASS ends the chain, and the packet would not be judged.
    We say TCX_NEXT, so that all others still run. Who puts himself before us later runs before us.
    """

    name = "tcx"

    def __init__(self, pins: Path) -> None:
        self._pins = pins

    def attach(self, interface: Interface, direction: Direction, program: libbpf.Program) -> None:
        pin = self._pin(interface.index, direction)
        if self.attached(interface, direction) is not None:
            with _opened(libbpf.get(pin)) as link:
                libbpf.link_update(link, program)
            return
        self.detach(
            interface.index, direction
        )  # of an interface that is gone, or cut short before it had its name
        place = TCX_ATTACH_TYPES[direction]
        created = libbpf.link_create(program, interface.index, place, first=True)
        with _opened(created) as link:
            libbpf.pin(link, pin)

    def attached(self, interface: Interface, direction: Direction) -> int | None:
        """The interface is asked too: a link stays with one that moves to another network namespace."""
        pin = self._pin(interface.index, direction)
        if not pin.exists():
            return None
        with _opened(libbpf.get(pin)) as link:
            program, index = libbpf.link_target(link)
        here = libbpf.programs_at(interface.index, TCX_ATTACH_TYPES[direction]) or []
        return program if index == interface.index and program in here else None

    def detach(self, index: int, direction: Direction) -> None:
        for pin in self._pins.glob(f"{index}_{direction.name.lower()}*"):
            with _opened(libbpf.get(pin)) as link:
                libbpf.link_detach(link)
            pin.unlink()

    def present(self) -> set[int]:
        names = (pin.name.partition("_")[0] for pin in self._pins.glob("*_*"))
        return {int(name) for name in names if name.isdigit()}

    def _pin(self, index: int, direction: Direction) -> Path:
        return self._pins / f"{index}_{direction.name.lower()}"


class Clsact:
    """A direct-action filter of ours per direction, by netlink."""

    name = "clsact"

    def attach(self, interface: Interface, direction: Direction, program: libbpf.Program) -> None:
        options = {"fd": program.fd, "name": _filter_name(direction), "direct_action": True}
        try:
            _add_clsact(interface.index)
            with netlink.opened() as route:
                route.tc(
                    "replace-filter", "bpf", **_our_filter(interface.index, direction), **options
                )
        except OSError as exc:
            raise KernelError(f"attach to {interface.name} on clsact: {exc.strerror}") from exc

    def attached(self, interface: Interface, direction: Direction) -> int | None:
        return next(_our_programs(interface.index, direction), None)

    def detach(self, index: int, direction: Direction) -> None:
        if any(_our_programs(index, direction)):
            with netlink.opened() as route:
                route.tc("del-filter", "bpf", **_our_filter(index, direction))

    def present(self) -> set[int]:
        return {
            index
            for index in _with_clsact()
            if any(any(_our_programs(index, way)) for way in Direction)
        }


def choose(kind: str, pins: Path, interface: Interface) -> Hook:
    """The hook of that kind; "auto" takes tcx where the kernel knows it on this interface."""
    if kind == "clsact":
        return Clsact()
    ingress = TCX_ATTACH_TYPES[Direction.INGRESS]
    if kind == "tcx" or libbpf.programs_at(interface.index, ingress) is not None:
        return Tcx(pins)
    return Clsact()


@contextmanager
def _opened(link: int) -> Iterator[int]:
    try:
        yield link
    finally:
        os.close(link)


def remove(hook: Hook, index: int) -> None:
    """Takes both programs off an interface, which may be gone."""
    for direction in Direction:
        hook.detach(index, direction)


def _add_clsact(index: int) -> None:
    """Somebody's clsact is as good as ours."""
    with suppress(FileExistsError), netlink.opened() as route:
        route.tc("add", "clsact", index)


def _our_filter(index: int, direction: Direction) -> dict[str, Any]:
    parent = CLSACT_PARENTS[direction]
    place = {"index": index, "handle": HANDLE, "parent": parent}
    return {**place, "prio": PRIORITY, "protocol": ETH_P_ALL}


def _our_programs(index: int, direction: Direction) -> Iterator[int]:
    """Program ids of the filters there that are ours: by priority and by name."""
    place = TC.pack(0, index, 0, CLSACT_PARENTS[direction], 0)
    for answer in netlink.dump(RTM_GETTFILTER, place):
        info = TC.unpack_from(answer)[4]
        options = netlink.attributes(netlink.attributes(answer, TC.size).get(TCA_OPTIONS, b""))
        named = netlink.text(options.get(TCA_BPF_NAME, b"")) == _filter_name(direction)
        if named and info >> 16 == PRIORITY:
            yield int.from_bytes(options.get(TCA_BPF_ID, b""), sys.byteorder)


def _with_clsact() -> list[int]:
    """Indexes of the interfaces that have a clsact qdisc, whoever made it."""
    found = netlink.dump(RTM_GETQDISC, bytes(TC.size))
    return [
        TC.unpack_from(answer)[1]
        for answer in found
        if netlink.text(netlink.attributes(answer, TC.size).get(TCA_KIND, b"")) == "clsact"
    ]


def _filter_name(direction: Direction) -> str:
    return f"tcm_{direction.name.lower()}"
