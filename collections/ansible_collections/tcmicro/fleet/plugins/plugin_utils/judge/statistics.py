# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests a verdict rests on. Exact, one-sided and without any randomness: the same data give the same verdict.

"Higher" is worse throughout; who looks for a fall turns the signs. Pure. SciPy is imported by who asks for a test: that
takes a second, and most looks at a wave ask for none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

NORMAL_OF_MAD = 1.4826  # the median absolute deviation of a normal distribution times this is its standard deviation
DRAWN_IN, UNBIASED, EFFICIENCY = 3.0, 1.01, 0.85  # of a standard deviation of values drawn in
EXACT_PAIRS = (
    4000  # above it the normal approximation with continuity correction is as good, and quick
)


def rank_p(suspects: Sequence[float], controls: Sequence[float]) -> float:
    """p of the Mann-Whitney test that suspects are not higher than controls.

    Ties count as if the suspect were the lower one: the ranks are distinct, the null distribution is exact, and p is
    never too small.
    """
    from scipy import stats

    pooled = [(value, 0) for value in suspects] + [(value, 1) for value in controls]
    order = sorted(range(len(pooled)), key=pooled.__getitem__)
    ranks = np.empty(len(pooled))
    ranks[order] = np.arange(len(pooled))
    method = "exact" if len(suspects) * len(controls) <= EXACT_PAIRS else "asymptotic"
    own, other = ranks[: len(suspects)], ranks[len(suspects) :]
    return float(stats.mannwhitneyu(own, other, alternative="greater", method=method).pvalue)


def least_rank_p(suspects: int, controls: int) -> float:
    """The smallest p that so many hosts can give, however bad they are."""
    return 1 / math.comb(suspects + controls, suspects)


def outlier_p(value: float, population: Sequence[float], least_scale: float) -> float:
    """p that a value as high as this one is of the same normal distribution as the population.

    The population's spread is that of its values drawn in to three median absolute deviations, so that an outlier among
    them hides none; `least_scale` stands in where they have none. Student's t, for the spread is an estimate.
    """
    from scipy import stats

    values = np.asarray(population, float)
    middle = float(np.median(values))
    reach = DRAWN_IN * NORMAL_OF_MAD * float(np.median(np.abs(values - middle)))
    drawn = np.clip(values, middle - reach, middle + reach)
    scale = max(UNBIASED * float(np.std(drawn, ddof=1)), least_scale)
    return float(stats.t.sf((value - middle) / scale, EFFICIENCY * (len(values) - 1)))


def theil_sen(times: ArrayLike, values: ArrayLike) -> float:
    """Median of the slopes between all pairs: one sample that is off does not move it. Raises ValueError below two."""
    when, what = np.asarray(times, float), np.asarray(values, float)
    if len(when) < 2:
        raise ValueError("a slope needs two samples")
    first, second = np.triu_indices(len(when), 1)
    return float(np.median((what[second] - what[first]) / (when[second] - when[first])))


def binomial_p(events: int, exposure: float, control_events: int, control_exposure: float) -> float:
    """p that events come no more often than the controls', given how many there were in all (exact, conditional)."""
    total, whole = events + control_events, exposure + control_exposure
    if not total or not whole:
        return 1.0
    from scipy import stats

    return float(stats.binomtest(events, total, exposure / whole, alternative="greater").pvalue)


def sign_p(worse: int, better: int) -> float:
    """p of the exact sign test: among those that changed, as many got better as worse."""
    if not worse + better:
        return 1.0
    from scipy import stats

    return float(stats.binomtest(worse, worse + better, 0.5, alternative="greater").pvalue)
