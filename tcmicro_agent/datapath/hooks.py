"""Where our programs hang: tcx links where the kernel has them (6.6), else filters of our own on clsact.

A tcx link is pinned, so it outlives the agent and vanishes with its pin. On clsact we own exactly one filter per
direction (our priority, handle and name); nobody else's filter and no clsact qdisc is ever removed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from struct import Struct
from typing import Protocol

from tcmicro_agent.abi import Direction
from tcmicro_agent.datapath import libbpf
from tcmicro_agent.datapath.netlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Netlink,
    attribute,
    attributes,
    text,
)
from tcmicro_agent.errors import KernelError
from tcmicro_agent.interfaces import Interface

TCX_ATTACH_TYPES = {Direction.INGRESS: 46, Direction.EGRESS: 47}  # enum bpf_attach_type

RTM_NEWQDISC, RTM_GETQDISC = 36, 38
RTM_NEWTFILTER, RTM_DELTFILTER, RTM_GETTFILTER = 44, 45, 46
TC_MESSAGE = Struct(
    "=BxxxiIII"
)  # struct tcmsg: family, interface, handle, parent, priority and protocol
TC_H_CLSACT = 0xFFFFFFF1
CLSACT_HANDLE = 0xFFFF0000
CLSACT_PARENTS = {Direction.INGRESS: 0xFFFFFFF2, Direction.EGRESS: 0xFFFFFFF3}
TCA_KIND, TCA_OPTIONS = 1, 2
TCA_BPF_FD, TCA_BPF_NAME, TCA_BPF_FLAGS, TCA_BPF_ID = 6, 7, 8, 11
TCA_BPF_FLAG_ACT_DIRECT = 1
PRIORITY = 49000
HANDLE = 1
ETH_P_ALL = 3
U32 = Struct("=I")


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
        try:
            with Netlink() as netlink:
                _add_clsact(netlink, interface.index)
                netlink.change(
                    RTM_NEWTFILTER,
                    _our_filter(interface.index, direction) + _options(direction, program.fd),
                    NLM_F_CREATE | NLM_F_REPLACE,
                )
        except OSError as exc:
            raise KernelError(f"attach to {interface.name} on clsact: {exc.strerror}") from exc

    def attached(self, interface: Interface, direction: Direction) -> int | None:
        with Netlink() as netlink:
            return next(_our_programs(netlink, interface.index, direction), None)

    def detach(self, index: int, direction: Direction) -> None:
        with Netlink() as netlink:
            if any(_our_programs(netlink, index, direction)):
                kind = attribute(TCA_KIND, b"bpf\0")
                netlink.change(RTM_DELTFILTER, _our_filter(index, direction) + kind)

    def present(self) -> set[int]:
        with Netlink() as netlink:
            return {
                index
                for index in _with_clsact(netlink)
                if any(any(_our_programs(netlink, index, way)) for way in Direction)
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


def _add_clsact(netlink: Netlink, index: int) -> None:
    """Somebody's clsact is as good as ours."""
    body = TC_MESSAGE.pack(0, index, CLSACT_HANDLE, TC_H_CLSACT, 0)
    with suppress(FileExistsError):
        netlink.change(
            RTM_NEWQDISC, body + attribute(TCA_KIND, b"clsact\0"), NLM_F_CREATE | NLM_F_EXCL
        )


def _our_filter(index: int, direction: Direction) -> bytes:
    return TC_MESSAGE.pack(
        0, index, HANDLE, CLSACT_PARENTS[direction], PRIORITY << 16 | socket.htons(ETH_P_ALL)
    )


def _options(direction: Direction, program: int) -> bytes:
    options = (
        attribute(TCA_BPF_FD, U32.pack(program))
        + attribute(TCA_BPF_NAME, _filter_name(direction).encode() + b"\0")
        + attribute(TCA_BPF_FLAGS, U32.pack(TCA_BPF_FLAG_ACT_DIRECT))
    )
    return attribute(TCA_KIND, b"bpf\0") + attribute(TCA_OPTIONS, options)


def _our_programs(netlink: Netlink, index: int, direction: Direction) -> Iterator[int]:
    """Program ids of the filters there that are ours: by priority and by name."""
    for body in netlink.dump(
        RTM_GETTFILTER, TC_MESSAGE.pack(0, index, 0, CLSACT_PARENTS[direction], 0)
    ):
        options = attributes(attributes(body[TC_MESSAGE.size :]).get(TCA_OPTIONS, b""))
        priority = TC_MESSAGE.unpack_from(body)[4] >> 16
        named = text(options.get(TCA_BPF_NAME, b"")) == _filter_name(direction)
        if named and priority == PRIORITY and TCA_BPF_ID in options:
            yield int(U32.unpack_from(options[TCA_BPF_ID])[0])


def _with_clsact(netlink: Netlink) -> list[int]:
    """Indexes of the interfaces that have a clsact qdisc, whoever made it."""
    found = []
    for body in netlink.dump(RTM_GETQDISC, TC_MESSAGE.pack(0, 0, 0, 0, 0)):
        if text(attributes(body[TC_MESSAGE.size :]).get(TCA_KIND, b"")) == "clsact":
            found.append(int(TC_MESSAGE.unpack_from(body)[1]))
    return found


def _filter_name(direction: Direction) -> str:
    return f"tcm_{direction.name.lower()}"
