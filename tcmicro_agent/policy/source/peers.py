"""Peers and other selectors → intent."""

from __future__ import annotations

from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.intent import Anyone, Cidrs, Entity, HostSelector, Known, Peer, Word
from tcmicro_agent.policy.model import Network
from tcmicro_agent.policy.source.fields import Fields
from tcmicro_agent.policy.source.nodes import Node
from tcmicro_agent.policy.source.words import label_of, name_of, network_of, set_of, word_of

SELECTORS = ("groups", "labels", "hosts")
NETWORKS = ("cidrs", "addressSets")
LATER_PEERS = ("fqdns",)
NOT_YET = "is not supported in this release; remove it"
ALONE = 'cannot stand beside "{}"; make each an item of the list'


def read_peer(fields: Fields) -> Peer:
    """One of three shapes: an entity, what networks hold, or whom the inventory names."""
    peer: Peer
    fields.refuse(Code.NOT_YET, NOT_YET, *LATER_PEERS)
    if fields.has("entity"):
        peer = _entity(fields)
    elif any(fields.has(key) for key in (*NETWORKS, "except")):
        peer = _cidrs(fields)
    else:
        fields.need_one((*SELECTORS, *NETWORKS, "entity"))
        peer = read_hosts(fields)
    fields.close()
    return peer


def _entity(fields: Fields) -> Peer:
    entity = fields.choice("entity", Entity)
    fields.refuse(Code.NOT_ALLOWED, ALONE.format("entity"), *SELECTORS, *NETWORKS, "except")
    return Anyone(fields.where) if entity is Entity.ANY else Known(fields.where, entity)


def _cidrs(fields: Fields) -> Cidrs:
    """Whether what is excepted lies in the networks is known once the sets are (`links.py`)."""
    first = next((key for key in NETWORKS if fields.has(key)), "cidrs")
    fields.refuse(Code.NOT_ALLOWED, ALONE.format(first), *SELECTORS)
    excluded = fields.each("except", _excluded, required=False)
    return Cidrs(
        where=fields.where,
        networks=fields.each("cidrs", network_of, required=not fields.has("addressSets")),
        excluded=tuple(found for found in excluded if not isinstance(found, Word)),
        sets=fields.each("addressSets", name_of, required=False),
        excluded_sets=tuple(found for found in excluded if isinstance(found, Word)),
        except_where=fields.place("except"),
    )


def _excluded(node: Node) -> Network | Word:
    return set_of(node) or network_of(node)


def read_hosts(fields: Fields, except_hosts: tuple[Word, ...] = ()) -> HostSelector:
    return HostSelector(
        where=fields.where,
        groups=fields.each("groups", word_of, required=False),
        labels=fields.entries("labels", label_of),
        hosts=fields.each("hosts", word_of, required=False),
        except_hosts=except_hosts,
    )
