"""What verbs have in common: the agent they call, and the parts of what they return."""

from __future__ import annotations

import os
from typing import Any

from tcmicro_agent import takeover
from tcmicro_agent.cli.results import NEGATIVE as NEGATIVE
from tcmicro_agent.cli.results import Result as Result
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.errors import RefusedError
from tcmicro_agent.reconcile import Agent, Outcome
from tcmicro_agent.store import Store
from tcmicro_agent.transaction import Transaction


def agent() -> Agent:
    if os.geteuid() != 0:
        raise RefusedError("this needs root", hint="run it with sudo")
    return Agent(Kernel(), Store())


def agent_for_change() -> Agent:
    """For what builds a policy: only where that policy would rule."""
    found = agent()
    takeover.refuse_while_unfinished(found.kernel)
    return found


def outcome(done: Outcome) -> dict[str, Any]:
    return {"changed": done.changed, "generation": done.generation, "digest": done.digest}


def change(done: Outcome, confirm_within: int) -> dict[str, Any]:
    """What apply and promote have in common."""
    return {
        **outcome(done),
        "state": "pending" if done.transaction else "committed",
        "ops": list(done.ops),
        "transaction": _ticket(done.transaction, confirm_within),
    }


def _ticket(transaction: Transaction | None, seconds: int) -> dict[str, Any] | None:
    if transaction is None:
        return None
    ticket = {"id": transaction.id, "token": transaction.token, "deadline_in_s": seconds}
    return {**ticket, "evidence": transaction.evidence.value}
