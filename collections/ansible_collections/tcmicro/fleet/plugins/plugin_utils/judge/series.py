# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the report of a rollout shows of a wave: lines around the change, and figures. Decides nothing. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from statistics import median
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.evidence import (
    Evidence,
    Subject,
    subjects,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.lattice import Verdict
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.measures import (
    Gap,
    line,
    measure,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.samples import SampleError, Window
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.specs import (
    Direction,
    Gates,
    Kind,
    Level,
    Metric,
    Mode,
    NoData,
)

Document = dict[str, Any]

MOST_POINTS, MOST_HOSTS = 60, 40  # of a host; of the wave, and of the controls
UNITS = {Kind.RATE: "a second", Kind.RATIO: "share"}


def series(evidence: Evidence, gates: Gates, verdict: Verdict) -> list[Document]:
    """A document of each L2 metric that the wave recorded; times are seconds since the bake began, when the change was done."""
    wave, controls = _known(evidence)
    named = {finding.host for finding in verdict.findings}
    found = []
    for metric in (m for m in gates.metrics if m.level is Level.CONTROLS):
        lines = [
            _lines(metric, evidence, gates, _first(group, named)) for group in (wave, controls)
        ]
        if lines[0]:
            unit = metric.unit or UNITS.get(metric.kind, "")
            known = {"metric": metric.name, "unit": unit, "changed_at": 0.0}
            found.append({**known, "canaries": lines[0], "controls": lines[1]})
    return found


def figures(evidence: Evidence, gates: Gates) -> dict[str, float]:
    """Medians over the hosts of the wave, before the change and in the bake; those that were recorded."""
    wave, _ = _known(evidence)
    found = {}
    for name, metric in FIGURES.items():
        before = [measure(metric, s.before, s.earlier(gates.comparison.before_s), 0) for s in wave]
        baked = [measure(metric, s.after, s.bake(evidence.seconds)) for s in wave]
        for when, values in (("before", before), ("after", baked)):
            known = [value for value in values if not isinstance(value, Gap)]
            if known:
                found[f"{name} {when}"] = _short(median(known))
    return found


def _known(evidence: Evidence) -> tuple[list[Subject], list[Subject]]:
    """The hosts that recorded something; none where what they sent is no samples, which is a finding already."""
    try:
        wave, controls = subjects(evidence)
    except SampleError:
        return [], []
    return [s for s in wave if len(s.after)], [s for s in controls if len(s.after)]


def _first(group: Sequence[Subject], named: Collection[str | None]) -> list[Subject]:
    """As many as are shown, those that a finding names before the others."""
    return sorted(group, key=lambda s: (s.host not in named, s.host))[:MOST_HOSTS]


def _lines(
    metric: Metric, evidence: Evidence, gates: Gates, group: Iterable[Subject]
) -> dict[str, list[list[float]]]:
    before_s = gates.comparison.before_s
    found = {}
    for subject in group:  # what was asked after the bake reaches back before the change
        begin = min(subject.before.now or subject.began, subject.began) - before_s
        window = Window(begin, subject.began + evidence.seconds)
        points = line(metric, subject.after, window, MOST_POINTS)
        if points:
            found[subject.host] = [[round(t - subject.began, 1), _short(v)] for t, v in points]
    return found


def _short(value: float) -> float:
    """Six digits are enough to look at."""
    return float(f"{value:.6g}")


def _figure(kind: Kind, values: tuple[str, ...], per: tuple[str, ...] = ()) -> Metric:
    return Metric(
        name="",
        level=Level.CONTROLS,
        kind=kind,
        values=values,
        per=per,
        direction=Direction.UP,
        min_effect=1,
        floor=0,
        limit=0,
        in_a_row=1,
        min_events=1,
        skip_s=0,
        needs_s=0,
        on_no_data=NoData.FAIL,
        mode=Mode.SHADOW,
    )


FIGURES = {
    "packets a second": _figure(Kind.RATE, ("packets",)),
    "share denied": _figure(Kind.RATIO, ("denied_ingress", "denied_egress"), ("packets",)),
    "unanswered": _figure(Kind.GAUGE, ("unanswered_ingress", "unanswered_egress")),
    "agent CPU": _figure(Kind.RATE, ("agent_cpu_s",)),
    "agent memory": _figure(Kind.GAUGE, ("agent_rss_bytes",)),
    "agent faults": _figure(Kind.EVENT, ("agent_faults",)),
}
