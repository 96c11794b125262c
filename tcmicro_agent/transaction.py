"""The dead-man transaction of one policy change: armed with a deadline, then confirmed, under a lease first or for good
at once, or taken back.

The kernel decides what is in force; the file only remembers what was tried. `settle` compares the two and says
how the story ended. It is a table: every combination is listed, and the tests walk all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from tcmicro_agent.errors import BundleError
from tcmicro_agent.evidence import Requirement
from tcmicro_agent.jsonutil import Reader, read


class State(Enum):
    """Of a transaction: pending and leased have a deadline ahead, the others are final."""

    PENDING = "pending"
    LEASED = "leased"  # confirmed, until the lease runs out
    CONFIRMED = "confirmed"  # for good
    REVERTED = "reverted"


@dataclass(frozen=True)
class Transaction:
    """One change of policy. Times count milliseconds since boot `boot_id`; `flipped_ms` is the moment by which it
    ruled, 0 before somebody has seen it rule. `evidence`: what a confirmation has to show."""

    id: str
    token: str
    state: State
    generation: int
    digest: str
    previous_generation: int
    deadline_ms: int
    boot_id: str
    evidence: Requirement = Requirement.NONE
    flipped_ms: int = 0

    @property
    def open(self) -> bool:
        """Whether its deadline still decides."""
        return self.state in (State.PENDING, State.LEASED)

    def ended(self, state: State) -> Transaction:
        return replace(self, state=state)

    def leased(self, deadline_ms: int) -> Transaction:
        return replace(self, state=State.LEASED, deadline_ms=deadline_ms)

    def to_document(self) -> dict[str, Any]:
        return {**vars(self), "state": self.state.value, "evidence": self.evidence.value}


class Word(Enum):
    """What the control word says, seen from the transaction."""

    ARMED = "our generation is live and its deadline lies ahead"
    EXPIRED = "our deadline has passed: the fallback is live"
    COMMITTED = "our generation is live for good"
    OTHER = "another generation is live, or none"


# What an open transaction comes to, by what the kernel holds. A leased one stays leased while it is armed; final ones
# stay as they are.
SETTLEMENT: Mapping[Word, State] = {
    Word.ARMED: State.PENDING,
    Word.EXPIRED: State.REVERTED,
    Word.COMMITTED: State.CONFIRMED,
    Word.OTHER: State.REVERTED,
}


def settle(transaction: Transaction, word: Word, deadline_ms: int) -> Transaction:
    """The transaction as it stands now; `deadline_ms` is that of the word. Another one than we noted is a lease whose
    giver was cut before it could write it down."""
    if not transaction.open:
        return transaction
    if word is not Word.ARMED:
        return transaction.ended(SETTLEMENT[word])
    return (
        transaction if deadline_ms == transaction.deadline_ms else transaction.leased(deadline_ms)
    )


def classify(
    transaction: Transaction, *, live_generation: int, pending: bool, expired: bool
) -> Word:
    """The word in the eyes of `transaction`; `live_generation` is that of the active slot, expired or not."""
    if live_generation != transaction.generation:
        return Word.OTHER
    if expired:
        return Word.EXPIRED
    return Word.ARMED if pending else Word.COMMITTED


def parse(document: object) -> Transaction:
    return read(document, _read, BundleError)


def _read(doc: Reader) -> Transaction:
    return Transaction(
        id=doc.get_str("id"),
        token=doc.get_str("token"),
        state=doc.get_enum("state", State),
        generation=doc.get_int("generation", 1, 2**32 - 1, "generation"),
        digest=doc.get_str("digest"),
        previous_generation=doc.get_int("previous_generation", 0, 2**32 - 1, "generation"),
        deadline_ms=doc.get_int("deadline_ms", 0, 2**56 - 1, "deadline"),
        boot_id=doc.get_str("boot_id"),
        evidence=doc.get_enum("evidence", Requirement, Requirement.NONE),
        flipped_ms=doc.get_int("flipped_ms", 0, 2**56 - 1, "moment", 0),
    )
