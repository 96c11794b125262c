"""The dead-man transaction of one policy change: armed with a deadline, then confirmed or taken back.

The kernel decides what is in force; the file only remembers what was tried. `settle` compares the two and says
how the story ended. It is a table: every combination is listed, and the tests walk all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from tcmicro_agent.errors import BundleError
from tcmicro_agent.jsonutil import Reader, read


class State(Enum):
    """Of a transaction: pending has a deadline ahead, the others are final."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    REVERTED = "reverted"


@dataclass(frozen=True)
class Transaction:
    """One change of policy; `deadline_ms` counts milliseconds since boot `boot_id`."""

    id: str
    token: str
    state: State
    generation: int
    digest: str
    previous_generation: int
    deadline_ms: int
    boot_id: str

    def ended(self, state: State) -> Transaction:
        return replace(self, state=state)

    def to_document(self) -> dict[str, Any]:
        return {**vars(self), "state": self.state.value}


class Word(Enum):
    """What the control word says, seen from the transaction."""

    ARMED = "our generation is live and its deadline lies ahead"
    EXPIRED = "our deadline has passed: the fallback is live"
    COMMITTED = "our generation is live for good"
    OTHER = "another generation is live, or none"


# How a pending transaction ends, by what the kernel holds. Final ones stay as they are.
SETTLEMENT: Mapping[Word, State] = {
    Word.ARMED: State.PENDING,
    Word.EXPIRED: State.REVERTED,
    Word.COMMITTED: State.CONFIRMED,
    Word.OTHER: State.REVERTED,
}


def settle(transaction: Transaction, word: Word) -> Transaction:
    """The transaction as it stands now."""
    if transaction.state is not State.PENDING:
        return transaction
    return transaction.ended(SETTLEMENT[word])


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
    )
