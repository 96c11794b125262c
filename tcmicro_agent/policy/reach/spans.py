"""The space of services as spans: ranges of ports of one protocol in which the same rule decides everywhere.

Spans of one decision cover the whole space without overlap, in order, so two decisions are compared exactly by walking
both at once over all their boundaries. Protocol `any` stands here for every protocol that has no name of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tcmicro_agent.policy.model import Action, Mode, Protocol, Rule, Service

PORTS = (0, 65535)
PROTOCOLS = (Protocol.TCP, Protocol.UDP, Protocol.SCTP, Protocol.ICMP, Protocol.ANY)

ICMP_TYPES = {4: (0, 0x7FFF), 6: (0x8000, 0xFFFF)}  # as ports: type * 256 + code

Range = tuple[int, int]  # first and last port, inclusive


class Cause(NamedTuple):
    """What decided: a rule by its uid and file:line, or, without a rule, the default of a policy ("" = no policy).
    In mode monitor what it denies passes."""

    action: Action
    rule: str
    source: str
    policy: str
    mode: Mode

    @property
    def allows(self) -> bool:
        return self.action is Action.ALLOW

    def order(self) -> tuple[str, ...]:
        return self.action.value, self.rule, self.source, self.policy, self.mode.value


def cause_of(rule: Rule, mode: Mode) -> Cause:
    return Cause(rule.action, rule.uid, rule.source, rule.uid.partition("/")[0], mode)


class Span(NamedTuple):
    """One protocol, an inclusive range of ports, and what decides there."""

    protocol: Protocol
    first: int
    last: int
    cause: Cause


class PortRange(NamedTuple):
    """A protocol and an inclusive range of ports, ordered as PROTOCOLS are."""

    order: int
    first: int
    last: int

    @property
    def protocol(self) -> Protocol:
        return PROTOCOLS[self.order]

    def __str__(self) -> str:
        return service_text(Service(self.protocol, self.first, self.last))


ServiceSet = tuple[PortRange, ...]  # a set of services: sorted, disjoint and not adjacent
EVERYTHING: ServiceSet = tuple(PortRange(order, *PORTS) for order in range(len(PROTOCOLS)))


def spans_of(rules: Sequence[Rule], default: Cause, mode: Mode) -> tuple[Span, ...]:
    """What decides for every service; the rules match the peer and stand in order of precedence. `mode`: of those that
    do not audit. As `evaluate`, where some do.
    """
    every = _all_spans(rules, default, mode)
    if default.mode is mode and not any(rule.audits for rule in rules):
        return every
    alone = default if default.mode is mode else default._replace(action=Action.ALLOW)
    enforcing = _all_spans([rule for rule in rules if not rule.audits], alone, mode)
    return tuple(
        Span(part.protocol, part.first, part.last, _deciding(*causes))
        for part, causes in overlay(enforcing, every)
    )


def _deciding(enforced: Cause, first: Cause) -> Cause:
    """Of what the enforcing rules say, and what all rules alike."""
    if not enforced.allows:
        return enforced
    return enforced if enforced.rule and first.allows else first


def _all_spans(rules: Sequence[Rule], default: Cause, mode: Mode) -> tuple[Span, ...]:
    return tuple(span for protocol in PROTOCOLS for span in _spans(protocol, rules, default, mode))


def overlay(*decisions: Sequence[Span]) -> Iterator[tuple[PortRange, tuple[Cause, ...]]]:
    """The widest ranges in which every one of several decisions has one cause, and these causes."""
    at = [0] * len(decisions)
    start = 0
    while at[0] < len(decisions[0]):
        here = [spans[position] for spans, position in zip(decisions, at)]
        end = min(span.last for span in here)
        order = PROTOCOLS.index(here[0].protocol)
        yield PortRange(order, start, end), tuple(span.cause for span in here)
        at = [position + (span.last == end) for position, span in zip(at, here)]
        start = 0 if end == PORTS[1] else end + 1


def joined(parts: Iterable[PortRange]) -> ServiceSet:
    """PortRange as a set: what touches becomes one range."""
    found: list[PortRange] = []
    for part in sorted(parts):
        if found and found[-1].order == part.order and found[-1].last + 1 >= part.first:
            found[-1] = found[-1]._replace(last=max(found[-1].last, part.last))
        else:
            found.append(part)
    return tuple(found)


def allowed(*decisions: Sequence[Span]) -> ServiceSet:
    """The services that all decisions allow."""
    return joined(part for part, causes in overlay(*decisions) if all(c.allows for c in causes))


def without(these: ServiceSet, those: ServiceSet) -> ServiceSet:
    """The services of one set that are not in the other."""
    found: list[PortRange] = []
    for part in these:
        free = [(part.first, part.last)]
        for other in those:
            if other.order == part.order:
                free, _ = _take(free, other.first, other.last)
        found += [PortRange(part.order, first, last) for first, last in free]
    return joined(found)


def texts(services: ServiceSet) -> list[str]:
    """As policies write them; `any` when it is everything."""
    return ["any"] if services == EVERYTHING else [str(part) for part in services]


def text_of(services: ServiceSet) -> str:
    """The same for eyes: by what is missing where that is shorter."""
    missing = without(EVERYTHING, services)
    if missing and 2 * len(missing) < len(services):
        return f"any but {', '.join(texts(missing))}"
    return ", ".join(texts(services))


def service_text(service: Service) -> str:
    name = service.protocol.value
    if service.protocol is Protocol.ANY:
        return "other protocols"
    if service.protocol is Protocol.ICMP:
        return icmp_text(service)
    if (service.first, service.last) in (PORTS, (1, PORTS[1])):
        return f"{name}/any"
    return f"{name}/{service.first}" + (f"-{service.last}" if service.last > service.first else "")


def icmp_text(service: Service) -> str:
    """`icmp`, or the messages by the numbers of their types, `icmp/8` and `icmp6/128`."""
    if (service.first, service.last) == PORTS:
        return "icmp"
    first, last = service.first >> 8, service.last >> 8
    family = "icmp6" if first > ICMP_TYPES[4][1] >> 8 else "icmp"
    return f"{family}/{first}" + (f"-{last}" if last > first else "")


def of_family(parts: Iterable[PortRange], version: int) -> Iterator[PortRange]:
    """Without the ICMP messages of the other family; all of its own are all of ICMP."""
    low, high = ICMP_TYPES[version]
    for part in parts:
        if part.protocol is not Protocol.ICMP:
            yield part
        elif part.first <= low and part.last >= high:
            yield part._replace(first=PORTS[0], last=PORTS[1])
        elif part.first <= high and part.last >= low:
            yield part._replace(first=max(part.first, low), last=min(part.last, high))


def _spans(protocol: Protocol, rules: Sequence[Rule], default: Cause, mode: Mode) -> list[Span]:
    free = [PORTS]
    found: list[Span] = []
    for rule in rules:
        cause = cause_of(rule, Mode.MONITOR if rule.audits else mode)
        for service in rule.services:
            if service.protocol in (protocol, Protocol.ANY):
                free, taken = _take(free, service.first, service.last)
                found += [Span(protocol, first, last, cause) for first, last in taken]
        if not free:
            break
    found += [Span(protocol, first, last, default) for first, last in free]
    return sorted(found, key=lambda span: span.first)


def _take(free: Iterable[Range], first: int, last: int) -> tuple[list[Range], list[Range]]:
    """What is left of some ranges without one, and what of it was in them."""
    left, taken = [], []
    for low, high in free:
        if high < first or low > last:
            left.append((low, high))
            continue
        taken.append((max(low, first), min(high, last)))
        left += [(low, first - 1)] * (low < first) + [(last + 1, high)] * (high > last)
    return left, taken
