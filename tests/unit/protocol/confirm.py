"""Agent.confirm and Agent.revert."""

from __future__ import annotations

from dataclasses import replace

from tcmicro_agent.abi import TransitionResult, Word
from tcmicro_agent.transaction import State as Ended

from . import past
from .apply import record_applied
from .settle import BEGIN, SETTLE
from .state import Change, Process, State
from .steps import Moved, Step, Verb, finish, following, go_to, swap, write


def check(host: State, me: Process) -> Moved:
    """Agent._pending: the transaction we have the token of, and it is not over."""
    found = host.files.transaction
    if found is None or found.generation != me.known or found.state is Ended.REVERTED:
        return finish(host, replace(me, known=0))
    if found.state is Ended.CONFIRMED:
        return finish(past.answered(host, found.digest), me)
    return following(host, me, generation=found.generation, change=Change(found.digest))


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


def note_commit(host: State, me: Process) -> Moved:
    done = host.files.transaction.ended(Ended.CONFIRMED)
    return following(write(host, transaction=done), me)


def answer_confirmed(host: State, me: Process) -> Moved:
    return finish(past.answered(host, me.work.change.bundle), me)


def still_pending(host: State, me: Process) -> Moved:
    found = host.files.transaction
    if found is None or found.state is not Ended.PENDING:
        return finish(host, me)
    return following(host, me, generation=found.generation)


def take_back(host: State, me: Process) -> Moved:
    word = me.work.word
    host = swap(host, word, Word(word.fallback, word.fallback, 0))[1]
    return following(past.ended(host, me.work.generation), me)


def note_revert(host: State, me: Process) -> Moved:
    done = host.files.transaction.ended(Ended.REVERTED)
    return following(write(host, transaction=done), me)


CHECK = Step("check the token", check)
EXPECT = Step("read the word", expect_ours)
COMMIT = Step("commit", commit)
RECORD_COMMIT = Step("record what was confirmed", record_applied)
NOTE_COMMIT = Step("note the confirmation", note_commit)
CONFIRMED = Step("answer", answer_confirmed)
TOO_LATE: Verb = (*SETTLE, Step("say it was taken back", finish))
CONFIRM: Verb = (
    *BEGIN,
    CHECK,
    EXPECT,
    COMMIT,
    RECORD_COMMIT,
    NOTE_COMMIT,
    CONFIRMED,
    *TOO_LATE,
)
REVERT: Verb = (
    *BEGIN,
    Step("check that a change is pending", still_pending),
    Step("read the word", read_word),
    Step("take it back", take_back),
    Step("note the revert", note_revert),
    Step("answer", finish),
)
