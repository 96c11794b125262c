"""Deleting the sessions that are past their time. The programs treat such a session as none already; sweeping makes
room, so that a full table evicts no flow that is alive. It marks nothing as used, and never takes long at once.

Passes that find next to nothing come less often: reading the tables is most of what an idle agent does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice

from tcmicro_agent.abi import SessionTable
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.sessions import expired

CHUNKS_A_STEP = 16  # 65,536 sessions
FEW = 100  # a pass that deletes less than one in so many makes the next one wait twice as long,
LONGEST = 4  # but for no more than so many times as long as is configured
COUNTED_ANEW = 16_384  # as many sessions are counted in 5 ms, once for all of a scrape
ANEW_EVERY_S = 1.0


class Sweep:
    """Passes over all tables, one after the other, a share with every step."""

    def __init__(
        self,
        kernel: Kernel,
        chunks_a_step: int = CHUNKS_A_STEP,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kernel = kernel
        self._clock = clock
        self._chunks_a_step = chunks_a_step
        self._pass: Iterator[None] = iter(())
        self._over = True
        self._began_ms: int | None = None
        self._wait = 1  # of the time between passes
        self.expired = dict.fromkeys(SessionTable, 0)  # since this process started
        self.counted: dict[SessionTable, int] = {}  # alive, as of the last whole pass
        self.capacities: dict[SessionTable, int] = {}
        self._anew: tuple[float, dict[SessionTable, int]] = (-ANEW_EVERY_S, {})

    def step(self, now_ms: int, every_ms: int) -> None:
        """Goes on with a pass; begins one `every_ms` after the last began, or later. `now_ms` is since boot."""
        due = self._began_ms is None or now_ms - self._began_ms >= every_ms * self._wait
        if self._over and due:
            self._pass, self._began_ms = self._walk(), now_ms
        taken = sum(1 for _ in islice(self._pass, self._chunks_a_step))
        self._over = taken < self._chunks_a_step

    def counts(self, kernel: Kernel) -> dict[SessionTable, int]:
        """Sessions by table: counted now where they are few, else what the last pass saw."""
        if sum(self.counted.values()) > COUNTED_ANEW:
            return self.counted
        now = self._clock()
        if now - self._anew[0] >= ANEW_EVERY_S:
            self._anew = now, kernel.sessions.counts()
        return self._anew[1]

    def _walk(self) -> Iterator[None]:
        sessions = self._kernel.sessions
        before, left = sum(self.expired.values()), dict.fromkeys(SessionTable, 0)
        for chunk in sessions.chunks():
            found = expired(chunk, self._kernel.timeouts(), self._kernel.jiffies())
            gone = sessions.expire(chunk, found)
            self.expired[chunk.table] += gone
            left[chunk.table] += len(chunk) - gone
            yield
        self.counted, self.capacities = left, sessions.capacities()
        few = (sum(self.expired.values()) - before) * FEW < sum(left.values())
        self._wait = min(self._wait * 2, LONGEST) if few else 1
