"""Links out of the bytes that the kernel sends."""

from __future__ import annotations

from struct import pack

import pytest

from tcmicro_agent.datapath.links import (
    IFLA_IFNAME,
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_LINK,
    IFLA_LINK_NETNSID,
    IFLA_LINKINFO,
    IFLA_MASTER,
    IFLA_VLAN_ID,
    LINK_MESSAGE,
    decode,
    kernel_version,
)
from tcmicro_agent.datapath.netlink import attribute, attributes
from tcmicro_agent.interfaces import Framing, Link

KERNEL = (6, 1)
NESTED = 0x8000


def message(index: int, *parts: bytes, hardware: int = 1, flags: int = 0x1043) -> bytes:
    return LINK_MESSAGE.pack(0, hardware, index, flags, 0) + b"".join(parts)


def name(text: str) -> bytes:
    return attribute(IFLA_IFNAME, text.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    return attribute(kind, pack("=I", value))


def info(kind: str, *data: bytes) -> bytes:
    inner = attribute(IFLA_INFO_KIND, kind.encode()) + attribute(
        IFLA_INFO_DATA | NESTED, b"".join(data)
    )
    return attribute(IFLA_LINKINFO | NESTED, inner)


def vlan(number: int) -> bytes:
    return info("vlan", attribute(IFLA_VLAN_ID, pack("=H", number)))


@pytest.mark.parametrize(
    ("body", "link"),
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
def test_decode(body, link):
    assert decode(body, KERNEL) == link


@pytest.mark.parametrize("cut", range(20))
def test_attributes_of_a_cut_message_end_where_it_ends(cut):
    whole = name("eth0") + number(IFLA_MASTER, 9)
    found = attributes(whole[:cut])
    assert set(found) <= {IFLA_IFNAME, IFLA_MASTER}
    assert attributes(whole) == {IFLA_IFNAME: b"eth0\0", IFLA_MASTER: pack("=I", 9)}


def test_an_attribute_of_no_length_ends_the_list():
    assert attributes(bytes(8)) == {}


@pytest.mark.parametrize(
    ("release", "version"),
    [("5.10.0-28-amd64", (5, 10)), ("6.18.44", (6, 18)), ("5.14.0-427.el9.x86_64", (5, 14))],
)
def test_kernel_version(release, version):
    assert kernel_version(release) == version
