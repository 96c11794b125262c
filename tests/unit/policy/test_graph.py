"""The graph holds what the oracle allows; its drawings are well-formed and nothing in them lies over another."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings

from tcmicro_agent.policy.inventory import parse_inventory
from tcmicro_agent.policy.picture.dot import document, dot, mermaid
from tcmicro_agent.policy.picture.graph import WORLD, drawn, graph
from tcmicro_agent.policy.picture.placement import lay_out
from tcmicro_agent.policy.picture.svg import svg
from tests.unit.policy import test_diff as diff
from tests.unit.policy import test_resolve_meaning as meaning
from tests.unit.policy.test_resolve import FLEET, policy, resolved

SVG = "{http://www.w3.org/2000/svg}"


def found_in(*texts, fleet=None):
    return graph(resolved(*texts, fleet=fleet), parse_inventory(fleet or FLEET))


@settings(max_examples=50, deadline=None)
@given(meaning.FLEETS)
def test_edges_between_groups_are_what_the_oracle_allows(case):
    hosts, documents = case
    inventory = parse_inventory(hosts)
    bundles = meaning.resolved(meaning.read(documents), hosts)
    found = graph(bundles, inventory)
    node_of = {host: node.name for node in found.nodes for host in node.hosts}
    passing: dict[tuple, list[bool]] = {}
    for one, other in itertools.permutations(inventory.hosts.values(), 2):
        for pair in itertools.product(one.addresses, other.addresses):
            if pair[0].version == pair[1].version:
                ends = ((pair[0], one.name), (pair[1], other.name))
                for flow in diff.FLOWS:
                    key = node_of[one.name], node_of[other.name], flow
                    passing.setdefault(key, []).append(diff.passes(bundles, ends, flow))
    edges = {(edge.source, edge.target): edge for edge in found.edges}
    for (source, target, flow), passes in passing.items():
        edge = edges.get((source, target))
        every, some = (
            any(diff.covers(part, flow) for part in (services if edge else ()))
            for services in ((edge.every, edge.some) if edge else ((), ()))
        )
        assert (every, some) == (all(passes), any(passes) and not all(passes))


WEB = policy("db-in", "pg|allow|groups: [web]|tcp/5432")


def test_what_only_some_hosts_may_is_told_apart():
    part = policy("db-in", "pg|allow|hosts: [web1]|tcp/5432", "ping|allow|groups: [web]|icmp")
    edges = {(e["from"], e["to"]): e for e in document(found_in(part))["edges"]}
    assert edges["web", "db"] == {
        "from": "web",
        "to": "db",
        "every": ["icmp"],
        "some": ["tcp/5432"],
    }


def test_drawings_leave_out_what_is_open_anyway_and_say_so():
    ping = policy("db-in", "pg|allow|groups: [web]|tcp/5432", "ping|allow|entity: any|icmp")
    shut = [policy(f"{g}-in", apply=f"groups: [{g}]") for g in ("web", "client")]
    drawing = drawn(found_in(ping, *shut))
    assert [(e.source, e.target) for e in drawing.edges] == [("web", "db"), (WORLD, "db")]
    assert "every group may open anything to the outside" in drawing.notes[0]


def test_networks_of_both_families_that_reach_alike_are_one_node():
    admin = policy("db-in", "ssh|allow|cidrs: [10.9.0.0/24, 'fd09::/64']|tcp/22")
    fleet = {
        name: {**found, "addresses": [f"10.0.0.{n}", f"fd00::{n}"]}
        for n, (name, found) in enumerate(FLEET.items(), 1)
    }
    names = [node.name for node in found_in(admin, fleet=fleet).nodes if not node.hosts]
    assert names == [WORLD, "10.9.0.0/24, fd09::/64"]


def test_nodes_say_how_many_hosts_under_which_mode():
    found = {node.name: (len(node.hosts), node.mode) for node in found_in(WEB).nodes}
    assert found == {
        "client": (1, "none"),
        "db": (2, "protect"),
        "web": (2, "none"),
        WORLD: (0, None),
    }


def test_texts_for_graphviz_and_mermaid():
    shut = [policy(f"{g}-in", apply=f"groups: [{g}]") for g in ("web", "client")]
    found = found_in(WEB, *shut)
    assert '  "web" -> "db" [label="tcp/5432"]' in dot(found).splitlines()
    assert dot(found).startswith("digraph tcmicro {")
    assert '  n2 -->|"tcp/5432"| n1' in mermaid(found).splitlines()


def drawing_of(*texts):
    return ET.fromstring(svg(found_in(*texts)))


def boxes(drawing, kind):
    groups = [g for g in drawing.iter(f"{SVG}g") if kind in g.get("class", "").split()]
    for rect in (g.find(f"{SVG}rect") for g in groups):
        x, y, width, height = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
        yield x, y, x + width, y + height


def test_drawing_is_one_document_with_tooltips_for_both_screens():
    drawing = drawing_of(WEB)
    titles = {title.text for title in drawing.iter(f"{SVG}title")}
    assert {"web: web1, web2", "web -> db: tcp/5432"} <= titles
    assert "prefers-color-scheme: dark" in drawing.find(f"{SVG}style").text
    assert not list(drawing.iter(f"{SVG}script"))


def test_nothing_lies_over_another_and_all_is_in_the_frame():
    texts = [
        policy(f"{g}-in", f"a|allow|groups: [{a}]|tcp/80", f"b|allow|groups: [{b}]|tcp/81",
               apply=f"groups: [{g}]")
        for g, a, b in (("web", "client", "db"), ("db", "web", "db"), ("client", "db", "web"))
    ]  # fmt: skip
    drawing = drawing_of(*texts)
    found = [*boxes(drawing, "node"), *boxes(drawing, "label")]
    assert len(found) == 4 + 6 - 1
    for one, other in itertools.combinations(found, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    x, y, width, height = map(float, drawing.get("viewBox").split())
    assert all(x <= b[0] and y <= b[1] and b[2] <= x + width for b in found)
    assert all(b[3] <= y + height for b in found)


@pytest.mark.parametrize(
    "edges",
    [
        [],
        [("a", "a")],
        [("a", "b"), ("b", "c"), ("c", "a")],
        [("a", "b"), ("b", "a"), ("a", "c"), ("c", "d"), ("a", "d")],
    ],
)
def test_layers_go_one_way_but_for_what_closes_a_circle(edges):
    layout = lay_out(dict.fromkeys("abcd", 10.0), edges, gap=5, lane=5)
    assert [(way[0].key[0], way[-1].key[0]) for way in layout.ways] == edges
    for way in layout.ways:
        steps = [b.layer - a.layer for a, b in zip(way, way[1:])]
        assert steps == ([0] if way[0] is way[-1] else [steps[0]] * len(steps))
    back = sum(way[0].layer > way[-1].layer for way in layout.ways)
    assert back == (1 if ("b", "a") in edges or ("c", "a") in edges else 0)
    for layer in layout.layers:
        for one, other in zip(layer, layer[1:]):
            assert one.y + one.height / 2 + 5 <= other.y - other.height / 2 + 1e-6
