# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one metric says of a wave: L1 against a limit, L2 against the hosts that were not changed. Pure.

L2 has two zones. A difference that is certain at two looks, one after the other, fails at once; one that is only
suspicious at the end asks for another bake, after which all data together decide.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.lattice import Finding, Outcome
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.specs import (
    Comparison,
    Direction,
    Kind,
    Metric,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.statistics import (
    least_rank_p,
    outlier_p,
    rank_p,
)

FEW = 5  # hosts: a larger wave shows the same with less doubt, so its limits fall in proportion
LEAST_SCALE = (
    0.05  # of logarithms: controls that all behave alike to the last digit are too good to be true
)


@dataclass(frozen=True)
class Look:
    """How much worse each host of the wave and each control got, after a share of the bake; worse is higher."""

    share: float
    wave: dict[str, float]
    controls: tuple[float, ...]

    def turned(self) -> Look:
        """For metrics where falling is worse."""
        wave = {host: -value for host, value in self.wave.items()}
        return Look(self.share, wave, tuple(-value for value in self.controls))


@dataclass(frozen=True)
class Test:
    """What a look said: p, and by how much (a factor, of a slope units a minute)."""

    p: float
    effect: float


def compare(
    metric: Metric, looks: Sequence[Look], rule: Comparison, *, extended: bool
) -> Iterator[Finding]:
    """The findings of a metric over its looks, the last of them at the end of the bake; none when all is well."""
    turned = [look.turned() for look in looks]
    ways = {Direction.UP: (looks,), Direction.DOWN: (turned,)}.get(
        metric.direction, (looks, turned)
    )
    for way in ways:
        yield from _group(metric, way, rule, sides=len(ways), extended=extended)
        yield from _outliers(metric, way, rule, sides=len(ways), extended=extended)


def reach(wave: int, controls: int, rule: Comparison) -> str:
    """Why so many hosts cannot show a difference however large, "" when they can."""
    alone = controls >= rule.outliers.min_controls
    if wave and (alone or least_rank_p(wave, controls) < rule.extended_fail_below):
        return ""
    return f"{wave} hosts of the wave against {controls} controls cannot show anything"


def _group(
    metric: Metric, looks: Sequence[Look], rule: Comparison, *, sides: int, extended: bool
) -> Iterator[Finding]:
    tests = [_rank_test(metric, look, sides) for look in looks]
    doubts = [(test.p, test.effect >= metric.min_effect) for test in tests]
    zones = (rule.fail_below, rule.suspect_below, rule.extended_fail_below)
    outcome = _zone(doubts, zones, len(looks[-1].wave), extended=extended)
    if outcome is not Outcome.PASS:
        last, hosts = tests[-1], (len(looks[-1].wave), len(looks[-1].controls))
        text = f"{_size(metric, last.effect)} than on the controls (p {last.p:.2g}, {hosts[0]} hosts against {hosts[1]})"
        yield _finding(metric, outcome, text, {"p": last.p, "effect": last.effect})


def _outliers(
    metric: Metric, looks: Sequence[Look], rule: Comparison, *, sides: int, extended: bool
) -> Iterator[Finding]:
    """One host far from what the controls do, where the wave as a whole hides it."""
    limits = rule.outliers
    if len(looks[-1].controls) < limits.min_controls:
        return
    least = metric.min_effect if metric.kind is Kind.SLOPE else limits.min_effect
    hosts = sides * len(looks[-1].wave)
    scale = metric.min_effect if metric.kind is Kind.SLOPE else LEAST_SCALE
    zones = (limits.fail_below, limits.suspect_below, limits.extended_fail_below)
    for host in looks[-1].wave:
        seen = [look for look in looks if host in look.wave]
        ps = [min(1.0, hosts * outlier_p(look.wave[host], look.controls, scale)) for look in seen]
        effects = [_effect(metric, look.wave[host], look.controls) for look in seen]
        doubts = [(p, effect >= least) for p, effect in zip(ps, effects, strict=True)]
        outcome = _zone(doubts, zones, len(looks[-1].wave), extended=extended)
        if outcome is not Outcome.PASS:
            text = f"{_size(metric, effects[-1])} than on the controls, alone (p {ps[-1]:.2g})"
            yield _finding(metric, outcome, text, {"p": ps[-1], "effect": effects[-1]}, host)


def _zone(
    looks: Sequence[tuple[float, bool]],
    limits: tuple[float, float, float],
    hosts: int,
    *,
    extended: bool,
) -> Outcome:
    """`looks`: p, and whether the difference is large enough to matter."""
    certain, suspicious, extended_certain = (limit * min(1.0, FEW / hosts) for limit in limits)
    sure = [large and value < certain for value, large in looks]
    if any(now and before for before, now in zip(sure, sure[1:], strict=False)):
        return Outcome.FAIL
    value, large = looks[-1]
    if extended:
        return Outcome.FAIL if large and value < extended_certain else Outcome.PASS
    return Outcome.INCONCLUSIVE if large and value < suspicious else Outcome.PASS


def _rank_test(metric: Metric, look: Look, sides: int) -> Test:
    wave = list(look.wave.values())
    effect = _effect(metric, median(wave), look.controls)
    p = rank_p(wave, look.controls) if effect >= metric.min_effect else 1.0
    return Test(min(1.0, p * sides), effect)


def _effect(metric: Metric, value: float, controls: Sequence[float]) -> float:
    difference = value - median(controls)
    return difference if metric.kind is Kind.SLOPE else math.exp(difference)


def _size(metric: Metric, effect: float) -> str:
    if metric.kind is Kind.SLOPE:
        return f"{effect:.3g} a minute more"
    falls = metric.direction is Direction.DOWN
    return f"{effect:.2f} times {'less' if falls else 'more'}"


def _finding(
    metric: Metric, outcome: Outcome, text: str, numbers: dict[str, float], host: str | None = None
) -> Finding:
    doubt = "suspicious, bake once more: " if outcome is Outcome.INCONCLUSIVE else ""
    return Finding(
        level=metric.level.value,
        metric=metric.name,
        outcome=outcome,
        text=f"{doubt}{text}",
        host=host,
        enforce=metric.enforced,
        numbers=numbers,
    )
