"""A chart as a panel of Grafana, by its SDK."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as plain
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import prometheus as language

from tools.dashboards.chart import Board, Chart, Kind, Query

SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
LINE = 24  # Grafana's units of width
RUNBOOK = "${runbooks}/%s.md"
GOOD, NEUTRAL, BAD = "green", "text", "red"
NOW_ONLY = (Kind.TABLE, Kind.BARS)

Panel = Any  # the SDK has a builder a kind, and no type for all of them


def panel(chart: Chart, board: Board) -> Panel:
    found = SHAPES[chart.kind](chart)
    found.title(chart.title).description(chart.text).datasource(SOURCE).unit(chart.unit)
    found.targets([_target(*place, chart, board) for place in enumerate(chart.queries)])
    found.links([_runbook(alert) for alert in chart.alerts])
    found.thresholds(_thresholds(chart)).no_value("–")
    if chart.names:
        found.mappings([_named(chart)])
    return found


def _stat(_chart: Chart) -> Panel:
    found = stat.Panel().span(LINE // 6).height(4).graph_mode(plain.BigValueGraphMode.NONE)
    return found.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def _word(chart: Chart) -> Panel:
    return _stat(chart).text_mode(plain.BigValueTextMode.NAME)


def _lines(chart: Chart) -> Panel:
    legend = common.VizLegendOptions().display_mode(plain.LegendDisplayMode.LIST)
    found = timeseries.Panel().span(LINE // 2).height(8).min(0).fill_opacity(10)
    found.legend(legend.placement(plain.LegendPlacement.BOTTOM).show_legend(True))
    found.tooltip(common.VizTooltipOptions().mode(plain.TooltipDisplayMode.MULTI))
    if chart.red_from is not None or chart.red_below is not None:
        style = common.GraphThresholdsStyleConfig().mode(plain.GraphThresholdsStyleMode.DASHED)
        found.thresholds_style(style)
    return found


def _areas(chart: Chart) -> Panel:
    stacking = common.StackingConfig().mode(plain.StackingMode.NORMAL)
    return _lines(chart).fill_opacity(40).stacking(stacking)


def _bars(_chart: Chart) -> Panel:
    reduced = common.ReduceDataOptions().calcs(["lastNotNull"])
    return bargauge.Panel().span(LINE // 2).height(8).reduce_options(reduced)


def _table(chart: Chart) -> Panel:
    """A row a label, a column a query: their answers are merged. Time, and values without a name, are left out."""
    columns = {f"Value #{_letter(n)}": query.legend for n, query in enumerate(chart.queries)}
    if len(columns) == 1:
        columns = {"Value": chart.queries[0].legend}
    unnamed = {column: True for column, name in columns.items() if not name}
    options = {
        "excludeByName": {"Time": True, **unnamed},
        "indexByName": {},
        "renameByName": {column: name for column, name in columns.items() if name},
    }
    found = table.Panel().span(LINE).height(8)
    for name, value in (("merge", {}), ("organize", options)):
        found.with_transformation(model.DataTransformerConfig(id_val=name, options=value))
    for query in chart.queries:
        if query.unit:
            unit = model.DynamicConfigValue(id_val="unit", value=query.unit)
            found.override_by_name(query.legend, [unit])
    return found


SHAPES: dict[Kind, Callable[[Chart], Panel]] = {
    Kind.STAT: _stat,
    Kind.WORD: _word,
    Kind.LINES: _lines,
    Kind.AREAS: _areas,
    Kind.BARS: _bars,
    Kind.TABLE: _table,
}


def _target(number: int, query: Query, chart: Chart, board: Board) -> Any:
    found = prometheus.Dataquery().expr(board.filled(query.expr)).ref_id(_letter(number))
    found.datasource(SOURCE).editor_mode(language.QueryEditorMode.CODE)
    if chart.kind in NOW_ONLY:
        found.instant()
    else:
        found.range()
    if chart.kind is Kind.TABLE:
        return found.format(language.PromQueryFormat.TABLE)
    return found.legend_format(query.legend or "__auto")


def _letter(number: int) -> str:
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number]


def _runbook(alert: str) -> dashboard.DashboardLink:
    link = dashboard.DashboardLink(alert).type(model.DashboardLinkType.LINK)
    return link.url(RUNBOOK % alert).target_blank(True)


def _thresholds(chart: Chart) -> dashboard.ThresholdsConfig:
    steps = [model.Threshold(value=value, color=color) for value, color in _steps(chart)]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _steps(chart: Chart) -> Iterator[tuple[float | None, str]]:
    if chart.red_from is not None:
        yield from ((None, GOOD), (chart.red_from, BAD))
    elif chart.red_below is not None:
        yield from ((None, BAD), (chart.red_below, GOOD))
    else:
        yield None, NEUTRAL


def _named(chart: Chart) -> model.ValueMap:
    words = {str(n): model.ValueMappingResult(text=word) for n, word in chart.names}
    return model.ValueMap(options=words)
