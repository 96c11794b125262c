# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply a bundle, confirm it over a new connection, or find out what became of it.

Pure but for what is handed in: `ask` runs one operation on the host and raises ConnectionLostError when the
host does not answer any more, `Clock` is time. Losing a host here is no accident but evidence about the policy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

GRACE_S = 15.0  # after its deadline a host may need a moment to answer again
RETRY_S = 1.0
BUSY = 7  # the agent's exit code while another command holds its lock
REFUSED = 3  # and when it is not convinced, or another controller has taken over
TRIES = 3  # a packet of the evidence may be lost

Answer = dict[str, Any]
Ask = Callable[
    [str, Answer], Answer
]  # operation, what else to hand over -> what the module returned
Prove = Callable[[Answer], Answer]  # what apply answered -> evidence, from new connections


class ConnectionLostError(Exception):
    """The host does not answer any more."""


@dataclass(frozen=True)
class Clock:
    now: Callable[[], float]
    sleep: Callable[[float], None]


@dataclass(frozen=True)
class Change:
    """One bundle on its way to one host. `started` is when the clock of its deadline began at the latest."""

    host: str
    digest: str
    within: float
    started: float

    @property
    def deadline(self) -> float:
        return self.started + self.within

    def name(self, generation: int | None) -> str:
        number = f"generation {generation}, " if generation else ""
        return f"{number}bundle {self.digest[:12]}"


def make_live(
    host: str,
    digest: str,
    within: float,
    ask: Ask,
    clock: Clock,
    prove: Prove = lambda _: {"probes": []},
) -> Answer:
    """The result of the task: nothing to do, confirmed, or failed with what the host says now."""
    change = Change(host, digest, within, clock.now())
    try:
        applied = ask("apply", {})
    except ConnectionLostError:
        return _failed(change, {}, "contact was lost while it was made live", ask, clock)
    if applied.get("failed") or not applied.get("transaction"):
        return applied
    armed = Change(host, digest, within, clock.now())
    answer = _confirm(armed, applied, ask, clock, prove)
    if answer is None:
        return _failed(armed, applied, f"no new connection within {within:g} s", ask, clock)
    if answer.get("failed"):
        return _failed(armed, applied, f"not confirmed: {answer.get('msg')}", ask, clock)
    leased = answer.get("state") == "leased"
    return {**applied, **answer, "transaction": applied["transaction"] if leased else None}


def _confirm(
    change: Change, applied: Answer, ask: Ask, clock: Clock, prove: Prove
) -> Answer | None:
    """The answer of the host, None when it gave none before the deadline. What it refuses is shown anew, twice; why it first
    refused says more than that it is too late then."""
    refusals: list[Answer] = []

    def once() -> Answer:
        shown = {"transaction": applied["transaction"], "shown": prove(applied)}
        return ask("confirm", shown)

    def settled(answer: Answer) -> bool:
        if answer.get("code") == REFUSED:
            refusals.append(answer)
            return len(refusals) == TRIES
        return answer.get("code") != BUSY

    answer = _ask_until(change.deadline, once, settled, clock)
    failed = answer is None or answer.get("failed")
    return refusals[0] if refusals and failed else answer


def _failed(change: Change, applied: Answer, reason: str, ask: Ask, clock: Clock) -> Answer:
    """Wait until the host answers and has made up its mind, and tell what it is."""

    def settled(answer: Answer) -> bool:
        return not answer.get("failed") and not _pending(answer, change.digest)

    status = _ask_until(change.deadline + GRACE_S, lambda: ask("status", {}), settled, clock)
    head = f"{change.host}: {change.name(applied.get('generation'))}: {reason}"
    return {**applied, "changed": False, "failed": True, **_outcome(head, change, status)}


def _ask_until(
    end: float, ask: Callable[[], Answer], settled: Callable[[Answer], bool], clock: Clock
) -> Answer | None:
    """Ask until the answer is settled, or the last one there was when time is up."""
    last = None
    while True:
        try:
            last = ask()
            if settled(last):
                return last
        except ConnectionLostError:
            pass
        if clock.now() + RETRY_S >= end:
            return last
        clock.sleep(RETRY_S)


def _pending(status: Answer, digest: str) -> bool:
    transaction = status.get("transaction") or {}
    waits = transaction.get("state") in ("pending", "leased")
    return waits and transaction.get("digest") == digest


def _outcome(head: str, change: Change, status: Answer | None) -> Answer:
    """What to tell people, by what the host reports now."""
    if status is None or status.get("failed"):
        why = "it does not answer" if status is None else status.get("msg")
        rest = "its kernel goes back by itself at the deadline; look with playbooks/status.yml"
        return {"restored": None, "msg": f"{head}; {why}; {rest}"}
    live = status["policy"]
    generation, digest = live.get("generation") or None, live.get("digest") or None
    facts = {"generation": generation, "digest": digest, "restored": digest != change.digest}
    if _pending(status, change.digest):
        return {
            **facts,
            "restored": None,
            "msg": f"{head}; it is still pending, the kernel will take it back",
        }
    if digest == change.digest:
        return {
            **facts,
            "msg": f"{head}; yet the host reports it confirmed. Run again to make sure",
        }
    now = f"generation {generation} (bundle {digest[:12]})" if digest else "no policy, as before"
    tried = (status.get("transaction") or {}).get("digest") == change.digest
    verb = "the kernel restored" if tried else "nothing was changed, it has"
    return {**facts, "msg": f"{head}; {verb} {now}; nothing is lost"}
