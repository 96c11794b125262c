"""Random policies, and for each the packets at which it could go wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TypeVar, Union

from builders import bundle
from hypothesis import strategies as st
from packets import first_packet

from tcmicro_agent.policy.evaluate import NewFlow
from tcmicro_agent.policy.model import (
    Action,
    Bundle,
    Direction,
    Identity,
    Log,
    Mode,
    Protocol,
    Rule,
    Service,
)
from tcmicro_agent.tuning import Limits, Tuning

Address = Union[IPv4Address, IPv6Address]
T = TypeVar("T")
US = {4: ip_address("10.0.0.1"), 6: ip_address("fd00::1")}
STRANGERS = [ip_address("198.51.100.9"), ip_address("2001:db8:9::9")]
ANCHORS = {
    32: ("10.1.2.3", "10.1.2.200", "10.1.130.0", "203.0.113.77"),
    128: ("fd01:2::3", "fd01:2::8000:3", "fd01:2:8000::1", "2001:db8::77"),
}
PORTS = (0, 1, 22, 79, 80, 81, 443, 1023, 1024, 8080, 32767, 32768, 65534, 65535)
IDENTITIES = 4
TCP, UDP, SCTP, ICMP, GRE, OSPF = 6, 17, 132, 1, 47, 89
WITH_PORTS = (TCP, UDP, SCTP)
QUIET = Tuning(syn_source=Limits(0, 0))  # so many SYNs in a second would be a flood
MESSAGES = {  # of ICMP, type << 8 | code; only those that ask have an identifier, so of the others one each
    (4, Direction.INGRESS): (8 << 8, 8 << 8 | 7, 13 << 8),
    (4, Direction.EGRESS): (8 << 8, 8 << 8 | 7, 17 << 8),
    (6, Direction.INGRESS): (128 << 8, 128 << 8 | 7, 139 << 8),
    (6, Direction.EGRESS): (128 << 8, 128 << 8 | 7, 140 << 8),
}
MOST_ADDRESSES, MOST_PORTS = 8, 10

actions = st.sampled_from(list(Action))
ports = st.one_of(st.sampled_from(PORTS), st.integers(0, 65535))
ranges = st.one_of(
    ports.map(lambda port: (port, port)),
    st.tuples(ports, ports).map(lambda pair: (min(pair), max(pair))),
)
services = st.one_of(
    st.builds(
        lambda protocol, found: Service(protocol, *found),
        st.sampled_from([Protocol.TCP, Protocol.UDP, Protocol.SCTP]),
        ranges,
    ),
    st.sampled_from([Service(protocol) for protocol in Protocol]),
    st.sampled_from([8, 13, 17, 128, 139]).map(
        lambda kind: Service(Protocol.ICMP, kind << 8, kind << 8 | 0xFF)
    ),
)
identities = st.integers(0, IDENTITIES).map(Identity)


@st.composite
def networks(draw: st.DrawFn) -> str:
    """Any prefix, /0 to a single address, around a few addresses: so they nest."""
    bits = draw(st.sampled_from(sorted(ANCHORS)))
    length = draw(st.one_of(st.sampled_from((0, 8, 16, 24, bits - 1, bits)), st.integers(0, bits)))
    return str(ip_network(f"{draw(st.sampled_from(ANCHORS[bits]))}/{length}", strict=False))


@st.composite
def rules(draw: st.DrawFn, uid: str, audits: st.SearchStrategy[bool]) -> Rule:
    peers = draw(st.sets(identities, max_size=3))
    return Rule(
        uid=uid,
        direction=draw(st.sampled_from(list(Direction))),
        action=draw(actions),
        services=tuple(draw(st.lists(services, min_size=1, max_size=3))),
        identities=tuple(sorted(peers)),
        any_peer=not peers or draw(st.booleans()),
        tier="app",
        source="x:1",
        log=draw(st.sampled_from([Log.DENY, *Log])),
        audits=draw(audits),
    )


@st.composite
def bundles(draw: st.DrawFn) -> Bundle:
    """Endpoints of both families and up to six rules in any order; now and then in monitor mode, or some of it."""
    found = draw(st.lists(networks(), unique=True, max_size=5))
    mode = draw(st.sampled_from([Mode.PROTECT] * 7 + [Mode.MONITOR]))
    mixed = mode is Mode.PROTECT and draw(st.booleans())
    audits = st.booleans() if mixed else st.just(False)
    made = bundle(
        *(draw(rules(f"p/{n}", audits)) for n in range(draw(st.integers(0, 6)))),
        endpoints={network: draw(st.integers(1, IDENTITIES)) for network in found},
        ingress=draw(actions),
        egress=draw(actions),
        mode=mode,
    )
    denying = [way for way in Direction if made.default(way) is Action.DENY]
    return replace(made, audited_defaults=frozenset(way.value for way in denying if draw(audits)))


def flows(policy: Bundle) -> Iterator[NewFlow]:
    """First packets of flows, one for each combination of an edge of its networks and an edge of its ports."""
    some_ports = edge_ports(policy)
    services = [(protocol, port) for protocol in WITH_PORTS for port in some_ports]
    for peer in edge_addresses(policy):
        for direction in Direction:
            # without ports nothing tells both ways of a protocol apart: one each
            bare = GRE if direction is Direction.INGRESS else OSPF
            messages = [(ICMP, message) for message in MESSAGES[peer.version, direction]]
            for protocol, port in (*services, *messages, (bare, 0)):
                yield NewFlow(direction, peer, protocol, port)


def first_packet_of(flow: NewFlow, client_port: int) -> bytes:
    us = US[flow.peer.version]
    ends = (flow.peer, us) if flow.direction is Direction.INGRESS else (us, flow.peer)
    return first_packet(*ends, flow.protocol, client_port, flow.port)


def edge_addresses(policy: Bundle) -> list[Address]:
    """First and last of every network, the ones just outside, and two strangers."""
    found = {}
    for network in map(ip_network, policy.endpoints):
        for at in (network.network_address, network.broadcast_address):
            for step in (0, -1, 1):
                if 0 < int(at) + step < 2**network.max_prefixlen - 1:
                    found[at + step] = None
    return [*STRANGERS, *_some([a for a in found if a not in US.values()], MOST_ADDRESSES)]


def edge_ports(policy: Bundle) -> list[int]:
    """First and last of every range and the ones just outside."""
    edges = {443: None}
    for service in (service for rule in policy.rules for service in rule.services):
        for port in (service.first, service.last):
            edges |= {port + step: None for step in (0, -1, 1) if 0 <= port + step <= 65535}
    return _some(list(edges), MOST_PORTS)


def _some(values: list[T], most: int) -> list[T]:
    """At most so many of them, evenly spread."""
    count = min(most, len(values))
    return [values[n * len(values) // count] for n in range(count)]
