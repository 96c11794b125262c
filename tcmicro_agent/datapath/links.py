"""The links of this network namespace: what there is, and a socket that tells when they or their filters change."""

from __future__ import annotations

import os
import re
import socket
from struct import Struct

from tcmicro_agent.datapath import netlink
from tcmicro_agent.errors import KernelError
from tcmicro_agent.interfaces import IFF_LOOPBACK, IFF_UP, Link, framing

# what is announced: links, tc filters, and whether an interface forwards
RTMGRP_LINK, RTMGRP_TC, RTMGRP_NETCONF = 0x1, 0x8, 1 << 23 | 1 << 24
RTM_GETLINK = 18
LINK = Struct("=BxHiII")  # struct ifinfomsg: family, hardware type, index, flags, change
IFLA_IFNAME, IFLA_LINK, IFLA_MASTER, IFLA_LINKINFO, IFLA_EXT_MASK = 3, 5, 10, 18, 29
IFLA_LINK_NETNSID = 37
IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_VLAN_ID = 1, 2, 1
U16, U32 = Struct("=H"), Struct("=I")
RTEXT_FILTER_SKIP_STATS = 8
RECEIVE_BYTES = 1 << 16


def read() -> tuple[Link, ...]:
    """Every link, in the order of their indexes."""
    kernel = kernel_version(os.uname().release)
    without = netlink.attribute(IFLA_EXT_MASK, U32.pack(RTEXT_FILTER_SKIP_STATS))
    try:
        answers = netlink.dump(RTM_GETLINK, bytes(LINK.size) + without)
    except OSError as exc:
        raise KernelError(f"links cannot be read: {exc.strerror}") from exc
    found = (decode(answer, kernel) for answer in answers)
    return tuple(sorted(found, key=lambda link: link.index))


def decode(answer: bytes, kernel: tuple[int, ...]) -> Link:
    """A link out of RTM_NEWLINK."""
    _, hardware, index, flags, _ = LINK.unpack_from(answer)
    has = netlink.attributes(answer, LINK.size)
    info = netlink.attributes(has.get(IFLA_LINKINFO, b""))
    kind = netlink.text(info.get(IFLA_INFO_KIND, b""))
    data = netlink.attributes(info.get(IFLA_INFO_DATA, b"")) if kind == "vlan" else {}
    vlan = U16.unpack(data[IFLA_VLAN_ID])[0] if IFLA_VLAN_ID in data else None
    # an index of another namespace means nothing here
    here = vlan is not None and IFLA_LINK_NETNSID not in has
    return Link(
        name=netlink.text(has[IFLA_IFNAME]),
        index=index,
        kind=kind,
        framing=framing(kind, hardware, flags, kernel),
        up=bool(flags & IFF_UP),
        loopback=bool(flags & IFF_LOOPBACK),
        master=_number(has, IFLA_MASTER),
        parent=_number(has, IFLA_LINK) if here else 0,
        vlan=vlan,
    )


def _number(has: dict[int, bytes], kind: int) -> int:
    return int(U32.unpack(has[kind])[0]) if kind in has else 0


def kernel_version(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", release)[:2])


class Announcements:
    """Readable (`fileno`) when a link or a tc filter came, went or changed, or the host began or ceased to route. What
    changed is not said: it is read anew, so that nothing can be missed."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        self._socket.bind((0, RTMGRP_LINK | RTMGRP_TC | RTMGRP_NETCONF))

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
