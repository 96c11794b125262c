"""What a host finds out by itself under a policy that it pulled: whether the mirror and all that is to be checked take
new connections, and whether the policy judged one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from tcmicro_agent import mirror
from tcmicro_agent.abi import Direction, Mode
from tcmicro_agent.datapath.sightings import TCP, Flow, session_by
from tcmicro_agent.errors import TcmicroError
from tcmicro_agent.mirror import Ends, Look
from tcmicro_agent.pointer import Check, Confirmation, Evidence
from tcmicro_agent.reconcile import Agent

TOUCH_S = 5


class Source(Protocol):
    """Where files come from (`mirror.Mirror`)."""

    def fetch(self, path: str, most: int, look: Look = ...) -> bytes:
        """Over a new connection."""


class Contact:
    """Of one policy that is live: `ask` reads the pointer anew and returns what is wrong with it, handing the ends of
    its connection to the look; `touch` tries a port."""

    def __init__(
        self,
        agent: Agent,
        generation: int,
        ask: Callable[[Look], str],
        touch: Callable[[str, int, int, Look], None] = mirror.touch,
    ) -> None:
        self._agent = agent
        self._generation = generation
        self._ask = ask
        self._touch = touch
        self._judged = False

    def fault(self, wanted: Confirmation) -> str:
        """Why the policy may not be kept, "" when it may."""
        faults = [*self._fault_of_mirror(), *self._faults_of_checks(wanted.checks)]
        if not faults and wanted.evidence is Evidence.REQUIRED and not self._was_judged():
            faults.append("no connection of this host to them was judged by the policy")
        return "; ".join(faults)

    def _fault_of_mirror(self) -> Iterator[str]:
        try:
            fault = self._ask(self._look)
        except TcmicroError as error:
            fault = error.message
        if fault:
            yield f"mirror: {fault}"

    def _faults_of_checks(self, checks: tuple[Check, ...]) -> Iterator[str]:
        for check in checks:
            try:
                self._touch(check.address, check.port, TOUCH_S, self._look)
            except TcmicroError as error:
                yield f"check: {error.message}"

    def _look(self, ends: Ends) -> None:
        flow = Flow(ends.remote, ends.remote_port, ends.local, ends.local_port, TCP)
        found = session_by(self._agent.kernel, self._generation, flow, Direction.EGRESS)
        self._judged = self._judged or found is not None

    def _was_judged(self) -> bool:
        """In mode monitor nothing is refused, so that a connection shows no more than that the host is well."""
        return self._judged or self._agent.observe().armed.mode is Mode.MONITOR
