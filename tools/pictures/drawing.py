"""A dashboard as a picture: numbers on top, charts over time below, as far as it is not folded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

from matplotlib import dates, pyplot, ticker  # noqa: E402

COLUMNS = 6
WIDTH = 14.0  # inches
HEIGHTS = {"stat": 1.1, "timeseries": 2.8}
DPI = 72
MOST = 10  # lines of a chart
LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")
BAD, GOOD, PLAIN = "#c4162a", "#37872d", "#333333"

Result = list[dict[str, Any]]  # of one query: series with `metric` and `values`
Panel = Mapping[str, Any]
Lines = list[tuple[Mapping[str, Any], dict[str, Any]]]  # the target and one series of it


def draw(title: str, panels: Sequence[tuple[Panel, list[Result]]], path: Path) -> None:
    """`panels` with what each of its queries has."""
    stats = [pair for pair in panels if pair[0]["type"] == "stat"][:COLUMNS]
    charts = [pair for pair in panels if pair[0]["type"] == "timeseries"]
    heights = [HEIGHTS["stat"], *[HEIGHTS["timeseries"]] * ((len(charts) + 1) // 2)]
    figure = pyplot.figure(figsize=(WIDTH, sum(heights) + 0.6), layout="constrained")
    figure.suptitle(title, fontsize=13, x=0.01, ha="left")
    grid = figure.add_gridspec(len(heights), COLUMNS, height_ratios=heights)
    for place, (panel, results) in enumerate(stats):
        _stat(figure.add_subplot(grid[0, place]), panel, results)
    for place, (panel, results) in enumerate(charts):
        left = place % 2 * (COLUMNS // 2)
        axes = figure.add_subplot(grid[1 + place // 2, left : left + COLUMNS // 2])
        _chart(axes, panel, results)
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    pyplot.close(figure)


def _stat(axes: Any, panel: Panel, results: list[Result]) -> None:
    """The latest value, or the name of what holds; of several values each with its name."""
    found = [
        (legend(target, series["metric"]), float(series["values"][-1][1]))
        for target, series in lasting(_lines(panel, results))
    ]
    words = panel["options"].get("textMode") == "name"
    values = [shown_as(value, _unit(panel)) for _, value in found]
    named = [f"{name} {value}" for (name, _), value in zip(found, values, strict=True)]
    shown = [name for name, _ in found] if words else named if len(found) > 1 else values
    color = PLAIN if words or not found else _color(panel, found[0][1])
    axes.set_axis_off()
    axes.set_title(panel["title"], fontsize=9, loc="left")
    axes.text(0, 0.4, "\n".join(shown) or "–", va="center", fontsize=16 - len(shown), color=color)


def _chart(axes: Any, panel: Panel, results: list[Result]) -> None:
    lines = telling(_lines(panel, results))[:MOST]
    labels = [legend(target, series["metric"]) for target, series in lines]
    points = [[(datetime.fromtimestamp(t), float(v)) for t, v in s["values"]] for _, s in lines]
    for label, line in zip(labels, points, strict=True):
        axes.plot([t for t, _ in line], [v for _, v in line], label=label, linewidth=1.4)
    for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1:]:
        if line_is_near(step["value"], points):
            axes.axhline(step["value"], color=BAD, linestyle="--", linewidth=0.8)
    axes.set_title(panel["title"], fontsize=10, loc="left")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=8)
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))
    unit = _unit(panel)
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: shown_as(value, unit)))
    if labels:
        place = {"loc": "upper left", "bbox_to_anchor": (-0.05, -0.07), "ncols": 5}
        axes.legend(fontsize=7, frameon=False, handlelength=1.2, columnspacing=1, **place)
    else:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "no data", ha="center", transform=axes.transAxes, color=PLAIN)


def lasting(lines: Lines) -> Lines:
    """Without what had ended before the others did."""
    last = max((series["values"][-1][0] for _, series in lines), default=0)
    return [line for line in lines if line[1]["values"][-1][0] == last]


def telling(lines: Lines) -> Lines:
    """The highest first, without those that are nothing all the time, unless all of them are."""
    tops = {n: max(float(v) for _, v in series["values"]) for n, (_, series) in enumerate(lines)}
    order = sorted(tops, key=lambda n: -tops[n])
    return [lines[n] for n in order if tops[n] or not any(tops.values())]


def line_is_near(limit: float, points: list[list[tuple[datetime, float]]]) -> bool:
    """Whether a limit is worth its room on the axis."""
    return limit <= 2 * max((value for line in points for _, value in line), default=0)


def _lines(panel: Panel, results: list[Result]) -> Lines:
    pairs = zip(panel["targets"], results, strict=True)
    return [(target, series) for target, found in pairs for series in found]


def legend(target: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """As Grafana fills it in."""
    return LABEL.sub(lambda found: labels.get(found[1], ""), target["legendFormat"])


def _unit(panel: Panel) -> str:
    return str(panel["fieldConfig"]["defaults"]["unit"])


def _color(panel: Panel, value: float) -> str:
    color = "text"
    for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            color = step["color"]
    return {"red": BAD, "green": GOOD}.get(color, PLAIN)


def shown_as(value: float, unit: str) -> str:
    """A value with Grafana's unit, short."""
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "bytes":
        return f"{value / 2**20:.3g} MiB"
    if unit == "s":
        return f"{value:.3g} s" if value == 0 or value >= 0.001 else f"{value * 1e6:.3g} µs"
    per_second = {"pps", "cps", "reqps"}
    return f"{value:.4g}" + ("/s" if unit in per_second else " B/s" if unit == "Bps" else "")
