"""A graph in Graphviz' DOT, in Mermaid, and as a document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tcmicro_agent.policy.picture.graph import Edge, Graph, Node, drawn
from tcmicro_agent.policy.reach.spans import text_of, texts


def dot(graph: Graph) -> str:
    """Dashed: only some hosts of the one reach some of the other."""
    drawing = drawn(graph)
    lines = [
        "digraph tcmicro {",
        "  rankdir=LR",
        '  node [shape=box, style=rounded, fontname="sans-serif"]',
        '  edge [fontname="sans-serif", fontsize=10]',
        *(f"  label={_quoted(chr(10).join(drawing.notes))}" for _ in drawing.notes[:1]),
    ]
    for node in drawing.nodes:
        shape = "" if node.hosts else ", shape=ellipse"
        lines.append(f"  {_quoted(node.name)} [label={_quoted(caption(node))}{shape}]")
    for edge in drawing.edges:
        for label, some in labels(edge):
            style = ", style=dashed" if some else ""
            ends = f"{_quoted(edge.source)} -> {_quoted(edge.target)}"
            lines.append(f"  {ends} [label={_quoted(label)}{style}]")
    return "\n".join([*lines, "}"])


def mermaid(graph: Graph) -> str:
    """For Markdown that GitHub and GitLab show."""
    drawing = drawn(graph)
    ids = {node.name: f"n{number}" for number, node in enumerate(drawing.nodes)}
    lines = ["flowchart LR"]
    for node in drawing.nodes:
        left, right = ("[", "]") if node.hosts else ("([", "])")
        lines.append(f"  {ids[node.name]}{left}{_quoted(caption(node), '<br>')}{right}")
    for edge in drawing.edges:
        for label, some in labels(edge):
            arrow = "-.->" if some else "-->"
            lines.append(f"  {ids[edge.source]} {arrow}|{_quoted(label)}| {ids[edge.target]}")
    return "\n".join([*lines, *(f"  %% {note}" for note in drawing.notes)])


def document(graph: Graph) -> dict[str, Any]:
    """All nodes and edges, none left out."""
    return {
        "nodes": [
            {"name": node.name, "hosts": list(node.hosts), "mode": node.mode}
            for node in graph.nodes
        ],
        "edges": [
            {
                "from": edge.source,
                "to": edge.target,
                "every": texts(edge.every) if edge.every else [],
                "some": texts(edge.some) if edge.some else [],
            }
            for edge in graph.edges
        ],
    }


def caption(node: Node) -> str:
    """The name, and below it how many hosts under which mode."""
    if not node.hosts:
        return str(node.name)
    count = f"{len(node.hosts)} host{'s' * (len(node.hosts) > 1)}"
    return f"{node.name}\n{count}, {node.mode if node.mode != 'none' else 'no policy'}"


def labels(edge: Edge) -> Iterator[tuple[str, bool]]:
    """The services, and whether only some hosts reach some."""
    if edge.every:
        yield text_of(edge.every), False
    if edge.some:
        yield text_of(edge.some), True


def _quoted(text: str, newline: str = "\\n") -> str:
    return json.dumps(text, ensure_ascii=False).replace("\\n", newline)
