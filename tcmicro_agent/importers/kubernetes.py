"""NetworkPolicy and Cilium(Clusterwide)NetworkPolicy → policies: pods are hosts that carry the same labels.

A namespace is the label `namespace` of a host. What has no counterpart is left out as a whole: a peer without one of
its conditions would let in more than before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from tcmicro_agent.errors import PolicyError
from tcmicro_agent.importers import k8s_parts as parts
from tcmicro_agent.importers.draft import (
    DraftPolicy,
    DraftRule,
    Effect,
    Import,
    Report,
    name_from,
)
from tcmicro_agent.importers.k8s_parts import EVERYBODY, ForeignError, Item, Peer
from tcmicro_agent.policy.intent import Tier
from tcmicro_agent.policy.model import Action, Direction, Protocol, Service
from tcmicro_agent.policy.problems import Problems
from tcmicro_agent.policy.source.nodes import read_documents

T = TypeVar("T")
CILIUM = ("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy")
TYPES = {"Ingress": Direction.INGRESS, "Egress": Direction.EGRESS}
PEERS = {Direction.INGRESS: "from", Direction.EGRESS: "to"}
ENDS = ("Endpoints", "CIDR", "CIDRSet", "Entities")
EFFECTS = {Action.ALLOW: Effect.NARROWER, Action.DENY: Effect.WIDER}
LABELS = "pods are hosts here: hosts need their labels in tcmicro_labels, and their namespace as the label namespace"


@dataclass(frozen=True)
class Source:
    """One spec, and where its faults go."""

    name: str
    namespace: str
    spec: Item
    report: Report


def read(text: str, name: str) -> Import:
    """Raises PolicyError for what is not YAML, or holds no policy at all."""
    problems, report = Problems(), Report()
    documents = [Item(node) for node in read_documents(name, text, problems)]
    problems.raise_any()
    policies = [made for found in _flattened(documents) for made in _policies(found, report)]
    if not policies and not report.left_out:
        raise PolicyError([f"{name}: no NetworkPolicy in it"], hint="kubectl get netpol -A -o yaml")
    if policies:
        report.note(LABELS)
    return Import(tuple(_distinct(policies)), report)


def _flattened(documents: Iterable[Item]) -> Iterator[Item]:
    for document in documents:
        if document.text("kind").endswith("List"):
            yield from document.items("items")
        else:
            yield document


def _policies(document: Item, report: Report) -> Iterator[DraftPolicy]:
    kind, metadata = document.text("kind"), document.child("metadata")
    name, namespace = metadata.text("name"), metadata.text("namespace")
    if kind not in ("NetworkPolicy", *CILIUM):
        what = f"{kind or 'no kind'} {name}".strip()
        report.leave_out(document.where, what, "only network policies are carried", Effect.NONE)
        return
    if not namespace and kind != CILIUM[1]:
        report.note(f"{name} names no namespace: it and its peers are hosts of every namespace")
    known = name_from(f"{namespace}-{name}" if namespace else name)
    for spec in [document.child("spec")] if document.has("spec") else document.items("specs"):
        source = Source(known, namespace, spec, report)
        try:
            yield _cilium(source) if kind in CILIUM else _network_policy(source)
        except ForeignError as exc:
            report.leave_out(exc.where, f"policy {name}", str(exc), Effect.EITHER)


def _network_policy(source: Source) -> DraftPolicy:
    spec = source.spec
    spec.only("podSelector", "policyTypes", "ingress", "egress")
    types = [item.plain for item in spec.items("policyTypes")]
    types = types or ["Ingress", *(["Egress"] if spec.has("egress") else [])]
    closed = {TYPES[kind] for kind in types if kind in TYPES}
    rules = [
        made
        for direction in Direction
        if direction in closed
        for number, rule in enumerate(spec.items(direction.value), 1)
        for made in _rule(source, rule, direction, number)
    ]
    return _drafted(source, "podSelector", rules, closed)


def _rule(source: Source, rule: Item, direction: Direction, number: int) -> list[DraftRule]:
    """None where nothing is left of it."""
    field, lost = PEERS[direction], EFFECTS[Action.ALLOW]
    try:
        rule.only(field, "ports")
    except ForeignError as exc:
        source.report.leave_out(exc.where, f"rule {number}", str(exc), lost)
        return []
    peers = _each(rule.items(field), lambda i: parts.pods(i, source.namespace), source, lost)
    ports = _each(rule.items("ports"), lambda i: parts.port(i, "TCP"), source, lost)
    services = ports if rule.items("ports") else [Service(Protocol.ANY)]
    wanted = peers if rule.items(field) else [EVERYBODY]
    return _made(f"{direction.value}-{number}", rule, (direction, Action.ALLOW), wanted, services)


def _cilium(source: Source) -> DraftPolicy:
    spec = source.spec
    fields = {
        (direction, action): direction.value + ("Deny" if action is Action.DENY else "")
        for direction in Direction
        for action in Action
    }
    spec.only("endpointSelector", "description", "enableDefaultDeny", *fields.values())
    optional = spec.child("enableDefaultDeny")
    closed = {
        way for (way, _), f in fields.items() if spec.has(f) and optional.text(way.value) != "False"
    }
    rules = [
        made
        for (direction, action), field in fields.items()
        for number, rule in enumerate(spec.items(field), 1)
        for made in _cilium_rule(source, rule, (direction, action), f"{field.lower()}-{number}")
    ]
    return _drafted(source, "endpointSelector", rules, closed)


def _cilium_rule(
    source: Source, rule: Item, kind: tuple[Direction, Action], name: str
) -> list[DraftRule]:
    lost = EFFECTS[kind[1]]
    fields = [f"{PEERS[kind[0]]}{end}" for end in ENDS]
    used = [field for field in fields if rule.has(field)]
    try:
        rule.only(*fields, "toPorts")
        if len(used) > 1:
            raise rule.foreign(f"{used[0]} beside {used[1]} is not carried")
    except ForeignError as exc:
        source.report.leave_out(exc.where, f"rule {name}", str(exc), lost)
        return []
    wanted: list[Peer] = [EVERYBODY] if not used and rule.has("toPorts") else []
    for field in used:
        read_end = partial(parts.end, field=field, namespace=source.namespace)
        wanted = _each(rule.items(field), read_end, source, lost)
    services = [Service(Protocol.ANY)]
    if rule.has("toPorts"):
        services = _each(rule.items("toPorts"), _ports, source, lost)
    return _made(name, rule, kind, wanted, services)


def _ports(item: Item) -> list[Service]:
    """One element of toPorts; with rules for an application protocol it means less than its ports."""
    item.only("ports")
    if not item.items("ports"):
        raise item.foreign("toPorts without ports is not carried")
    return [service for entry in item.items("ports") for service in parts.port(entry, "ANY")]


def _each(
    items: Sequence[Item], parse: Callable[[Item], list[T]], source: Source, lost: Effect
) -> list[T]:
    """What is understood; the others are reported one by one."""
    found: list[T] = []
    for item in items:
        try:
            found += parse(item)
        except ForeignError as exc:
            source.report.leave_out(exc.where, f"a part of {source.name}", str(exc), lost)
    return found


def _made(
    name: str,
    rule: Item,
    kind: tuple[Direction, Action],
    peers: Sequence[Peer],
    services: Sequence[Service],
) -> list[DraftRule]:
    if not peers or not services:
        return []
    wanted = () if EVERYBODY in peers else tuple(peers)
    return [DraftRule(name, *kind, wanted, tuple(services), rule.where)]


def _drafted(
    source: Source, selector: str, rules: list[DraftRule], closed: set[Direction]
) -> DraftPolicy:
    item = source.spec.child(selector)
    subjects = parts.selected(item, source.namespace, cilium=selector == "endpointSelector")
    if len(subjects) != 1:
        raise item.foreign("a label of the subject with other than one value is not carried")
    actions = [Action.DENY if direction in closed else Action.ALLOW for direction in Direction]
    return DraftPolicy(
        source.name,
        Tier.APP,
        subjects[0],
        actions[0],
        actions[1],
        Action.ALLOW,
        tuple(rules),
        f"from {source.spec.where}",
    )


def _distinct(policies: Sequence[DraftPolicy]) -> Iterator[DraftPolicy]:
    """Names are unique here; theirs are so per namespace and kind."""
    uses = Counter(policy.name for policy in policies)
    seen: Counter[str] = Counter()
    for policy in policies:
        seen[policy.name] += 1
        number = f"-{seen[policy.name]}" if uses[policy.name] > 1 else ""
        yield replace(policy, name=f"{policy.name[:55]}{number}")
