# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""L4: flows that were alive and that a policy, once it was live, refused. Comparing it before cannot see them, since no new
flow of theirs was met. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.evidence import Evidence
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.expected import closes
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.lattice import Finding, Outcome
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.specs import Metric

REVOKED = "revoked"


def judge(metric: Metric, evidence: Evidence) -> Iterator[Finding | tuple[str, str]]:
    """A finding per host on which packets of live flows were refused since the look before the change; (metric, why) where
    that says nothing."""
    if not evidence.digests:
        yield metric.name, "no policy was made live"
        return
    if closes(evidence.expected):
        yield metric.name, "the policy is meant to close something"
        return
    for host in sorted(evidence.hosts):
        before, after = (_revoked(looks.get(host)) for looks in (evidence.before, evidence.after))
        if before is None or after is None or after < before:  # the datapath was loaded anew
            yield metric.name, f"{host} did not count it through"
        elif after - before > metric.limit:
            packets = after - before
            text = f"{packets} packets of live flows were refused, allowed {metric.limit:g}"
            numbers = {"packets": packets, "limit": metric.limit}
            level, enforce = metric.level.value, metric.enforced
            yield Finding(level, metric.name, Outcome.FAIL, text, host, enforce, numbers)


def _revoked(look: Any) -> int | None:
    """Packets since the datapath was loaded; None where the host does not say, as agents of earlier releases."""
    counters = ((look or {}).get("status") or {}).get("counters") or {}
    counted = [way.get(REVOKED) for way in counters.values()]
    return sum(counted) if counted and None not in counted else None
