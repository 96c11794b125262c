"""The tests behind a verdict are exact: compared with counting every way it could have come."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge import statistics
from hypothesis import given
from hypothesis import strategies as st

SIZES = [(n, m) for n in range(1, 6) for m in range(1, 8)]
DISTINCT = st.lists(st.integers(0, 10**6), min_size=2, max_size=11, unique=True)


def wins(suspects, controls):
    return sum(s > c for s in suspects for c in controls)


def counted_p(suspects, controls):
    """Of all ways to call so many of the values suspects, the share with at least as many wins."""
    pooled, own = [*suspects, *controls], wins(suspects, controls)
    ways = list(itertools.combinations(range(len(pooled)), len(suspects)))
    worse = sum(
        wins([pooled[i] for i in way], [pooled[i] for i in range(len(pooled)) if i not in way])
        >= own
        for way in ways
    )
    return Fraction(worse, len(ways))


@given(DISTINCT, st.integers(1, 5))
def test_rank_test_is_what_counting_finds(values, size):
    suspects, controls = values[:size], values[size:]
    if controls:
        wanted = float(counted_p(suspects, controls))
        assert statistics.rank_p(suspects, controls) == pytest.approx(wanted)


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_least_p_is_reached_by_perfect_separation_and_not_undercut(n, m):
    least = statistics.least_rank_p(n, m)
    assert statistics.rank_p(range(100, 100 + n), range(m)) == pytest.approx(least)
    assert least == pytest.approx(1 / math.comb(n + m, n))


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=5),
    st.lists(st.integers(0, 3), min_size=1, max_size=6),
)
def test_ties_never_make_p_smaller(suspects, controls):
    """Against any order in which the ties could be broken."""
    apart = [value * 10 for value in suspects], [value * 10 for value in controls]
    broken = [value + n * 0.1 + 1 for n, value in enumerate(apart[0])]
    resolved = [value + n * 0.1 for n, value in enumerate(apart[1])]
    assert statistics.rank_p(suspects, controls) >= statistics.rank_p(broken, resolved) - 1e-12


def test_all_equal_is_no_evidence():
    assert statistics.rank_p([0.0] * 5, [0.0] * 40) == 1.0


@given(DISTINCT, st.integers(1, 5), st.randoms(use_true_random=False))
def test_order_does_not_matter(values, size, random):
    suspects, controls = values[:size], values[size:] or [-1]
    p = statistics.rank_p(suspects, controls)
    random.shuffle(suspects)
    random.shuffle(controls)
    assert statistics.rank_p(suspects, controls) == p


def test_large_groups_are_close_to_exact(monkeypatch):
    suspects = [n * 1.37 % 50 + 3 for n in range(60)]
    controls = [n * 2.11 % 50 for n in range(60)]
    exact = statistics.rank_p(suspects, controls)
    monkeypatch.setattr(statistics, "EXACT_PAIRS", 0)
    assert statistics.rank_p(suspects, controls) == pytest.approx(exact, rel=0.02)


def test_slope_is_not_moved_by_one_sample():
    times = list(range(20))
    values = [3.0 * t + 1 for t in times]
    values[7] = 1e9
    assert statistics.theil_sen(times, values) == pytest.approx(3.0)


def test_slope_needs_two_samples():
    with pytest.raises(ValueError, match="two samples"):
        statistics.theil_sen([1], [1])


@pytest.mark.parametrize(("own", "others"), [(0, 5), (3, 0), (4, 1), (5, 5), (0, 0)])
def test_binomial_is_what_counting_finds(own, others):
    total, share = own + others, Fraction(1, 5)
    chances = (
        math.comb(total, k) * share**k * (1 - share) ** (total - k) for k in range(own, total + 1)
    )
    wanted = float(sum(chances))
    assert statistics.binomial_p(own, 1, others, 4) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("worse", "better", "wanted"), [(10, 0, 2**-10), (1, 0, 0.5), (0, 0, 1), (0, 4, 1)]
)
def test_sign_test(worse, better, wanted):
    assert statistics.sign_p(worse, better) == pytest.approx(wanted)


def test_controls_without_spread_make_no_host_infinitely_bad():
    assert 0 < statistics.outlier_p(1.0, [0.0] * 10, 0.05) < 1e-6
    assert statistics.outlier_p(0.0, [0.0] * 10, 0.05) == 0.5


def test_outlier_among_the_controls_hides_none():
    controls = [n / 10 for n in range(20)]
    spoiled = [*controls[:-1], 1000.0]
    assert statistics.outlier_p(8.0, spoiled, 0.05) < 0.001
