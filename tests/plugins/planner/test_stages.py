"""Waves are cumulative, whole, and refused when they make no sense."""

from __future__ import annotations

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner import stages as cumulative
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("fleet", "stages", "sizes"),
    [
        (100, [5, 10, 25, 50, 100], [5, 5, 15, 25, 50]),
        (20, [5, 10, 25, 50, 100], [3, 2, 5, 10]),
        (6, [5, 10, 25, 50, 100], [2, 1, 3]),
        (6, [50, 100], [3, 3]),
        (3, [5, 25, 100], [1, 2]),
        (1, [5, 25, 100], [1]),
        (0, [5, 100], []),
        (10, ["1 host", "5 hosts", 100], [3, 2, 5]),
        (2, ["1 host", "5 hosts", 100], [1, 1]),
        (1000, [1, 100], [10, 990]),
    ],
)
def test_sizes_of_waves(fleet, stages, sizes):
    assert cumulative.plan(fleet, stages) == sizes


@pytest.mark.parametrize(
    "text", ["[5, 25, 100]", "5,25,100", "[5%, 25%, 100%]", "['5', \"25\", 100]"]
)
def test_stages_may_come_as_text(text):
    assert cumulative.plan(100, text) == cumulative.plan(100, [5, 25, 100])


def test_single_number_as_text():
    assert cumulative.plan(7, "100") == [7]


@pytest.mark.parametrize(
    ("stages", "says"),
    [
        ([0, 100], "waves[0]: 0 is not from 1 to 100 %"),
        ([-5, 100], "waves[0]: -5 is not a percentage"),
        ([5, 120], "waves[1]: 120 is not from 1 to 100 %"),
        ([5, 5, 100], "5 % follows 5 %"),
        ([50, 20, 100], "20 % follows 50 %"),
        ([True, 100], "waves[0]: True is not a percentage"),
        ([2.5, 100], "waves[0]: 2.5 is not a percentage"),
        (["0 hosts", 100], "waves[0]: '0 hosts' is not from 1"),
        (["some", 100], "waves[0]: 'some' is not a percentage"),
        ([5, 50], "the last must be 100"),
        ([], "is not a list"),
        (None, "is not a list"),
        (5, "is not a list"),
        ("", "waves[0]"),
        ({"a": 1}, "is not a list"),
    ],
    ids=str,
)
def test_senseless_stages_are_refused_with_what_is_allowed(stages, says):
    with pytest.raises(cumulative.WaveError) as refusal:
        cumulative.plan(10, stages)
    assert says in str(refusal.value)
    assert "100" in str(refusal.value)


@given(st.integers(1, 5000), st.lists(st.integers(1, 99), unique=True, max_size=6))
def test_waves_cover_the_fleet_exactly(fleet, stages):
    sizes = cumulative.plan(fleet, [*sorted(stages), 100])
    assert sum(sizes) == fleet
    assert all(size > 0 for size in sizes)
    assert sizes[0] >= min(cumulative.FIRST_WAVE, max(1, fleet // 3))
