"""A dashboard of Grafana around the panels of a board: variables, links to the others, marks; as JSON."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from tools.dashboards.chart import FLEET, Board, Mark
from tools.dashboards.panels import SOURCE, panel

TAG = "tcmicro"
RUNBOOKS = "docs/runbooks"
HOSTS = 'label_values(up{job="tcmicro"%s}, instance)'
SCOPED = ',groups=~".*,$group,.*",site=~"$site"'
EVERY = ".*"  # also where there is no such label


def document(board: Board) -> str:
    """The text of its file. The same board makes the same text."""
    found = dashboard.Dashboard(board.title).uid(f"tcmicro-{board.name}").description(board.text)
    found.tags([TAG]).readonly().refresh("30s").time("now-6h", "now").timezone("browser")
    found.tooltip(model.DashboardCursorSync.CROSSHAIR)
    for variable in _variables(board):
        found.with_variable(variable)
    numbers = itertools.count(1)
    for chart in board.charts:
        found.with_panel(panel(chart, board).id(next(numbers)))
    for row in board.rows:
        folded = dashboard.Row(row.title).id(next(numbers)).collapsed(True)
        for chart in row.charts:
            folded.with_panel(panel(chart, board).id(next(numbers)))
        found.with_row(folded)
    for mark in board.marks:
        found.annotation(_annotation(mark, board))
    found.link(_others())
    text: str = JSONEncoder(sort_keys=True, indent=2).encode(found.build())
    return text + "\n"


def _variables(board: Board) -> Iterator[Any]:
    yield dashboard.DatasourceVariable("datasource").label("Server").type("prometheus")
    yield dashboard.ConstantVariable("runbooks").value(RUNBOOKS)
    if board.of == FLEET:
        yield _choice("group", 'label_values(up{job="tcmicro"}, groups)').regex("/([^,]+)/g")
        yield _choice("site", 'label_values(up{job="tcmicro"}, site)')
        yield _choice("host", HOSTS % SCOPED)
    else:
        yield _query("host", HOSTS % "")


def _query(name: str, query: str) -> dashboard.QueryVariable:
    found = dashboard.QueryVariable(name).label(name.capitalize()).datasource(SOURCE)
    found.query({"query": query, "refId": "StandardVariableQuery"})
    return found.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(
        model.VariableSort.ALPHABETICAL_ASC
    )


def _choice(name: str, query: str) -> dashboard.QueryVariable:
    """Any of them, at first all."""
    every = model.VariableOption(text="All", value="$__all", selected=True)
    found = _query(name, query).multi(True).include_all(True)
    return found.all_value(EVERY).current(every)


def _annotation(mark: Mark, board: Board) -> dashboard.AnnotationQuery:
    found = dashboard.AnnotationQuery().name(mark.name).datasource(SOURCE).enable(True)
    return found.expr(board.filled(mark.expr)).icon_color("blue")


def _others() -> dashboard.DashboardLink:
    """A menu of all dashboards of ours, which keeps the time and the choice of hosts."""
    found = dashboard.DashboardLink("tcmicro").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    return found.as_dropdown(True).include_vars(True).keep_time(True)
