# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gate metric around a change, drawn as SVG: the canaries' lines over the band of the untouched hosts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from statistics import median

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.record import (
    Lines,
    Point,
    Series,
)

WIDTH, HEIGHT = 460, 190
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 26, 28
BANDS = 60  # steps of time in which the untouched hosts are summed up


@dataclass(frozen=True)
class Scale:
    """From (seconds, value) to pixels."""

    start: float
    end: float
    low: float
    high: float

    def x(self, seconds: float) -> float:
        share = (seconds - self.start) / ((self.end - self.start) or 1)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def plot(series: Series) -> str:
    """One SVG element; "" where no host reported the metric."""
    points = [
        p for lines in (series.canaries, series.controls) for ps in lines.values() for p in ps
    ]
    if not points:
        return ""
    scale = _scale(points, series.changed_at)
    title = escape(f"{series.metric} ({series.unit})" if series.unit else series.metric)
    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">',
        f'<text x="{LEFT}" y="16" class="title">{title}</text>',
        *_axes(scale),
        *_band(series.controls, scale),
        *_change(series.changed_at, scale),
        *_canaries(series.canaries, scale),
        "</svg>",
    ]
    return "".join(parts)


def _scale(points: Sequence[Point], changed_at: float) -> Scale:
    times = [*(seconds for seconds, _ in points), changed_at]
    values = [value for _, value in points]
    room = (max(values) - min(values)) * 0.08 or abs(max(values)) * 0.1 or 1
    low = min(values) - room
    return Scale(min(times), max(times), 0 if low < 0 <= min(values) else low, max(values) + room)


def _axes(scale: Scale) -> Iterator[str]:
    for share in (0, 0.5, 1):
        value = scale.low + share * (scale.high - scale.low)
        y = scale.y(value)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>'
    span = scale.end - scale.start
    yield f'<text x="{LEFT}" y="{HEIGHT - 8}">{-(span):.0f} s</text>'
    yield f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">end</text>'


def _band(controls: Lines, scale: Scale) -> Iterator[str]:
    """From the least to the greatest of the untouched hosts, and their median."""
    steps = _steps(controls, scale)
    if not steps:
        return
    upper = [(t, max(values)) for t, values in steps]
    lower = [(t, min(values)) for t, values in reversed(steps)]
    yield f'<path class="band" d="{_path([*upper, *lower], scale)}Z"/>'
    yield f'<path class="median" d="{_path([(t, median(v)) for t, v in steps], scale)}"/>'


def _steps(lines: Lines, scale: Scale) -> list[tuple[float, list[float]]]:
    step = (scale.end - scale.start) / BANDS or 1
    found: dict[int, list[float]] = {}
    for points in lines.values():
        for seconds, value in points:
            found.setdefault(int((seconds - scale.start) / step), []).append(value)
    return [(scale.start + (n + 0.5) * step, values) for n, values in sorted(found.items())]


def _change(seconds: float, scale: Scale) -> Iterator[str]:
    x = scale.x(seconds)
    yield f'<path class="change" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
    yield f'<text x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="middle">change</text>'


def _canaries(canaries: Lines, scale: Scale) -> Iterator[str]:
    for host, points in sorted(canaries.items()):
        yield f'<path class="canary" d="{_path(points, scale)}"><title>{escape(host)}</title></path>'


def _path(points: Iterable[Point], scale: Scale) -> str:
    spots = [f"{scale.x(t):.1f} {scale.y(v):.1f}" for t, v in points]
    return f"M{'L'.join(spots)}" if spots else ""
