"""The parts of Kubernetes and Cilium network policies: selectors, peers, ports. Each is wholly understood or raises."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from itertools import product
from typing import Union

from tcmicro_agent.importers.draft import Hosts, Nets
from tcmicro_agent.importers.match import inside
from tcmicro_agent.policy.model import Network, Protocol, Service
from tcmicro_agent.policy.source.nodes import Node

NAMESPACE = "namespace"
NAMESPACE_LABELS = ("kubernetes.io/metadata.name",)
POD_NAMESPACE = "io.kubernetes.pod.namespace"
SOURCES = ("k8s:", "any:")  # where Cilium has a label from
FOREIGN_LABELS = ("reserved:", "container:", "cidr:", "io.cilium.", "io.kubernetes.", "k8s-app.")
TRANSPORTS = {"TCP": Protocol.TCP, "UDP": Protocol.UDP, "SCTP": Protocol.SCTP}
EVERYBODY = Nets((ip_network("0.0.0.0/0"), ip_network("::/0")))

Peer = Union[Hosts, Nets]


class ForeignError(Exception):
    """Something of theirs that has no counterpart here, and where."""

    def __init__(self, where: str, text: str) -> None:
        super().__init__(text)
        self.where = where


@dataclass(frozen=True)
class Item:
    """A YAML value; what is not there is empty."""

    node: Node

    @property
    def where(self) -> str:
        return str(self.node.where)

    def foreign(self, text: str) -> ForeignError:
        return ForeignError(self.where, text)

    def names(self) -> list[str]:
        return list(self.node.value) if isinstance(self.node.value, dict) else []

    def only(self, *known: str) -> None:
        """Raises ForeignError for any other key."""
        if not isinstance(self.node.value, dict) and self.node.value is not None:
            raise self.foreign("is not a mapping")
        for key in self.names():
            if key not in known:
                raise ForeignError(self.child(key).where, f"{key} is not carried")

    def has(self, key: str) -> bool:
        return key in self.names() and self.node.value[key].value is not None

    def child(self, key: str) -> Item:
        empty = Node(self.node.where, {}, self.node.where)
        return Item(self.node.value[key] if self.has(key) else empty)

    def items(self, key: str) -> list[Item]:
        found = self.child(key)
        if not self.has(key):
            return []
        if not isinstance(found.node.value, tuple):
            raise found.foreign(f"{key} is not a list")
        return [Item(node) for node in found.node.value]

    @property
    def plain(self) -> str:
        value = self.node.value
        return "" if isinstance(value, (dict, tuple)) or value is None else str(value)

    def text(self, key: str) -> str:
        return self.child(key).plain


def selected(selector: Item, namespace: str, *, cilium: bool = False) -> list[Hosts]:
    """The hosts a selector means, one item per alternative; `namespace`: of the policy, "" = whatever it is."""
    selector.only("matchLabels", "matchExpressions")
    labels = selector.child("matchLabels")
    fixed = [(key, [labels.text(key)]) for key in labels.names()]
    choices = fixed + [_expression(item) for item in selector.items("matchExpressions")]
    pairs = [[(_key(key, selector, cilium=cilium), v) for v in values] for key, values in choices]
    return [_hosts(dict(chosen), namespace, selector) for chosen in product(*pairs)]


def _expression(item: Item) -> tuple[str, list[str]]:
    item.only("key", "operator", "values")
    if item.text("operator") != "In":
        raise item.foreign(f"operator {item.text('operator')} is not carried")
    return item.text("key"), [value.plain for value in item.items("values")]


def _key(key: str, selector: Item, *, cilium: bool) -> str:
    for source in SOURCES if cilium else ():
        key = key[len(source) :] if key.startswith(source) else key
    if cilium and key == POD_NAMESPACE:
        return NAMESPACE
    if key == NAMESPACE or (cilium and key.startswith(FOREIGN_LABELS)):
        raise selector.foreign(f"label {key} is not carried")
    return key


def _hosts(labels: dict[str, str], namespace: str, selector: Item) -> Hosts:
    if "" in labels.values():
        raise selector.foreign("a label without a value is not carried")
    if namespace:
        labels.setdefault(NAMESPACE, namespace)
    return Hosts(labels=tuple(sorted(labels.items())))


def pods(peer: Item, namespace: str) -> list[Peer]:
    """A peer of a NetworkPolicy."""
    peer.only("podSelector", "namespaceSelector", "ipBlock")
    named = [name for name in peer.names() if peer.has(name)]
    if peer.has("ipBlock"):
        if len(named) > 1:
            raise peer.foreign("ipBlock beside a selector is not carried")
        return [block(peer.child("ipBlock"))]
    if not named:
        raise peer.foreign("an empty peer is not carried")
    if peer.has("namespaceSelector"):
        namespace = _namespace(peer.child("namespaceSelector"))
    return [*selected(peer.child("podSelector"), namespace)]


def _namespace(selector: Item) -> str:
    """The one it names, "" for any."""
    selector.only("matchLabels")
    labels = selector.child("matchLabels")
    if any(key not in NAMESPACE_LABELS for key in labels.names()):
        raise selector.foreign("a label of namespaces is not carried; name the namespace")
    return "".join(labels.text(key) for key in labels.names())


def block(item: Item) -> Nets:
    item.only("cidr", "except")
    network = _network(item, item.text("cidr"))
    excluded = tuple(_network(e, e.plain) for e in item.items("except"))
    if any(not inside(e, network) or e == network for e in excluded):
        raise item.foreign("except lies outside of cidr, or is all of it")
    return Nets((network,), tuple(dict.fromkeys(excluded)))


def _network(item: Item, text: str) -> Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise item.foreign(f"{text!r} is not a network") from None


def end(item: Item, field: str, namespace: str) -> list[Peer]:
    """One element of a field of a Cilium rule, such as fromEndpoints."""
    if field.endswith("Endpoints"):
        return [*selected(item, namespace, cilium=True)]
    if field.endswith("CIDR"):
        return [Nets((_network(item, item.plain),))]
    if field.endswith("CIDRSet"):
        return [block(item)]
    if item.plain == "all":
        return [EVERYBODY]
    raise item.foreign(f"entity {item.plain} is not carried")


def port(item: Item, default: str) -> list[Service]:
    """One entry of a list of ports; `default`: the protocol where none is named."""
    item.only("port", "endPort", "protocol")
    protocol = item.text("protocol").upper() or default
    transports = list(TRANSPORTS.values()) if protocol == "ANY" else [TRANSPORTS.get(protocol)]
    first = item.text("port") or "1"
    last = item.text("endPort") or (first if item.has("port") else "65535")
    if not (first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last) <= 65535):
        raise item.foreign(f"port {first} is not carried; give it a number from 1 to 65535")
    if None in transports:
        raise item.foreign(f"protocol {protocol} is not carried")
    return [Service(found, int(first), int(last)) for found in transports if found]
