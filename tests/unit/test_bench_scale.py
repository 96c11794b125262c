"""The figures of `make bench-scale`: per host, and straight or not."""

from __future__ import annotations

import pytest

from tests.bench_fleet.runs import Cost
from tests.bench_scale import __main__ as bench
from tests.bench_scale import figures

MACHINE = {"kernel": "6.1", "cpus": 2, "load": [0.5, 1.5], "forks": 20}


def series(*points):
    """Two rounds at each (size, CPU seconds)."""
    return {
        size: [{"push": Cost(cpu / 2, cpu)}, {"push": Cost(cpu / 2, cpu)}] for size, cpu in points
    }


def linear(*points):
    found = figures.document({"lab": series(*points)}, MACHINE, [])
    return found["hosts"]["lab"]["push"]["linear"]


@pytest.mark.parametrize(
    ("points", "met", "growth"),
    [
        ([(10, 5.0), (20, 10.0)], True, 0.0),
        ([(10, 9.0), (20, 5.0), (40, 10.0)], True, 0.0),
        ([(10, 5.0), (20, 11.4)], True, 0.14),
        ([(10, 5.0), (20, 11.6)], False, 0.16),
        ([(10, 5.0), (20, 8.4)], False, -0.16),
    ],
)
def test_a_line_is_straight_within_15_percent_at_its_end(points, met, growth):
    found = linear(*points)
    assert found["met"] is met
    assert found["growth"] == pytest.approx(growth)


def test_one_size_makes_no_line():
    assert linear((10, 5.0)) is None


def test_the_table_says_what_was_not_taken():
    lab = {"lab": series((10, 5.0), (20, 20.0))}
    text = figures.table(figures.document(lab, MACHINE, ["40 lab hosts: there are 20"]))
    assert "20 forks, 2 processors, load 0.5 to 1.5" in text
    assert "a host  0.250 s  0.500 s CPU" in text
    assert "bent: a host costs +100% CPU at the largest size" in text
    assert text.endswith("not taken: 40 lab hosts: there are 20")


def test_sizes_are_read_in_order_and_none_is_none():
    assert bench._sizes("40,10") == (10, 40)
    assert bench._sizes("0") == ()


def test_works_are_taken_in_turns_after_one_that_is_thrown_away():
    said = []
    works = {name: lambda name=name: said.append(name) or Cost(1, 1) for name in ("a", "b")}
    assert len(bench._taken("2 fakes", works, 2)) == 2
    assert said == ["a", "a", "b", "a", "b"]
