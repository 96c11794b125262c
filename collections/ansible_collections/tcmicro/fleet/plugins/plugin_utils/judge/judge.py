# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on a wave: every gate of a file, over all that is known of the wave. Pure, and passive: it changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils import gate
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge import (
    ended,
    limits,
    peers,
    staged,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.controls import against_controls
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.evidence import (
    Evidence,
    Subject,
    subjects,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.lattice import (
    Finding,
    Outcome,
    Verdict,
    latch,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.samples import SampleError
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.specs import Gates, Level, Metric

NotJudged = tuple[str, str]
Found = Iterator[Finding | NotJudged]


def judge(evidence: Evidence, gates: Gates, previous: Mapping[str, Any] | None = None) -> Verdict:
    """The worst of all findings. `previous`: the verdict document of an earlier look at the same wave."""
    found = [*invariants(evidence, gates), *_measured(evidence, gates)]
    findings = latch(previous, (item for item in found if isinstance(item, Finding)))
    return Verdict(findings, tuple(item for item in found if not isinstance(item, Finding)))


def judge_invariants(
    evidence: Evidence, gates: Gates, previous: Mapping[str, Any] | None = None
) -> Verdict:
    """L0 alone, for a look while the bake lasts."""
    return Verdict(latch(previous, invariants(evidence, gates)))


def invariants(evidence: Evidence, gates: Gates) -> Iterator[Finding]:
    if not evidence.hosts:
        yield Finding("L0", "hosts", Outcome.ERROR, "no hosts to judge")
    for host in sorted(evidence.hosts):
        for reason in gate.broken(host, evidence, gates.invariants):
            yield Finding("L0", reason.invariant or "look", reason.outcome, reason.text, host)


def table(evidence: Evidence, verdict: Verdict) -> list[str]:
    """The verdict for people: one line per host, one per finding on the wave, and the outcome."""
    lines = []
    for host in sorted(evidence.hosts):
        said = [_phrase(f) for f in verdict.findings if f.host == host]
        lines.append(f"{host:<16} {'; '.join(said) or 'pass'}")
    lines += [
        f"{'wave':<16} {_phrase(f)}" for f in verdict.findings if f.host not in evidence.hosts
    ]
    lines += [f"{'not judged':<16} {name}: {text}" for name, text in verdict.not_judged]
    return [*lines, f"{'gate':<16} {verdict.outcome.value}"]


def reasons(verdict: Verdict) -> list[str]:
    """What counts against the wave, one line each."""
    against = (f for f in verdict.findings if f.enforce and f.outcome is not Outcome.PASS)
    return [f"{f.host or 'wave'}: {_said(f)}" for f in against]


def _phrase(finding: Finding) -> str:
    shadow = "" if finding.enforce else " (shadow)"
    return f"{finding.outcome.value}{shadow}: {_said(finding)}"


def _said(finding: Finding) -> str:
    return finding.text if finding.level == "L0" else f"{finding.metric}: {finding.text}"


def _measured(evidence: Evidence, gates: Gates) -> Found:
    try:
        wave, controls = subjects(evidence)
    except SampleError as exc:
        yield Finding("L1", "samples", Outcome.ERROR, str(exc))
        return
    if evidence.source_error:
        yield Finding("L1", "samples", Outcome.ERROR, evidence.source_error)
        return
    wave = [subject for subject in wave if subject.host not in evidence.failures]
    for metric in gates.metrics:
        yield from _judge_metric(metric, evidence, gates, wave, controls)


def _judge_metric(
    metric: Metric,
    evidence: Evidence,
    gates: Gates,
    wave: list[Subject],
    controls: list[Subject],
) -> Found:
    if ended.REVOKED in metric.values:
        yield from ended.judge(metric, evidence)
    elif metric.level is Level.STAGED:
        yield from staged.judge(metric, evidence, gates.comparison)
    elif metric.level is Level.PEERS:
        yield from peers.judge(metric, evidence, gates.comparison)
    elif metric.level is Level.LIMIT:
        yield from limits.judge(metric, evidence, wave, controls)
    else:
        yield from against_controls(metric, evidence, gates.comparison, wave, controls)
