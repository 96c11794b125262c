"""Temporary rules of this host alone: read, written, and put above the rules of the bundle. Pure.

They are kept apart from the bundle, whose digest stays what it is. A rule ends by the clock since boot, and after a
reboot by the calendar; where the calendar went backwards meanwhile, nobody can tell, and it has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import Any

from tcmicro_agent.errors import BundleError
from tcmicro_agent.jsonutil import Reader, read
from tcmicro_agent.policy.model import (
    WORLD,
    Action,
    Bundle,
    Direction,
    Identity,
    IdentityInfo,
    Network,
    Protocol,
    Rule,
    Service,
)
from tcmicro_agent.policy.notation import canonical

TIER = "local"
MAX_RULES = 64
MAX_TTL_S = 24 * 3600
MAX_INT = 2**62


@dataclass(frozen=True)
class Moment:
    """Now: `wall_s` seconds of the calendar, `boot_ms` since the boot `boot_id`."""

    wall_s: int
    boot_ms: int
    boot_id: str


@dataclass(frozen=True)
class LocalRule:
    """`network` None: everybody. `made`: when it was, and `ttl_s` seconds later it ends."""

    id: str
    direction: Direction
    action: Action
    network: Network | None
    service: Service
    comment: str
    made: Moment
    ttl_s: int

    @property
    def uid(self) -> str:
        return f"{TIER}/{self.id}"

    def left_s(self, now: Moment) -> float:
        """Seconds until it ends; 0 or less: it has."""
        if now.boot_id == self.made.boot_id:
            return self.ttl_s - (now.boot_ms - self.made.boot_ms) / 1000
        passed = now.wall_s - self.made.wall_s
        return self.ttl_s - passed if passed >= 0 else 0

    def to_document(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "direction": self.direction.value,
            "action": self.action.value,
            "protocol": self.service.protocol.value,
            "first": self.service.first,
            "last": self.service.last,
            "comment": self.comment,
            "made": vars(self.made),
            "ttl_s": self.ttl_s,
            **({"network": str(self.network)} if self.network else {}),
        }


@dataclass(frozen=True)
class Local:
    """local.json: the rules that are wanted, and those that the tables of each generation hold."""

    rules: tuple[LocalRule, ...] = ()
    built: Mapping[int, tuple[LocalRule, ...]] = field(default_factory=dict)

    def wanted(self, now: Moment) -> tuple[LocalRule, ...]:
        return tuple(rule for rule in self.rules if rule.left_s(now) > 0)

    def in_generation(self, generation: int) -> tuple[LocalRule, ...]:
        return self.built.get(generation, ())

    def uids(self) -> set[str]:
        """Of every rule that some tables may hold."""
        return {rule.uid for rules in (self.rules, *self.built.values()) for rule in rules}

    def with_built(
        self, generation: int, rules: tuple[LocalRule, ...], kept: Iterable[int]
    ) -> Local:
        """Notes what a generation is built with; of others only those that are `kept` stay."""
        still = {n: found for n, found in self.built.items() if n in set(kept)}
        return replace(self, built={**still, generation: rules})

    def to_document(self) -> dict[str, Any]:
        built = {str(n): [r.to_document() for r in rules] for n, rules in self.built.items()}
        return {"rules": [rule.to_document() for rule in self.rules], "built": built}


NOTHING = Local()


def parse(document: object) -> Local:
    return read(document, _read, BundleError)


def _read(doc: Reader) -> Local:
    built = doc.get_object("built")
    return Local(
        tuple(map(_read_rule, doc.get_objects("rules"))),
        {
            int(n): tuple(map(_read_rule, built.get_objects(n)))
            for n in built.names()
            if n.isdigit()
        },
    )


def _read_rule(item: Reader) -> LocalRule:
    made = item.get_object("made")
    return LocalRule(
        id=item.get_str("id"),
        direction=item.get_enum("direction", Direction),
        action=item.get_enum("action", Action),
        network=_read_network(item) if item.has("network") else None,
        service=Service(
            item.get_enum("protocol", Protocol),
            item.get_int("first", 0, 65535, "port"),
            item.get_int("last", 0, 65535, "port"),
        ),
        comment=item.get_str("comment"),
        made=Moment(
            made.get_int("wall_s", 0, MAX_INT, "time"),
            made.get_int("boot_ms", 0, MAX_INT, "time"),
            made.get_str("boot_id"),
        ),
        ttl_s=item.get_int("ttl_s", 1, MAX_TTL_S, "time to live"),
    )


def _read_network(item: Reader) -> Network:
    return ip_network(item.get_value("network", canonical, "0.0.0.0/0"))


def combine(bundle: Bundle, rules: Sequence[LocalRule]) -> Bundle:
    """The bundle under rules that stand above all of its own, deny before allow. Its peers are told apart further, as
    far as the networks of these rules need it."""
    if not rules:
        return bundle
    networks = tuple(dict.fromkeys(rule.network for rule in rules if rule.network))
    endpoints, origin, around = _split(bundle, networks)
    same: dict[Identity, list[Identity]] = {}
    for number, old in origin.items():
        same.setdefault(old, []).append(number)
    ordered = sorted(rules, key=lambda rule: (rule.action is Action.ALLOW, rule.uid))
    return replace(
        bundle,
        identities=(*bundle.identities, *_infos(bundle, origin, around)),
        endpoints=endpoints,
        rules=(
            *(_rule(rule, around) for rule in ordered),
            *(_widened(rule, same) for rule in bundle.rules),
        ),
    )


Around = dict[
    Identity, frozenset[Network]
]  # by new identity: the networks of local rules that hold it


def _split(
    bundle: Bundle, networks: Sequence[Network]
) -> tuple[dict[str, Identity], dict[Identity, Identity], Around]:
    """Endpoints with new identities inside the networks; of each new one the old it comes from."""
    numbers: dict[tuple[Identity, frozenset[Network]], Identity] = {}
    following = max((info.number for info in bundle.identities), default=0) + 1
    known = {ip_network(text): number for text, number in bundle.endpoints.items()}
    every = dict(known)
    for network in networks:
        every.setdefault(network, _identity_at(network, known))
    endpoints: dict[str, Identity] = {}
    by_bits = {_bits(network, network.prefixlen): network for network in networks}
    lengths = sorted({network.prefixlen for network in networks})
    for network, old in every.items():
        inside = frozenset(_holding(network, lengths, by_bits))
        new = old
        if inside:
            new = numbers.setdefault((old, inside), Identity(following + len(numbers)))
        endpoints[str(network)] = new
    origin = {new: old for (old, _), new in numbers.items()}
    return endpoints, origin, {new: inside for (_, inside), new in numbers.items()}


def _identity_at(network: Network, known: Mapping[Network, Identity]) -> Identity:
    """Who an address is that the network holds and no smaller endpoint does."""
    for length in range(network.prefixlen, -1, -1):
        found = known.get(network.supernet(new_prefix=length))
        if found is not None:
            return found
    return WORLD


Bits = tuple[int, int, int]  # version, prefix length, the prefix


def _bits(network: Network, length: int) -> Bits:
    prefix = int(network.network_address) >> network.max_prefixlen - length
    return network.version, length, prefix


def _holding(
    network: Network, lengths: Iterable[int], by_bits: Mapping[Bits, Network]
) -> Iterator[Network]:
    """The networks around one. By their bits, for a bundle may name a hundred thousand hosts."""
    for length in lengths:
        found = by_bits.get(_bits(network, length)) if length <= network.prefixlen else None
        if found is not None:
            yield found


def _infos(
    bundle: Bundle, origin: Mapping[Identity, Identity], around: Around
) -> tuple[IdentityInfo, ...]:
    infos = {info.number: info for info in bundle.identities}
    world = IdentityInfo(WORLD, "world")
    made = []
    for new, old in origin.items():
        narrow = max(around[new], key=lambda network: (network.prefixlen, str(network)))
        info = infos.get(old, world)
        made.append(replace(info, number=new, name=f"{info.name} in {narrow}"))
    return tuple(made)


def _rule(rule: LocalRule, around: Around) -> Rule:
    inside = [number for number, networks in around.items() if rule.network in networks]
    return Rule(
        uid=rule.uid,
        direction=rule.direction,
        action=rule.action,
        services=(rule.service,),
        identities=tuple(sorted(inside)),
        any_peer=rule.network is None,
        tier=TIER,
        source=f"local rule{': ' if rule.comment else ''}{rule.comment}",
    )


def _widened(rule: Rule, same: Mapping[Identity, Sequence[Identity]]) -> Rule:
    """A rule of the bundle names whom it named."""
    more = [new for old in rule.identities for new in same.get(old, ())]
    return replace(rule, identities=tuple(sorted({*rule.identities, *more}))) if more else rule
