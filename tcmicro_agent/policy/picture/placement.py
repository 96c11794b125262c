"""Where to draw a graph: in layers from left to right, so that most edges go that way and few cross (Sugiyama's way).

Edges that would go back are laid out the other way round. Edges over several layers get a place in each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

SWEEPS = 12

Key = tuple[object, ...]
Ends = tuple[str, str]


@dataclass(eq=False)
class Spot:
    """A node, or where an edge passes through a layer; `y` is its middle."""

    key: Key
    layer: int
    height: float
    y: float = 0.0
    before: list[Spot] = field(default_factory=list)
    after: list[Spot] = field(default_factory=list)


@dataclass(frozen=True)
class Layout:
    """Spots by layer from top to bottom, nodes by name, and for each edge the spots it goes through, from its source
    to its target."""

    layers: Sequence[Sequence[Spot]]
    nodes: Mapping[str, Spot]
    ways: Sequence[Sequence[Spot]]


def lay_out(heights: Mapping[str, float], edges: Sequence[Ends], gap: float, lane: float) -> Layout:
    """`heights` of all nodes; `gap` between nodes, `lane` the height that a passing edge takes."""
    forward = _forward(list(heights), edges)
    ranks = _ranks(list(heights), forward)
    nodes = {name: Spot((name,), ranks[name], height) for name, height in heights.items()}
    spots = list(nodes.values())
    ways = []
    for number, ((source, target), ends) in enumerate(zip(edges, forward)):
        way = _way(nodes[ends[0]], nodes[ends[1]], number, lane)
        spots += way[1:-1]
        ways.append(way if ends == (source, target) else way[::-1])
    layers = _ordered(spots)
    _place(layers, gap)
    return Layout(layers, nodes, ways)


def _forward(names: Sequence[str], edges: Sequence[Ends]) -> list[Ends]:
    """Edges with those turned that lead back, so that no circle is left."""
    following: dict[str, list[str]] = {name: [] for name in names}
    for source, target in edges:
        following[source].append(target)
    incoming = {target for source, target in edges if source != target}
    done: dict[str, int] = {}
    for start in sorted(names, key=lambda name: name in incoming):
        _visit(start, following, done)
    return [(s, t) if done[s] >= done[t] else (t, s) for s, t in edges]


def _visit(start: str, following: Mapping[str, Sequence[str]], done: dict[str, int]) -> None:
    """Depth first, without recursion; numbers nodes as they are left."""
    seen = set(done)
    stack = [(start, iter(following[start]))] if start not in seen else []
    seen.add(start)
    while stack:
        name, rest = stack[-1]
        step = next((other for other in rest if other not in seen), None)
        if step is None:
            done[name] = len(done)
            stack.pop()
        else:
            seen.add(step)
            stack.append((step, iter(following[step])))


def _ranks(names: Sequence[str], edges: Iterable[Ends]) -> dict[str, int]:
    """The longest way to each node."""
    before: dict[str, set[str]] = {name: set() for name in names}
    for source, target in edges:
        if source != target:
            before[target].add(source)
    ranks: dict[str, int] = {}
    while len(ranks) < len(names):
        for name in names:
            if name not in ranks and before[name] <= ranks.keys():
                ranks[name] = 1 + max((ranks[other] for other in before[name]), default=-1)
    return ranks


def _way(source: Spot, target: Spot, number: int, lane: float) -> list[Spot]:
    between = [
        Spot(("edge", number), layer, lane) for layer in range(source.layer + 1, target.layer)
    ]
    way = [source, *between, target]
    for one, other in zip(way, way[1:]):
        if one is not other:
            one.after.append(other)
            other.before.append(one)
    return way


def _ordered(spots: Iterable[Spot]) -> list[list[Spot]]:
    """Layers, each in the order that crosses few edges: by the mean place of the neighbours, back and forth."""
    layers: list[list[Spot]] = []
    for spot in spots:
        layers += [[] for _ in range(spot.layer - len(layers) + 1)]
        layers[spot.layer].append(spot)
    for sweep in range(SWEEPS):
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            place = {id(spot): n for line in layers for n, spot in enumerate(line)}
            means = {
                id(spot): fmean(place[id(other)] for other in near) if near else place[id(spot)]
                for spot in layer
                for near in [spot.before if sweep % 2 == 0 else spot.after]
            }
            layer.sort(key=lambda spot: means[id(spot)])  # noqa: B023 - called at once
    return layers


def _place(layers: Sequence[Sequence[Spot]], gap: float) -> None:
    """Middles as near to those of the neighbours as order and gaps allow."""
    for layer in layers:
        _stack(layer, [0.0] * len(layer), gap)
    for sweep in range(SWEEPS):
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            wanted = [
                fmean(other.y for other in near) if (near := spot.before + spot.after) else spot.y
                for spot in layer
            ]
            _stack(layer, wanted, gap)


def _stack(layer: Sequence[Spot], wanted: Sequence[float], gap: float) -> None:
    """In order, none over another, and as a whole around where they want to be."""
    y = 0.0
    for number, (spot, wish) in enumerate(zip(layer, wanted)):
        least = y + spot.height / 2
        spot.y = max(wish, least) if number else wish
        y = spot.y + spot.height / 2 + gap
    shift = fmean(wish - spot.y for spot, wish in zip(layer, wanted))
    for spot in layer:
        spot.y += shift
