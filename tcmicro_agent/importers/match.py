"""Which new flows a rule of another firewall matches, as far as a policy can say the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import TypeVar

from tcmicro_agent.importers.draft import Nets
from tcmicro_agent.policy.model import Network, Protocol, Service

BOTH = frozenset({4, 6})
EVERYWHERE = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}
MAX_PORT = 65535
WITH_PORTS = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)
ALL_PORTS = (1, MAX_PORT)  # no policy can name port 0

Range = tuple[int, int]
T = TypeVar("T")


@dataclass(frozen=True)
class Match:
    """`protocols`, `ports`, `networks` None: any. `never`: none of the first packets that policy judges (answers,
    loopback, neighbour discovery); `always`: of those what passes whatever policy says."""

    families: frozenset[int] = BOTH
    protocols: frozenset[Protocol] | None = None
    ports: tuple[Range, ...] | None = None
    networks: tuple[Network, ...] | None = None
    excluded: tuple[Network, ...] = ()
    never: bool = False
    always: bool = False

    def also(self, other: Match) -> Match:
        """What both match."""
        protocols = other.protocols if self.protocols is None else self.protocols
        if self.protocols is not None and other.protocols is not None:
            protocols = self.protocols & other.protocols
        return Match(
            self.families & other.families,
            protocols,
            _both(self.ports, other.ports, _shared_ports),
            _both(self.networks, other.networks, _shared_networks),
            (*self.excluded, *other.excluded),
            self.never or other.never,
            self.always or other.always,
        )

    def but(self, networks: Iterable[Network]) -> Match:
        return replace(self, excluded=(*self.excluded, *networks))

    @property
    def only_networks(self) -> bool:
        """Nothing but the peer's address matters."""
        return self.protocols is None and self.ports is None and not self.excluded

    @cached_property
    def peer(self) -> Nets:
        """The networks it means, both families spelled out; none where it means nobody."""
        wide = self.networks
        if wide is None:
            wide = tuple(EVERYWHERE[family] for family in sorted(self.families))
        kept = [
            net
            for net in _collapsed(wide)
            if net.version in self.families and not any(inside(net, out) for out in self.excluded)
        ]
        out = [o for o in _collapsed(self.excluded) if any(inside(o, net) for net in kept)]
        return Nets(tuple(kept), tuple(out))

    @property
    def _ranges(self) -> tuple[Range, ...]:
        return (ALL_PORTS,) if self.ports is None else self.ports

    @cached_property
    def services(self) -> tuple[Service, ...]:
        if self.protocols is None:
            return (Service(Protocol.ANY),)
        made: list[Service] = []
        for protocol in sorted(self.protocols, key=lambda p: p.value):
            if protocol in WITH_PORTS:
                ranges = [(max(first, 1), last) for first, last in self._ranges]
                made += [Service(protocol, *found) for found in ranges if found[0] <= found[1]]
            elif self.ports is None:
                made.append(Service(protocol))
        return tuple(made)

    @property
    def matches_nothing(self) -> bool:
        return self.never or not self.peer.networks or not self.services

    def overlaps(self, other: Match) -> bool:
        """Whether a flow may match both."""
        here, there = self.peer.networks, other.peer.networks
        near = any(inside(a, b) or inside(b, a) for a in here for b in there)
        return near and any(_meet(a, b) for a in self.services for b in other.services)


class UnclearError(Exception):
    """A policy cannot say what is matched; the text says what stands in the way."""


NAMES = {
    "tcp": (Protocol.TCP, 0),
    "udp": (Protocol.UDP, 0),
    "sctp": (Protocol.SCTP, 0),
    "icmp": (Protocol.ICMP, 4),
    "icmpv6": (Protocol.ICMP, 6),
    "ipv6-icmp": (Protocol.ICMP, 6),
}
UNJUDGED = (
    "established",
    "related",
    "invalid",
    "untracked",
)  # what connection tracking says of no new flow


def protocols(names: Sequence[str], families: frozenset[int]) -> Match:
    """`families` of the packets that get there: ICMP is one protocol of each family."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise UnclearError(f"protocol {unknown[0]}")
    found = frozenset(NAMES[name][0] for name in names)
    icmp = frozenset(NAMES[name][1] for name in names if NAMES[name][0] is Protocol.ICMP)
    if not icmp or families <= icmp:
        return Match(protocols=found)
    if len(found) > 1:
        raise UnclearError("ICMP of one family beside other protocols")
    return Match(families=icmp, protocols=found)


def ports(found: tuple[tuple[Range, ...], bool]) -> Match:
    """Of these ranges, or (True) of all others."""
    ranges, others = found
    return Match(ports=outside_ports(ranges) if others else ranges)


def states(names: Sequence[str], *, negated: bool) -> Match:
    """Of connection tracking. Policies judge new flows, the kernel knows the others by itself."""
    unknown = [name for name in names if name not in (*UNJUDGED, "new")]
    if unknown:
        raise UnclearError(f"connection state {unknown[0]}")
    return Match() if ("new" in names) != negated else Match(never=True)


def interface(names: Sequence[str], *, ours: bool, negated: bool) -> Match:
    """`ours`: the interface the packet comes in or goes out by. Only loopback is known, and never judged."""
    if not ours or list(names) != ["lo"]:
        raise UnclearError(f"match of interface {', '.join(names)}")
    return Match() if negated else Match(never=True, always=True)


def icmp_kinds(*, neighbours: Sequence[str], errors: Sequence[str], kinds: Sequence[str]) -> Match:
    """Neighbour discovery always passes, errors with the flow they are about; other kinds cannot be told apart."""
    if len(neighbours) + len(errors) == len(kinds):
        return Match(never=True, always=True)
    raise UnclearError("one kind of ICMP; ports: [icmp] would mean every kind")


def inside(network: Network, wide: Network) -> bool:
    return network.version == wide.version and network.subnet_of(wide)  # type: ignore[arg-type]


def outside_ports(ranges: Sequence[Range]) -> tuple[Range, ...]:
    """All ports but these."""
    free, first = [], 0
    for low, high in sorted(ranges):
        if low > first:
            free.append((first, low - 1))
        first = max(first, high + 1)
    return (*free, (first, MAX_PORT)) if first <= MAX_PORT else tuple(free)


def _meet(one: Service, other: Service) -> bool:
    if Protocol.ANY in (one.protocol, other.protocol):
        return True
    return one.protocol is other.protocol and one.first <= other.last and other.first <= one.last


def _both(one: T | None, other: T | None, shared: Callable[[T, T], T]) -> T | None:
    """None: any."""
    if one is None or other is None:
        return other if one is None else one
    return shared(one, other)


def _shared_ports(one: tuple[Range, ...], other: tuple[Range, ...]) -> tuple[Range, ...]:
    found = [(max(a[0], b[0]), min(a[1], b[1])) for a in one for b in other]
    return tuple(pair for pair in found if pair[0] <= pair[1])


def _shared_networks(one: tuple[Network, ...], other: tuple[Network, ...]) -> tuple[Network, ...]:
    pairs = [(a, b) for a in one for b in other]
    return tuple(a if inside(a, b) else b for a, b in pairs if inside(a, b) or inside(b, a))


def _collapsed(networks: Iterable[Network]) -> list[Network]:
    found: list[Network] = []
    every = list(networks)
    found += collapse_addresses(n for n in every if isinstance(n, IPv4Network))
    found += collapse_addresses(n for n in every if isinstance(n, IPv6Network))
    return found
