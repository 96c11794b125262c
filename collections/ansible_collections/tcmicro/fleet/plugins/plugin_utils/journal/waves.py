# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the steps of a rollout are given and answer, and what of it is known of its waves. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import HostRow, Record
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.looks import first_line, trouble

Given = Mapping[str, Any]
Answer = dict[str, Any]


def waves_of(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Number and hosts of each wave of a plan."""
    if "wave_of" not in plan:
        return list(plan.get("waves", ()))
    if "plan" in plan:
        return list(plan["plan"]["waves"])
    numbers = plan["wave_of"]
    return [
        {"number": n, "hosts": [host for host in plan["ready"] if numbers[host] == n]}
        for n in sorted(set(numbers.values()))
    ]


def assigned(batches: Iterable[Iterable[HostRow]]) -> list[dict[str, Any]]:
    """Hosts with the number of their batch, in order."""
    return [
        {"host": row.host, "batch": number}
        for number, batch in enumerate(batches, 1)
        for row in batch
    ]


def tickets_of(rows: Iterable[HostRow]) -> Answer:
    """By what hosts are told to keep a policy, of those that have it under a lease."""
    return {row.host: row.ticket for row in rows if row.ticket}


def controls_of(record: Record, number: int) -> list[str]:
    """Hosts that a wave is compared with, as planned."""
    waves = waves_of(record.plan)
    return next((list(w.get("controls", ())) for w in waves if w["number"] == number), [])


def course_of_bake(record: Record, number: int) -> Answer:
    """What the next bake of a wave needs to know. Looks that another controller took count as verdicts, not as bakes."""
    rows = record.of_wave(number)
    return {
        "failures": {row.host: row.failure for row in rows if row.failure},
        "controls": controls_of(record, number),
        "tickets": tickets_of(rows),
    }


def what_failed(result: Any) -> str:
    """Why the change of a host failed, "" when it did not; no result is a failure."""
    if not result:
        return "nothing was heard from it"
    if result.get("unreachable"):
        return trouble(result)
    return first_line(result.get("msg")) if result.get("failed") else ""
