# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of one rollout, as the journal exports it: what was planned, done, measured and found. Pure.

A record is JSON: `{"kind": "RolloutRecord", "id", "subject", "state", "why", "started", "ended", "plan", "waves":
[{"number", "stage", "hosts", "exposure", "started", "ended", "bake_s", "verdict": {"outcome", "findings"},
"figures": {name: number}, "series": [{"metric", "unit", "changed_at", "canaries", "controls"}], "rounds": [{"share",
"seconds", "flows", "denied", "errors", "outcome"}]}], "hosts": {name:
{"state", "before", "after", "note"}}, "approvals", "events", "chain_ok"}`. Times are seconds since 1970; series map a
host to its points `[seconds, value]`, in seconds since the bake began, as is `changed_at`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.tables import utc

Point = tuple[float, float]
Lines = Mapping[str, Sequence[Point]]


class RecordError(Exception):
    """The document is not the record of a rollout."""


@dataclass(frozen=True)
class Finding:
    """What one gate said in one wave; `host` "" for the wave as a whole."""

    level: str
    metric: str
    host: str
    outcome: str
    enforce: bool
    text: str


@dataclass(frozen=True)
class Series:
    """One metric around a change: a line of points per host."""

    metric: str
    unit: str
    changed_at: float
    canaries: Lines
    controls: Lines


@dataclass(frozen=True)
class Round:
    """What staged policies did before they were made live: `share` percent of the new flows were theirs, 0: none."""

    share: int
    seconds: float
    flows: int | None
    denied: int | None
    errors: int
    outcome: str


@dataclass(frozen=True)
class Wave:
    number: int
    stage: str
    hosts: tuple[str, ...]
    exposure: int
    started: float | None
    ended: float | None
    bake_s: float
    outcome: str
    findings: tuple[Finding, ...]
    figures: Mapping[str, float]
    series: tuple[Series, ...]
    rounds: tuple[Round, ...] = ()

    @property
    def seconds(self) -> float | None:
        return (
            None
            if self.started is None or self.ended is None
            else max(0, self.ended - self.started)
        )


@dataclass(frozen=True)
class HostEnd:
    """How a host ended: `before` and `after` name what it ran."""

    name: str
    state: str
    before: str
    after: str
    note: str


@dataclass(frozen=True)
class Record:
    id: str
    subject: str
    state: str
    why: str
    started: float
    ended: float | None
    fleet: int
    blind: tuple[str, ...]
    missing: Mapping[str, str]
    waves: tuple[Wave, ...]
    hosts: tuple[HostEnd, ...]
    approvals: tuple[str, ...]
    chain_ok: bool

    @property
    def touched(self) -> list[str]:
        return [host.name for host in self.hosts if host.state != "untouched"]

    def headline(self) -> str:
        """Why it ended; the first line of every report."""
        return f"{self.subject}: {self.state.replace('_', ' ')}: {self.why or 'no reason was recorded'}"


def parse(document: Mapping[str, Any]) -> Record:
    """Raises RecordError that names what is missing."""
    try:
        return _record(document)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise RecordError(f"the record of the rollout lacks or garbles {exc}") from exc


def _record(doc: Mapping[str, Any]) -> Record:
    if doc["kind"] != "RolloutRecord":
        raise ValueError(f"kind: {doc['kind']!r}")
    plan = doc.get("plan") or {}
    ended = doc.get("ended")
    return Record(
        id=_text(doc["id"]),
        subject=_text(doc["subject"]),
        state=_text(doc["state"]),
        why=_text(doc.get("why")),
        started=float(doc["started"]),
        ended=None if ended is None else float(ended),
        fleet=int(plan.get("fleet", len(doc["hosts"]))),
        blind=tuple(map(_text, plan.get("blind", ()))),
        missing={_text(h): _text(why) for h, why in plan.get("missing", {}).items()},
        waves=tuple(_wave(wave) for wave in doc["waves"]),
        hosts=tuple(_host(name, host) for name, host in sorted(doc["hosts"].items())),
        approvals=tuple(map(_text, doc.get("approvals", ()))),
        chain_ok=doc.get("chain_ok") is True,
    )


def _wave(doc: Mapping[str, Any]) -> Wave:
    verdict = doc.get("verdict") or {}
    return Wave(
        number=int(doc["number"]),
        stage=_text(doc.get("stage", "")),
        hosts=tuple(map(_text, doc["hosts"])),
        exposure=int(doc.get("exposure", 0)),
        started=doc.get("started"),
        ended=doc.get("ended"),
        bake_s=float(doc.get("bake_s", 0)),
        outcome=_text(verdict.get("outcome", "not reached")),
        findings=tuple(_finding(finding) for finding in verdict.get("findings", ())),
        figures=dict(doc.get("figures", {})),
        series=tuple(_series(series) for series in doc.get("series", ())),
        rounds=tuple(_round(found) for found in doc.get("rounds", ())),
    )


def _round(doc: Mapping[str, Any]) -> Round:
    return Round(
        share=int(doc["share"]),
        seconds=float(doc["seconds"]),
        flows=doc.get("flows"),
        denied=doc.get("denied"),
        errors=int(doc["errors"]),
        outcome=_text(doc["outcome"]),
    )


def _finding(doc: Mapping[str, Any]) -> Finding:
    return Finding(
        level=_text(doc.get("level", "")),
        metric=_text(doc.get("metric", "")),
        host=_text(doc.get("host")),
        outcome=_text(doc["outcome"]),
        enforce=doc.get("enforce", True) is True,
        text=_text(doc["text"]),
    )


def _series(doc: Mapping[str, Any]) -> Series:
    return Series(
        metric=_text(doc["metric"]),
        unit=_text(doc.get("unit", "")),
        changed_at=float(doc["changed_at"]),
        canaries=_lines(doc["canaries"]),
        controls=_lines(doc["controls"]),
    )


def _lines(doc: Mapping[str, Any]) -> Lines:
    return {_text(host): [(float(t), float(v)) for t, v in points] for host, points in doc.items()}


def _host(name: str, doc: Mapping[str, Any]) -> HostEnd:
    return HostEnd(
        _text(name),
        _text(doc["state"]),
        _text(doc.get("before")),
        _text(doc.get("after")),
        _text(doc.get("note")),
    )


def _text(value: Any) -> str:
    """Text of hosts and errors may hold control characters, which neither XML nor a terminal should get."""
    return "".join(c if c.isprintable() else " " for c in str("" if value is None else value))


def clock(seconds: float | None) -> str:
    """A time for people, if there is one."""
    return "–" if seconds is None else utc(seconds)


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
