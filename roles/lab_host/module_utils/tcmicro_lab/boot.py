"""Boots many machines, some at a time, until each one answers. Effects and clock come in as arguments."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from .model import Act, LabError

PAUSE = 0.1


class Bootable(Protocol):
    def exists(self, act: Act) -> bool: ...
    def make(self, act: Act) -> None: ...
    def answers(self, act: Act) -> bool: ...
    def evidence(self, act: Act) -> str: ...


class Clock(Protocol):
    def now(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


def boot(
    machines: Bootable, acts: Sequence[Act], at_once: int, limit: float, clock: Clock
) -> list[Act]:
    """Starts what does not run, waits for all, and returns what it started. One failure stops the starting."""
    waiting, booting, started = deque(acts), dict[Act, float](), list[Act]()
    while waiting or booting:
        while waiting and len(booting) < at_once:
            act = waiting.popleft()
            if not machines.exists(act):
                machines.make(act)
                started.append(act)
            booting[act] = clock.now() + limit
        for act in [act for act in booting if machines.answers(act)]:
            del booting[act]
        _check(machines, booting, limit, clock.now())
        if booting:
            clock.sleep(PAUSE)
    return started


def _check(machines: Bootable, booting: dict[Act, float], limit: float, now: float) -> None:
    for act, deadline in booting.items():
        fault = ""
        if not machines.exists(act):
            fault = "its processes ended while it booted"
        elif now > deadline:
            fault = f"sshd did not answer within {limit:.0f} s"
        if fault:
            raise LabError(
                f"{act.target}: {fault}; {machines.evidence(act)}; run `make lab-down` to start anew"
            )
