"""Fast reading of networks agrees with `ipaddress`, on what it accepts, refuses and gives back."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcmicro_agent.policy.notation import canonical, pack_hosts4, pack_hosts6

GROUPS = st.one_of(st.just(0), st.integers(0, 0xFFFF))
V4 = st.integers(0, 2**32 - 1).map(lambda number: f"{IPv4Address(number)}/32")
V6 = st.lists(GROUPS, min_size=8, max_size=8).map(
    lambda groups: f"{IPv6Address(b''.join(group.to_bytes(2, 'big') for group in groups))}/128"
)
# nearly right: groups and octets with leading zeros, of wrong number, in capitals, with any prefix length
octet = st.one_of(st.integers(0, 300).map(str), st.sampled_from(["00", "01", "", "a", "٣"]))
group = st.one_of(
    st.integers(0, 0x1FFFF).map("{:x}".format), st.sampled_from(["", "0", "00", "F", "0a"])
)
NEARLY = st.builds(
    lambda parts, dot, end: dot.join(parts) + end,
    st.lists(st.one_of(octet, group), max_size=10),
    st.sampled_from([".", ":", "::"]),
    st.sampled_from(["", "/32", "/128", "/0", "/24", "/129", "/", "/032", "/32\n"]),
)


def plainly(text: str) -> str | None:
    """What `ipaddress` makes of a text; None when it refuses it."""
    try:
        return str(ip_network(text))
    except ValueError:
        return None


def ours(text: str) -> str | None:
    try:
        return canonical(text)
    except ValueError:
        return None


@given(st.one_of(V4, V6, NEARLY))
def test_canonical_is_what_ipaddress_writes(text):
    assert ours(text) == plainly(text)


@pytest.mark.parametrize(
    "text",
    [
        "::/128",
        "::1/128",
        "fd00::/128",
        "1:0:2::/128",
        "1:0:0:2:0:0:0:3/128",
        "1:0:0:2::3/128",
        "1::2:0:0:3:4/128",
        "1:2:3:4::5:6:7/128",
        "0:1::/128",
        "0:0:1::/128",
        "1::0/128",
        "1::0:1/128",
        "1:0::1/128",
        "1:2:3:4:5:6:7::/128",
        "::ffff:1.2.3.4/128",
        "::ffff:102:304/128",
        "::FFFF/128",
        "10.0.0.1",
        "10.0.0.0/255.255.255.0",
        "10.0.0.1/8",
        "1.2.3.04/32",
    ],
)
def test_canonical_of_hard_ones_too(text):
    assert ours(text) == plainly(text)


def test_a_zone_is_refused():
    with pytest.raises(ValueError, match="zone"):
        canonical("fe80::1%eth0/128")


@given(st.lists(V4))
def test_packed_ipv4_hosts(hosts):
    assert pack_hosts4(hosts) == [ip_network(h).network_address.packed for h in hosts]


@given(st.lists(V6))
def test_packed_ipv6_hosts(hosts):
    assert pack_hosts6(hosts) == [ip_network(h).network_address.packed for h in hosts]
