# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts as the journal keeps them, and what one does that stops the rollout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils import way_back
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal import denylist
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import Journal, Record
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import (
    TOUCHED,
    Rollout,
    Wave,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.waves import Answer


def stop(journal: Journal, record: Record, number: int, verdict: Answer) -> None:
    """The wave has failed and the rollout with it; what failed is denied."""
    reason = "; ".join(verdict["reasons"]) or verdict["outcome"]
    journal.wave(record.id, number, Wave.FAILED)
    journal.state(record.id, Rollout.STOPPING, reason)
    if verdict["outcome"] == "fail":
        denylist.deny(journal, record.id, guilty(journal.load(record.id)), reason)


def guilty(record: Record) -> list[str]:
    """Digests that a failed verdict speaks against: those of the release, or the bundles of the hosts that failed."""
    if record.kind == "release":
        return sorted(record.request.get("digests", {}).values())
    named = way_back.failed_hosts(record) or {
        row.host for row in record.hosts.values() if row.state in TOUCHED
    }
    return sorted({row.wanted for row in record.hosts.values() if row.host in named})


def normal(verdict: Mapping[str, Any]) -> Answer:
    """A verdict as the gate gives it; its findings are its reasons, its figures and series are for the report."""
    outcome = str(verdict.get("outcome") or verdict.get("verdict"))
    reasons = verdict.get("reasons")
    findings = list(verdict.get("findings") or [_finding(text, outcome) for text in reasons or ()])
    if reasons is None:
        bad = [f for f in findings if f["outcome"] != "pass" and f.get("enforce", True)]
        reasons = [f"{f['host']}: {f['text']}" if f.get("host") else f["text"] for f in bad]
    shown = {key: verdict[key] for key in ("figures", "series", "staged") if verdict.get(key)}
    return {"outcome": outcome, "reasons": list(reasons), "findings": findings, **shown}


def _finding(reason: str, outcome: str) -> Answer:
    host, _, text = reason.partition(": ")
    return {"host": host, "outcome": outcome, "text": text}
