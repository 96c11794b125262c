"""Policies of any size for the measurements, as content of one slot or as a bundle. Pure.

Peers are numbered from an address up, so that a program can count its way through them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from tcmicro_agent import abi
from tcmicro_agent.policy.model import (
    Action,
    Bundle,
    Direction,
    Identity,
    IdentityInfo,
    Mode,
    Protocol,
    Rule,
    Service,
)
from tcmicro_agent.tables import Entries, Tables
from tests.datapath.builders import bundle, rule
from tests.datapath.packets import TCP

US, US6 = "10.255.0.1", "fdff::1"
FIRST_PEER = "10.0.0.0"
STRANGERS = "192.0.0.0"
PORT = 8000  # what every policy here allows its peers
WHOLE_PORT = 16  # a rule for one port: all bits of it count


@dataclass(frozen=True)
class Size:
    """`hosts` peers, one identity each, and `rules` entries for each identity and protocol."""

    hosts: int
    rules: int = 1
    protocols: tuple[int, ...] = (TCP,)

    @property
    def entries(self) -> int:
        return self.hosts * self.rules * len(self.protocols)


def address(first: str, number: int) -> str:
    return str(IPv4Address(first) + number)


def slot_tables(size: Size, *, slot: int, generation: int, first_identity: int = 1) -> Tables:
    """A slot that allows every peer PORT (and the ports above, one rule each), and refuses the rest.

    Made directly, because rules of a bundle have a counter each, and there are fewer counters than 100,000.
    """
    shapes = (1 << WHOLE_PORT, 0)
    ports = range(PORT, PORT + size.rules)
    classes = (
        sum({1 << abi.rule_class(p, WHOLE_PORT, port) for p in size.protocols for port in ports}),
        0,
    )
    numbers = range(first_identity, first_identity + size.hosts)
    base = IPv4Address(FIRST_PEER)
    hosts = tuple(
        (abi.HOST4_KEY.pack(slot, (base + at).packed), abi.PEER.pack(identity, *shapes, *classes))
        for at, identity in enumerate(numbers)
    )
    rules = tuple(
        _rule(identity, slot, protocol, port)
        for identity in numbers
        for protocol in size.protocols
        for port in ports
    )
    entries = {"tcm_hosts4": _entries(hosts), "tcm_rules": _entries(rules)}
    return Tables(slot, _header(generation), entries)


def _entries(pairs: Sequence[tuple[bytes, bytes]]) -> Entries:
    return Entries(b"".join(key for key, _ in pairs), b"".join(v for _, v in pairs), len(pairs))


def _rule(identity: int, slot: int, protocol: int, port: int) -> tuple[bytes, bytes]:
    where = (identity, slot, abi.Direction.INGRESS, protocol, WHOLE_PORT)
    key = abi.RULE_KEY.pack(*where, port.to_bytes(2, "big"), 0)
    counter = 4 + (identity + port) % (abi.MAX_RULES - 4)
    return key, abi.RULE.pack(counter, abi.Verdict.ALLOW, 0)


def _header(generation: int) -> abi.SlotHeader:
    deny = abi.Verdict.DENY
    return abi.SlotHeader(
        generation=generation,
        defaults=(deny, deny, deny),
        mode=abi.Mode.PROTECT,
        has_cidr=0,
        default_rules=(1, 2, 3),
        world_shapes=(0, 0),
        world_classes=(0, 0),
        digest=f"{generation:064x}",
    )


def six_shapes(peers: tuple[str, ...]) -> Bundle:
    """Ten rules whose services come in six sizes, so that a port none of them names could have six keys."""
    ranges = (
        "16384-32767",
        "4096-5119",
        "2048-2303",
        "1024-1087",
        "768-783",
    )  # 2, 6, 8, 10, 12 bits
    services = [f"tcp/{PORT + n}" for n in range(5)] + [f"tcp/{ports}" for ports in ranges]
    rules = [rule(f"p/{n}", text, (1,)) for n, text in enumerate(services)]
    return bundle(*rules, endpoints=dict.fromkeys(peers, 1))


def open_to_world() -> Bundle:
    """Ten rules; one of them lets everybody in."""
    rules = [rule(f"p/{n}", f"tcp/{PORT + n}", None if n == 0 else (1,)) for n in range(10)]
    return bundle(*rules, endpoints={FIRST_PEER: 1})


def fleet(hosts: int, identities: int, rules: int, *, port: int) -> Bundle:
    """`hosts` addresses of `identities` groups; every rule names a tenth of them and one port from `port` on."""
    named = [tuple(range(1 + n % 10, identities + 1, 10)) for n in range(rules)]
    return Bundle(
        host="bench",
        mode=Mode.PROTECT,
        default_ingress=Action.DENY,
        default_egress=Action.DENY,
        identities=tuple(IdentityInfo(Identity(n), f"group{n}") for n in range(1, identities + 1)),
        endpoints=dict(_endpoints(hosts, identities)),
        rules=tuple(_fleet_rule(n, named[n], port + n) for n in range(rules)),
        default_source=("bench", "bench"),
    )


def _endpoints(hosts: int, identities: int) -> Iterator[tuple[str, Identity]]:
    base = IPv4Address(FIRST_PEER)
    for n in range(hosts):
        yield f"{base + n}/32", Identity(1 + n % identities)


def _fleet_rule(number: int, identities: tuple[int, ...], port: int) -> Rule:
    return Rule(
        uid=f"bench/{number}",
        direction=Direction.INGRESS,
        action=Action.ALLOW,
        services=(Service(Protocol.TCP, port, port),),
        identities=tuple(Identity(n) for n in identities),
        any_peer=False,
        tier="app",
        source=f"bench.yml:{number + 1}",
    )
