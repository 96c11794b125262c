# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a wave is judged by: a gate file, read. Every fault of it is reported with its file and line. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.gate import INVARIANTS

from tcmicro_agent.jsonutil import show
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.problems import Fault, Problems, Where
from tcmicro_agent.policy.source.fields import Fields, text_of
from tcmicro_agent.policy.source.nodes import Node, read_documents

API_VERSION, KIND = "tcmicro/v1", "Gates"


class Level(Enum):
    LIMIT = "L1"
    CONTROLS = "L2"
    PEERS = "L3"
    STAGED = "L4"


class Kind(Enum):
    GAUGE = "gauge"
    RATE = "rate"
    RATIO = "ratio"
    EVENT = "event"
    SLOPE = "slope"


class Direction(Enum):
    """Which way is worse."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


class NoData(Enum):
    """What it means that a host of the wave is silent while its controls are not."""

    FAIL = "fail"
    ERROR = "error"
    INCONCLUSIVE = "inconclusive"
    ZERO = "zero"
    SKIP = "skip"  # the host is not judged by it, and that is said


class Mode(Enum):
    ENFORCE = "enforce"
    SHADOW = "shadow"


@dataclass(frozen=True)
class Outliers:
    """When one host is a case of its own: each p is of the whole wave, not of one host."""

    fail_below: float
    suspect_below: float
    extended_fail_below: float
    min_effect: float
    min_controls: int


@dataclass(frozen=True)
class Comparison:
    """How hosts and controls are compared. `looks`: shares of the bake after which the data are looked at; `needs_s`:
    the shortest bake of which that says anything."""

    before_s: int
    needs_s: int
    looks: tuple[float, ...]
    fail_below: float
    suspect_below: float
    extended_fail_below: float
    outliers: Outliers


@dataclass(frozen=True)
class Metric:
    """One gate. `values` are summed; of a ratio, `per` is what they are divided by.

    `min_effect`: a factor, of a slope units per minute. `floor`: added before a ratio of two times is taken, so that it
    exists from zero on. `limit`: what may not be exceeded, in `in_a_row` samples in a row. `skip_s`: what is left out of
    the bake; `needs_s`: the shortest bake it can be seen in.
    """

    name: str
    level: Level
    kind: Kind
    values: tuple[str, ...]
    per: tuple[str, ...]
    direction: Direction
    min_effect: float
    floor: float
    limit: float
    in_a_row: int
    min_events: int
    skip_s: int
    needs_s: int
    on_no_data: NoData
    mode: Mode
    unit: str = ""  # in reports, where it is not that of its kind

    @property
    def enforced(self) -> bool:
        return self.mode is Mode.ENFORCE


@dataclass(frozen=True)
class Gates:
    invariants: tuple[str, ...]
    comparison: Comparison
    metrics: tuple[Metric, ...]


def parse(file: str, text: str) -> Gates:
    """The gates of one file. Raises PolicyFaults with all that is wrong with it."""
    problems = Problems()
    nodes = list(read_documents(file, text, problems))
    if len(nodes) != 1:
        problems.add(Where(file), Code.MISSING, f"must be one document of kind {KIND}")
        raise problems.error()
    gates = _read(Fields(nodes[0], "a gate file", problems))
    problems.raise_any()
    return gates


def _read(doc: Fields) -> Gates:
    for key, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        said = doc.text(key)
        if said not in (wanted, ""):
            doc.add(doc.place(key), Code.NOT_ALLOWED, f"{key}: {show(said)} is not {wanted}")
    gates = Gates(
        invariants=doc.each("invariants", _invariant),
        comparison=_comparison(doc.fields("comparison", "comparison")),
        metrics=doc.each("metrics", lambda node: _metric(node, doc.problems)),
    )
    _refuse_repeated(doc, gates.metrics)
    doc.close()
    return gates


def _invariant(node: Node) -> str:
    name = text_of(node)
    if name not in INVARIANTS:
        text = f"{show(name)} is not one of {', '.join(INVARIANTS)}"
        raise Fault(node.where, Code.NOT_ALLOWED, text)
    return name


def _refuse_repeated(doc: Fields, metrics: tuple[Metric, ...]) -> None:
    names = [metric.name for metric in metrics]
    for name in sorted({name for name in names if names.count(name) > 1}):
        doc.add(doc.place("metrics"), Code.REPEATED, f"metrics: {show(name)} stands twice")


def _comparison(doc: Fields) -> Comparison:
    outliers = doc.fields("outliers", "outliers")
    found = Comparison(
        before_s=_whole(doc, "before_s", 60, 3600),
        needs_s=_whole(doc, "needs_s", 0, 86_400),
        looks=doc.each("looks", lambda node: number_of(node, 0.05, 1)),
        fail_below=_number(doc, "fail_below", 0, 0.5),
        suspect_below=_number(doc, "suspect_below", 0, 0.5),
        extended_fail_below=_number(doc, "extended_fail_below", 0, 0.5),
        outliers=Outliers(
            fail_below=_number(outliers, "fail_below", 0, 0.5),
            suspect_below=_number(outliers, "suspect_below", 0, 0.5),
            extended_fail_below=_number(outliers, "extended_fail_below", 0, 0.5),
            min_effect=_number(outliers, "min_effect", 1, 100),
            min_controls=_whole(outliers, "min_controls", 3, 10_000),
        ),
    )
    if list(found.looks) != sorted(set(found.looks)) or found.looks[-1:] != (1.0,):
        doc.add(doc.place("looks"), Code.NOT_ALLOWED, "looks: must rise, and end with 1")
    outliers.close()
    doc.close()
    return found


def _metric(node: Node, problems: Problems) -> Metric:
    doc = Fields(node, "a metric", problems)
    level, kind = doc.choice("level", Level), doc.choice("kind", Kind)
    compared = level in (Level.CONTROLS, Level.PEERS)
    found = Metric(
        name=doc.text("name"),
        level=level,
        kind=kind,
        values=doc.each("values", text_of),
        per=doc.each("per", text_of) if kind is Kind.RATIO else (),
        direction=doc.choice("direction", Direction, Direction.UP),
        min_effect=_number(doc, "min_effect", 0, 1e12) if compared else 0.0,
        floor=_number(doc, "floor", 0, 1e12, 0.0),
        limit=0.0 if compared else _number(doc, "limit", 0, 1e15),
        in_a_row=_whole(doc, "in_a_row", 1, 1000, 1),
        min_events=_whole(doc, "min_events", 0, 10**9, 0),
        skip_s=_whole(doc, "skip_s", 0, 3600, 0),
        needs_s=_whole(doc, "needs_s", 0, 86_400, 0),
        on_no_data=doc.choice("on_no_data", NoData, NoData.FAIL),
        mode=doc.choice("mode", Mode, Mode.ENFORCE),
        unit=doc.read("unit", text_of, "", ""),
    )
    doc.close()
    return found


def number_of(node: Node, low: float, high: float) -> float:
    """A number in low..high; YAML of ours has no fractions of its own, they are text."""
    text = node.value
    try:
        value = float(text) if isinstance(text, (int, str)) and text is not True else low - 1
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise Fault(
            node.where, Code.NOT_ALLOWED, f"{show(text)} is not a number ({low:g}-{high:g})"
        )
    return value


def _number(doc: Fields, key: str, low: float, high: float, default: float | None = None) -> float:
    if default is not None and not doc.has(key):
        return doc.read(key, lambda _: low, low, default)
    return doc.read(key, lambda node: number_of(node, low, high), low)


def _whole(doc: Fields, key: str, low: int, high: int, default: int | None = None) -> int:
    value = _number(doc, key, low, high, default)
    if value != int(value):
        doc.add(doc.place(key), Code.NOT_ALLOWED, f"{key}: {value:g} is not a whole number")
    return int(value)
