"""One host as a value: what the kernel holds, what the disk holds, who is in the middle of what, and what happened.

Time is counted in ticks. Generations, slots, words and transactions are those of the agent; a bundle is a letter.
"""

from __future__ import annotations

from dataclasses import dataclass

from tcmicro_agent.abi import SLOTS, Word
from tcmicro_agent.plan import Observed
from tcmicro_agent.store import Applied
from tcmicro_agent.transaction import Transaction


@dataclass(frozen=True)
class Slot:
    """`generation` and `bundle` as its header says (0 = empty); `entries`: whose entries the maps hold, 0 = none."""

    generation: int = 0
    bundle: str = ""
    entries: int = 0

    def __str__(self) -> str:
        whole = "" if self.entries == self.generation else f" with entries of {self.entries}"
        return (f"{self.bundle}{self.generation}" if self.generation else "-") + whole


EMPTY = Slot()
SILENT = "S"  # a bundle under which ssh works by the failsafe, and nothing else
SPOILT = "X"  # a bundle under which an examination of the host finds a fault


@dataclass(frozen=True)
class Kernel:
    loaded: bool = True
    word: Word = Word(0, 0, 0)
    slots: tuple[Slot, ...] = (EMPTY,) * SLOTS


@dataclass(frozen=True)
class Files:
    """state.json, txn.json and the bundles; each write replaces one of them whole."""

    generation: int = 0
    confirmed: Applied | None = None
    transaction: Transaction | None = None
    bundles: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Change:
    """What a controller wants: a bundle, to be confirmed within so many ticks, or (0) for good."""

    bundle: str
    within: int = 0


@dataclass(frozen=True)
class Work:
    """What a process remembers in the middle of a verb."""

    change: Change | None = None
    transaction: Transaction | None = None
    word: Word | None = None
    generation: int = 0
    slot: int = 0
    deadline: int = 0


IDLE = Work()


@dataclass(frozen=True)
class Process:
    """A run of the agent: a controller's command or the daemon. `known`: the generation it may confirm; `seen`: the one
    that judged its probe; `leases`: how often it may begin or renew a lease (-1: it never thinks of leases)."""

    name: str
    plans: tuple[Change, ...] = ()
    known: int = 0
    leases: int = -1
    seen: int = 0
    verb: str = ""
    step: int = 0
    goto: str = ""  # the step to go on with, when it is not the next one
    work: Work = IDLE

    @property
    def daemon(self) -> bool:
        return self.name == "daemon"


@dataclass(frozen=True)
class Reader:
    """A packet on its way: the slot it read in the word, the generation it read there, the flips it lived through."""

    slot: int = -1  # -1: the next packet, not here yet
    generation: int = -1
    flips: int = 0


@dataclass(frozen=True)
class Past:
    """What no process has to remember, but the invariants do. Generations, but for the last two."""

    armed: frozenset[tuple[int, int]] = frozenset()  # live on probation, each with its deadline
    over: frozenset[int] = frozenset()  # their time is over
    gone: frozenset[int] = frozenset()  # and they stopped ruling
    good: frozenset[int] = frozenset()  # somebody confirmed them, or applied them for good
    chosen: frozenset[str] = frozenset()  # bundles of those
    due: tuple[str, ...] = ()  # bundles one of which has to rule when all is settled


@dataclass(frozen=True)
class State:
    kernel: Kernel
    files: Files
    disk: Files  # what a loss of power leaves
    processes: tuple[Process, ...]
    past: Past
    now: int = 0
    skew: int = 0  # of the clock that deadlines are compared with
    boot: int = 1
    lock: str = ""  # who holds it
    crashes: int = 0  # that may still happen
    cuts: int = 0  # losses of power that may still happen
    reader: Reader | None = None
    mixed: bool = False  # a packet saw two generations

    @property
    def clock(self) -> int:
        """What deadlines are compared with."""
        return self.now + self.skew

    @property
    def live(self) -> Slot:
        return self.kernel.slots[self.kernel.word.live(self.clock)]

    def observe(self) -> Observed:
        """As the agent does, with our slots in the place of their headers."""
        return Observed(self.kernel.word, self.kernel.slots, self.clock)

    def __str__(self) -> str:
        word, files, noted = self.kernel.word, self.files, self.files.transaction
        slots = " ".join(str(slot) for slot in self.kernel.slots)
        until = f" until {word.deadline_ms}" if word.pending else ""
        books = f"{files.confirmed.digest}{files.confirmed.generation}" if files.confirmed else "-"
        return (
            f"now {self.clock} · slots {slots} · slot {word.active} live{until}, then {word.fallback}"
            f" · books {books} · transaction {noted and f'{noted.generation} {noted.state.value}'}"
        )
