"""From rules in order of precedence to decisions the datapath finds without order: most specific key first.

For one identity and direction every rule covers some protocols and port ranges. A range is cut into port
prefixes. For each prefix that occurs, the decision is that of the first rule covering all of it. Prefixes are
nested or disjoint, so the rules that match a port are exactly those covering the longest prefix around it: the
most specific key that exists carries the verdict of the first matching rule. Ranges cost no more than ports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tcmicro_agent.policy.evaluate import NUMBERS
from tcmicro_agent.policy.model import (
    WORLD,
    Action,
    Bundle,
    Direction,
    Identity,
    Protocol,
    Rule,
    Service,
)

PORT_BITS = 16
ANY_PROTOCOL = 0
SHAPE_ANY = 17  # bit for (any protocol, any port), TCM_SHAPE_ANY


@dataclass(frozen=True, order=True)
class Shape:
    """What a decision covers: a protocol number (0 = any) and the first `prefix` bits of the port."""

    protocol: int
    prefix: int
    port: int

    @property
    def bit(self) -> int:
        return SHAPE_ANY if self.protocol == ANY_PROTOCOL else self.prefix


EVERYTHING = Shape(ANY_PROTOCOL, 0, 0)


@dataclass(frozen=True)
class Decision:
    """One entry of the rule table."""

    identity: Identity
    direction: Direction
    shape: Shape
    action: Action
    uid: str


@dataclass(frozen=True)
class Compiled:
    """All decisions of a bundle, and per (identity, direction) the bits of the shapes that occur."""

    decisions: tuple[Decision, ...]
    shapes: Mapping[tuple[Identity, Direction], int]


def compile_bundle(bundle: Bundle) -> Compiled:
    """Decisions for every identity of the bundle, the world included."""
    decisions: list[Decision] = []
    shapes: dict[tuple[Identity, Direction], int] = {}
    memo: dict[tuple[int, ...], list[tuple[Shape, Rule]]] = {}
    for identity in sorted({WORLD, *(info.number for info in bundle.identities)}):
        for direction in Direction:
            picked = [
                (position, rule)
                for position, rule in enumerate(bundle.rules)
                if rule.direction is direction and (rule.any_peer or identity in rule.identities)
            ]
            key = tuple(position for position, _ in picked)
            if key not in memo:
                memo[key] = decide([rule for _, rule in picked])
            decisions += (
                Decision(identity, direction, shape, rule.action, rule.uid)
                for shape, rule in memo[key]
            )
            shapes[identity, direction] = _bits(memo[key])
    return Compiled(tuple(decisions), shapes)


def decide(rules: list[Rule]) -> list[tuple[Shape, Rule]]:
    """For every shape that occurs in `rules` (in order of precedence), the first rule that covers it."""
    first: dict[Shape, int] = {}
    for position, rule in enumerate(rules):
        for shape in _shapes(rule):
            first.setdefault(shape, position)
    return [
        (shape, rules[min(first[cover] for cover in _covers(shape) if cover in first)])
        for shape in sorted(first)
    ]


def prefixes(first: int, last: int) -> Iterator[tuple[int, int]]:
    """The fewest (prefix length, port) blocks that make up an inclusive range of ports; at most 30."""
    while first <= last:
        size = min(first & -first or 1 << PORT_BITS, 1 << (last - first + 1).bit_length() - 1)
        yield PORT_BITS - size.bit_length() + 1, first
        first += size


def _shapes(rule: Rule) -> Iterator[Shape]:
    for service in rule.services:
        yield from _service_shapes(service)


def _service_shapes(service: Service) -> Iterator[Shape]:
    if service.protocol is Protocol.ANY:
        yield EVERYTHING
        return
    for length, port in prefixes(service.first, service.last):
        yield Shape(NUMBERS[service.protocol], length, port)


def _covers(shape: Shape) -> Iterator[Shape]:
    """The shape and all wider ones around it."""
    if shape.protocol != ANY_PROTOCOL:
        for length in range(shape.prefix, -1, -1):
            mask = (1 << PORT_BITS) - (1 << (PORT_BITS - length))
            yield Shape(shape.protocol, length, shape.port & mask)
    yield EVERYTHING


def _bits(decided: list[tuple[Shape, Rule]]) -> int:
    bits = 0
    for shape, _ in decided:
        bits |= 1 << shape.bit
    return bits
