"""Samples as the agent writes them, read for a window: nothing is counted twice, nothing lost to a reset."""

from __future__ import annotations

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.samples import (
    Record,
    SampleError,
    Window,
)

ALL = Window(0, 100)


def record(*values, name="x", starts=None, boots=None):
    rows = [
        {
            "t": 10.0 * n,
            "boot_id": boots[n] if boots else "b",
            "start": starts[n] if starts else 1,
            "values": {} if value is None else {name: value},
        }
        for n, value in enumerate(values)
    ]
    return Record.read({"now": 10.0 * len(rows), "boot_id": "b", "samples": rows})


def growth(found, name="x"):
    return found.grown([name], ALL).growth


def test_counter_grows():
    assert growth(record(5, 7, 12)) == 7


def test_counter_that_falls_began_anew():
    assert growth(record(100, 110, 3, 5)) == 10 + 3 + 2


def test_counter_of_the_process_begins_anew_with_it_even_when_it_is_higher():
    starts = [1, 1, 2, 2]
    assert growth(record(1, 2, 50, 51, name="agent_cpu_s", starts=starts), "agent_cpu_s") == 52
    assert growth(record(1, 2, 50, 51, starts=starts)) == 50


def test_samples_of_an_earlier_boot_are_left_out():
    assert growth(record(900, 901, 1, 4, boots=["a", "a", "b", "b"])) == 3


def test_what_one_sample_lacks_is_not_zero():
    found = record(1, None, 5)
    assert growth(found) == 4
    assert len(found.values(["x"], ALL)) == 2


def test_window_has_both_ends():
    assert list(record(1, 2, 3, 4).values(["x"], Window(10, 20)).values) == [2, 3]


def test_order_and_repetition_do_not_matter():
    rows = [{"t": t, "boot_id": "b", "values": {"x": t}} for t in (3.0, 1.0, 2.0, 1.0)]
    found = Record.read({"now": 3, "boot_id": "b", "samples": rows})
    assert list(found.values(["x"], ALL).values) == [1, 2, 3]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"now": 1, "boot_id": "b", "samples": [{"t": 1}]},
        {"now": 1, "boot_id": "b", "samples": [{"t": 1, "boot_id": "b", "values": {"x": "much"}}]},
        {"now": None, "boot_id": "b", "samples": []},
        {"now": 1, "boot_id": "b", "samples": 7},
    ],
)
def test_what_is_no_samples_document_is_said_so(document):
    with pytest.raises(SampleError, match="not samples"):
        Record.read(document)
