"""The rules of a policy → intent."""

from __future__ import annotations

from typing import Union

from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.intent import PolicyRule, Word
from tcmicro_agent.policy.model import Action, Direction, Log, Service, Window
from tcmicro_agent.policy.source.fields import NO_ITEMS, Fields, items_of
from tcmicro_agent.policy.source.metadata import read_about
from tcmicro_agent.policy.source.nodes import Node
from tcmicro_agent.policy.source.peers import read_peer
from tcmicro_agent.policy.source.words import name_of, services_of, set_of, time_of
from tcmicro_agent.policy.windows import written

LATER_RULE_FIELDS = ("http",)
NOT_YET = "is not supported in this release; remove it"
PEER_FIELDS = {Direction.INGRESS: "from", Direction.EGRESS: "to"}

Port = Union[Word, tuple[Service, ...]]  # a set, or what one word means


def read_rules(spec: Fields, direction: Direction) -> list[PolicyRule]:
    nodes = spec.read(direction.value, items_of, NO_ITEMS, NO_ITEMS)
    return [_rule(Fields(node, "a rule", spec.problems), direction) for node in nodes]


def _rule(fields: Fields, direction: Direction) -> PolicyRule:
    peers = fields.each(
        PEER_FIELDS[direction], lambda node: read_peer(Fields(node, "a peer", fields.problems))
    )
    ports = fields.each("ports", _port)
    rule = PolicyRule(
        id=fields.read("id", name_of, Word("", fields.where)),
        direction=direction,
        action=fields.choice("action", Action, Action.ALLOW),
        peers=peers,
        services=tuple(s for port in ports if not isinstance(port, Word) for s in port),
        port_sets=tuple(port for port in ports if isinstance(port, Word)),
        window=_window(fields),
        log=fields.choice("log", Log, Log.DENY),
        about=read_about(fields),
    )
    fields.refuse(Code.NOT_YET, NOT_YET, *LATER_RULE_FIELDS)
    fields.close()
    return rule


def _port(node: Node) -> Port:
    return set_of(node) or services_of(node)


def _window(fields: Fields) -> Window:
    start = fields.read("startsAt", time_of, None, None)
    end = fields.read("expires", time_of, None, None)
    if start is not None and end is not None and start >= end:
        text = f"expires: {written(end)} is not after startsAt ({written(start)})"
        fields.add(fields.place("expires"), Code.TIME, text)
    return Window(start, end)
