# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a controller does with a host that another one left behind: a table over what was intended and what the host
says. The host is right about itself; the journal is right about what was meant. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.observation import (
    Observation,
    Seen,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import Host

MOST_RETRIES = 1


class Do(Enum):
    APPLY = "apply"  # it never came to be there
    ADOPT = "adopt"  # it is there: bake and judge it, do not apply it again
    AGAIN = (
        "again"  # its trial ends before it could be judged: take it back, and apply it once more
    )
    RETRY = "retry"  # it went back because the controller was gone: once more
    KEEP = "keep"  # it was judged well: tell it again
    KEPT = "kept"
    BACK = "back"
    RESTORED = "restored"
    LOST = "lost"  # counts as failed
    STOP = "stop"  # only a person knows: nothing is changed


_ROWS = (Seen.OLD, Seen.TENTATIVE, Seen.NEW, Seen.REVERTED, Seen.OTHER, Seen.UNREACHABLE)
_TABLE = {
    Host.PLANNED: (Do.APPLY, Do.STOP, Do.STOP, Do.APPLY, Do.STOP, Do.STOP),
    Host.APPLYING: (Do.APPLY, Do.ADOPT, Do.ADOPT, Do.RETRY, Do.STOP, Do.LOST),
    Host.APPLIED: (Do.RETRY, Do.ADOPT, Do.ADOPT, Do.RETRY, Do.STOP, Do.LOST),
    Host.KEEPING: (Do.RETRY, Do.KEEP, Do.KEPT, Do.RETRY, Do.STOP, Do.LOST),
    Host.KEPT: (Do.STOP, Do.KEEP, Do.KEPT, Do.STOP, Do.STOP, Do.KEPT),
    Host.TAKING_BACK: (Do.RESTORED, Do.BACK, Do.BACK, Do.RESTORED, Do.BACK, Do.LOST),
    Host.RESTORED: (Do.RESTORED, Do.BACK, Do.BACK, Do.RESTORED, Do.STOP, Do.RESTORED),
    Host.STUCK: (Do.RESTORED, Do.BACK, Do.BACK, Do.RESTORED, Do.BACK, Do.LOST),
    Host.LOST: (Do.RESTORED, Do.BACK, Do.BACK, Do.RESTORED, Do.BACK, Do.LOST),
}
TABLE = {
    **{
        (state, seen): do
        for state, row in _TABLE.items()
        for seen, do in zip(_ROWS, row, strict=True)
    },
    **{(state, Seen.FOREIGN): Do.STOP for state in Host},
}


@dataclass(frozen=True)
class Decision:
    do: Do
    why: str = ""


def decide(state: Host, found: Observation, *, retries: int, needs_s: float) -> Decision:
    """`needs_s`: seconds that a bake and a confirmation take; a trial that ends before is of no use."""
    do = TABLE[state, found.seen]
    if do is Do.ADOPT and found.seen is Seen.TENTATIVE and found.left_s < needs_s:
        do = Do.AGAIN
    if do in (Do.RETRY, Do.AGAIN) and retries >= MOST_RETRIES:
        return Decision(Do.LOST, "it went back a second time while nobody watched")
    if do is Do.STOP:
        return Decision(
            do, f"it was {state.value} and has {found.seen.value} ({found.runs or '-'})"
        )
    return Decision(do, found.cause if do is Do.RETRY else "")


def decide_back(found: Observation) -> Decision:
    """The same for a host of a rollout that failed: whatever was intended, it goes back."""
    if found.seen in (Seen.OLD, Seen.REVERTED):
        return Decision(Do.RESTORED)
    if found.seen is Seen.UNREACHABLE:
        return Decision(Do.LOST, "no contact")
    return Decision(Do.BACK)
