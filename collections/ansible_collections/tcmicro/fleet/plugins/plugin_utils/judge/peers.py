# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""L3: what the controls see of the wave. A policy on one host shows its damage on those that call it. Pure.

Every control is one observer with one score: how much more of its connections to the wave nobody answers than before,
minus the same for its connections to anybody else. So a client that tries a thousand times counts once, and a fault of
the whole network does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.evidence import Evidence
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.lattice import Finding, Outcome
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.specs import Comparison, Metric
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.statistics import sign_p

Peers = Iterable[Mapping[str, Any]]


def judge(
    metric: Metric, evidence: Evidence, rule: Comparison
) -> Iterator[Finding | tuple[str, str]]:
    """Findings, and (metric, why) where nothing can be said whatever happened."""
    wave = {address for host in evidence.hosts for address in evidence.addresses.get(host, ())}
    scores = [
        score for host in evidence.controls if (score := _score(host, evidence, wave)) is not None
    ]
    if not wave or not scores:
        yield metric.name, "no control was asked before and after what it sees of the wave"
        return
    worse = sum(score >= metric.min_effect for score in scores)
    better = sum(score <= -metric.min_effect for score in scores)
    p = sign_p(worse, better)
    limit = rule.extended_fail_below if evidence.extension else rule.fail_below
    outcome = Outcome.PASS
    if p < limit:
        outcome = Outcome.FAIL
    elif p < rule.suspect_below and not evidence.extension:
        outcome = Outcome.INCONCLUSIVE
    if outcome is not Outcome.PASS:
        text = f"{worse} of {len(scores)} controls reach the wave worse than before, {better} better (p {p:.2g})"
        numbers = {"p": p, "worse": worse, "better": better, "observers": len(scores)}
        level, enforce = metric.level.value, metric.enforced
        yield Finding(level, metric.name, outcome, text, None, enforce, numbers)


def _score(host: str, evidence: Evidence, wave: set[str]) -> float | None:
    looks = [_peers(looks.get(host)) for looks in (evidence.before, evidence.after)]
    if looks[0] is None or looks[1] is None:
        return None
    shares = [
        (
            _share(p for p in look if p["address"] in wave),
            _share(p for p in look if p["address"] not in wave),
        )
        for look in looks
        if look is not None
    ]
    (wave_before, rest_before), (wave_after, rest_after) = shares
    return (wave_after - wave_before) - (rest_after - rest_before)


def _peers(look: Mapping[str, Any] | None) -> list[Mapping[str, Any]] | None:
    found = ((look or {}).get("samples") or {}).get("peers")
    return found if isinstance(found, list) else None


def _share(peers: Peers) -> float:
    counted = [(peer["unanswered"], peer["opened"]) for peer in peers]
    opened = sum(count for _, count in counted)
    return sum(count for count, _ in counted) / opened if opened else 0.0
