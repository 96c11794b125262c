"""Whether any part of a service passes a bundle. `evaluate` answers for one port, this for ranges."""

from __future__ import annotations

from collections.abc import Iterable

from tcmicro_agent.policy.checks.scene import Kind
from tcmicro_agent.policy.model import Action, Direction, Protocol, Rule, Service

Span = tuple[int, int]

ICMP6 = 128  # the first type of ICMPv6 that a rule can name


def refused_by(kind: Kind, direction: Direction, identity: int, service: Service) -> str | None:
    """None where some of the service passes; else the uid of the first rule that refuses any of it, or the policy
    whose default does."""
    left, first = [(service.first, service.last)], ""
    for rule, identities in kind.rules[direction]:
        if not (rule.any_peer or identity in identities):
            continue
        after = _without(left, _spans(rule, service.protocol))
        if after != left:
            if rule.action is Action.ALLOW:
                return None
            left, first = after, first or rule.uid
        if not left:
            return first
    bundle = kind.bundle
    if bundle.default(direction) is Action.ALLOW or direction.value in bundle.audited_defaults:
        return None
    return first or bundle.default_source[0 if direction is Direction.INGRESS else 1]


def text(service: Service) -> str:
    """As policies write it."""
    if (service.first, service.last) == (0, 65535):
        return str(service.protocol.value)
    if service.protocol is Protocol.ICMP:
        number = service.first >> 8
        return f"icmp6/{number}" if number >= ICMP6 else f"icmp/{number}"
    ports = str(service.first)
    if service.last != service.first:
        ports += f"-{service.last}"
    return f"{service.protocol.value}/{ports}"


def _spans(rule: Rule, protocol: Protocol) -> list[Span]:
    """What the rule covers of a protocol. All of `any` is covered by `any` alone, some of it by every service; that
    some of it is allowed is enough, and to be refused it takes all."""
    if protocol is Protocol.ANY and rule.action is Action.ALLOW:
        return [(0, 65535)]
    covering = (protocol, Protocol.ANY)
    return [(s.first, s.last) for s in rule.services if s.protocol in covering]


def _without(spans: list[Span], cut: Iterable[Span]) -> list[Span]:
    for first, last in cut:
        spans = [
            piece
            for low, high in spans
            for piece in ((low, min(high, first - 1)), (max(low, last + 1), high))
            if piece[0] <= piece[1]
        ]
    return spans
