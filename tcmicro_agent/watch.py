"""What happens by itself: listeners under a flood, told once per change; sums of events nobody needs any more."""

from __future__ import annotations

from tcmicro_agent import rates
from tcmicro_agent.datapath import events
from tcmicro_agent.datapath.rates import listeners
from tcmicro_agent.events import unwanted
from tcmicro_agent.messages import Event
from tcmicro_agent.reconcile import Agent

SWEEP_S = 60.0


class Watch:
    """Remembers what it saw last."""

    def __init__(self) -> None:
        self._over: frozenset[int] = frozenset()
        self._swept_s = 0.0
        self.floods = 0  # ports that went over their limit

    def look(self, agent: Agent, now_s: float) -> list[Event]:
        """What changed since the last look, a line each. `now_s`: any clock that only goes forward."""
        if now_s - self._swept_s >= SWEEP_S:
            self._swept_s = now_s
            sweep(agent)
        over = frozenset(rate.bucket for rate in listeners(agent.kernel))
        self.floods += len(over - self._over)
        changed = rates.changes(self._over, over)
        self._over = over
        return changed


def sweep(agent: Agent) -> int:
    """Forgets sums of generations that no slot holds, and the smallest of too many; how many went."""
    generations = {header.generation for header in agent.kernel.headers()}
    return events.forget(agent.kernel, unwanted(events.sums(agent.kernel), generations))
