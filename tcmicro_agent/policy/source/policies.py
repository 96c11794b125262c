"""Documents of kind Policy → intent. Nothing of the language is ignored: what is not enforced yet is refused."""

from __future__ import annotations

from tcmicro_agent.jsonutil import show
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.intent import Policy, PolicyRule, Tier
from tcmicro_agent.policy.model import Action, Direction, Mode
from tcmicro_agent.policy.problems import Fault, Problems, Where
from tcmicro_agent.policy.source.fields import Fields, choice_of
from tcmicro_agent.policy.source.metadata import read_metadata
from tcmicro_agent.policy.source.nodes import Node
from tcmicro_agent.policy.source.peers import SELECTORS, read_hosts
from tcmicro_agent.policy.source.rules import read_rules
from tcmicro_agent.policy.source.words import word_of


def read_policy(doc: Fields) -> Policy:
    name, about = read_metadata(doc)
    spec = doc.fields("spec", "spec")
    default = spec.fields("default", "default")
    subjects = spec.fields("applyTo", "applyTo")
    subjects.need_one(SELECTORS)
    policy = Policy(
        name=name,
        tier=spec.read("tier", _tier, Tier.APP, Tier.APP),
        mode=spec.choice("mode", Mode),
        mode_where=spec.place("mode"),
        subjects=read_hosts(
            subjects, except_hosts=subjects.each("exceptHosts", word_of, required=False)
        ),
        default_ingress=default.choice("ingress", Action),
        default_egress=default.choice("egress", Action),
        default_forward=default.choice("forward", Action, Action.ALLOW),
        rules=tuple(rule for direction in Direction for rule in read_rules(spec, direction)),
        about=about,
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


def _refuse_twins(rules: tuple[PolicyRule, ...], problems: Problems) -> None:
    """Counters and reports know a rule by its id, so it is one in both directions of a policy."""
    first: dict[str, Where] = {}
    for rule in rules:
        if rule.id.text in first:
            text = f"rule {show(rule.id.text)} exists already in line {first[rule.id.text].line}"
            problems.add(rule.id.where, Code.DUPLICATE_NAME, text)
        elif rule.id.text:
            first[rule.id.text] = rule.id.where
