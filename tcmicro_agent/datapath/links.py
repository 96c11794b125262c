"""The links of this network namespace: what there is, and a socket that tells when they or their filters change."""

from __future__ import annotations

import os
import re
import socket
from typing import Any

from tcmicro_agent.datapath import netlink
from tcmicro_agent.errors import KernelError
from tcmicro_agent.interfaces import IFF_LOOPBACK, IFF_UP, Link, framing

RTMGRP_LINK, RTMGRP_TC = 0x1, 0x8
RTEXT_FILTER_SKIP_STATS = 8
RECEIVE_BYTES = 1 << 16


def read() -> tuple[Link, ...]:
    """Every link, in the order of their indexes."""
    kernel = kernel_version(os.uname().release)
    try:
        with netlink.opened() as route:
            found = [
                decode(message, kernel)
                for message in route.get_links(ext_mask=RTEXT_FILTER_SKIP_STATS)
            ]
    except OSError as exc:
        raise KernelError(f"links cannot be read: {exc.strerror}") from exc
    return tuple(sorted(found, key=lambda link: link.index))


def decode(message: Any, kernel: tuple[int, ...]) -> Link:
    """A link out of pyroute2's RTM_NEWLINK."""
    kind = message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or ""
    vlan = None
    if kind == "vlan":
        vlan = message.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA", "IFLA_VLAN_ID")
    # an index of another namespace means nothing here
    here = vlan is not None and message.get_attr("IFLA_LINK_NETNSID") is None
    return Link(
        name=message.get_attr("IFLA_IFNAME"),
        index=message["index"],
        kind=kind,
        framing=framing(kind, message["ifi_type"], message["flags"], kernel),
        up=bool(message["flags"] & IFF_UP),
        loopback=bool(message["flags"] & IFF_LOOPBACK),
        master=message.get_attr("IFLA_MASTER") or 0,
        parent=(message.get_attr("IFLA_LINK") or 0) if here else 0,
        vlan=vlan,
    )


def kernel_version(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", release)[:2])


class Announcements:
    """Readable (`fileno`) when a link or a tc filter came, went or changed. What changed is not said: it is read anew,
    so that nothing can be missed."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        self._socket.bind((0, RTMGRP_LINK | RTMGRP_TC))

    def fileno(self) -> int:
        return self._socket.fileno()

    def drain(self) -> bool:
        """Reads away what was announced; whether there was anything, or too much to be kept."""
        told = False
        while True:
            try:
                self._socket.recv(RECEIVE_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return told
            except OSError:  # ENOBUFS: announcements were lost
                pass
            told = True
