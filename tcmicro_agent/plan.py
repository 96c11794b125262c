"""What to do, as a list of ops in safe order. Pure: every op can be printed, and the list may be cut after any one.

Building happens in a slot nobody uses; the transaction is on disk before the one store that makes it live.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

from tcmicro_agent.abi import SLOTS, Mode, SlotHeader, TrialWord, Word
from tcmicro_agent.errors import RefusedError
from tcmicro_agent.policy.model import Bundle
from tcmicro_agent.tables import Tables
from tcmicro_agent.transaction import Transaction
from tcmicro_agent.trial import Comparison, EndTrial, SetMode, SetTrial, StartComparison


@dataclass(frozen=True)
class Observed:
    """What the kernel holds at one moment."""

    word: Word
    headers: tuple[SlotHeader, ...]
    now_ms: int
    trial: TrialWord = TrialWord(None)

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

    @property
    def promoted(self) -> bool:
        """Whether the staged slot rules already: its promotion was cut before the trial ended."""
        return self.trial.slot == self.word.live(self.now_ms)

    @property
    def staged(self) -> SlotHeader | None:
        """The header of the staged slot, None when nothing is staged."""
        if self.trial.slot is None or self.promoted:
            return None
        header = self.headers[self.trial.slot]
        return header if header.generation else None


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
class Rehearse:
    """The way back from a slot that is built, on a control word of its own; `deadline_ms` has to leave room for it."""

    slot: int
    fallback: int
    deadline_ms: int

    def __str__(self) -> str:
        return f"rehearse the way back from slot {self.slot} to slot {self.fallback}"


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
class Examine:
    """The host under a policy that waits to be confirmed; it is taken back at once when something is amiss."""

    transaction: Transaction
    word: Word

    def __str__(self) -> str:
        return f"examine the host under generation {self.transaction.generation}"


@dataclass(frozen=True)
class Record:
    """The books after a change that needs no confirmation."""

    generation: int
    digest: str

    def __str__(self) -> str:
        return f"record generation {self.generation} as confirmed"


Op = Union[
    SaveBundle,
    ClearSlot,
    FillSlot,
    VerifySlot,
    Rehearse,
    SaveTransaction,
    Flip,
    Examine,
    Record,
    StartComparison,
    SetTrial,
    EndTrial,
    SetMode,
]


def spare_slot(observed: Observed) -> int:
    """A slot that neither rules, nor is the way back, nor is staged: the oldest, for in one taken back just now
    packets may be."""
    taken = (observed.word.active, observed.word.fallback, observed.trial.slot)
    free = [n for n in range(SLOTS) if n not in taken]
    return min(free, key=lambda n: observed.headers[n].generation)


def place(observed: Observed, digest: str, mode: Mode, following: int) -> tuple[int, int]:
    """Slot and generation of a policy: those it is staged with, else a spare slot and the following generation."""
    staged, slot = observed.staged, observed.trial.slot
    if staged and slot is not None and (staged.digest, staged.mode) == (digest, mode):
        return slot, staged.generation
    return spare_slot(observed), following


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
    """Ops that make the tables live: for good, or until the deadline of the transaction.

    Tables of the staged slot are there already. Its trial ends only when it rules, so that no packet of a flow opened
    under it meets the policy before. What is staged besides stays so, compared with the new policy from now on.
    """
    word, header = observed.word, tables.header
    deadline = transaction.deadline_ms if transaction else 0
    ops = _build(observed, bundle, tables)
    flip = Flip(word, Word(tables.slot, word.active, deadline))
    if transaction:
        rehearsal = Rehearse(tables.slot, word.active, deadline)
        ops += [rehearsal, SaveTransaction(transaction), flip, Examine(transaction, flip.desired)]
    else:
        ops += [flip, Record(header.generation, header.digest)]
    if tables.slot == observed.trial.slot:
        ops.append(EndTrial())
    elif observed.staged and observed.staged.digest == header.digest:
        ops.append(EndTrial())  # the same policy, built anew because rules of it began or expired
    elif observed.staged:
        ops.append(_compare(observed.staged, header))
    return ops


def plan_stage(observed: Observed, bundle: Bundle, tables: Tables, trial: TrialWord) -> list[Op]:
    """Ops that stage the tables; of what is staged already only the share changes."""
    if observed.trial == trial:
        return []
    if observed.trial.slot == tables.slot:
        return [SetTrial(trial)]
    ops = _build(observed, bundle, tables)
    if observed.trial.slot is not None:
        ops.append(EndTrial())
    return [*ops, _compare(tables.header, observed.live), SetTrial(trial)]


def plan_tending(observed: Observed, noted: Comparison | None) -> list[Op]:
    """What is left to do about the staged slot: by a verb that was cut, by a reboot, by a policy taken back."""
    staged, live = observed.staged, observed.live
    if staged is None:
        return [EndTrial()] if noted or observed.trial.slot is not None else []
    if noted and (noted.generation, noted.against) == (staged.generation, live.generation):
        return []
    return [_compare(staged, live)]


def _build(observed: Observed, bundle: Bundle, tables: Tables) -> list[Op]:
    kept, verified = SaveBundle(bundle, tables.header.digest), VerifySlot(tables)
    if tables.slot == observed.trial.slot:
        return [kept, verified]
    return [kept, ClearSlot(tables.slot), FillSlot(tables), verified]


def _compare(staged: SlotHeader, live: SlotHeader) -> StartComparison:
    return StartComparison(staged.digest, staged.generation, live.generation)


def describe(ops: Sequence[Op]) -> list[str]:
    return [str(op) for op in ops]
