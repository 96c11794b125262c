# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""L1: what no host of the wave may exceed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.evidence import Evidence, Subject
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.lattice import Finding, Outcome
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.measures import steps
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.samples import Record, Window
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.specs import Kind, Metric, NoData

NEWEST_S = 90  # how old the last sample of a host that reports may be
EARLIER_S = 600


def judge(
    metric: Metric, evidence: Evidence, wave: Sequence[Subject], controls: Sequence[Subject]
) -> Iterator[Finding | tuple[str, str]]:
    """Findings, and (metric, why) where nothing can be said whatever happened."""
    names = (*metric.values, *metric.per)
    judged = [subject for subject in wave if subject.records]
    if wave and not judged:
        yield metric.name, "no release here records samples"
    elif judged and not _heard(names, (*judged, *controls)):
        text = "nobody reports it, and nobody did before"
        level, enforce = metric.level.value, metric.enforced
        yield Finding(level, metric.name, Outcome.ERROR, text, None, enforce)
        return
    for subject in judged:
        if not subject.after.has(names) or not _recent(subject):
            if metric.on_no_data is NoData.SKIP:
                yield metric.name, f"{subject.host} does not report it"
                continue
            yield _silence(metric, subject)
            continue
        window = subject.bake(evidence.seconds, skip=metric.skip_s)
        worst = exceeded(metric, subject.after, window)
        if worst is None:
            continue
        if exceeded(metric, subject.before, subject.earlier(EARLIER_S)) is not None:
            yield metric.name, f"{subject.host} was over {metric.limit:g} before the change already"
            continue
        times = f" in {metric.in_a_row} samples in a row" if metric.in_a_row > 1 else ""
        text = f"{worst:g}{times}, allowed {metric.limit:g}"
        yield _finding(metric, Outcome.FAIL, text, subject, {"value": worst, "limit": metric.limit})


def exceeded(metric: Metric, record: Record, window: Window) -> float | None:
    """By what the limit was exceeded: the least value of the worst row of samples; None when it was not."""
    if metric.kind is Kind.EVENT:
        known = record.has(metric.values)
        events = record.grown(metric.values, window).growth if known else 0.0
        return events if events > metric.limit else None
    values = steps(metric, record, window)
    rows = (values[n : n + metric.in_a_row] for n in range(len(values) - metric.in_a_row + 1))
    worst = max((min(row) for row in rows), default=metric.limit)
    return worst if worst > metric.limit else None


def _heard(names: Sequence[str], subjects: Sequence[Subject]) -> bool:
    return any(record.has(names) for s in subjects for record in (s.before, s.after))


def _recent(subject: Subject) -> bool:
    record = subject.after
    return len(record) > 0 and record.now - float(record.times[-1]) <= NEWEST_S


def _silence(metric: Metric, subject: Subject) -> Finding:
    outcome = metric.on_no_data
    if outcome is NoData.ZERO:
        return _finding(metric, Outcome.PASS, "not reported, which counts as none", subject, {})
    return _finding(metric, Outcome(outcome.value), "it does not report it", subject, {})


def _finding(
    metric: Metric, outcome: Outcome, text: str, subject: Subject, numbers: dict[str, float]
) -> Finding:
    level, enforce = metric.level.value, metric.enforced
    return Finding(level, metric.name, outcome, text, subject.host, enforce, numbers)
