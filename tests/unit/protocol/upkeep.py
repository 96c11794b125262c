"""What the daemon does every second: settle, and restore what is missing."""

from __future__ import annotations

from dataclasses import replace

from .apply import MAKE_LIVE
from .settle import BEGIN, unsettled
from .state import Change, Process, State
from .steps import Moved, Step, Verb, finish, following, go_to, unlocked


def peek(host: State, me: Process) -> Moved:
    """The lock is taken only when there is something to write. After a boot the datapath is loaded first."""
    host = replace(host, kernel=replace(host.kernel, loaded=True))
    return following(host, me) if unsettled(host) else go_to(host, me, SEE_MISSING.name)


def release_lock(host: State, me: Process) -> Moved:
    return following(unlocked(host, me), me)


def missing(host: State) -> str:
    """Agent._missing: the bundle that ought to rule when none does."""
    confirmed, seen = host.files.confirmed, host.observe()
    if not confirmed or confirmed.digest not in host.files.bundles or seen.word.pending:
        return ""
    return "" if host.live.generation else confirmed.digest


def see_missing(host: State, me: Process) -> Moved:
    bundle = missing(host)
    return following(host, me, change=Change(bundle)) if bundle else finish(host, me)


SEE_MISSING = Step("see what is missing", see_missing)
LOOK_AGAIN = Step("see whether it still is", see_missing)
TIDY: Verb = (
    Step("look for something to settle", peek),
    *BEGIN,
    Step("release the lock", release_lock),
    SEE_MISSING,
    *BEGIN,
)
UPKEEP: Verb = (*TIDY, LOOK_AGAIN, *MAKE_LIVE)
