"""Checks of rules as they are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from tcmicro_agent.policy.checks.scene import Scene, listed, uid
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.intent import Anyone, Cidrs, Entity, Known, Peer, PolicyRule, Word
from tcmicro_agent.policy.model import Action, Direction, Mode, Protocol
from tcmicro_agent.policy.problems import Problems, Where
from tcmicro_agent.policy.windows import written

DAY_S = 86400
LONGEST_S = 366 * DAY_S


def duplicates(scene: Scene, problems: Problems) -> None:
    """Rules of one tier on the same hosts that say the same."""
    first: dict[object, str] = {}
    for policy, rule in scene.all_rules():
        said = (policy.tier, policy.mode, scene.select(policy.subjects), meaning(rule))
        if said in first:
            known = scene.by_uid[first[said]].id.where
            problems.add(
                rule.id.where, Code.DUPLICATE_RULE, f"says what {first[said]} at {known} says"
            )
        else:
            first[said] = uid(policy, rule)


def world_open(scene: Scene, problems: Problems) -> None:
    """Services that everybody may reach, and egress of everything to everywhere."""
    for policy, rule in scene.all_rules():
        if policy.mode is Mode.PROTECT and rule.action is Action.ALLOW and _is_hole(rule):
            way = "come in from" if rule.direction is Direction.INGRESS else "go out to"
            for peer in filter(_is_world, rule.peers):
                problems.add(peer.where, Code.WORLD_OPEN, f"lets every flow of it {way} anywhere")


def times(scene: Scene, problems: Problems) -> None:
    """Rules that are over, and rules that are to end in years."""
    now = scene.limits.now
    for _, rule in scene.all_rules():
        end = rule.window.end
        if end is not None and end <= now:
            problems.add(rule.id.where, Code.EXPIRED, f"expired at {written(end)}")
        elif end is not None and end > max(now, rule.window.start or now) + LONGEST_S:
            text = f"expires at {written(end)}, in more than {LONGEST_S // DAY_S} days"
            problems.add(rule.id.where, Code.LONG_LIVED, text)


def ipv6_forgotten(scene: Scene, problems: Problems) -> None:
    """Rules whose peers are IPv4 networks alone, on hosts that speak IPv6 too."""
    for policy, rule in scene.all_rules():
        if _only_ipv4(rule.peers):
            hosts = scene.inventory.hosts
            dual = [
                name
                for name in scene.select(policy.subjects)
                if any(address.version == 6 for address in hosts[name].addresses)
            ]
            if dual:
                text = f"names IPv4 networks alone; known by IPv6 too: {listed(dual)}"
                problems.add(rule.peers[0].where, Code.IPV6_FORGOTTEN, text)


def meaning(value: Any) -> object:
    """A value of `intent` without names, places and order, to be compared."""
    if isinstance(value, PolicyRule):
        parts = (f.name for f in fields(value) if f.name not in ("id", "about"))
        return tuple(meaning(getattr(value, name)) for name in parts)
    if isinstance(value, Word):
        return value.text
    if isinstance(value, tuple):
        return frozenset(map(meaning, value))
    if is_dataclass(value) and not isinstance(value, type):
        kept = (getattr(value, f.name) for f in fields(value))
        told = (meaning(part) for part in kept if not isinstance(part, Where))
        return (type(value).__name__, *told)
    return value.value if isinstance(value, Enum) else value


def _is_hole(rule: PolicyRule) -> bool:
    if rule.direction is Direction.EGRESS:
        return any(service.protocol is Protocol.ANY for service in rule.services)
    return any(service.protocol is not Protocol.ICMP for service in rule.services)


def _is_world(peer: Peer) -> bool:
    if isinstance(peer, Cidrs):
        return any(network.prefixlen == 0 for network in peer.networks)
    return isinstance(peer, Anyone) or (isinstance(peer, Known) and peer.entity is Entity.WORLD)


def _only_ipv4(peers: Sequence[Peer]) -> bool:
    networks = [n for peer in peers if isinstance(peer, Cidrs) for n in peer.networks]
    whole = all(isinstance(peer, Cidrs) for peer in peers)
    return bool(whole and networks) and all(network.version == 4 for network in networks)
