# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The step in front of a wave in which a rollout hears what people said to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.holds import Next, answer
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import Journal, Record
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import (
    OPEN,
    JournalError,
    Rollout,
    Wave,
)


@dataclass(frozen=True)
class Hold:
    """The wave that is next, as the journal had it when the step began; only what people say is asked for anew."""

    record: Record
    wave: int
    heard: bool

    def answer(self, following: Next, why: str) -> dict[str, Any]:
        """`next`: go, wait or abort, and `why`; of which `wave` of how many `waves`, with which `hosts`."""
        hosts = [row.host for row in self.record.of_wave(self.wave)]
        known = {"wave": self.wave, "waves": len(self.record.waves), "hosts": hosts}
        return {"next": following.value, "why": why, **known}


def in_front(journal: Journal, given: Mapping[str, Any]) -> Hold:
    """Nobody is heard where it is only checked, or over."""
    record = journal.load(given["rollout"])
    wave = record.hosts[given["hosts"][0]].wave
    return Hold(record, wave, heard=record.state in OPEN and not given["check"])


def hear(journal: Journal, hold: Hold) -> dict[str, Any]:
    """What to do by all that was said until now. What ends the rollout is written down."""
    if not hold.heard:
        return hold.answer(Next.GO, "")
    said = journal.said(hold.record.id)
    found, why = answer(said, hold.wave, needs_approval(hold.record))
    return end(journal, hold, why) if found is Next.ABORT else hold.answer(found, why)


def end(journal: Journal, hold: Hold, why: str) -> dict[str, Any]:
    """Somebody wants it, or nobody let it go on. Nobody is to blame, so nothing is put on the denylist."""
    with journal.database.write(journal.epoch):
        journal.wave(hold.record.id, hold.wave, Wave.FAILED)
        journal.state(hold.record.id, Rollout.STOPPING, why)
    return hold.answer(Next.ABORT, why)


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
