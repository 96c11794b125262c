# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One number per host, window and metric, or why there is none. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum

import numpy as np
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.samples import (
    Numbers,
    Points,
    Record,
    Window,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.specs import Kind, Metric, NoData
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.statistics import theil_sen

COVERED = 0.5  # of a window that samples must span
MAX_SLOPE_POINTS = 120  # their pairs are compared
MINUTE_S = 60


class Gap(Enum):
    """Why a host has no number."""

    SILENT = "silent"
    FEW = "too few events"


Measured = float | Gap


def measure(metric: Metric, record: Record, window: Window, covered: float = COVERED) -> Measured:
    """The metric over a window; SILENT where samples span less than `covered` of it."""
    if not record.has((*metric.values, *metric.per)):
        return _missing(metric)
    read = record.values if metric.kind in (Kind.GAUGE, Kind.SLOPE) else record.grown
    points = read(metric.values, window)
    if len(points) < 2 or points.seconds < covered * window.length:
        return _missing(metric)
    if metric.kind is Kind.RATIO:
        return _ratio(metric, points, record.grown(metric.per, window))
    return OF_KIND[metric.kind](points)


def _missing(metric: Metric) -> Measured:
    return 0.0 if metric.on_no_data is NoData.ZERO else Gap.SILENT


def _ratio(metric: Metric, events: Points, whole: Points) -> Measured:
    if not whole.growth or whole.growth < metric.min_events:
        return Gap.FEW
    return events.growth / whole.growth


def _slope(points: Points) -> float:
    step = math.ceil(len(points) / MAX_SLOPE_POINTS)
    return theil_sen(points.times[::step], points.values[::step]) * MINUTE_S


OF_KIND: dict[Kind, Callable[[Points], float]] = {
    Kind.GAUGE: lambda points: float(np.mean(points.values)),
    Kind.RATE: lambda points: points.growth / points.seconds,
    Kind.EVENT: lambda points: points.growth,
    Kind.SLOPE: _slope,
}


def steps(metric: Metric, record: Record, window: Window) -> list[float]:
    """The metric at each sample of a window (of counters: since the sample before); [] where it was not recorded."""
    if not record.has((*metric.values, *metric.per)):
        return []
    if metric.kind is Kind.GAUGE:
        return [float(value) for value in record.values(metric.values, window).values]
    points = record.grown(metric.values, window)
    growth = np.diff(points.values)
    if metric.kind is Kind.RATE:
        return [float(value) for value in growth / np.diff(points.times)]
    whole = np.diff(record.grown(metric.per, window).values)
    enough = whole >= max(metric.min_events, 1)
    return [float(e / w) if ok else 0.0 for e, w, ok in zip(growth, whole, enough, strict=True)]


def line(metric: Metric, record: Record, window: Window, most: int) -> list[tuple[float, float]]:
    """The metric over a window as (time, value), thinned to `most` points: gauges at a sample, counters from one to the next."""
    if not record.has((*metric.values, *metric.per)):
        return []
    if metric.kind in (Kind.GAUGE, Kind.SLOPE):
        gauge = _thinned(record.values(metric.values, window), most)
        return _pairs(gauge.times, gauge.values)
    points = _thinned(record.grown(metric.values, window), most + 1)
    growth, whole = np.diff(points.values), np.diff(points.times)
    if metric.kind is Kind.EVENT:
        whole = np.ones(len(growth))
    if metric.kind is Kind.RATIO:
        per = record.grown(metric.per, window)
        whole = np.diff(np.interp(points.times, per.times, per.values)) if len(per) else growth * 0
    known = whole > 0
    return _pairs(points.times[1:][known], growth[known] / whole[known])


def _thinned(points: Points, most: int) -> Points:
    step = max(1, math.ceil(len(points) / most))
    return Points(points.times[::step], points.values[::step])


def _pairs(times: Numbers, values: Numbers) -> list[tuple[float, float]]:
    return [(float(time), float(value)) for time, value in zip(times, values, strict=True)]


def change(metric: Metric, before: Measured, after: Measured) -> Measured:
    """How much worse a host is than it was: the log of a ratio. A slope is taken as it is."""
    if isinstance(after, Gap) or metric.kind is Kind.SLOPE:
        return after
    if isinstance(before, Gap):
        return before
    least = metric.floor or 1e-12
    return math.log((after + least) / (before + least))
