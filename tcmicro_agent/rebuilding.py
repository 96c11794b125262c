"""A policy whose tables somebody damaged: found by the probe, built anew from its bundle."""

from __future__ import annotations

from tcmicro_agent import messages
from tcmicro_agent.messages import Event
from tcmicro_agent.probe import Finding, Why
from tcmicro_agent.reconcile import Agent


class Rebuilding:
    """A policy that the kernel judges wrongly is built anew, once: what comes out wrong again is no damage."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._wrong = 0  # the generation that was judged wrongly when looked at last
        self._tried = 0  # the one that came of building anew, until it has been judged rightly

    def follow(self, found: Finding) -> list[Event]:
        """After each look. The second in a row decides: the first may have met a change half way."""
        again = found.why is Why.WRONG_ANSWER and found.generation == self._wrong
        self._wrong = found.generation if found.why is Why.WRONG_ANSWER else 0
        if found.enforcing:
            self._tried = 0
        if not again or found.generation == self._tried:
            return []
        outcome = self._agent.rebuild()
        self._tried = outcome.generation if outcome else 0
        if outcome is None:
            return []
        return [messages.POLICY_REBUILT(was=found.generation, generation=outcome.generation)]
