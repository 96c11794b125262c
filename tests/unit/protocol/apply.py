"""Agent.apply and the ops of plan.plan_policy."""

from __future__ import annotations

from dataclasses import replace

from tcmicro_agent import plan
from tcmicro_agent.abi import TransitionResult, Word
from tcmicro_agent.transaction import State as Ended
from tcmicro_agent.transaction import Transaction

from . import past
from .settle import BEGIN
from .state import EMPTY, SPOILT, Process, Slot, State
from .steps import Moved, Step, Verb, finish, following, put, record, swap, write


def decide(host: State, me: Process) -> Moved:
    """Agent.apply up to its first write: refuse, or choose slot, generation and deadline."""
    seen, change = host.observe(), me.work.change
    if not host.kernel.loaded or seen.pending:
        return finish(host, me)
    if seen.live.generation and seen.live.bundle == change.bundle and not seen.word.pending:
        return finish(past.answered(host, change.bundle), me)
    return following(
        host,
        me,
        word=seen.word,
        slot=plan.spare_slot(seen),
        generation=max(host.files.generation, *(s.generation for s in host.kernel.slots)) + 1,
        deadline=seen.now_ms + change.within if change.within else 0,
    )


def count(host: State, me: Process) -> Moved:
    return following(write(host, generation=me.work.generation), me)


def save_bundle(host: State, me: Process) -> Moved:
    return following(write(host, bundles=host.files.bundles | {me.work.change.bundle}), me)


def clear_header(host: State, me: Process) -> Moved:
    left = Slot(entries=host.kernel.slots[me.work.slot].entries)
    return following(put(host, me.work.slot, left), me)


def clear_entries(host: State, me: Process) -> Moved:
    return following(put(host, me.work.slot, EMPTY), me)


def fill_entries(host: State, me: Process) -> Moved:
    return following(put(host, me.work.slot, Slot(entries=me.work.generation)), me)


def fill_header(host: State, me: Process) -> Moved:
    built = Slot(me.work.generation, me.work.change.bundle, me.work.generation)
    return following(put(host, me.work.slot, built), me)


def verify(host: State, me: Process) -> Moved:
    held = host.kernel.slots[me.work.slot]
    return following(host, me) if held.entries == me.work.generation else finish(host, me)


def note_transaction(host: State, me: Process) -> Moved:
    noted = Transaction(
        id=str(me.work.generation),
        token="",
        state=Ended.PENDING,
        generation=me.work.generation,
        digest=me.work.change.bundle,
        previous_generation=0,
        deadline_ms=me.work.deadline,
        boot_id=str(host.boot),
    )
    return following(write(host, transaction=noted), me)


def rehearse(host: State, me: Process) -> Moved:
    """On a control word of its own: nothing that lives is touched."""
    return following(host, me)


def flip(host: State, me: Process) -> Moved:
    work = me.work
    result, host = swap(host, work.word, Word(work.slot, work.word.active, work.deadline))
    if result is not TransitionResult.SWAPPED:
        return finish(host, me)
    return following(past.flipped(host, me), me)


def examine(host: State, me: Process) -> Moved:
    """Executor._examine: a fault is not left until the deadline."""
    word = host.kernel.word
    if me.work.change.bundle != SPOILT or word.active != me.work.slot:
        return following(host, me)
    host = swap(host, word, Word(word.fallback, word.fallback, 0))[1]
    return following(past.ended(host, me.work.generation), me, deadline=0)


def note_fault(host: State, me: Process) -> Moved:
    if me.work.deadline:
        return following(host, me)
    done = host.files.transaction.ended(Ended.REVERTED)
    return finish(write(host, transaction=done), me)


def record_applied(host: State, me: Process) -> Moved:
    return following(record(host, me.work.generation, me.work.change.bundle), me)


def answer_for_good(host: State, me: Process) -> Moved:
    return finish(host if me.daemon else past.answered(host, me.work.change.bundle), me)


def answer_pending(host: State, me: Process) -> Moved:
    """The controller learns the token, and nobody else does."""
    return finish(host, replace(me, known=me.work.generation))


BUILD: Verb = (
    Step("decide", decide),
    Step("count the generation", count),
    Step("keep the bundle", save_bundle, "SaveBundle"),
    Step("clear the header of the slot", clear_header, "ClearSlot"),
    Step("clear its entries", clear_entries, "ClearSlot"),
    Step("fill its entries", fill_entries, "FillSlot"),
    Step("fill its header", fill_header, "FillSlot"),
    Step("read it back", verify, "VerifySlot"),
)
NOTE = Step("note the transaction", note_transaction, "SaveTransaction")
REHEARSE = Step("rehearse the way back", rehearse, "Rehearse")
FLIP = Step("flip", flip, "Flip")
EXAMINE = Step("examine the host", examine, "Examine")
NOTE_FAULT = Step("note what was found", note_fault, "Examine")
RECORD = Step("record what was applied", record_applied, "Record")
MAKE_LIVE: Verb = (*BUILD, FLIP, RECORD, Step("answer", answer_for_good))

APPLY: Verb = (*BEGIN, *MAKE_LIVE)
PROBATION: Verb = (REHEARSE, NOTE, FLIP, EXAMINE, NOTE_FAULT, Step("answer", answer_pending))
APPLY_TO_CONFIRM: Verb = (*BEGIN, *BUILD, *PROBATION)
