"""When the sweep passes, and what it says of how many sessions there are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tcmicro_agent import abi
from tcmicro_agent.abi import SessionState, SessionTable
from tcmicro_agent.sessions import Chunk, Timeouts
from tcmicro_agent.sweep import COUNTED_ANEW, LONGEST, Sweep

EVERY_MS, TICK_MS = 60_000, 1_000
TIMEOUTS = Timeouts((1000,) * 5, (1000, 1000))
NOW, FRESH, OLD = 10_000, 9_900, 10  # jiffies


def chunk(fresh: int, old: int = 0, table: SessionTable = SessionTable.TCP4) -> Chunk:
    seen = [FRESH] * fresh + [OLD] * old
    state = SessionState.ESTABLISHED
    values = (abi.SESSION.pack(1, 1, 0, 0, state, 0, 0, last, 1, 1, 60, 60) for last in seen)
    key = table.key.pack(b"\1\1\1\1", b"\2\2\2\2", b"\0\1", b"\0\2", 6)
    return Chunk(table, key * len(seen), b"".join(values))


class Kernel:
    """Its own session tables; what expires is deleted at once."""

    def __init__(self) -> None:
        self.content = [chunk(100)]
        self.read = 0
        self.counted = 0
        self.sessions = self

    def chunks(self) -> Iterator[Chunk]:
        for found in self.content:
            self.read += 1
            yield found

    def expire(self, _: Chunk, found: list[int]) -> int:
        return len(found)

    def counts(self) -> dict[SessionTable, int]:
        self.counted += 1
        return {SessionTable.TCP4: sum(map(len, self.content))}

    def capacities(self) -> dict[SessionTable, int]:
        return dict.fromkeys(SessionTable, 1000)

    def timeouts(self) -> Timeouts:
        return TIMEOUTS

    def jiffies(self) -> int:
        return NOW


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def kernel():
    return Kernel()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sweep(kernel, clock):
    return Sweep(kernel, clock=clock)


def passes(sweep: Sweep, kernel: Kernel, minutes: int, start_ms: int = 0) -> list[int]:
    """The minutes in which a pass began, when the loop steps every second."""
    began = []
    for now_ms in range(start_ms, start_ms + minutes * EVERY_MS, TICK_MS):
        before = kernel.read
        sweep.step(now_ms, EVERY_MS)
        if kernel.read > before:
            began.append((now_ms - start_ms) // EVERY_MS)
    return began


def test_first_pass_is_at_once(sweep, kernel):
    sweep.step(123_456, EVERY_MS)
    assert kernel.read == 1


def test_quiet_passes_come_less_often_but_one_in_four_stays(sweep, kernel):
    assert passes(sweep, kernel, 20) == [0, 2, 6, 10, 14, 18]
    assert LONGEST == 4


def test_busy_passes_come_as_often_as_is_configured(sweep, kernel):
    kernel.content = [chunk(100, old=10)]
    assert passes(sweep, kernel, 5) == [0, 1, 2, 3, 4]


def test_a_busy_pass_shortens_the_wait_after_quiet_ones(sweep, kernel):
    passes(sweep, kernel, 20)
    kernel.content = [chunk(100, old=10)]
    assert passes(sweep, kernel, 6, start_ms=22 * EVERY_MS) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("old", "quiet"), [(0, True), (1, True), (2, False)])
def test_quiet_is_less_than_one_in_a_hundred(sweep, kernel, old, quiet):
    kernel.content = [chunk(150, old)]
    assert (1 in passes(sweep, kernel, 2)) != quiet


def test_a_pass_is_spread_over_steps_and_counts_when_it_is_over(sweep, kernel):
    kernel.content = [chunk(10, old=1) for _ in range(40)]
    seen = []
    for now_ms in range(0, 3 * TICK_MS, TICK_MS):
        sweep.step(now_ms, EVERY_MS)
        seen.append((kernel.read, sweep.counted.get(SessionTable.TCP4)))
    assert seen == [(16, None), (32, None), (40, 400)]
    assert sweep.expired[SessionTable.TCP4] == 40


def test_few_sessions_are_counted_anew_once_a_second(sweep, kernel, clock):
    passes(sweep, kernel, 1)
    for clock.now in (10.0, 10.5, 10.9, 11.0):
        assert sweep.counts(kernel)[SessionTable.TCP4] == 100
    assert kernel.counted == 2


def test_of_many_sessions_the_last_pass_tells(sweep, kernel):
    kernel.content = [chunk(COUNTED_ANEW + 1)]
    passes(sweep, kernel, 1)
    assert sweep.counts(kernel)[SessionTable.TCP4] == COUNTED_ANEW + 1
    assert kernel.counted == 0
