"""Documents of kind Policy → intent. Nothing of the language is ignored: what is not enforced yet is refused."""

from __future__ import annotations

from enum import Enum

from tcmicro_agent.jsonutil import show
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.intent import (
    Anyone,
    Cidrs,
    HostSelector,
    Peer,
    Policy,
    PolicyRule,
    Tier,
    Word,
)
from tcmicro_agent.policy.model import Action, Direction, Mode, Network
from tcmicro_agent.policy.problems import Fault, Problems, Where
from tcmicro_agent.policy.source.fields import NO_ITEMS, Fields, choice_of, items_of
from tcmicro_agent.policy.source.metadata import describe, read_name
from tcmicro_agent.policy.source.nodes import Node
from tcmicro_agent.policy.source.words import label_of, name_of, network_of, service_of, word_of

LATER_RULE_FIELDS = ("startsAt", "expires", "log", "http")
LATER_PEERS = ("fqdns",)
LATER_ENTITIES = ("world", "fleet", "self", "controller", "resolvers")
SELECTORS = ("groups", "labels", "hosts")
NOT_YET = "is not supported in this release; remove it"
ALONE = 'cannot stand beside "{}"; make each an item of the list'
PEER_FIELDS = {Direction.INGRESS: "from", Direction.EGRESS: "to"}


class Entity(Enum):
    ANY = "any"


def read_policy(doc: Fields) -> Policy:
    name = read_name(doc)
    spec = doc.fields("spec", "spec")
    default = spec.fields("default", "default")
    subjects = spec.fields("applyTo", "applyTo")
    subjects.need_one(SELECTORS)
    policy = Policy(
        name=name,
        tier=spec.read("tier", _tier, Tier.APP, Tier.APP),
        mode=spec.choice("mode", Mode),
        mode_where=spec.place("mode"),
        subjects=_hosts(
            subjects, except_hosts=subjects.each("exceptHosts", word_of, required=False)
        ),
        default_ingress=default.choice("ingress", Action),
        default_egress=default.choice("egress", Action),
        default_forward=default.choice("forward", Action, Action.ALLOW),
        rules=tuple(rule for direction in Direction for rule in _rules(spec, direction)),
    )
    _refuse_twins(policy.rules, doc.problems)
    for fields in (default, subjects, spec, doc):
        fields.close()
    return policy


def _tier(node: Node) -> Tier:
    if node.value == "system":
        text = '"system" is built in and cannot be written; the highest tier to write is quarantine'
        raise Fault(node.where, Code.NOT_ALLOWED, text)
    return choice_of(node, Tier)


def _rules(spec: Fields, direction: Direction) -> list[PolicyRule]:
    nodes = spec.read(direction.value, items_of, NO_ITEMS, NO_ITEMS)
    return [_rule(Fields(node, "a rule", spec.problems), direction) for node in nodes]


def _rule(fields: Fields, direction: Direction) -> PolicyRule:
    rule = PolicyRule(
        id=fields.read("id", name_of, Word("", fields.where)),
        direction=direction,
        action=fields.choice("action", Action, Action.ALLOW),
        peers=fields.each(
            PEER_FIELDS[direction], lambda node: _peer(Fields(node, "a peer", fields.problems))
        ),
        services=fields.each("ports", service_of),
    )
    describe(fields)
    fields.refuse(Code.NOT_YET, NOT_YET, *LATER_RULE_FIELDS)
    fields.close()
    return rule


def _peer(fields: Fields) -> Peer:
    """One of three shapes: everybody, what networks hold, or whom the inventory names."""
    peer: Peer
    fields.refuse(Code.NOT_YET, NOT_YET, *LATER_PEERS)
    if fields.has("entity"):
        peer = _anyone(fields)
    elif fields.has("cidrs") or fields.has("except"):
        peer = _cidrs(fields)
    else:
        fields.need_one((*SELECTORS, "cidrs", "entity"))
        peer = _hosts(fields)
    fields.close()
    return peer


def _anyone(fields: Fields) -> Anyone:
    fields.read("entity", _entity, Entity.ANY)
    fields.refuse(Code.NOT_ALLOWED, ALONE.format("entity"), *SELECTORS, "cidrs", "except")
    return Anyone(fields.where)


def _entity(node: Node) -> Entity:
    if node.value in LATER_ENTITIES:
        text = f"entity {node.value} is not supported in this release; name groups or cidrs"
        raise Fault(node.where, Code.NOT_YET, text)
    return choice_of(node, Entity)


def _cidrs(fields: Fields) -> Cidrs:
    fields.refuse(Code.NOT_ALLOWED, ALONE.format("cidrs"), *SELECTORS)
    networks = fields.each("cidrs", network_of)
    excluded = fields.each("except", network_of, required=False)
    for network in excluded:
        if not any(_inside(network, wide) for wide in networks):
            text = f"{network} lies in none of the cidrs, or is all of one"
            fields.add(fields.place("except"), Code.CIDR, text)
    return Cidrs(fields.where, networks, excluded)


def _inside(network: Network, wide: Network) -> bool:
    if network.version != wide.version or network == wide:
        return False
    return network.subnet_of(wide)  # type: ignore[arg-type]  # one version, see above


def _hosts(fields: Fields, except_hosts: tuple[Word, ...] = ()) -> HostSelector:
    return HostSelector(
        where=fields.where,
        groups=fields.each("groups", word_of, required=False),
        labels=fields.entries("labels", label_of),
        hosts=fields.each("hosts", word_of, required=False),
        except_hosts=except_hosts,
    )


def _refuse_twins(rules: tuple[PolicyRule, ...], problems: Problems) -> None:
    """Counters and reports know a rule by its id, so it is one in both directions of a policy."""
    first: dict[str, Where] = {}
    for rule in rules:
        if rule.id.text in first:
            text = f"rule {show(rule.id.text)} exists already in line {first[rule.id.text].line}"
            problems.add(rule.id.where, Code.DUPLICATE_NAME, text)
        elif rule.id.text:
            first[rule.id.text] = rule.id.where
