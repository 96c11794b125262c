"""Pictures of dashboards say what the server answered, in the units and names of the panels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.pictures import drawing

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.5, "percentunit", "50 %"),
        (2.5, "pps", "2.5/s"),
        (3, "Bps", "3 B/s"),
        (2**21, "bytes", "2 MiB"),
        (2e-6, "s", "2 µs"),
        (0, "s", "0 s"),
        (12, "s", "12 s"),
        (7, "none", "7"),
    ],
)
def test_values_are_shown_with_their_unit(value, unit, text):
    assert drawing.shown_as(value, unit) == text


def test_legend_has_the_labels_filled_in():
    target = {"legendFormat": "{{rule}} {{action}}"}
    assert drawing.legend(target, {"rule": "a/b", "action": "allow"}) == "a/b allow"
    assert drawing.legend(target, {"rule": "a/b"}) == "a/b "


def test_limit_is_drawn_only_where_values_come_near_it():
    assert drawing.line_is_near(1, [[(None, 0.1), (None, 0.5)]])
    assert not drawing.line_is_near(1, [[(None, 0.4)]])
    assert not drawing.line_is_near(1, [])


def line(name, *values):
    return {"legendFormat": name}, {"metric": {}, "values": list(values)}


def test_series_that_has_ended_is_no_latest_value():
    old, new = line("0.1.0", [0, "1"]), line("0.1.1", [0, "0"], [15, "1"])
    assert drawing.lasting([old, new]) == [new]
    assert drawing.lasting([]) == []


def test_highest_line_comes_first_and_nothing_is_left_out():
    nothing, low, high = line("a", [0, "0"]), line("b", [0, "1"]), line("c", [0, "2"])
    assert drawing.telling([nothing, low, high]) == [high, low]
    assert drawing.telling([nothing]) == [nothing]


def series(target):
    """Ten values, a quarter of a minute apart."""
    labels = {name: name for name in drawing.LABEL.findall(target.get("legendFormat", ""))}
    return [{"metric": labels, "values": [[1e9 + 15 * n, str(n / 10)] for n in range(10)]}]


def test_dashboard_becomes_a_picture_also_without_data(tmp_path):
    document = json.loads((ROOT / "monitoring/dashboards/fleet.json").read_text())
    panels = [panel for panel in document["panels"] if panel["type"] != "row"]
    full = [(panel, [series(target) for target in panel["targets"]]) for panel in panels]
    empty = [(panel, [[] for _ in panel["targets"]]) for panel in panels]
    drawing.draw("with", full, tmp_path / "with.png")
    drawing.draw("without", empty, tmp_path / "without.png")
    pictures = [(tmp_path / f"{which}.png").read_bytes() for which in ("with", "without")]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
    assert len(pictures[0]) > len(pictures[1])
