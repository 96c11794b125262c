"""What tcm_transition answers and leaves behind, and which slot rules: the table that the program, the fake kernel of
the unit tests and the model are all held against. Deadlines are seconds from now.
"""

from __future__ import annotations

from dataclasses import dataclass

from tcmicro_agent.abi import TransitionResult, Word

AHEAD, PASSED, NONE = 60, -1, 0
SWAPPED, CONFLICT, EXPIRED = TransitionResult


@dataclass(frozen=True)
class Row:
    """Words as (active, fallback, deadline)."""

    title: str
    word: tuple[int, int, int]
    expected: tuple[int, int, int]
    desired: tuple[int, int, int]
    result: TransitionResult
    after: tuple[int, int, int]
    live: int  # the slot that rules afterwards


NEVER = (15, 15, 1 << 40)
TABLE = [
    Row("flip for good", (1, 0, NONE), (1, 0, NONE), (2, 1, NONE), SWAPPED, (2, 1, NONE), 2),
    Row("flip on probation", (1, 0, NONE), (1, 0, NONE), (2, 1, AHEAD), SWAPPED, (2, 1, AHEAD), 2),
    Row(
        "flip that took too long",
        (1, 0, NONE),
        (1, 0, NONE),
        (2, 1, PASSED),
        SWAPPED,
        (2, 1, PASSED),
        1,
    ),
    Row("commit in time", (2, 1, AHEAD), (2, 1, AHEAD), (2, 1, NONE), SWAPPED, (2, 1, NONE), 2),
    Row("commit too late", (2, 1, PASSED), (2, 1, PASSED), (2, 1, NONE), EXPIRED, (1, 1, NONE), 1),
    Row(
        "commit after the latch",
        (1, 1, NONE),
        (2, 1, PASSED),
        (2, 1, NONE),
        CONFLICT,
        (1, 1, NONE),
        1,
    ),
    Row("revert in time", (2, 1, AHEAD), (2, 1, AHEAD), (1, 1, NONE), SWAPPED, (1, 1, NONE), 1),
    Row("revert too late", (2, 1, PASSED), (2, 1, PASSED), (1, 1, NONE), EXPIRED, (1, 1, NONE), 1),
    Row("a stale flip", (2, 1, AHEAD), (1, 0, NONE), (3, 1, NONE), CONFLICT, (2, 1, AHEAD), 2),
    Row(
        "another deadline",
        (2, 1, AHEAD),
        (2, 1, AHEAD + 1),
        (2, 1, NONE),
        CONFLICT,
        (2, 1, AHEAD),
        2,
    ),
    Row(
        "a flip over an expired word",
        (2, 1, PASSED),
        (2, 1, PASSED),
        (3, 1, NONE),
        EXPIRED,
        (1, 1, NONE),
        1,
    ),
    Row("a sample at rest", (2, 1, NONE), NEVER, NEVER, CONFLICT, (2, 1, NONE), 2),
    Row("a sample while pending", (2, 1, AHEAD), NEVER, NEVER, CONFLICT, (2, 1, AHEAD), 2),
    Row("a sample after the deadline", (2, 1, PASSED), NEVER, NEVER, EXPIRED, (1, 1, NONE), 1),
]


def at(word: tuple[int, int, int], now_ms: int) -> Word:
    """A word of the table at that moment."""
    active, fallback, seconds = word
    return Word(active, fallback, now_ms + seconds * 1000 if seconds else 0)
