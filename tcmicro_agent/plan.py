"""What to do, as a list of ops in safe order. Pure: every op can be printed, and the list may be cut after any one.

Building happens in a slot nobody uses; the transaction is on disk before the one store that makes it live.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

from tcmicro_agent.abi import SLOTS, SlotHeader, Word
from tcmicro_agent.errors import RefusedError
from tcmicro_agent.policy.model import Bundle
from tcmicro_agent.tables import Tables
from tcmicro_agent.transaction import Transaction


@dataclass(frozen=True)
class Observed:
    """What the kernel holds at one moment."""

    word: Word
    headers: tuple[SlotHeader, ...]
    now_ms: int

    @property
    def live(self) -> SlotHeader:
        """The header of the slot that rules now."""
        return self.headers[self.word.live(self.now_ms)]

    @property
    def armed(self) -> SlotHeader:
        """The header of the active slot, whether its deadline has passed or not."""
        return self.headers[self.word.active]

    @property
    def previous(self) -> SlotHeader:
        return self.headers[self.word.fallback]

    @property
    def pending(self) -> bool:
        return self.word.pending and not self.word.expired(self.now_ms)


@dataclass(frozen=True)
class SaveBundle:
    bundle: Bundle
    digest: str

    def __str__(self) -> str:
        return f"keep bundle {self.digest[:12]}"


@dataclass(frozen=True)
class ClearSlot:
    slot: int

    def __str__(self) -> str:
        return f"clear slot {self.slot}"


@dataclass(frozen=True)
class FillSlot:
    tables: Tables

    def __str__(self) -> str:
        header = self.tables.header
        return (
            f"build generation {header.generation} in slot {self.tables.slot}: "
            f"{self.tables.size} entries, mode {header.mode.name.lower()}"
        )


@dataclass(frozen=True)
class VerifySlot:
    tables: Tables

    def __str__(self) -> str:
        return f"read slot {self.tables.slot} back and compare"


@dataclass(frozen=True)
class SaveTransaction:
    transaction: Transaction

    def __str__(self) -> str:
        return f"note transaction {self.transaction.id}"


@dataclass(frozen=True)
class Flip:
    """The one store: from a word we expect to the one we want."""

    expected: Word
    desired: Word

    def __str__(self) -> str:
        until = f" until {self.desired.deadline_ms} ms since boot" if self.desired.pending else ""
        return f"make slot {self.desired.active} live{until}"


@dataclass(frozen=True)
class Record:
    """The books after a change that needs no confirmation."""

    generation: int
    digest: str

    def __str__(self) -> str:
        return f"record generation {self.generation} as confirmed"


Op = Union[SaveBundle, ClearSlot, FillSlot, VerifySlot, SaveTransaction, Flip, Record]


def spare_slot(observed: Observed) -> int:
    """A slot that neither rules nor is the way back: the oldest, for in one taken back just now packets may be."""
    free = [n for n in range(SLOTS) if n not in (observed.word.active, observed.word.fallback)]
    return min(free, key=lambda n: observed.headers[n].generation)


def refuse_if_pending(observed: Observed) -> None:
    if observed.pending:
        left = (observed.word.deadline_ms - observed.now_ms) / 1000
        raise RefusedError(
            f"generation {observed.armed.generation} is waiting to be confirmed, {left:.0f} s left",
            hint="confirm it, or take it back: tc-micro policy revert",
        )


def is_live(observed: Observed, digest: str, tables: Tables) -> bool:
    """Whether that content already rules for good, in that mode."""
    live = observed.live
    same = live.digest == digest and live.mode == tables.header.mode
    return bool(live.generation) and same and not observed.word.pending


def plan_policy(
    observed: Observed, bundle: Bundle, tables: Tables, transaction: Transaction | None
) -> list[Op]:
    """Ops that make the tables live: for good, or until the deadline of the transaction."""
    word = observed.word
    deadline = transaction.deadline_ms if transaction else 0
    digest = tables.header.digest
    ops: list[Op] = [
        SaveBundle(bundle, digest),
        ClearSlot(tables.slot),
        FillSlot(tables),
        VerifySlot(tables),
    ]
    if transaction:
        ops.append(SaveTransaction(transaction))
    ops.append(Flip(word, Word(tables.slot, word.active, deadline)))
    if not transaction:
        ops.append(Record(tables.header.generation, digest))
    return ops


def describe(ops: Sequence[Op]) -> list[str]:
    return [str(op) for op in ops]
