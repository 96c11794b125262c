# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""L4: what a staged policy decides otherwise than the live one, minus what its author said it would; and of the flows
that it judges itself, whether it refuses more than the live one does of the others. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.evidence import Evidence
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.expected import closes, explains
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.lattice import Finding, Outcome
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.specs import (
    Comparison,
    Kind,
    Metric,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.statistics import binomial_p

TRIES = 6  # of one TCP connection that nobody answers, within a minute: each counts as a new flow
Found = Iterator[Finding | tuple[str, str]]


def judge(metric: Metric, evidence: Evidence, rule: Comparison) -> Found:
    """Findings by host; (metric, why) where there is nothing to judge."""
    staged = {host: found for host in sorted(evidence.hosts) if (found := _staged(host, evidence))}
    if not staged:
        yield metric.name, "nothing is staged"
    elif metric.kind is Kind.RATIO:
        yield from _refusals(metric, evidence, rule, staged)
    else:
        yield from _differences(metric, evidence, staged)


# --- what both policies say of every new flow


def _differences(metric: Metric, evidence: Evidence, staged: Mapping[str, Any]) -> Found:
    """A finding per host with more unexplained flows than allowed."""
    for host, found in staged.items():
        counted = sum(way[name] for way in found["comparisons"].values() for name in metric.values)
        explained = sum(_explained(host, name, evidence) for name in metric.values)
        unexplained = max(0, counted - explained)
        if unexplained > metric.limit:
            text = f"{unexplained} new flows that nobody expected, allowed {metric.limit:g}"
            numbers = {"unexplained": unexplained, "explained": explained, "limit": metric.limit}
            level, enforce = metric.level.value, metric.enforced
            yield Finding(level, metric.name, Outcome.FAIL, text, host, enforce, numbers)


def _staged(host: str, evidence: Evidence) -> Mapping[str, Any] | None:
    status = (evidence.after.get(host) or {}).get("status") or {}
    staged = (status.get("policy") or {}).get("staged")
    return staged if staged and staged.get("comparisons") else None


def _explained(host: str, change: str, evidence: Evidence) -> int:
    """The flows of differences that were declared."""
    differences = (evidence.after.get(host) or {}).get("differences") or []
    live, _, staged = change.partition("_to_")
    ours = [
        d for d in differences if (d["live"]["verdict"], d["staged"]["verdict"]) == (live, staged)
    ]
    return sum(d["flows"] for d in ours if explains(evidence.expected, d))


# --- what each of them refused of the flows that it judged


@dataclass(frozen=True)
class Judged:
    """New flows that one policy judged, in one round."""

    flows: int
    refused: int

    @property
    def share(self) -> float:
        return self.refused / self.flows if self.flows else 0.0


def _refusals(
    metric: Metric, evidence: Evidence, rule: Comparison, staged: Mapping[str, Any]
) -> Found:
    if not evidence.began:
        yield metric.name, "no share of the flows was judged by the staged policy"
    elif closes(evidence.expected):
        yield metric.name, "the staged policy is meant to refuse more"
    else:
        for host in staged:
            yield from _of_host(metric, evidence, rule, host)


def _of_host(metric: Metric, evidence: Evidence, rule: Comparison, host: str) -> Found:
    """Which policy a flow meets is chance, so both refuse alike unless the staged one is stricter."""
    own, others = judged(host, "staged", evidence), judged(host, "live", evidence)
    if own is None or others is None or min(own.flows, others.flows) < metric.min_events:
        yield metric.name, f"{host} had too few new flows, needed {metric.min_events} of each"
        return
    lost, usual = own.refused // TRIES, others.refused // TRIES
    p = binomial_p(lost, own.flows, usual, others.flows) * len(evidence.hosts)
    outcome = _outcome(p, rule, extended=evidence.extension > 0)
    if own.share - others.share <= metric.limit or outcome is Outcome.PASS:
        return
    text = (
        f"it refused {own.refused} of {own.flows} flows that it judged, the live policy {others.refused} of "
        f"{others.flows} (p {p:.2g})"
    )
    numbers = {"share": own.share, "others": others.share, "limit": metric.limit, "p": p}
    level, enforce = metric.level.value, metric.enforced
    yield Finding(level, metric.name, outcome, text, host, enforce, numbers)


def _outcome(p: float, rule: Comparison, *, extended: bool) -> Outcome:
    if p < (rule.extended_fail_below if extended else rule.fail_below):
        return Outcome.FAIL
    suspicious = p < rule.suspect_below and not extended
    return Outcome.INCONCLUSIVE if suspicious else Outcome.PASS


def judged(host: str, policy: str, evidence: Evidence) -> Judged | None:
    """What `policy` (live or staged) judged on a host since the round began; None where that was not counted through."""
    now = (_staged(host, evidence) or {}).get("judged")
    before = (evidence.began.get(host) or {}).get("judged")
    if not now or not before:
        return None
    counts = {name: now[policy][name] - before[policy][name] for name in ("allowed", "refused")}
    if min(counts.values()) < 0:  # the datapath was loaded anew
        return None
    return Judged(sum(counts.values()), counts["refused"])


def figures(evidence: Evidence) -> dict[str, int]:
    """Over the wave, for the report: new flows that the staged policies judged, and how many of them they refused; of a
    round that only compares, what they would have."""
    if evidence.began:
        counted = [j for host in evidence.hosts if (j := judged(host, "staged", evidence))]
        return {"flows": sum(j.flows for j in counted), "refused": sum(j.refused for j in counted)}
    ways = [
        way
        for host in evidence.hosts
        if (found := _staged(host, evidence))
        for way in found["comparisons"].values()
    ]
    refused = sum(way["allow_to_deny"] + way["agree_deny"] for way in ways)
    return {"flows": sum(sum(way.values()) for way in ways), "refused": refused}
