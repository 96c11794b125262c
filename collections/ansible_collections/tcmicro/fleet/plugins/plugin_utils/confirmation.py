# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Confirm a pending policy over a new connection, or find out what became of it.

Pure but for what is handed in: `ask` runs one operation on the host and raises ConnectionLostError when the host
does not answer, `Clock` is time. A host that cannot be reached is not an accident here but evidence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

GRACE_S = 15.0  # the host may need a moment to answer after its deadline
RETRY_S = 1.0
CONFIRM_AGAIN = 7  # the agent holds its lock for another command


class ConnectionLostError(Exception):
    """The host cannot be reached."""


@dataclass(frozen=True)
class Clock:
    now: Callable[[], float]
    sleep: Callable[[float], None]


Answer = dict[str, Any]
Ask = Callable[[str], Answer]  # operation -> what the module returned


def confirm(host: str, applied: Answer, ask: Ask, clock: Clock) -> Answer:
    """The final result of the task: confirmed, or failed with what the host says now."""
    started = clock.now()
    deadline = started + float(applied["transaction"]["deadline_in_s"])
    answer, tries = _until(deadline, "confirm", ask, clock)
    if answer is not None and not answer.get("failed"):
        return {**applied, **answer, "transaction": None}
    status, _ = _until(
        deadline + GRACE_S, "status", ask, clock, after=deadline if answer is None else started
    )
    waited = f"no new connection within {deadline - started:.0f} s ({tries} attempts)"
    reason = waited if answer is None else f"not confirmed: {answer.get('msg', 'no reason given')}"
    return {
        **applied,
        "changed": False,
        "failed": True,
        "unreachable": False,
        **_outcome(host, reason, applied, status),
    }


def _until(
    end: float, operation: str, ask: Ask, clock: Clock, *, after: float = 0
) -> tuple[Answer | None, int]:
    """Ask until the host answers, not before `after` and at most until `end`; and how often it took."""
    tries = 0
    if clock.now() < after:
        clock.sleep(after - clock.now())
    while True:
        tries += 1
        try:
            answer = ask(operation)
        except ConnectionLostError:
            answer = None
        busy = answer is not None and answer.get("code") == CONFIRM_AGAIN
        if (answer is not None and not busy) or clock.now() + RETRY_S >= end:
            return answer, tries
        clock.sleep(RETRY_S)


def _outcome(host: str, reason: str, applied: Answer, status: Answer | None) -> Answer:
    """What to tell people, by what the host reports now."""
    generation = applied["generation"]
    start = f"{host}: generation {generation}: {reason}"
    if status is None or status.get("failed"):
        why = "the host does not answer" if status is None else status.get("msg")
        return {
            "restored": None,
            "msg": f"{start}; {why}. The kernel restores the generation before at its deadline by itself; "
            "look with playbooks/status.yml when the host is back",
        }
    policy, pending = status["policy"], status.get("transaction") or {}
    live, digest = policy.get("generation"), policy.get("digest")
    facts = {"restored": digest != applied["digest"], "generation": live, "digest": digest}
    if digest == applied["digest"] and pending.get("state") != "pending":
        return {
            **facts,
            "msg": f"{start}; yet the host reports it committed: a confirmation arrived and its answer was lost. Run again",
        }
    if digest == applied["digest"]:
        return {
            **facts,
            "msg": f"{start}; it is still pending, the kernel takes it back in {pending.get('deadline_in_s')} s",
        }
    back = f"generation {live} (digest {str(digest)[:12]})" if digest else "no policy, as before"
    return {**facts, "msg": f"{start}; the kernel restored {back} at its deadline; nothing is lost"}
