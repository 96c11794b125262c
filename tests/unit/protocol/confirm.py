"""Agent.confirm, Agent.revert, and what probation.py does about leases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tcmicro_agent.abi import TransitionResult, Word
from tcmicro_agent.transaction import State as Ended

from . import past
from .apply import record_applied
from .settle import BEGIN, SETTLE
from .state import SILENT, Change, Process, State
from .steps import Moved, Step, Verb, finish, following, go_to, swap, write

LEASE = 1  # ticks


def probe(host: State, me: Process) -> Moved:
    """The controller, before it confirms: which generation judges its new flow, if any does."""
    seen = 0 if host.live.bundle == SILENT else host.live.generation
    return following(host, replace(me, seen=seen))


def checking(wanted: Ended) -> Callable[[State, Process], Moved]:
    """Agent.open_transaction: the one we have the token of, and it is not over; refused when it is not `wanted`."""

    def check(host: State, me: Process) -> Moved:
        found = host.files.transaction
        if found is None or found.generation != me.known or found.state is Ended.REVERTED:
            return finish(host, replace(me, known=0, seen=0))
        if found.state is Ended.CONFIRMED:
            return finish(past.answered(host, found.digest), replace(me, seen=0))
        if found.state is not wanted:
            return finish(host, replace(me, seen=0))
        return following(host, me, generation=found.generation, change=Change(found.digest))

    return check


def accept(host: State, me: Process) -> Moved:
    """probation.Acceptance: a flow that this very generation judged."""
    convinced = me.seen == me.work.generation
    me = replace(me, seen=0)
    return following(host, me) if convinced else finish(host, me)


def read_word(host: State, me: Process) -> Moved:
    return following(host, me, word=host.kernel.word)


def expect_ours(host: State, me: Process) -> Moved:
    """The word as it is until the deadline of our transaction, and not as it was latched a moment ago."""
    deadline = host.files.transaction.deadline_ms
    return following(host, me, word=replace(host.kernel.word, deadline_ms=deadline))


def commit(host: State, me: Process) -> Moved:
    """A compare and swap, so late is late."""
    word = me.work.word
    result, host = swap(host, word, replace(word, deadline_ms=0))
    if result is not TransitionResult.SWAPPED:
        return go_to(host, me, SETTLE[0].name)
    return following(past.decided(host, me.work.generation, me.work.change.bundle), me)


def extend(host: State, me: Process) -> Moved:
    """Agent.extend, for a tick from now."""
    word, deadline = me.work.word, host.clock + LEASE
    result, host = swap(host, word, replace(word, deadline_ms=deadline))
    if result is not TransitionResult.SWAPPED:
        return go_to(host, me, SETTLE[0].name)
    return following(past.leased(host, me.work.generation, deadline), me, deadline=deadline)


def note_lease(host: State, me: Process) -> Moved:
    noted = host.files.transaction.leased(me.work.deadline)
    return following(write(host, transaction=noted), me, deadline=0)


def note_commit(host: State, me: Process) -> Moved:
    done = host.files.transaction.ended(Ended.CONFIRMED)
    return following(write(host, transaction=done), me)


def answer_confirmed(host: State, me: Process) -> Moved:
    return finish(past.answered(host, me.work.change.bundle), me)


def still_pending(host: State, me: Process) -> Moved:
    found = host.files.transaction
    if found is None or not found.open:
        return finish(host, me)
    return following(host, me, generation=found.generation)


def take_back(host: State, me: Process) -> Moved:
    word = me.work.word
    host = swap(host, word, Word(word.fallback, word.fallback, 0))[1]
    return following(past.ended(host, me.work.generation), me)


def note_revert(host: State, me: Process) -> Moved:
    done = host.files.transaction.ended(Ended.REVERTED)
    return following(write(host, transaction=done), me)


PROBE = Step("probe", probe)
CHECK = Step("check the token", checking(Ended.PENDING))
CHECK_LEASED = Step("check the token", checking(Ended.LEASED))
ACCEPT = Step("look at the evidence", accept)
EXTEND = Step("extend", extend)
NOTE_LEASE = Step("note the lease", note_lease)
EXPECT = Step("read the word", expect_ours)
COMMIT = Step("commit", commit)
RECORD_COMMIT = Step("record what was confirmed", record_applied)
NOTE_COMMIT = Step("note the confirmation", note_commit)
CONFIRMED = Step("answer", answer_confirmed)
TOO_LATE: Verb = (*SETTLE, Step("say it was taken back", finish))
KEEP: Verb = (EXPECT, COMMIT, RECORD_COMMIT, NOTE_COMMIT, CONFIRMED, *TOO_LATE)
PROLONG: Verb = (EXPECT, EXTEND, NOTE_LEASE, Step("answer", finish), *TOO_LATE)
CONFIRM: Verb = (PROBE, *BEGIN, CHECK, ACCEPT, *KEEP)
CONFIRM_TO_LEASE: Verb = (PROBE, *BEGIN, CHECK, ACCEPT, *PROLONG)
RENEW: Verb = (*BEGIN, CHECK_LEASED, *PROLONG)
COMMIT_LEASED: Verb = (*BEGIN, CHECK_LEASED, *KEEP)
REVERT: Verb = (
    *BEGIN,
    Step("check that a change is pending", still_pending),
    Step("read the word", read_word),
    Step("take it back", take_back),
    Step("note the revert", note_revert),
    Step("answer", finish),
)
