"""The links of this network namespace: what there is, and a socket that tells when it changes."""

from __future__ import annotations

import os
import re
from struct import Struct

from tcmicro_agent.datapath.netlink import Netlink, attribute, attributes, text
from tcmicro_agent.errors import KernelError
from tcmicro_agent.interfaces import IFF_LOOPBACK, IFF_UP, Link, framing

RTM_GETLINK = 18
RTMGRP_LINK = 1
LINK_MESSAGE = Struct("=BxHiII")  # struct ifinfomsg: family, ARPHRD_*, index, IFF_*, changed flags
U16, U32 = Struct("=H"), Struct("=I")

IFLA_IFNAME, IFLA_LINK, IFLA_MASTER = 3, 5, 10
IFLA_LINKINFO, IFLA_EXT_MASK, IFLA_LINK_NETNSID = 18, 29, 37
IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_VLAN_ID = 1, 2, 1
RTEXT_FILTER_SKIP_STATS = 8


def read() -> tuple[Link, ...]:
    """Every link, in the order of their indexes."""
    request = LINK_MESSAGE.pack(0, 0, 0, 0, 0) + attribute(
        IFLA_EXT_MASK, U32.pack(RTEXT_FILTER_SKIP_STATS)
    )
    kernel = kernel_version(os.uname().release)
    try:
        with Netlink() as netlink:
            bodies = netlink.dump(RTM_GETLINK, request)
    except OSError as exc:
        raise KernelError(f"links cannot be read: {exc.strerror}") from exc
    return tuple(sorted((decode(body, kernel) for body in bodies), key=lambda link: link.index))


def watch() -> Netlink:
    """A socket that becomes readable when a link comes, goes or changes; `drain` it then."""
    return Netlink(RTMGRP_LINK)


def kernel_version(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", release)[:2])


def decode(body: bytes, kernel: tuple[int, ...]) -> Link:
    """A link out of the body of RTM_NEWLINK."""
    _, hardware, index, flags, _ = LINK_MESSAGE.unpack_from(body)
    found = attributes(body[LINK_MESSAGE.size :])
    info = attributes(found.get(IFLA_LINKINFO, b""))
    kind = text(info.get(IFLA_INFO_KIND, b""))
    vlan = attributes(info.get(IFLA_INFO_DATA, b"")).get(IFLA_VLAN_ID) if kind == "vlan" else None
    # an index of another namespace means nothing here
    here = vlan and IFLA_LINK in found and IFLA_LINK_NETNSID not in found
    return Link(
        name=text(found.get(IFLA_IFNAME, b"")),
        index=index,
        kind=kind,
        framing=framing(kind, hardware, flags, kernel),
        up=bool(flags & IFF_UP),
        loopback=bool(flags & IFF_LOOPBACK),
        master=_number(found.get(IFLA_MASTER)),
        parent=_number(found.get(IFLA_LINK)) if here else 0,
        vlan=U16.unpack_from(vlan)[0] if vlan else None,
    )


def _number(value: bytes | None) -> int:
    return int(U32.unpack_from(value)[0]) if value else 0
