"""A graph as one SVG file: light and dark as the reader's screen is, full texts in tooltips, no script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from tcmicro_agent.errors import TcmicroError
from tcmicro_agent.policy.picture.dot import caption, labels
from tcmicro_agent.policy.picture.graph import Edge, Graph, Node, drawn
from tcmicro_agent.policy.picture.placement import Layout, Spot, lay_out
from tcmicro_agent.policy.picture.svg_labels import HEIGHT, Box, Point, box_around, free_place
from tcmicro_agent.policy.picture.svg_style import HEAD, STYLE

CHARACTER, LINE, PADDING = 7.3, 18.0, 14.0  # widths and heights in px, of text of 13 px
SMALL = 6.4  # width of a character of a label
GAP, LANE, DOCK, MARGIN = 34.0, 20.0, 13.0, 32.0
SHOWN_NETWORKS = 3
MOST_EDGES = 300
LONGEST = 30  # characters of a label or a line of a node that are shown


@dataclass(frozen=True)
class Line:
    """One edge to draw; `some`: dashed."""

    edge: Edge
    label: str
    some: bool


def svg(graph: Graph) -> str:
    """The drawing as text. Raises TcmicroError for what nobody could read."""
    drawing = drawn(graph)
    if len(drawing.edges) > MOST_EDGES:
        text = f"{len(drawing.nodes)} groups and {len(drawing.edges)} edges are too many to draw"
        raise TcmicroError(
            f"{text}; at most {MOST_EDGES} edges",
            hint="choose groups with --group, or use -o dot or json",
        )
    lines = [Line(edge, label, some) for edge in drawing.edges for label, some in labels(edge)]
    canvas = _Canvas(drawing.nodes, lines)
    body = [*canvas.edges(), *canvas.nodes(), *canvas.labels()]
    return "\n".join([*canvas.frame(drawing.notes), *body, "</svg>"]) + "\n"


class _Canvas:
    def __init__(self, nodes: Sequence[Node], lines: Sequence[Line]) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._texts = {node.name: list(_rows(node)) for node in nodes}
        self._lines = lines
        ways = [(line.edge.source, line.edge.target) for line in lines]
        heights = {n: LINE * len(t) + PADDING for n, t in self._texts.items()}
        degrees = Counter(name for ends in ways for name in ends)
        heights = {n: max(h, DOCK * degrees[n] / 2 + PADDING) for n, h in heights.items()}
        self._layout: Layout = lay_out(heights, ways, GAP, LANE)
        self._widths = {
            n: max(len(_short(line)) for line in t) * CHARACTER + 2 * PADDING
            for n, t in self._texts.items()
        }
        self._columns = list(self._find_columns())
        spots = [spot for layer in self._layout.layers for spot in layer]
        self._top = min((s.y - s.height / 2 for s in spots), default=0.0) - MARGIN
        self._bottom = max((s.y + s.height / 2 for s in spots), default=0.0) + MARGIN
        self._paths = [self._path(number) for number in range(len(lines))]

    def _find_columns(self) -> Iterator[Box]:
        """Left and right of every layer, with room for the labels between."""
        x = MARGIN
        for number, layer in enumerate(self._layout.layers):
            width = max((self._widths.get(str(spot.key[0]), 0.0) for spot in layer), default=0.0)
            yield x, 0.0, x + width, 0.0
            crossing = [
                len(_short(line.label))
                for line, way in zip(self._lines, self._layout.ways)
                if any({a.layer, b.layer} == {number, number + 1} for a, b in zip(way, way[1:]))
                or (line.edge.source == line.edge.target and way[0].layer == number)
            ]
            x += width + max(90.0, max(crossing, default=0) * SMALL + 60.0)

    def frame(self, notes: Sequence[str]) -> Iterator[str]:
        left, right = 0.0, max((c[2] for c in self._columns), default=200.0) + MARGIN
        foot = LINE * (len(notes) + 1) + MARGIN
        width = max(right - left, max((len(note) for note in notes), default=0) * CHARACTER)
        box = f"{left:.0f} {self._top:.0f} {width:.0f} {self._bottom - self._top + foot:.0f}"
        size = f'width="{width:.0f}" height="{self._bottom - self._top + foot:.0f}"'
        yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" {size} role="img">'
        yield f"<title>Who may open connections to whom</title><style>{STYLE}</style>{HEAD}"
        dashed = any(line.some for line in self._lines)
        legend = ["dashed: only some hosts of the group"] * dashed
        for number, note in enumerate([*notes, *legend]):
            y = self._bottom + LINE * (number + 0.5)
            yield f'<text class="small dim" x="{MARGIN:.0f}" y="{y:.0f}">{escape(note)}</text>'

    def nodes(self) -> Iterator[str]:
        for name, spot in self._layout.nodes.items():
            node, texts = self._nodes[name], self._texts[name]
            left, width = self._left(spot), self._widths[name]
            kind = node.mode or "outside"
            radius = 8 if node.hosts else spot.height / 2
            top = spot.y - spot.height / 2
            yield f'<g class="node {kind}"><title>{escape(_tooltip(node))}</title>'
            yield (
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
                f'height="{spot.height:.1f}" rx="{radius:.0f}"/>'
            )
            first = spot.y - LINE * (len(texts) - 1) / 2 + 4.5
            for number, text in enumerate(texts):
                style = ' class="small dim"' if number and node.hosts else ""
                y = first + LINE * number
                middle = left + width / 2
                shown = escape(_short(text))
                yield f'<text{style} x="{middle:.1f}" y="{y:.1f}" text-anchor="middle">{shown}</text>'
            yield "</g>"

    def edges(self) -> Iterator[str]:
        for line, points in zip(self._lines, self._paths):
            title = f"{line.edge.source} -> {line.edge.target}: {line.label}"
            kind = "edge some" if line.some else "edge"
            yield f'<g class="{kind}"><title>{escape(title)}</title>'
            yield f'<path d={quoteattr(_curve(points))} marker-end="url(#head)"/></g>'

    def labels(self) -> Iterator[str]:
        """Each on its edge, where no other label is yet."""
        taken = [self._box(spot) for spot in self._layout.nodes.values()]
        for line, points in zip(self._lines, self._paths):
            text = _short(line.label)
            x, y = free_place(points, len(text) * SMALL + 6, taken)
            left, top, right, _ = box_around((x, y), len(text) * SMALL + 4)
            title = f"{line.edge.source} -> {line.edge.target}: {line.label}"
            yield (
                f'<g class="label"><title>{escape(title)}</title>'
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{HEIGHT}"/>'
                f'<text class="small" x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle">'
                f"{escape(text)}</text></g>"
            )

    def _left(self, spot: Spot) -> float:
        left, _, right, _ = self._columns[spot.layer]
        return (left + right - self._widths[str(spot.key[0])]) / 2

    def _box(self, spot: Spot) -> Box:
        left, half = self._left(spot), spot.height / 2
        return left, spot.y - half, left + self._widths[str(spot.key[0])], spot.y + half

    def _path(self, number: int) -> list[Point]:
        """Pairs of points; between the two of a pair the edge is level."""
        way = self._layout.ways[number]
        if way[0] is way[1]:
            return self._loop(way[0])
        rightwards = way[0].layer < way[-1].layer
        points: list[Point] = []
        for spot in way[1:-1]:
            left, _, right, _ = self._columns[spot.layer]
            points += [(left, spot.y), (right, spot.y)][:: 1 if rightwards else -1]
        start = self._dock(way[0], number, right=rightwards)
        return [start, *points, self._dock(way[-1], number, right=not rightwards)]

    def _dock(self, spot: Spot, number: int, *, right: bool) -> Point:
        """Where an edge meets a node: all of one side spread over it, in the order of what they lead to."""
        left, _, far, _ = self._box(spot)
        mine = []
        for other, way in enumerate(self._layout.ways):
            if spot in (way[0], way[-1]) and way[0] is not way[1]:
                beside = way[1] if way[0] is spot else way[-2]
                if (beside.layer > spot.layer) is right:
                    mine.append((beside.y, other))
        place = [other for _, other in sorted(mine)].index(number)
        share = spot.height * 0.7 / max(len(mine), 1)
        return (far if right else left), spot.y + share * (place - (len(mine) - 1) / 2)

    def _loop(self, spot: Spot) -> list[Point]:
        """Above the node."""
        left, top, right, _ = self._box(spot)
        middle = (left + right) / 2
        return [(middle - 18, top), (middle, top - 32), (middle + 18, top)]


def _curve(points: Sequence[Point]) -> str:
    if len(points) == 3:  # a loop
        (left, y), (_, high), (right, _) = points
        return (
            f"M{left:.1f} {y:.1f}C{left:.1f} {high:.1f} {right:.1f} {high:.1f} {right:.1f} {y:.1f}"
        )
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for number, (one, other) in enumerate(zip(points, points[1:])):
        if number % 2:
            parts.append(f"L{other[0]:.1f} {other[1]:.1f}")
        else:
            middle = (one[0] + other[0]) / 2
            control = f"{middle:.1f} {one[1]:.1f} {middle:.1f} {other[1]:.1f}"
            parts.append(f"C{control} {other[0]:.1f} {other[1]:.1f}")
    return "".join(parts)


def _rows(node: Node) -> Iterator[str]:
    """The name and what it is; outside, a few networks."""
    if node.hosts:
        yield from caption(node).split("\n")
        return
    networks = node.name.split(", ")
    yield from networks[:SHOWN_NETWORKS]
    if len(networks) > SHOWN_NETWORKS:
        yield f"and {len(networks) - SHOWN_NETWORKS} more"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _tooltip(node: Node) -> str:
    return f"{node.name}: {', '.join(node.hosts)}" if node.hosts else node.name
