"""Who reaches whom, group by group: what every host of one group may open to every host of another, and what only some.

A group here is a distinct set of Ansible groups. Outside of the inventory there is the world, and each network that
policies tell apart from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product

from tcmicro_agent.policy.inventory import Inventory
from tcmicro_agent.policy.model import Bundle, Direction, Mode
from tcmicro_agent.policy.reach.decisions import Decisions, Spans
from tcmicro_agent.policy.reach.naming import own_groups
from tcmicro_agent.policy.reach.parties import ALL4, ALL6, Party, find_bodies, find_parties
from tcmicro_agent.policy.reach.spans import (
    EVERYTHING,
    ServiceSet,
    allowed,
    joined,
    of_family,
    without,
)

WORLD = "world"


@dataclass(frozen=True)
class Node:
    """`hosts` is empty outside of the inventory; `mode` is then None, and "mixed" where hosts or policies differ."""

    name: str
    hosts: tuple[str, ...] = ()
    mode: str | None = None


@dataclass(frozen=True)
class Edge:
    """`every`: what each host may open to each; `some`: what only some may to some besides."""

    source: str
    target: str
    every: ServiceSet
    some: ServiceSet


@dataclass(frozen=True)
class Graph:
    """Nodes by name, the inventory's first; edges only where anything is allowed."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def graph(bundles: Mapping[str, Bundle], inventory: Inventory) -> Graph:
    """Of policy verdicts, whatever the mode."""
    bodies = find_bodies(bundles)
    parties = find_parties(bodies, inventory)
    nodes = _nodes(bundles, inventory, parties)
    reach = _Reach([Decisions(bundle) for bundle in bodies.bundles])
    edges = [
        edge
        for source, target in product(nodes, nodes)
        if nodes[source][0].hosts or nodes[target][0].hosts
        if (edge := reach.edge(nodes[source], nodes[target]))
    ]
    return _joined(Graph(tuple(node for node, _ in nodes.values()), tuple(edges)))


def _joined(found: Graph) -> Graph:
    """Networks outside that reach and are reached alike, as those of both families mostly are, become one node."""
    alike: dict[frozenset[object], list[str]] = {}
    for node in found.nodes:
        if not node.hosts and node.name != WORLD:
            ways = frozenset(
                (e.source == node.name, e.target if e.source == node.name else e.source)
                + (e.every, e.some)
                for e in found.edges
                if node.name in (e.source, e.target)
            )
            alike.setdefault(ways, []).append(node.name)
    names = {name: ", ".join(same) for same in alike.values() for name in same}
    nodes = {
        names.get(n.name, n.name): replace(n, name=names.get(n.name, n.name)) for n in found.nodes
    }
    edges = {
        (edge.source, edge.target): edge
        for edge in (
            replace(e, source=names.get(e.source, e.source), target=names.get(e.target, e.target))
            for e in found.edges
        )
    }
    return Graph(tuple(nodes.values()), tuple(edges.values()))


Members = tuple[Node, list[Party]]


def _nodes(
    bundles: Mapping[str, Bundle], inventory: Inventory, parties: Iterable[Party]
) -> dict[str, Members]:
    kinds: dict[str, list[str]] = {}
    for name, groups in own_groups(inventory).items():
        kinds.setdefault("+".join(groups) or "ungrouped", []).append(name)
    name_of = {host: name for name, hosts in kinds.items() for host in hosts}
    found: dict[str, Members] = {
        name: (Node(name, tuple(kinds[name]), _mode(bundles, kinds[name])), [])
        for name in sorted(kinds)
    }
    for party in parties:
        names = {name_of[host] for host in party.hosts} or {_outside(party)}
        for name in names:
            found.setdefault(name, (Node(name), []))[1].append(party)
    return found


def _outside(party: Party) -> str:
    if {ALL4, ALL6} & set(party.networks):
        return WORLD
    return ", ".join(map(str, party.networks))


def _mode(bundles: Mapping[str, Bundle], hosts: Iterable[str]) -> str:
    """`none` where no policy applies; `mixed` where hosts differ, or the policies of one."""
    found = {_host_mode(bundles[host]) for host in hosts}
    return found.pop() if len(found) == 1 else "mixed"


def _host_mode(bundle: Bundle) -> str:
    if not any(bundle.default_source):
        return "none"
    return "mixed" if bundle.monitoring else Mode(bundle.mode).value


class _Reach:
    def __init__(self, decisions: list[Decisions]) -> None:
        self._decisions = decisions
        self._known: dict[tuple[int, ...], ServiceSet] = {}

    def edge(self, source: Members, target: Members) -> Edge | None:
        (one, sources), (other, targets) = source, target
        if one is other and len(one.hosts) < 2:
            return None
        found = {
            self._allowed(s, t)
            for s, t in product(sources, targets)
            if s.version == t.version and _apart(s, t, one, other)
        }
        some = joined(part for services in found for part in services)
        if not some:
            return None
        every = some
        for services in found:
            every = without(every, without(EVERYTHING, services))
        return Edge(one.name, other.name, every, without(some, every))

    def _allowed(self, source: Party, target: Party) -> ServiceSet:
        ends: list[Spans] = []
        if source.ours:
            decisions = self._decisions[source.rows[0]]
            ends.append(decisions.spans(Direction.EGRESS, target.seen[source.rows[0]]))
        if target.ours:
            decisions = self._decisions[target.rows[0]]
            ends.append(decisions.spans(Direction.INGRESS, source.seen[target.rows[0]]))
        key = (source.version, *map(id, ends))
        if key not in self._known:
            self._known[key] = joined(of_family(allowed(*ends), source.version))
        return self._known[key]


def _apart(source: Party, target: Party, one: Node, other: Node) -> bool:
    """Whether they are more than one host with itself; a party may have hosts of several nodes."""
    mine, theirs = source.hosts & set(one.hosts), target.hosts & set(other.hosts)
    return not (len(mine) == 1 and mine == theirs)


def around(found: Graph, groups: Iterable[str]) -> Graph:
    """The part that has an end in any of some Ansible groups, and what the world may open to whoever is in it."""
    wanted = set(groups)
    mine = {node.name for node in found.nodes if wanted & set(node.name.split("+"))}
    near = {edge for edge in found.edges if edge.source in mine or edge.target in mine}
    seen = mine.union(*((edge.source, edge.target) for edge in near))
    edges = [e for e in found.edges if e in near or (e.source == WORLD and e.target in seen)]
    shown = seen.union(*((edge.source, edge.target) for edge in edges))
    return Graph(tuple(node for node in found.nodes if node.name in shown), tuple(edges))


@dataclass(frozen=True)
class Drawing:
    """What is worth drawing of a graph, and notes that say what is left out."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    notes: tuple[str, ...]


def drawn(graph: Graph) -> Drawing:
    """Without what the whole world may open to a group anyway, and without that a group may open anything to the
    outside.
    """
    nodes = {node.name: node for node in graph.nodes}
    public = {edge.target: edge.every for edge in graph.edges if edge.source == WORLD}
    free = {e.source for e in graph.edges if e.target == WORLD and e.every == EVERYTHING}
    edges = []
    for edge in graph.edges:
        if not nodes[edge.target].hosts and edge.source in free and edge.every == EVERYTHING:
            continue
        less = public.get(edge.target, ()) if edge.source != WORLD else ()
        every, some = without(edge.every, less), without(edge.some, less)
        if every or some:
            edges.append(Edge(edge.source, edge.target, every, some))
    seen = {name for edge in edges for name in (edge.source, edge.target)}
    shown = tuple(node for node in graph.nodes if node.hosts or node.name in seen)
    return Drawing(shown, tuple(edges), tuple(_notes(nodes, free, public)))


def _notes(
    nodes: Mapping[str, Node], free: set[str], public: Mapping[str, ServiceSet]
) -> Iterable[str]:
    ours = [name for name, node in nodes.items() if node.hosts]
    if free:
        who = "every group" if free.issuperset(ours) else ", ".join(sorted(free))
        yield f"not drawn: {who} may open anything to the outside"
    if public:
        yield "what the world may open is drawn from there only"
