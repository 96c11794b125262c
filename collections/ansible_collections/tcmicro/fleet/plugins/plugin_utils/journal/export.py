# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout in the journal → its record, which reports and other programs read (report/record.py)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal import chain
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import (
    HostRow,
    Journal,
    Record,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import (
    Host,
    Rollout,
    Wave,
)

STATES = {
    Rollout.RUNNING: "running",
    Rollout.STOPPING: "stopping",
    Rollout.DONE: "succeeded",
    Rollout.BACK: "rolled_back",
    Rollout.INCOMPLETE: "rollback_incomplete",
    Rollout.HALTED: "rollback_halted",
    Rollout.ABANDONED: "abandoned",
}
HOSTS = {Host.PLANNED: "untouched", Host.KEPT: "committed", Host.RESTORED: "reverted"}
OUTCOMES = {Wave.PASSED: "pass", Wave.FAILED: "fail"}


def export(journal: Journal, rollout: str, reading: chain.Reading | None = None) -> dict[str, Any]:
    """The document `RolloutRecord`. Whoever asks again and again hands in what it has read of the chain. Raises JournalError
    when there is no such rollout."""
    record, reading = journal.load(rollout), reading or chain.Reading()
    reading.read(journal.database.links(reading.last))
    events = [event for event in reading.events if event.rollout == rollout]
    return {
        "apiVersion": "tcmicro/v1",
        "kind": "RolloutRecord",
        **outline(vars(record)),
        "plan": {**_planned(record), "fleet": len(record.hosts)},
        "waves": [_wave(record, number, events) for number in record.waves],
        "hosts": {host.host: _host(host) for host in record.hosts.values()},
        "approvals": [str(said) for said in journal.said(rollout)],
        "events": [
            {"time": event.time, "kind": event.kind, "text": event.text} for event in events
        ],
        "chain_ok": not reading.fault,
    }


def outline(row: Mapping[str, Any]) -> dict[str, Any]:
    """What lists and records both begin with, of a row of the table `rollouts` or of a Record's fields."""
    state = Rollout(row["state"])
    return {
        "id": row["id"],
        "subject": f"{row['kind']} {row['subject']}",
        "state": STATES[state],
        "why": row["reason"] or ("every wave passed" if state is Rollout.DONE else ""),
        "started": row["created"],
        "ended": row["ended"],
    }


def _planned(record: Record) -> Mapping[str, Any]:
    """The plan's own document, inside the answer of the planner."""
    plan = record.plan.get("plan")
    return plan if isinstance(plan, Mapping) else {}


def _wave(record: Record, number: int, events: Iterable[chain.Event]) -> dict[str, Any]:
    rows = record.of_wave(number)
    stages = {wave["number"]: wave.get("stage", "") for wave in _planned(record).get("waves", [])}
    verdicts = [found for found in record.verdicts if found["wave"] == number]
    verdict = verdicts[-1] if verdicts else {}
    times = {event.text: event.time for event in events if event.kind == f"wave {number}"}
    ended = [times[state.value] for state in (Wave.PASSED, Wave.FAILED) if state.value in times]
    return {
        "number": number,
        "stage": stages.get(number, ""),
        "hosts": [row.host for row in rows],
        "exposure": sum(row.wave <= number for row in record.hosts.values()),
        "started": times.get(Wave.CHANGING.value),
        "ended": ended[0] if ended else None,
        "bake_s": record.request.get("bake", 0),
        "state": record.waves[number].value,
        "verdict": {
            "outcome": verdict.get("outcome") or OUTCOMES.get(record.waves[number], "not reached"),
            "findings": verdict.get("findings", []),
        },
        "figures": verdict.get("figures", {}),
        "series": verdict.get("series", []),
        "rounds": [_round(found) for found in verdicts if "round" in found],
    }


def _round(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """How the policies did before they were made live; errors: hosts that did not hold what they must, and agents at fault."""
    done, counted = verdict["round"], verdict.get("staged", {})
    faults = [f for f in verdict["findings"] if f.get("level") in (None, "L0", "L1")]
    return {
        "share": done["share"],
        "seconds": done["seconds"],
        "flows": counted.get("flows"),
        "denied": counted.get("refused"),
        "errors": sum(f["outcome"] != "pass" for f in faults),
        "outcome": verdict["outcome"],
    }


def _host(row: HostRow) -> dict[str, str]:
    now = {Host.KEPT: row.wanted, Host.PLANNED: row.before, Host.RESTORED: row.before}
    return {
        "state": HOSTS.get(row.state, row.state.value),
        "before": row.before,
        "after": now.get(row.state, ""),
        "note": row.failure,
    }
