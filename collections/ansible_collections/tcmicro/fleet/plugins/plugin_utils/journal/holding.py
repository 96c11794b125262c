# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The step in front of a wave in which a rollout hears what people said to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.holds import Next, answer
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import Journal, Record
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import (
    OPEN,
    JournalError,
    Rollout,
    Wave,
)


def hold(journal: Journal, given: Mapping[str, Any]) -> dict[str, Any]:
    """`next`: go, wait or abort, and `why`. What ends the rollout is written down."""
    record = journal.load(given["rollout"])
    number = record.hosts[given["hosts"][0]].wave
    if record.state not in OPEN or given["check"]:
        return {"next": Next.GO.value, "why": ""}
    found, why = answer(journal.said(record.id), number, needs_approval(record))
    if found is Next.ABORT:
        end(journal, record, number, why)
    return {"next": found.value, "why": why}


def end(journal: Journal, record: Record, number: int, why: str) -> None:
    """Nobody is to blame, so nothing is put on the denylist."""
    with journal.database.write(journal.epoch):
        journal.wave(record.id, number, Wave.FAILED)
        journal.state(record.id, Rollout.STOPPING, why)


def give_up(journal: Journal, given: Mapping[str, Any], why: str) -> dict[str, Any]:
    """It was held for too long."""
    record = journal.load(given["rollout"])
    end(journal, record, record.hosts[given["hosts"][0]].wave, why)
    return {"next": Next.ABORT.value, "why": why}


def needs_approval(record: Record) -> Collection[int]:
    """Waves that somebody has to approve first; those a plan does not have need nobody."""
    wanted = approved_first(record.request.get("approve"))
    numbers = set(record.waves)
    return numbers - {min(numbers)} if wanted is None else numbers & wanted


def approved_first(value: Any) -> frozenset[int] | None:
    """The option `approve`: wave numbers as a list or as text; None for `all`, every wave but the first."""
    if str(value).strip() == "all":
        return None
    parts = str(value or "").strip(" []").split(",") if isinstance(value, str) else value or []
    texts = [str(part).strip() for part in parts if str(part).strip()]
    wrong = [text for text in texts if not text.isdigit() or int(text) < 1]
    if wrong:
        raise JournalError(
            f"approve: {wrong[0]!r} is not the number of a wave; allowed is a list like [2, 3], or all"
        )
    return frozenset(map(int, texts))
