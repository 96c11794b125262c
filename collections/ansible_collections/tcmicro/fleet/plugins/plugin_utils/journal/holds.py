# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people say to a rollout while it runs: pause, resume, approve, abort. It is heard between two steps. Pure.

Nothing said interrupts a step: a pause holds the rollout before the next wave is changed, an abort ends the bake and
every host that was touched goes back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum


class Word(Enum):
    PAUSE = "pause"
    RESUME = "resume"
    APPROVE = "approve"
    ABORT = "abort"


class Next(Enum):
    """What the rollout does in front of a wave."""

    GO = "go"
    WAIT = "wait"
    ABORT = "abort"


@dataclass(frozen=True)
class Said:
    """`wave`: the one that is approved, 0 for every one to come. `time` in seconds since 1970."""

    word: Word
    who: str
    why: str
    wave: int
    time: float

    def __str__(self) -> str:
        wave = f" wave {self.wave}" if self.word is Word.APPROVE and self.wave else ""
        return f"{self.word.value}{wave} by {self.who}{f': {self.why}' if self.why else ''}"


def answer(said: Iterable[Said], wave: int, needs_approval: Collection[int]) -> tuple[Next, str]:
    """What to do in front of `wave`, and why. An abort is final; of pause and resume the last one holds."""
    words = sorted(said, key=lambda one: one.time)
    for one in words:
        if one.word is Word.ABORT:
            return Next.ABORT, str(one)
    turns = [one for one in words if one.word in (Word.PAUSE, Word.RESUME)]
    if turns and turns[-1].word is Word.PAUSE:
        return Next.WAIT, str(turns[-1])
    if wave in needs_approval and not any(approves(one, wave) for one in words):
        return Next.WAIT, f"wave {wave} waits for approval"
    return Next.GO, ""


def approves(one: Said, wave: int) -> bool:
    return one.word is Word.APPROVE and one.wave in (0, wave)
