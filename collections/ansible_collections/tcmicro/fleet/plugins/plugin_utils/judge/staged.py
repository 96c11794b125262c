# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""L4: what a staged policy decides otherwise than the live one, minus what its author said it would. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.evidence import Evidence
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.lattice import Finding, Outcome
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.specs import Metric

MATCHED = ("direction", "protocol", "port", "peer")


def judge(metric: Metric, evidence: Evidence) -> Iterator[Finding | tuple[str, str]]:
    """A finding per host with more unexplained flows than allowed; (metric, why) where nothing is staged."""
    staged = {host: found for host in sorted(evidence.hosts) if (found := _staged(host, evidence))}
    if not staged:
        yield metric.name, "nothing is staged"
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
    ours = [d for d in differences if _change(d) == change]
    return sum(d["flows"] for d in ours if any(_fits(d, e, change) for e in evidence.expected))


def _change(difference: Mapping[str, Any]) -> str:
    return f"{difference['live']['verdict']}_to_{difference['staged']['verdict']}"


def _fits(difference: Mapping[str, Any], expected: Mapping[str, Any], change: str) -> bool:
    """What an expectation does not name, it leaves open."""
    named = [name for name in MATCHED if name in expected]
    return expected.get("change", change) == change and all(
        str(difference[name]) == str(expected[name]) for name in named
    )
