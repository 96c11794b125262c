"""Explicit-state search: every state a system can reach, breadth first, so the trace to a fault is as short as any."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)
Moves = Callable[[S], Iterable[tuple[str, S]]]


@dataclass(frozen=True)
class Report(Generic[S]):
    """What a search found: `broken` names the property that does not hold ("" = all do), `trace` how to get there."""

    states: int
    broken: str
    trace: tuple[tuple[str, S], ...]

    def __str__(self) -> str:
        steps = "\n".join(f"  {n:2}. {what}\n      {s}" for n, (what, s) in enumerate(self.trace))
        return f"{self.broken or 'all hold'}, {self.states} states\n{steps}".rstrip()


def explore(
    first: S, moves: Moves[S], broken: Callable[[S], str], settled: Callable[[S], bool]
) -> Report[S]:
    """Visits every state; stops at the first one that `broken` names, or from which no state is `settled`."""
    number = {first: 0}
    states = [first]
    came: list[tuple[str, int]] = [("start", -1)]  # by which step, from which state
    before: list[list[int]] = [[]]
    for here, state in enumerate(states):  # grows as it goes
        if fault := broken(state):
            return Report(len(states), fault, _trace(states, came, here))
        for what, after in moves(state):
            there = number.setdefault(after, len(states))
            if there == len(states):
                states.append(after)
                came.append((what, here))
                before.append([])
            before[there].append(here)
    fine = _leading_to([n for n, state in enumerate(states) if settled(state)], before)
    stuck = next((n for n in range(len(states)) if n not in fine), None)
    if stuck is not None:
        return Report(len(states), "progress", _trace(states, came, stuck))
    return Report(len(states), "", ())


def _leading_to(goals: list[int], before: list[list[int]]) -> set[int]:
    """The states from which some run ends in a goal."""
    fine, waiting = set(goals), goals
    while waiting:
        earlier = [n for n in before[waiting.pop()] if n not in fine]
        fine.update(earlier)
        waiting.extend(earlier)
    return fine


def _trace(states: list[S], came: list[tuple[str, int]], end: int) -> tuple[tuple[str, S], ...]:
    steps: list[tuple[str, S]] = []
    while end >= 0:
        what, earlier = came[end]
        steps.append((what, states[end]))
        end = earlier
    return tuple(reversed(steps))
