"""Deleting the sessions that are past their time. The programs treat such a session as none already; sweeping makes
room, so that a full table evicts no flow that is alive. It marks nothing as used, and never takes long at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from tcmicro_agent.abi import SessionTable
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.sessions import expired

CHUNKS_A_STEP = 16  # 65,536 sessions


class Sweep:
    """Passes over all tables, one after the other, a share with every step."""

    def __init__(self, kernel: Kernel, chunks_a_step: int = CHUNKS_A_STEP) -> None:
        self._kernel = kernel
        self._chunks_a_step = chunks_a_step
        self._pass: Iterator[None] = iter(())
        self._over = True
        self._began_ms: int | None = None
        self.expired = dict.fromkeys(SessionTable, 0)  # since this process started
        self.counted: dict[SessionTable, int] = {}  # alive, as of the last whole pass
        self.capacities: dict[SessionTable, int] = {}

    def step(self, now_ms: int, every_ms: int) -> None:
        """Goes on with a pass; begins one `every_ms` after the last began. `now_ms` is since boot."""
        due = self._began_ms is None or now_ms - self._began_ms >= every_ms
        if self._over and due:
            self._pass, self._began_ms = self._walk(), now_ms
        taken = sum(1 for _ in islice(self._pass, self._chunks_a_step))
        self._over = taken < self._chunks_a_step

    def _walk(self) -> Iterator[None]:
        sessions = self._kernel.sessions
        alive = dict.fromkeys(SessionTable, 0)
        for chunk in sessions.chunks():
            found = expired(chunk, self._kernel.timeouts(), self._kernel.jiffies())
            self.expired[chunk.table] += sessions.expire(chunk, found)
            alive[chunk.table] += len(chunk) - len(found)
            yield
        self.counted, self.capacities = alive, sessions.capacities()
