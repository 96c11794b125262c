"""The figures of `make bench-fleet`: ratios are taken within a round, and said with their goal."""

from __future__ import annotations

import pytest

from tests.bench.measure import MeasurementError
from tests.bench_fleet import __main__ as bench
from tests.bench_fleet.runs import Cost, Fleet

ROUNDS = [
    {"ping": Cost(1.0, 0.5), "push": Cost(2.0, 2.0), "wave": Cost(4.0, 4.0)},
    {"ping": Cost(10.0, 1.0), "push": Cost(20.0, 2.0), "wave": Cost(40.0, 4.0)},
    {"ping": Cost(1.0, 1.0), "push": Cost(3.0, 2.0), "wave": Cost(3.0, 4.0)},
]


def test_ratios_are_of_one_round_and_their_median_counts():
    found = bench.figures(ROUNDS)
    push, wave = found["over_ping"]["push"], found["over_ping"]["wave"]
    assert (push["wall"]["middle"], push["cpu"]["middle"], push["met"]) == (2.0, 2.0, True)
    assert (wave["wall"]["middle"], wave["met"]) == (4.0, False)
    assert found["medians"]["wall_s"] == {"ping": 1.0, "push": 3.0, "wave": 4.0}


def test_table_says_load_and_goals():
    machine = {"load_before": 0.5, "load_after": 1.5}
    text = bench.table(
        {"hosts": 4, "forks": 20, "rounds": 3, "machine": machine, **bench.figures(ROUNDS)}
    )
    assert "4 hosts, 20 forks, medians of 3 rounds; load 0.5 before, 1.5 after" in text
    assert "wave / ping 4.00 (3.50 - 4.00) of wall time, 4.00 of CPU; goal 3.3: missed" in text


def test_every_run_has_another_policy(tmp_path):
    fleet = Fleet(["h1"], 5, tmp_path)
    texts = []
    for _ in range(2):
        fleet._changed()
        texts.append((tmp_path / "policies/bench.yml").read_text())
    assert texts[0] != texts[1]


def test_a_run_that_fails_is_no_figure(tmp_path):
    with pytest.raises(MeasurementError, match=r"^false x: "):
        Fleet(["h1"], 5, tmp_path)._run("false", "x")
