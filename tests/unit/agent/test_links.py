"""Links out of the bytes that the kernel sends."""

from __future__ import annotations

from struct import pack

import pytest

from tcmicro_agent.datapath.links import decode, kernel_version
from tcmicro_agent.interfaces import Framing, Link

KERNEL = (6, 1)
NESTED = 0x8000
IFLA_IFNAME, IFLA_LINK, IFLA_MASTER, IFLA_LINKINFO, IFLA_LINK_NETNSID = 3, 5, 10, 18, 37
IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_VLAN_ID = 1, 2, 1


def attribute(kind: int, content: bytes) -> bytes:
    return pack("=HH", 4 + len(content), kind) + content + bytes(-len(content) % 4)


def message(index: int, *parts: bytes, hardware: int = 1, flags: int = 0x1043) -> bytes:
    return pack("=BxHiII", 0, hardware, index, flags, 0) + b"".join(parts)


def name(text: str) -> bytes:
    return attribute(IFLA_IFNAME, text.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    return attribute(kind, pack("=I", value))


def info(kind: str, *data: bytes) -> bytes:
    inner = attribute(IFLA_INFO_KIND, kind.encode() + b"\0") + attribute(
        IFLA_INFO_DATA | NESTED, b"".join(data)
    )
    return attribute(IFLA_LINKINFO | NESTED, inner)


def vlan(number: int) -> bytes:
    return info("vlan", attribute(IFLA_VLAN_ID, pack("=H", number)))


@pytest.mark.parametrize(
    ("announced", "link"),
    [
        (message(2, name("eth0")), Link("eth0", 2)),
        (message(3, name("eth1"), number(IFLA_MASTER, 9)), Link("eth1", 3, master=9)),
        (
            message(5, number(IFLA_LINK, 2), vlan(100), name("eth0.100")),
            Link("eth0.100", 5, "vlan", parent=2, vlan=100),
        ),
        (
            message(5, name("v"), number(IFLA_LINK, 2), number(IFLA_LINK_NETNSID, 0), vlan(7)),
            Link("v", 5, "vlan", vlan=7),
        ),
        (
            message(6, name("veth0"), number(IFLA_LINK, 7), info("veth")),
            Link("veth0", 6, "veth"),
        ),
        (
            message(7, name("wg0"), info("wireguard"), hardware=0xFFFE, flags=0x10D0),
            Link("wg0", 7, "wireguard", Framing.IP, up=False),
        ),
        (
            message(1, name("lo"), hardware=772, flags=0x49),
            Link("lo", 1, framing=None, loopback=True),
        ),
        # its data has the number of IFLA_VLAN_ID, with another meaning
        (
            message(8, name("vx"), info("vxlan", attribute(IFLA_VLAN_ID, pack("=I", 42)))),
            Link("vx", 8, "vxlan"),
        ),
    ],
    ids=["hardware", "port", "vlan", "vlan of a parent elsewhere", "veth", "wg", "lo", "vxlan"],
)
def test_decode(announced, link):
    assert decode(announced, KERNEL) == link


@pytest.mark.parametrize(
    ("release", "version"),
    [("5.10.0-28-amd64", (5, 10)), ("6.18.44", (6, 18)), ("5.14.0-427.el9.x86_64", (5, 14))],
)
def test_kernel_version(release, version):
    assert kernel_version(release) == version
