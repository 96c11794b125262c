"""The smallest valid bundles for a test."""

from __future__ import annotations

from ipaddress import ip_network

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


def service(text: str) -> Service:
    """`tcp/80`, `udp/1000-2000`, `icmp`, `any`."""
    name, _, ports = text.partition("/")
    first, _, last = ports.partition("-")
    if not ports:
        return Service(Protocol(name))
    return Service(Protocol(name), int(first), int(last or first))


def rule(
    uid: str,
    services: str,
    peers: tuple[int, ...] | None = None,
    *,
    direction: Direction = Direction.INGRESS,
    action: Action = Action.ALLOW,
) -> Rule:
    """A rule for the identities `peers`, or for everybody (None)."""
    return Rule(
        uid=uid,
        direction=direction,
        action=action,
        services=tuple(service(text) for text in services.split()),
        identities=tuple(Identity(n) for n in peers or ()),
        any_peer=peers is None,
        tier="app",
        source="test.yml:1",
    )


def bundle(
    *rules: Rule,
    endpoints: dict[str, int] | None = None,
    ingress: Action = Action.DENY,
    egress: Action = Action.DENY,
    forward: Action = Action.ALLOW,
    mode: Mode = Mode.PROTECT,
) -> Bundle:
    """`endpoints` maps networks to identity numbers; `rules` are in order of precedence."""
    known = endpoints or {}
    numbers = sorted({*known.values(), *(n for r in rules for n in r.identities)} - {0})
    return Bundle(
        host="h",
        mode=mode,
        default_ingress=ingress,
        default_egress=egress,
        default_forward=forward,
        identities=tuple(IdentityInfo(Identity(n), f"id{n}") for n in numbers),
        endpoints={str(ip_network(n)): Identity(i) for n, i in known.items()},
        rules=rules,
        default_source=("p", "p"),
    )
