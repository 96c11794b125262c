"""Costs at growing sizes as figures per host, and whether a line is straight. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench_fleet.runs import Cost

STRAIGHT = (
    0.15  # one more host may cost so much more, or less, at the largest size than at the one before
)
Series = Mapping[int, Sequence[Mapping[str, Cost]]]


def document(
    series: Mapping[str, Series], machine: Mapping[str, Any], left_out: Sequence[str]
) -> dict[str, Any]:
    """Medians by kind of host, work and size, with what one host costs; and what was not taken."""
    found = {kind: _works(sizes) for kind, sizes in series.items()}
    return {"machine": dict(machine), "left_out": list(left_out), "hosts": found}


def _works(sizes: Series) -> dict[str, Any]:
    names = next(iter(sizes.values()))[0].keys() if sizes else ()
    return {
        name: _work({size: [r[name] for r in runs] for size, runs in sizes.items()})
        for name in names
    }


def _work(costs: Mapping[int, Sequence[Cost]]) -> dict[str, Any]:
    points = [_point(size, taken) for size, taken in sorted(costs.items())]
    return {"points": points, "linear": _linear(points)}


def _point(size: int, taken: Sequence[Cost]) -> dict[str, Any]:
    """`rounds`: as they were taken, so that their spread is seen."""
    wall, cpu = (statistics.median(getattr(c, part) for c in taken) for part in ("wall_s", "cpu_s"))
    per = {"wall_s_per_host": wall / size, "cpu_s_per_host": cpu / size}
    rounds = [vars(cost) for cost in taken]
    return {"hosts": size, "wall_s": wall, "cpu_s": cpu, **per, "rounds": rounds}


def _linear(points: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """How much more CPU one host costs at the largest size than at the one before it, as a share; None of one size."""
    if len(points) < 2:
        return None
    before, last = (point["cpu_s_per_host"] for point in points[-2:])
    growth = last / before - 1
    return {"growth": growth, "within": STRAIGHT, "met": abs(growth) <= STRAIGHT}


def table(found: Mapping[str, Any]) -> str:
    """For people: a line for each work and size, then what is bent and what is missing."""
    machine = found["machine"]
    loads = " to ".join(f"{load:.1f}" for load in machine["load"])
    lines = [f"{machine['forks']} forks, {machine['cpus']} processors, load {loads}"]
    for kind, works in found["hosts"].items():
        for name, work in works.items():
            lines += [f"{kind:<6} {name:<8} {_line(point)}" for point in work["points"]]
            lines += [f"{kind:<6} {name:<8} {_verdict(work['linear'])}"] if work["linear"] else []
    return "\n".join([*lines, *(f"not taken: {text}" for text in found["left_out"])])


def _line(point: Mapping[str, Any]) -> str:
    return (
        f"{point['hosts']:5} hosts {point['wall_s']:8.1f} s {point['cpu_s']:8.1f} s CPU; "
        f"a host {point['wall_s_per_host']:6.3f} s {point['cpu_s_per_host']:6.3f} s CPU"
    )


def _verdict(linear: Mapping[str, Any]) -> str:
    word = "straight" if linear["met"] else "bent"
    return f"{word}: a host costs {linear['growth']:+.0%} CPU at the largest size"
