"""The program against the oracle: random policies, random packets, both families and directions."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from builders import bundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packets import echo, tcp_packet, udp_packet

from tcmicro_agent.policy.evaluate import NewFlow, evaluate
from tcmicro_agent.policy.model import Action, Direction, Identity, Protocol, Rule, Service

US = {4: "10.0.0.1", 6: "fd00::1"}
NETWORKS = [
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3",
    "0.0.0.0/0",
    "fd01::/16",
    "fd01:2::/32",
    "fd01:2::3",
]
PEERS = [
    "10.1.2.3",
    "10.1.2.4",
    "10.1.9.9",
    "10.200.0.1",
    "fd01:2::3",
    "fd01:2::4",
    "fd01:9::1",
    "fd77::1",
]
PORTS = [1, 22, 79, 80, 81, 443, 1023, 1024, 8080, 65535]

ports = st.sampled_from(PORTS)
ranges = st.tuples(ports, ports).map(sorted)
services = st.one_of(
    st.builds(
        lambda proto, r: Service(proto, *r), st.sampled_from([Protocol.TCP, Protocol.UDP]), ranges
    ),
    st.sampled_from([Service(Protocol.ANY), Service(Protocol.ICMP), Service(Protocol.TCP)]),
)
actions = st.sampled_from(list(Action))


@st.composite
def bundles(draw):
    chosen = draw(st.lists(st.sampled_from(NETWORKS), unique=True))
    endpoints = {n: draw(st.integers(1, 3)) for n in chosen}
    rules = [
        Rule(
            uid=f"p/{n}",
            direction=draw(st.sampled_from(list(Direction))),
            action=draw(actions),
            services=tuple(draw(st.lists(services, min_size=1, max_size=3))),
            identities=tuple(
                Identity(i) for i in sorted(draw(st.sets(st.integers(0, 3), max_size=3)))
            ),
            any_peer=draw(st.booleans()),
            tier="app",
            source="x:1",
        )
        for n in range(draw(st.integers(0, 6)))
    ]
    return bundle(*rules, endpoints=endpoints, ingress=draw(actions), egress=draw(actions))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(policy=bundles())
def test_program_agrees_with_evaluate(datapath, policy):
    assert len({ip_network(e.network) for e in policy.endpoints}) == len(policy.endpoints)
    datapath.enforce(policy)
    for peer in PEERS:
        for direction in Direction:
            _compare_all(datapath, policy, peer, direction)


def _compare_all(datapath, policy, peer: str, direction: Direction) -> None:
    us = US[ip_address(peer).version]
    src, dst = (peer, us) if direction is Direction.INGRESS else (us, peer)
    cases = [(1, 0, echo(src, dst, 5))]
    for port in (22, 80, 443, 1024, 2000, 65535):
        cases += [
            (6, port, tcp_packet(src, 40000, dst, port)),
            (17, port, udp_packet(src, 40000, dst, port)),
        ]
    for protocol, port, packet in cases:
        datapath.forget_sessions()
        passed = (
            datapath.ingress(packet) if direction is Direction.INGRESS else datapath.egress(packet)
        )
        expected = evaluate(policy, NewFlow(direction, ip_address(peer), protocol, port))
        assert passed == (expected.action is Action.ALLOW), (
            peer,
            direction,
            protocol,
            port,
            expected,
        )
