"""Taking turns and summing up: rounds in which every variant runs once, in a new order each time. Pure but for `run`.

A ratio is taken within each round, so what drifts on the machine hits both sides of it; the median of those ratios
is the figure, the quartiles are its spread.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Variant = Callable[[], float]
Round = Mapping[str, float]


class MeasurementError(Exception):
    """A figure could not be taken; the message says why."""


@dataclass(frozen=True)
class Spread:
    """Median and quartiles."""

    middle: float
    low: float
    high: float


def alternate(variants: Mapping[str, Variant], count: int, *, warm_up: int = 1) -> list[Round]:
    """`count` rounds of every variant, after `warm_up` rounds that are thrown away."""
    order, shuffle = list(variants), random.Random(1).shuffle
    rounds = []
    for _ in range(warm_up + count):
        shuffle(order)
        taken = {name: variants[name]() for name in order}
        rounds.append({name: taken[name] for name in variants})
    return rounds[warm_up:]


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value; a single one has no spread."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    ordered = sorted(values)
    return Spread(statistics.median(ordered), _quantile(ordered, 0.25), _quantile(ordered, 0.75))


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Between the two nearest values. (statistics.quantiles makes nan out of infinities.)"""
    place = share * (len(ordered) - 1)
    below, above = ordered[int(place)], ordered[min(int(place) + 1, len(ordered) - 1)]
    return below if below == above else below + (above - below) * (place - int(place))


def medians(rounds: Sequence[Round]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def ratio(rounds: Sequence[Round], name: str, base: str) -> Spread:
    return spread([one[name] / one[base] for one in rounds])


def net_ratio(rounds: Sequence[Round], name: str, base: str, floor: str) -> Spread:
    """Ratio of what both cost above the floor; where the base costs nothing above it, infinite (against us)."""
    return spread([_over(one[name] - one[floor], one[base] - one[floor]) for one in rounds])


def _over(ours: float, theirs: float) -> float:
    return ours / theirs if theirs > 0 else float("inf")
