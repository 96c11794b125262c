"""What must hold in every state, each with its name."""

from __future__ import annotations

from .settle import unsettled
from .state import SILENT, SPOILT, State
from .upkeep import missing


def no_lockout(host: State) -> bool:
    """Nobody is ruled by what was not confirmed in time."""
    rules, past = host.live.generation, host.past
    return not rules or rules in past.good or rules not in past.over


def no_flap(host: State) -> bool:
    """What expired does not come back without a new apply."""
    return host.live.generation not in host.past.gone


def one_pending(host: State) -> bool:
    return len(host.past.armed) <= 1


def whole(host: State) -> bool:
    """What rules is neither half built nor half cleared, and no packet sees parts of two."""
    return host.live.entries == host.live.generation and not host.mixed


def agreement(host: State) -> bool:
    """Whoever is on probation is noted, and at rest the files say what the kernel does."""
    seen, noted, books = host.observe(), host.files.transaction, host.files.confirmed
    if seen.pending:
        return noted is not None and noted.open and noted.generation == seen.armed.generation
    return not settled(host) or host.live.generation == (books.generation if books else 0)


def confirmed_stays(host: State) -> bool:
    return not settled(host) or host.live.bundle in host.past.due


def shown(host: State) -> bool:
    """What cuts a host off is never kept for good, whoever has the token."""
    return not host.past.chosen & {SILENT, SPOILT}


INVARIANTS = {
    "no lockout": no_lockout,
    "no flap": no_flap,
    "at most one pending change": one_pending,
    "exactly one generation": whole,
    "agreement": agreement,
    "confirmed stays confirmed": confirmed_stays,
    "evidence": shown,
}


PROGRESS = "progress"  # from every state some run ends settled: the search itself finds out


def broken(host: State) -> str:
    """The name of the first invariant that does not hold, or ""."""
    return next((name for name, holds in INVARIANTS.items() if not holds(host)), "")


def settled(host: State) -> bool:
    """Nobody is at work, nothing is pending, and the daemon would find nothing to do."""
    return (
        host.kernel.loaded
        and not host.kernel.word.pending
        and not any(me.verb for me in host.processes)
        and not unsettled(host)
        and not missing(host)
    )
