"""Which interfaces are guarded, as a table of hosts."""

from __future__ import annotations

import pytest

from tcmicro_agent.interfaces import (
    IFF_BROADCAST,
    IFF_POINTOPOINT,
    Framing,
    Link,
    framing,
    guardable,
    left_out,
    parse_name,
    problems,
    vlan_keys,
)

LO = Link("lo", 1, framing=None, loopback=True)
ETH0, ETH1 = Link("eth0", 2), Link("eth1", 3)
BOND0 = Link("bond0", 10, "bond")
BR0 = Link("br0", 11, "bridge")
BLUE = Link("blue", 12, "vrf")
TUN0 = Link("tun0", 20, "tun", Framing.IP)


def port(link: Link, master: Link) -> Link:
    return Link(link.name, link.index, link.kind, link.framing, master=master.index)


def vlan(name: str, index: int, parent: Link, number: int, *, master: int = 0) -> Link:
    return Link(name, index, "vlan", master=master, parent=parent.index, vlan=number)


AUTO = {
    "hardware": ([LO, ETH0, ETH1], "eth0 eth1"),
    "slaves of a bond": ([LO, port(ETH0, BOND0), port(ETH1, BOND0), BOND0], "bond0"),
    "ports of a bridge": ([port(ETH0, BR0), BR0], "br0"),
    "a bond in a bridge": ([port(ETH0, BOND0), port(BOND0, BR0), BR0], "br0"),
    "members of a VRF route for themselves": ([port(ETH0, BLUE), ETH1, BLUE], "eth0 eth1"),
    "a bridge in a VRF": ([port(ETH0, BR0), port(BR0, BLUE), BLUE], "br0"),
    "VLANs beside their parent": ([ETH0, vlan("eth0.7", 5, ETH0, 7)], "eth0 eth0.7"),
    "a VLAN in a bridge": ([ETH0, vlan("eth0.7", 5, ETH0, 7, master=11), BR0], "eth0 br0"),
    "a container's veth in a bridge": ([Link("veth1", 6, "veth", master=11), BR0], "br0"),
    "a container's veth that is routed": ([Link("cali1", 6, "veth")], "cali1"),
    "bare IP": ([TUN0, Link("wg0", 21, "wireguard", Framing.IP)], "tun0 wg0"),
    "helpers": ([Link("ifb0", 7, "ifb"), Link("dummy0", 8, "dummy"), ETH0], "eth0"),
    "unknown framing": ([Link("ib0", 7, framing=None), ETH0], "eth0"),
    "a circle, read while it changed": ([port(ETH0, ETH1), port(ETH1, ETH0)], "eth0 eth1"),
}


@pytest.mark.parametrize(("links", "names"), AUTO.values(), ids=AUTO.keys())
def test_auto_guards_who_owns_the_packets(links, names):
    found = guardable(links, ["auto"])
    assert [one.name for one in found] == names.split()
    assert all(one.framing is {x.index: x.framing for x in links}[one.index] for one in found)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (["eth1"], "eth1"),
        (["eth*"], "eth0 eth1"),
        (["eth[02-9]", "tun0"], "eth0 tun0"),
        (["*"], "eth0 eth1 dummy0 tun0"),
        (["auto", "dummy0"], "eth0 eth1 dummy0 tun0"),
        (["ETH0"], ""),
    ],
)
def test_names_and_patterns(wanted, names):
    links = [LO, ETH0, ETH1, Link("dummy0", 8, "dummy"), TUN0]
    assert [one.name for one in guardable(links, wanted)] == names.split()


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (["auto"], []),
        (["br0", "tun*"], []),
        (["eth0"], ["eth0: named in interfaces, not guarded: it is part of br0, which owns its"]),
        (["eth7", "br0"], ["eth7: named in interfaces, not guarded: there is no such interface"]),
        (["ifb0"], ["ifb0: named in interfaces, not guarded: it carries packets that other"]),
        (["ib0"], ["ib0: named in interfaces, not guarded: where a packet starts on such links"]),
        (["blue", "eth0"], ["blue: named", "eth0: named"]),
        (["eno*"], ["no interface matches eno*: nothing is guarded"]),
    ],
)
def test_what_cannot_be_followed_is_said(wanted, said):
    links = [
        *(port(ETH0, BR0), BR0, BLUE, TUN0),
        *(Link("ifb0", 7, "ifb"), Link("ib0", 8, framing=None)),
    ]
    found = problems(links, wanted)
    assert len(found) == len(said)
    assert all(line.startswith(start) for line, start in zip(found, said))


def test_who_carries_packets_and_is_not_guarded_is_named_with_the_reason():
    down = Link("gre0", 8, "gre", None, up=False)
    links = [LO, port(ETH0, BR0), BR0, ETH1, Link("xfrm0", 9, "xfrm", None), down]
    assert left_out(links, ["br0"]) == {
        "eth1": "not in interfaces",
        "xfrm0": "where a packet starts on xfrm links is not known to this release",
    }


@pytest.mark.parametrize(
    ("links", "guarded", "keys"),
    [
        ([ETH0, vlan("eth0.7", 5, ETH0, 7)], {2, 5}, {(2, 7)}),
        ([ETH0, vlan("eth0.7", 5, ETH0, 7)], {2}, set()),
        ([ETH0, vlan("eth0.7", 5, ETH0, 7, master=11), BR0], {2, 11}, {(2, 7)}),
        ([ETH0, vlan("eth0.7", 5, ETH0, 7, master=11), BR0], {2, 5}, set()),
        ([ETH0, vlan("eth0.7", 5, ETH0, 7, master=12), BLUE], {2, 5}, {(2, 7)}),
        ([ETH0, vlan("q", 5, ETH0, 7), vlan("ad", 6, ETH0, 7)], {2, 5}, set()),
        ([ETH0, vlan("q", 5, ETH0, 7), vlan("ad", 6, ETH0, 7)], {2, 5, 6}, {(2, 7)}),
        ([Link("elsewhere.7", 5, "vlan", parent=0, vlan=7)], {5}, set()),
    ],
    ids=[
        "guarded",
        "not guarded",
        "in a guarded bridge",
        "in a bridge that is not",
        "in a VRF",
        "of two with one id one",
        "both",
        "its parent is in another namespace",
    ],
)
def test_frames_of_a_vlan_pass_the_parent_only_when_judged_on_the_vlan(links, guarded, keys):
    assert vlan_keys(links, guarded) == keys


ETHER, PPP, TUNNEL, NONE, GRE, LOOPBACK = 1, 512, 768, 0xFFFE, 778, 772
OLD, NEW = (5, 10), (5, 14)


@pytest.mark.parametrize(
    ("kind", "hardware", "flags", "kernel", "expected"),
    [
        ("", ETHER, IFF_BROADCAST, OLD, Framing.ETHERNET),
        ("tun", ETHER, 0, OLD, Framing.ETHERNET),  # tap
        ("gretap", ETHER, 0, OLD, Framing.ETHERNET),
        ("tun", NONE, IFF_POINTOPOINT, OLD, Framing.IP),
        ("wireguard", NONE, IFF_POINTOPOINT, OLD, Framing.IP),
        ("ppp", PPP, IFF_POINTOPOINT, OLD, Framing.IP),
        ("ipip", TUNNEL, 0, OLD, None),
        ("ipip", TUNNEL, 0, NEW, Framing.IP),
        ("sit", 776, 0, (6, 1), Framing.IP),
        ("gre", GRE, IFF_POINTOPOINT, NEW, Framing.IP),
        ("gre", GRE, 0, NEW, None),
        ("gre", GRE, IFF_POINTOPOINT | IFF_BROADCAST, NEW, None),
        ("xfrm", NONE, 0, NEW, None),
        ("", LOOPBACK, 0, NEW, None),
        ("", 32, 0, NEW, None),  # InfiniBand
    ],
)
def test_framing(kind, hardware, flags, kernel, expected):
    assert framing(kind, hardware, flags, kernel) is expected


@pytest.mark.parametrize("name", ["auto", "eth0", "eth0.100", "eth*", "enp[12]s0", "br-lan_1"])
def test_names_as_people_write_them(name):
    assert parse_name(name) == name


@pytest.mark.parametrize("name", ["lo", "", "a/b", "eth 0", "eth0\n", "interface-number-0"])
def test_impossible_names_are_refused(name):
    with pytest.raises(ValueError, match="is never guarded|is no name of an interface"):
        parse_name(name)
