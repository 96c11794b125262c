"""Where our programs hang: tcx links where the kernel has them (6.6), else filters of our own on clsact.

A tcx link is pinned, so it outlives the agent and vanishes with its pin. On clsact we own exactly one filter per
direction (our priority, handle and name); nobody else's filter and no clsact qdisc is ever removed.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tcmicro_agent.abi import Direction
from tcmicro_agent.datapath import libbpf
from tcmicro_agent.errors import KernelError

TCX_ATTACH_TYPES = {Direction.INGRESS: 46, Direction.EGRESS: 47}  # enum bpf_attach_type
CLSACT_PARENTS = {Direction.INGRESS: 0xFFFFFFF2, Direction.EGRESS: 0xFFFFFFF3}
PRIORITY = 49000
HANDLE = 1
ETH_P_ALL = 3
TCA_BPF_ID = 11
ARPHRD_ETHER = "1"


@dataclass(frozen=True)
class Interface:
    name: str
    index: int


class Hook(Protocol):
    """One way to attach; `attach` creates or swaps in one step, `attached` tells the program id or None."""

    name: str

    def attach(
        self, interface: Interface, direction: Direction, program: libbpf.Program
    ) -> None: ...

    def attached(self, interface: Interface, direction: Direction) -> int | None: ...

    def detach(self, interface: Interface, direction: Direction) -> None: ...


def interfaces(wanted: tuple[str, ...], sysfs: Path = Path("/sys/class/net")) -> list[Interface]:
    """The interfaces to guard: those named, or with "auto" every Ethernet one that is not enslaved, never lo."""
    found = []
    for entry in sorted(sysfs.iterdir()):
        if not (entry / "ifindex").exists():
            continue
        named = entry.name in wanted
        if named or ("auto" in wanted and _guardable(entry)):
            found.append(Interface(entry.name, int((entry / "ifindex").read_text())))
    return found


def _guardable(entry: Path) -> bool:
    ethernet = (entry / "type").read_text().strip() == ARPHRD_ETHER
    return ethernet and entry.name != "lo" and not (entry / "master").exists()


class Tcx:
    """Pinned links, one per interface and direction, named by interface index."""

    name = "tcx"

    def __init__(self, pins: Path) -> None:
        self._pins = pins

    def attach(self, interface: Interface, direction: Direction, program: libbpf.Program) -> None:
        pin = self._pin(interface, direction)
        if pin.exists() and self._swap(pin, interface, program):
            return
        link = libbpf.link_create(program, interface.index, TCX_ATTACH_TYPES[direction])
        try:
            libbpf.pin(link, pin)
        finally:
            os.close(link)

    def attached(self, interface: Interface, direction: Direction) -> int | None:
        pin = self._pin(interface, direction)
        if not pin.exists():
            return None
        link = libbpf.get(pin)
        try:
            program, index = libbpf.link_target(link)
        finally:
            os.close(link)
        return program if index == interface.index else None

    def detach(self, interface: Interface, direction: Direction) -> None:
        self._pin(interface, direction).unlink(missing_ok=True)

    def _swap(self, pin: Path, interface: Interface, program: libbpf.Program) -> bool:
        """False when the link is dead: its interface went away and the index was given to another."""
        link = libbpf.get(pin)
        try:
            if libbpf.link_target(link)[1] != interface.index:
                pin.unlink()
                return False
            libbpf.link_update(link, program)
            return True
        finally:
            os.close(link)

    def _pin(self, interface: Interface, direction: Direction) -> Path:
        return self._pins / f"{interface.index}_{direction.name.lower()}"


class Clsact:
    """A direct-action filter of ours per direction, by netlink."""

    name = "clsact"

    def attach(self, interface: Interface, direction: Direction, program: libbpf.Program) -> None:
        from pyroute2.netlink.exceptions import NetlinkError

        with closing(_netlink()) as netlink:
            try:
                netlink.tc("add", "clsact", interface.index)
            except NetlinkError as exc:
                if exc.code != 17:  # EEXIST: somebody's clsact is as good as ours
                    raise KernelError(f"{interface.name}: no clsact qdisc: {exc}") from exc
            netlink.tc(
                "replace-filter",
                "bpf",
                interface.index,
                HANDLE,
                fd=program.fd,
                name=_filter_name(direction),
                parent=CLSACT_PARENTS[direction],
                prio=PRIORITY,
                protocol=ETH_P_ALL,
                direct_action=True,
            )

    def attached(self, interface: Interface, direction: Direction) -> int | None:
        with closing(_netlink()) as netlink:
            for message in netlink.get_filters(
                index=interface.index, parent=CLSACT_PARENTS[direction]
            ):
                options = message.get_attr("TCA_OPTIONS")
                if options and options.get_attr("TCA_BPF_NAME") == _filter_name(direction):
                    return _program_id(options)
        return None

    def detach(self, interface: Interface, direction: Direction) -> None:
        if self.attached(interface, direction) is None:
            return
        with closing(_netlink()) as netlink:
            netlink.tc(
                "del-filter",
                "bpf",
                interface.index,
                HANDLE,
                parent=CLSACT_PARENTS[direction],
                prio=PRIORITY,
                protocol=ETH_P_ALL,
            )


def choose(kind: str, pins: Path, interface: Interface) -> Hook:
    """The hook of that kind; "auto" takes tcx where the kernel knows it on this interface."""
    if kind == "clsact":
        return Clsact()
    ingress = TCX_ATTACH_TYPES[Direction.INGRESS]
    if kind == "tcx" or libbpf.accepts(interface.index, ingress):
        return Tcx(pins)
    return Clsact()


def _program_id(options: Any) -> int:
    """TCA_BPF_ID out of the raw attribute: pyroute2 0.9 has no name for it."""
    for _, attribute in options["attrs"]:
        header = getattr(attribute, "get", lambda _: None)("header")
        if header and header["type"] == TCA_BPF_ID:
            start = attribute.offset + 4
            return int.from_bytes(attribute.data[start : start + 4], sys.byteorder)
    return 0


def _filter_name(direction: Direction) -> str:
    return f"tcm_{direction.name.lower()}"


def _netlink() -> Any:
    # imported late: it costs more time than the rest of the command line together
    from pyroute2 import IPRoute

    return IPRoute()
