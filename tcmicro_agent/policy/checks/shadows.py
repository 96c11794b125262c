"""Rules that decide nothing on any host, read off what the datapath would be given."""

from __future__ import annotations

from collections.abc import Iterator

from tcmicro_agent.policy.checks.rules import meaning
from tcmicro_agent.policy.checks.scene import Kind, Scene
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.compile import shapes_of
from tcmicro_agent.policy.model import ALWAYS, Rule
from tcmicro_agent.policy.problems import Problems

SHOWN = 2


def shadowed(scene: Scene, problems: Problems) -> None:
    """Rules of which every flow is decided by others, on each of their hosts."""
    deciding: set[str] = set()
    before: dict[str, dict[str, None]] = {}
    for kind in scene.kinds:
        groups = kind.lasting + (kind.enforced if kind.bundle.monitoring else ())
        decides = {rule.uid for group in groups for rule in group.decisions.values()}
        deciding |= decides
        for rule in kind.bundle.rules:
            if rule.window == ALWAYS and rule.uid not in decides:
                before.setdefault(rule.uid, {}).update(dict.fromkeys(_deciders(kind, rule)))
    for uid, others in before.items():
        if uid not in deciding and others:
            _tell(scene, problems, uid, list(others))


def _deciders(kind: Kind, rule: Rule) -> Iterator[str]:
    """Who decides the flows that the rule is about."""
    identities, shapes = set(rule.identities), list(shapes_of(rule))
    for group in kind.lasting:
        matched = rule.any_peer or not identities.isdisjoint(group.identities)
        if matched and group.direction is rule.direction:
            yield from (group.decisions[shape].uid for shape in shapes)


def _tell(scene: Scene, problems: Problems, uid: str, others: list[str]) -> None:
    rule = scene.by_uid[uid]
    if any(_same(scene, uid, other) for other in others):
        return  # told as a duplicate
    shown = ", ".join(f"{other} at {scene.by_uid[other].id.where}" for other in others[:SHOWN])
    more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
    text = f"never decides: all its flows are decided by {shown}{more}"
    problems.add(rule.id.where, Code.SHADOWED, text)


def _same(scene: Scene, one: str, other: str) -> bool:
    return meaning(scene.by_uid[one]) == meaning(scene.by_uid[other])
