"""The results as a table for people and as JSON for machines. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench.goals import GOALS, Result
from tests.bench.measure import Spread

# What the live measures are called beside each other, and a key that has their raw figures.
COMPARED = {
    "rr ns": "rr_p50_over_nofilter",
    "connect ns": "connect_p50_over_nofilter_1k",
    "datagram ns": "udp64_cpu_over_nofilter",
    "refused ns": "refused_cpu_over_accepted_nofilter",
    "stream bytes/s": "tcp1500_over_nofilter",
}
KEY_WIDTH = max(len(key) for key in GOALS)


def document(results: Sequence[Result], facts: Mapping[str, Any]) -> dict[str, Any]:
    """`facts`: what the figures were taken on. Figures that no number can be given for are null."""
    return {"machine": dict(facts), "results": {result.key: _entry(result) for result in results}}


def _entry(result: Result) -> dict[str, Any]:
    return {
        "ratio": _number(result.value.middle),
        "iqr_low": _number(result.value.low),
        "iqr_high": _number(result.value.high),
        "unit": result.goal.unit,
        "goal": str(result.goal),
        "met": result.met,
        "gate": result.goal.gate,
        "raw": {name: _number(value) for name, value in result.raw.items()},
    }


def _number(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def table(results: Sequence[Result]) -> str:
    """One line a key: figure, spread, goal, and by how much it is missed."""
    head = f"{'':{KEY_WIDTH}} {'median':>9}  {'quartiles':19} {'goal':>8}"
    lines = [head, *(_line(result) for result in results)]
    missed = [result for result in results if not result.met]
    gates = sum(result.goal.gate for result in missed)
    lines.append(
        f"{len(results) - len(missed)} of {len(results)} goals met; of the missed {gates} are gates"
    )
    return "\n".join(lines)


def _line(result: Result) -> str:
    off = result.goal.missed_by(result.value.middle)
    verdict = f"missed by {off}" if off else "met"
    figure = f"{short(result.value.middle):>9}  {_quartiles(result.value):19}"
    return f"{result.key:{KEY_WIDTH}} {figure} {result.goal!s:>8} {result.goal.unit:8} {verdict}"


def comparison(results: Sequence[Result]) -> str:
    """Every filter's own figures where filters took turns: one line a kind of traffic."""
    found = {result.key: result.raw for result in results}
    rows = [(title, found[key]) for title, key in COMPARED.items() if key in found]
    names = list(dict.fromkeys(name for _, raw in rows for name in raw))
    width = max(len(name) for name in names)
    lines = [f"{'':{width}} " + "".join(f"{title:>18}" for title, _ in rows)]
    for name in names:
        cells = "".join(f"{short(raw[name]) if name in raw else '':>18}" for _, raw in rows)
        lines.append(f"{name:{width}} {cells}")
    return "\n".join(lines)


def _quartiles(value: Spread) -> str:
    if value.low == value.middle == value.high:
        return ""
    return f"{short(value.low)} - {short(value.high)}"


def short(value: float) -> str:
    """Three decimals for a ratio, fewer for what is large."""
    if not math.isfinite(value):
        return "inf"
    if value == int(value):
        return f"{value:.0f}"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"
