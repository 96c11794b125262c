"""Nesting finds exactly the networks around a network."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from tcmicro_agent.policy.networks import Nesting, order_of

V4 = st.builds(
    lambda bits, length: ip_network((bits << 24, length), strict=False),
    st.integers(0, 255),
    st.integers(0, 32),
)
V6 = st.builds(
    lambda bits, length: ip_network((bits << 120, length), strict=False),
    st.integers(0, 255),
    st.integers(0, 128),
).filter(lambda network: network.version == 6)


def test_networks_sort_by_family_then_address_then_wide_to_narrow():
    names = ["10.0.0.0/8", "10.0.0.0/16", "10.1.0.0/16", "192.0.2.0/24", "::/0", "fd00::/8"]
    assert [str(n) for n in sorted(map(ip_network, reversed(names)), key=order_of)] == names


@given(st.lists(V4 | V6), V4 | V6)
def test_around_is_every_network_that_holds_the_other(networks, inner):
    holding = {n for n in networks if n.version == inner.version and inner.subnet_of(n)}
    found = Nesting(networks).around(inner)
    assert list(found) == sorted(holding, key=lambda n: n.prefixlen)
