"""From rules in order of precedence to decisions the datapath finds without order: most specific key first.

For one identity and direction every rule covers some protocols and port ranges. A range is cut into port
prefixes. For each prefix that occurs, the decision is that of the first rule covering all of it. Prefixes are
nested or disjoint, so the rules that match a port are exactly those covering the longest prefix around it: the
most specific key that exists carries the verdict of the first matching rule. Ranges cost no more than ports.

Rules that audit are resolved here too, so the datapath still finds one decision: see `_with_audits`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tcmicro_agent.policy.evaluate import NUMBERS, enforces_default_deny
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


class Shape(NamedTuple):
    """What a decision covers: a protocol number (0 = any) and the first `prefix` bits of the port."""

    protocol: int
    prefix: int
    port: int


Cover = tuple[Shape, Sequence[Shape]]  # a shape, and the wider ones that occur, narrowest first

EVERYTHING = Shape(ANY_PROTOCOL, 0, 0)


@dataclass(frozen=True)
class Group:
    """Identities that the same rules of a direction match, and for every shape that occurs the rule that decides."""

    direction: Direction
    identities: Sequence[Identity]
    decisions: Mapping[Shape, Rule]

    @property
    def shapes(self) -> int:
        """The bits of the shapes that occur."""
        named = {1 << shape.prefix for shape in self.decisions if shape.protocol != ANY_PROTOCOL}
        return sum(named) | (EVERYTHING in self.decisions) << SHAPE_ANY


def compile_bundle(bundle: Bundle) -> tuple[Group, ...]:
    """Decisions for every identity of the bundle, the world included: each is in one group per direction."""
    return tuple(group for direction in Direction for group in _groups(bundle, direction))


def _groups(bundle: Bundle, direction: Direction) -> Iterator[Group]:
    rules = [rule for rule in bundle.rules if rule.direction is direction]
    occurring = {shape for rule in rules for shape in shapes_of(rule)}
    lengths = sorted({shape.prefix for shape in occurring}, reverse=True)
    wider = {shape: [w for w in _wider(shape, lengths) if w in occurring] for shape in occurring}
    covers = [[(shape, wider[shape]) for shape in shapes_of(rule)] for rule in rules]
    for positions, identities in _alike(bundle, rules).items():
        covering = [(rules[position], covers[position]) for position in positions]
        decided = _decide(covering)
        if any(rule.audits for rule, _ in covering):
            denies = enforces_default_deny(bundle, direction)
            decided = _with_audits(covering, decided, wider, denies=denies)
        yield Group(direction, identities, decided)


def _alike(bundle: Bundle, rules: Sequence[Rule]) -> dict[tuple[int, ...], list[Identity]]:
    """Identities by the positions of all rules that match them."""
    everybody = [position for position, rule in enumerate(rules) if rule.any_peer]
    matching = {
        number: list(everybody) for number in (WORLD, *(i.number for i in bundle.identities))
    }
    for position, rule in enumerate(rules):
        if not rule.any_peer:
            for number in rule.identities:
                matching[number].append(position)
    alike: dict[tuple[int, ...], list[Identity]] = {}
    for number, positions in matching.items():
        alike.setdefault(tuple(sorted(positions)), []).append(number)
    return alike


def _decide(covering: Iterable[tuple[Rule, Iterable[Cover]]]) -> dict[Shape, Rule]:
    """For every shape of rules in order of precedence, the first rule that covers it: the rule itself, or what was
    decided before for the narrowest of the wider shapes.
    """
    decided: dict[Shape, Rule] = {}
    for rule, covers in covering:
        for shape, wider in covers:
            if shape not in decided:
                decided[shape] = (
                    next((decided[w] for w in wider if w in decided), rule) if wider else rule
                )
    return decided


def _with_audits(
    covering: Iterable[tuple[Rule, Iterable[Cover]]],
    first: Mapping[Shape, Rule],
    wider: Mapping[Shape, Iterable[Shape]],
    *,
    denies: bool,
) -> dict[Shape, Rule]:
    """The decisions as `evaluate` makes them: `first` are those of all rules alike, `denies` says whether the default
    does, and enforces it.

    A shape that no enforcing rule covers is left out where the default denies: so is every wider one, for what covers
    that covers this, and the datapath comes to the default.
    """
    enforcing = _decide((rule, covers) for rule, covers in covering if not rule.audits)
    decided: dict[Shape, Rule] = {}
    for shape, rule in first.items():
        found = next((enforcing[s] for s in (shape, *wider[shape]) if s in enforcing), None)
        if found is None:
            if not denies:
                decided[shape] = rule
        else:
            audited = rule.action is Action.DENY and found.action is Action.ALLOW
            decided[shape] = rule if audited else found
    return decided


def prefixes(first: int, last: int) -> Iterator[tuple[int, int]]:
    """The fewest (prefix length, port) blocks that make up an inclusive range of ports; at most 30."""
    while first <= last:
        size = min(first & -first or 1 << PORT_BITS, 1 << (last - first + 1).bit_length() - 1)
        yield PORT_BITS - size.bit_length() + 1, first
        first += size


def shapes_of(rule: Rule) -> Iterator[Shape]:
    for service in rule.services:
        yield from _service_shapes(service)


def _service_shapes(service: Service) -> Iterator[Shape]:
    if service.protocol is Protocol.ANY:
        yield EVERYTHING
        return
    for length, port in prefixes(service.first, service.last):
        yield Shape(NUMBERS[service.protocol], length, port)


def _wider(shape: Shape, lengths: Iterable[int]) -> Iterator[Shape]:
    """All shapes around it whose prefixes have one of these lengths (longest first), narrowest first."""
    if shape.protocol != ANY_PROTOCOL:
        for length in lengths:
            if length < shape.prefix:
                mask = (1 << PORT_BITS) - (1 << (PORT_BITS - length))
                yield Shape(shape.protocol, length, shape.port & mask)
        yield EVERYTHING
