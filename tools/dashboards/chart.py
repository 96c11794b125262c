"""What a dashboard says, before Grafana's own words for it. Pure.

In expressions `{of}` and `{of,…}` stand for the selector of the hosts that are looked at (`Board.of`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

# Hosts by the variables of a dashboard. A target has all its groups between commas in one label.
FLEET = 'groups=~".*,$group,.*",site=~"$site",instance=~"$host"'
HOST = 'instance="$host"'


class Kind(Enum):
    STAT = "stat"  # one number now, or one a label
    WORD = "word"  # the label that holds now
    LINES = "lines"  # over time
    AREAS = "areas"  # over time, parts of a whole
    BARS = "bars"  # now, by a label
    TABLE = "table"  # now, a column a query


@dataclass(frozen=True)
class Query:
    """`legend`: as Grafana has it, or the name of a column. `unit`: of that column, where the chart's is another."""

    expr: str
    legend: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Chart:
    """`unit`: Grafana's id. `alerts`: whose runbooks are linked. `red_from`, `red_below`: where it is a fault.
    `names`: words for numbers."""

    kind: Kind
    title: str
    text: str
    unit: str
    queries: tuple[Query, ...]
    alerts: tuple[str, ...] = ()
    red_from: float | None = None
    red_below: float | None = None
    names: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class Row:
    """Charts that are folded until somebody wants them."""

    title: str
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class Mark:
    """A moment marked on every chart: where `expr`, asked once a minute, has a value."""

    name: str
    expr: str


@dataclass(frozen=True)
class Board:
    """A dashboard: at most twelve charts are open, the rest is in rows. `of`: FLEET or HOST."""

    name: str
    title: str
    text: str
    charts: tuple[Chart, ...]
    rows: tuple[Row, ...] = ()
    marks: tuple[Mark, ...] = ()
    of: str = FLEET

    def filled(self, expr: str) -> str:
        return expr.replace("{of", "{" + self.of)


def one(expr: str) -> tuple[Query, ...]:
    return (Query(expr),)


def several(queries: Mapping[str, str]) -> tuple[Query, ...]:
    """Expressions by legend."""
    return tuple(Query(expr, legend) for legend, expr in queries.items())


STARTED = Mark("agent started", 'changes(process_start_time_seconds{of,job="tcmicro"}[1m]) > 0')
BUILT = Mark("policy built", "changes(tc_micro_policy_last_apply_timestamp_seconds{of}[1m]) > 0")
