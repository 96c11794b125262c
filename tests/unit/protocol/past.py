"""What happened so far, as far as the invariants ask. No decision of the protocol looks at it."""

from __future__ import annotations

from dataclasses import replace

from .state import Kernel, Process, State


def flipped(host: State, me: Process) -> State:
    """A new generation is in the word: on probation, or because somebody decided so, or as it was before."""
    past, work = host.past, me.work
    if work.deadline:
        return _with(host, armed=past.armed | {(work.generation, work.deadline)})
    if not me.daemon:
        return decided(host, work.generation, work.change.bundle)
    if work.change.bundle in past.chosen:
        return _with(host, good=past.good | {work.generation})
    return _with(host, armed=past.armed | {(work.generation, host.now)})


def decided(host: State, generation: int, bundle: str) -> State:
    """Somebody made it good; whether they will hear of it is open."""
    past = host.past
    return _with(
        host,
        armed=frozenset(pair for pair in past.armed if pair[0] != generation),
        good=past.good | {generation},
        chosen=past.chosen | {bundle},
        due=(*past.due, bundle),
    )


def leased(host: State, generation: int, deadline: int) -> State:
    """On probation for longer."""
    others = frozenset(pair for pair in host.past.armed if pair[0] != generation)
    return _with(host, armed=others | {(generation, deadline)})


def answered(host: State, bundle: str) -> State:
    """Somebody was told that this bundle rules for good: what was decided before it will not come back."""
    due = host.past.due
    return _with(host, due=due[due.index(bundle) :]) if bundle in due else host


def ended(host: State, generation: int) -> State:
    """Its time is over before its deadline."""
    return _with(
        host,
        armed=frozenset(pair for pair in host.past.armed if pair[0] != generation),
        over=host.past.over | {generation},
    )


def cut(host: State) -> State:
    """The power goes: whatever was on probation is over, and nothing rules."""
    host = replace(host, kernel=Kernel(loaded=False))
    for generation, _ in host.past.armed:
        host = ended(host, generation)
    return host


def remember(host: State) -> State:
    """Whose deadline has passed, and who stopped ruling after that."""
    for generation, deadline in host.past.armed:
        if deadline <= host.now:
            host = ended(host, generation)
    past = host.past
    known = {slot.generation for slot in host.kernel.slots}
    known |= {me.work.generation for me in host.processes}  # the others are past for good
    over = past.over & known
    gone = (past.gone | (over - {host.live.generation})) & known
    seen = replace(past, over=over, gone=gone, good=past.good & known)
    return host if seen == past else replace(host, past=seen)


def _with(host: State, **changes: object) -> State:
    return replace(host, past=replace(host.past, **changes))
