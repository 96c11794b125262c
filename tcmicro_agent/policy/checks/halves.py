"""Flows between two hosts of the inventory that a rule of one end allows and the other end refuses."""

from __future__ import annotations

from collections.abc import Iterator

from tcmicro_agent.policy.checks import flows
from tcmicro_agent.policy.checks.scene import Kind, Scene, listed
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.evaluate import enforces_default_deny
from tcmicro_agent.policy.intent import HostSelector, PolicyRule
from tcmicro_agent.policy.model import Action, Direction, Mode, Service
from tcmicro_agent.policy.problems import Problems
from tcmicro_agent.policy.selection import Names

OTHER = {Direction.INGRESS: Direction.EGRESS, Direction.EGRESS: Direction.INGRESS}


def half_open(scene: Scene, problems: Problems) -> None:
    """One fault for each rule of which the other end refuses a whole service."""
    seen: dict[tuple[str, int], dict[int, set[str]]] = {}
    for policy, rule in scene.all_rules():
        if rule.action is Action.ALLOW and policy.mode is Mode.PROTECT:
            here = scene.select(policy.subjects)
            for kind, there in _protected(scene, rule):
                key = (policy.name.text, id(kind))
                if key not in seen:
                    seen[key] = _identities(scene, kind, here)
                if _tell(scene, problems, rule, (kind, there, seen[key])):
                    break


def _protected(scene: Scene, rule: PolicyRule) -> Iterator[tuple[Kind, list[str]]]:
    """The hosts that the rule names as peers and that refuse anything, by kind."""
    selectors = [peer for peer in rule.peers if isinstance(peer, HostSelector)]
    peers = frozenset[str]().union(*map(scene.select, selectors))
    kinds: dict[int, list[str]] = {}
    for name in sorted(peers):
        kinds.setdefault(id(scene.kind_of[name]), []).append(name)
    for names in kinds.values():
        kind = scene.kind_of[names[0]]
        if kind.bundle.mode is Mode.PROTECT and _refuses(kind, OTHER[rule.direction]):
            yield kind, names


def _refuses(kind: Kind, direction: Direction) -> bool:
    denied = any(rule.action is Action.DENY for rule, _ in kind.rules[direction])
    return denied or enforces_default_deny(kind.bundle, direction)


def _identities(scene: Scene, kind: Kind, names: Names) -> dict[int, set[str]]:
    """Who the hosts are in the bundle of that kind."""
    found: dict[int, set[str]] = {}
    for name in names:
        for network, text in scene.places[name]:
            found.setdefault(kind.identity(network, text), set()).add(name)
    return found


def _tell(
    scene: Scene,
    problems: Problems,
    rule: PolicyRule,
    far: tuple[Kind, list[str], dict[int, set[str]]],
) -> bool:
    kind, there, identities = far
    for service in rule.services:
        for identity, names in sorted(identities.items()):
            here = names - set(there) if len(there) == 1 else names
            refused = here and flows.refused_by(kind, OTHER[rule.direction], identity, service)
            if refused:
                text = _text(scene, rule, service, (here, there, refused))
                problems.add(rule.id.where, Code.HALF_OPEN, text)
                return True
    return False


def _text(
    scene: Scene, rule: PolicyRule, service: Service, ends: tuple[set[str], list[str], str]
) -> str:
    here, there, refused = ends
    what = flows.text(service)
    if refused in scene.by_uid:
        who = f"{refused} at {scene.by_uid[refused].id.where}"
    else:
        who = f"the default of {refused} at {scene.named[refused].name.where}"
    if rule.direction is Direction.EGRESS:
        verb = "refuses" if len(there) == 1 else "refuse"
        return f"{listed(there)} {verb} {what} from {listed(here)}: {who}"
    return f"{listed(there)} may not open {what} to {listed(here)}: {who}"
