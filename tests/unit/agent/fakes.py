"""A kernel and a clock that exist only in memory, for everything that has to survive being cut."""

from __future__ import annotations

from pathlib import Path

from tcmicro_agent import abi
from tcmicro_agent.abi import SlotHeader, TransitionResult, Verdict, Word
from tcmicro_agent.local import Local
from tcmicro_agent.policy.model import Bundle
from tcmicro_agent.store import Books, Store
from tcmicro_agent.tables import POLICY_MAPS, Tables, checksum, in_slot
from tcmicro_agent.transaction import Transaction
from tcmicro_agent.trial import Comparison

EMPTY = SlotHeader.decode(bytes(abi.SLOT.size))


class CutError(Exception):
    """The process ends here."""


class FakeClock:
    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.boot = "boot-1"
        self.wall = 1_800_000_000.0

    def boot_ms(self) -> int:
        return self.now_ms

    def wall_s(self) -> float:
        return self.wall

    def boot_id(self) -> str:
        return self.boot

    def pass_seconds(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)
        self.wall += seconds


class FakeExaminer:
    """A host in order, whose way back takes no time, unless a test says otherwise."""

    def __init__(self) -> None:
        self.took_ms = 5
        self.wrong: str | Exception = ""
        self.way_back: Exception | None = None

    def rehearse(self, slot: int, fallback: int) -> int:
        if self.way_back:
            raise self.way_back
        return self.took_ms

    def fault(self, word: Word, generation: int, now_ms: int) -> str:
        if isinstance(self.wrong, Exception):
            raise self.wrong
        return self.wrong


class FakeMap(dict[bytes, bytes]):
    """A map of entries, written through its kernel."""

    def __init__(self, kernel: FakeKernel) -> None:
        super().__init__()
        self._kernel = kernel

    def put(self, key: bytes, value: bytes) -> None:
        self._kernel._write()
        self[key] = value

    def delete(self, key: bytes) -> bool:
        self._kernel._write()
        return self.pop(key, None) is not None


class CutStore(Store):
    """Files that may be cut before any write, by the count of the kernel."""

    def __init__(self, root: Path, kernel: FakeKernel) -> None:
        super().__init__(root)
        self._kernel = kernel

    def save_bundle(self, bundle: Bundle, digest: str) -> None:
        self._kernel._write()
        super().save_bundle(bundle, digest)

    def save_books(self, books: Books) -> None:
        self._kernel._write()
        super().save_books(books)

    def save_transaction(self, value: Transaction) -> None:
        self._kernel._write()
        super().save_transaction(value)

    def save_comparison(self, value: Comparison | None) -> None:
        self._kernel._write()
        super().save_comparison(value)

    def save_local(self, value: Local) -> None:
        self._kernel._write()
        super().save_local(value)


class FakeKernel:
    """Slots, maps and the control word with the semantics of bpf/tcmicro.bpf.c; may be cut before any write."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.writes_left: int | None = None
        self.boot()

    def boot(self) -> None:
        self.loaded = True
        self.word = Word(0, 0, 0)
        self.slots = [EMPTY] * abi.SLOTS
        self.maps: dict[str, dict[bytes, bytes]] = {name: {} for name in POLICY_MAPS}
        self.trial = FakeMap(self)
        self.differences = FakeMap(self)
        self.comparisons = [0] * abi.COMPARISONS
        self.counted = dict.fromkeys(range(abi.COUNTERS), (0, 0))

    def _write(self) -> None:
        if self.writes_left == 0:
            raise CutError
        if self.writes_left is not None:
            self.writes_left -= 1

    def control(self) -> abi.Control:
        return abi.Control(self.word, 0, self._clock.now_ms)

    def headers(self) -> list[SlotHeader]:
        return list(self.slots)

    def live(self) -> SlotHeader:
        return self.slots[self.word.live(self._clock.now_ms)]

    def transition(self, expected: int, desired: int) -> TransitionResult:
        self._write()
        if self.word.expired(self._clock.now_ms):
            self.word = Word(self.word.fallback, self.word.fallback, 0)
            return TransitionResult.EXPIRED
        if self.word.encode() != expected:
            return TransitionResult.CONFLICT
        self.word = Word.decode(desired)
        return TransitionResult.SWAPPED

    def clear_slot(self, slot: int) -> None:
        self._write()
        self.slots[slot] = EMPTY
        for name, content in self.maps.items():
            self.maps[name] = {k: v for k, v in content.items() if not _belongs(name, k, slot)}

    def fill_slot(self, tables: Tables) -> None:
        for name, entries in tables.entries.items():
            self._write()
            self.maps[name].update(entries)
        self._write()
        self.slots[tables.slot] = tables.header

    def put_header(self, slot: int, header: SlotHeader) -> None:
        self._write()
        self.slots[slot] = header

    def map(self, name: str) -> FakeMap:
        return {"tcm_trial": self.trial, "tcm_differences": self.differences}[name]

    def counters(self) -> dict[int, tuple[int, int]]:
        return self.counted

    def count(self, name: str, index: int) -> tuple[int, int]:
        assert name == "tcm_comparisons"
        return self.comparisons[index], 0

    def compare(self, direction: abi.Direction, live: Verdict, staged: Verdict) -> None:
        """One new flow, as consult_staged() counts it."""
        self.comparisons[abi.comparison_index(direction, live, staged)] += 1

    def slot_checksums(self, slot: int) -> dict[str, int]:
        return {
            name: checksum(k + v for k, v in content.items() if _belongs(name, k, slot))
            for name, content in self.maps.items()
        }


def _belongs(name: str, key: bytes, slot: int) -> bool:
    return list(in_slot(name, key, len(key), slot)) == [0]
