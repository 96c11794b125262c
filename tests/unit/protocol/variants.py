"""Orders that look as good as ours and are not: for each one the invariant it breaks and a host on which it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tcmicro_agent.abi import SLOTS, TransitionResult, Word
from tcmicro_agent.plan import spare_slot

from . import apply, confirm, past, settle, steps, upkeep
from .apply import BUILD, FLIP, NOTE
from .model import REAL, Protocol, ruled
from .settle import BEGIN
from .state import SILENT, Change, Process, State
from .steps import Moved, Step, Verb, following

B, C, S = Change("B", 1), Change("C", 1), Change(SILENT, 1)
ANSWER = apply.APPLY_TO_CONFIRM[-1]


@dataclass(frozen=True)
class Variant:
    breaks: str
    protocol: Protocol
    host: State


def having(**tables: Verb) -> Protocol:
    """The real protocol with other tables; spaces in names of verbs as underscores."""
    changed = {name.replace("_", " "): table for name, table in tables.items()}
    return replace(REAL, verbs={**REAL.verbs, **changed})


def with_step(table: Verb, name: str, act: Callable[[State, Process], Moved | None]) -> Verb:
    """A table in which every step of that name does something else."""
    assert any(step.name == name for step in table), name
    return tuple(replace(step, act=act) if step.name == name else step for step in table)


# --- the commit ---


def _store_committed(host: State, me: Process) -> Moved:
    word = replace(me.work.word, deadline_ms=0)
    host = replace(host, kernel=replace(host.kernel, word=word))
    return following(past.decided(host, me.work.generation, me.work.change.bundle), me)


def _swap_whatever_the_clock_says(host: State, me: Process) -> Moved:
    if host.kernel.word != me.work.word:
        return steps.go_to(host, me, settle.SETTLE[0].name)
    return _store_committed(host, me)


PLAIN_WRITE = with_step(confirm.CONFIRM, confirm.COMMIT.name, _store_committed)
NO_LATCH = with_step(confirm.CONFIRM, confirm.COMMIT.name, _swap_whatever_the_clock_says)
WORD_AS_FOUND = with_step(confirm.CONFIRM, confirm.EXPECT.name, confirm.read_word)
BOOKS_FIRST: Verb = (
    *BEGIN,
    confirm.CHECK,
    confirm.EXPECT,
    confirm.RECORD_COMMIT,
    confirm.COMMIT,
    confirm.NOTE_COMMIT,
    confirm.CONFIRMED,
    *confirm.TOO_LATE,
)


# --- evidence and leases ---


def _accept_anybody(host: State, me: Process) -> Moved:
    return following(host, me)


def _accept_any_generation(host: State, me: Process) -> Moved:
    return following(host, me) if me.seen else steps.finish(host, me)


def _skip(host: State, me: Process) -> Moved:
    return following(host, me)


SSH_ALONE = with_step(confirm.CONFIRM, confirm.ACCEPT.name, _accept_anybody)
PROBE_FIRST: Verb = (confirm.PROBE, *apply.APPLY_TO_CONFIRM)
OLD_EVIDENCE = with_step(
    with_step(confirm.CONFIRM, confirm.ACCEPT.name, _accept_any_generation),
    confirm.PROBE.name,
    _skip,
)
COMMIT_PENDING: Verb = (*BEGIN, confirm.CHECK, *confirm.KEEP)
LEASE_UNSEEN: Verb = (*BEGIN, confirm.CHECK, *confirm.PROLONG)


def _store_lease(host: State, me: Process) -> Moved:
    deadline = host.clock + confirm.LEASE
    word = replace(me.work.word, deadline_ms=deadline)
    host = replace(host, kernel=replace(host.kernel, word=word))
    host = past.leased(host, me.work.generation, deadline)
    return following(host, me, deadline=deadline)


LEASE_BY_STORE = with_step(confirm.RENEW, confirm.EXTEND.name, _store_lease)


def _unsynced(step: Step) -> Step:
    """The same, but what it writes has not reached the disk when it goes on."""

    def act(host: State, me: Process) -> Moved | None:
        moved = step.act(host, me)
        return moved and (replace(moved[0], disk=host.disk), moved[1])

    return replace(step, act=act)


# --- the flip ---


def _flip_unarmed(host: State, me: Process) -> Moved:
    word = me.work.word
    result, host = steps.swap(host, word, Word(me.work.slot, word.active, 0))
    swapped = result is TransitionResult.SWAPPED
    return following(past.flipped(host, me), me) if swapped else steps.finish(host, me)


def _arm(host: State, me: Process) -> Moved:
    word = replace(host.kernel.word, deadline_ms=me.work.deadline)
    return following(replace(host, kernel=replace(host.kernel, word=word)), me)


ARM_LATE: Verb = (
    *BEGIN,
    *BUILD,
    NOTE,
    replace(FLIP, act=_flip_unarmed),
    Step("arm", _arm),
    ANSWER,
)
NOTE_LATE: Verb = (*BEGIN, *BUILD, FLIP, NOTE, ANSWER)


# --- the slot, the lock ---


def _decide(refuse: bool, spare: Callable[[State], int]) -> Callable[[State, Process], Moved]:
    """As the real one, on a host that looks as if nothing were pending; and with another choice of slot."""

    def act(host: State, me: Process) -> Moved:
        word = host.kernel.word
        shown = host
        if not refuse:
            shown = replace(host, kernel=replace(host.kernel, word=replace(word, deadline_ms=0)))
        moved, mine = apply.decide(shown, me)
        if not mine.verb:
            return replace(moved, kernel=host.kernel), mine
        return host, replace(mine, work=replace(mine.work, word=word, slot=spare(host)))

    return act


def _oldest(host: State) -> int:
    return spare_slot(host.observe())


def _lowest_free(host: State) -> int:
    word = host.kernel.word
    return next(n for n in range(SLOTS) if n not in (word.active, word.fallback))


def _the_other_of_two(host: State) -> int:
    return 1 - host.kernel.word.live(host.clock)


def _fallback_of_the_pending(host: State) -> int:
    return host.kernel.word.fallback if host.kernel.word.pending else _oldest(host)


def deciding(refuse: bool, spare: Callable[[State], int]) -> Protocol:
    act = _decide(refuse, spare)
    return having(apply_to_confirm=with_step(apply.APPLY_TO_CONFIRM, "decide", act))


def _take_no_lock(host: State, me: Process) -> Moved:
    return following(host, me)


UNLOCKED = replace(
    REAL,
    verbs={name: with_step(t, BEGIN[0].name, _take_no_lock) for name, t in REAL.verbs.items()},
)


# --- settling and booting ---


def _armed(host: State) -> str:
    noted = host.files.transaction
    return noted.digest if noted and upkeep.missing(host) else upkeep.missing(host)


def _see_armed(host: State, me: Process) -> Moved:
    bundle = _armed(host)
    return following(host, me, change=Change(bundle)) if bundle else steps.finish(host, me)


RESTORE_ARMED = with_step(
    with_step(upkeep.UPKEEP, upkeep.SEE_MISSING.name, _see_armed),
    upkeep.LOOK_AGAIN.name,
    _see_armed,
)
RESTORE_AS_SEEN: Verb = (*upkeep.TIDY, *apply.MAKE_LIVE)


def _record_nothing(host: State, me: Process) -> Moved:
    return following(host, me)


NO_ROLL_FORWARD = replace(
    REAL,
    verbs={
        name: with_step(t, settle.SETTLE[2].name, _record_nothing) for name, t in REAL.verbs.items()
    },
)

VARIANTS = {
    "commit by a plain write": Variant("no flap", having(confirm=PLAIN_WRITE), ruled((B,))),
    "no latch: the swap ignores the deadline": Variant(
        "no flap", having(confirm=NO_LATCH), ruled((B,))
    ),
    "confirm swaps the word as it finds it": Variant(
        "confirmed stays confirmed", having(confirm=WORD_AS_FOUND), ruled((B,))
    ),
    "books before the commit": Variant(
        "no lockout", having(confirm=BOOKS_FIRST), ruled((B,), cuts=1)
    ),
    "answer before the disk has it": Variant(
        "confirmed stays confirmed",
        having(confirm=tuple(map(_unsynced, confirm.CONFIRM))),
        ruled((B,), cuts=1),
    ),
    "confirm by ssh alone": Variant("evidence", having(confirm=SSH_ALONE), ruled((S,))),
    "a probe from before the flip counts": Variant(
        "evidence",
        having(apply_to_confirm=PROBE_FIRST, confirm=OLD_EVIDENCE),
        ruled((S,)),
    ),
    "commit of what nobody confirmed": Variant(
        "evidence", having(commit=COMMIT_PENDING), ruled((S,), leases=0)
    ),
    "a lease without evidence": Variant(
        "evidence", having(confirm_to_lease=LEASE_UNSEEN), ruled((S,), leases=1)
    ),
    "a lease renewed by a plain write": Variant(
        "no flap", having(renew=LEASE_BY_STORE), ruled((B,), leases=2)
    ),
    "arm after activate": Variant(
        "no lockout", having(apply_to_confirm=ARM_LATE), ruled((B,), crashes=1)
    ),
    "transaction noted after the flip": Variant(
        "agreement", having(apply_to_confirm=NOTE_LATE), ruled((B,), crashes=1)
    ),
    "deadline by a clock that jumps": Variant(
        "no lockout", replace(REAL, clock_jumps=True), ruled((B,))
    ),
    "a second change while one is pending": Variant(
        "at most one pending change", deciding(False, _oldest), ruled((B,), (C,))
    ),
    "the fallback cleared while a change is pending": Variant(
        "exactly one generation", deciding(False, _fallback_of_the_pending), ruled((B,), (C,))
    ),
    "two slots, turn by turn": Variant(
        "exactly one generation", deciding(True, _the_other_of_two), ruled((B, C), packets=True)
    ),
    "the lowest free slot": Variant(
        "exactly one generation", deciding(True, _lowest_free), ruled((B, C), packets=True)
    ),
    "no lock": Variant("agreement", UNLOCKED, ruled((B,), (C,))),
    "boot restores the armed bundle": Variant(
        "no lockout", having(keep_up=RESTORE_ARMED), ruled((B,), cuts=1)
    ),
    "restore what was missing before the lock": Variant(
        "confirmed stays confirmed", having(keep_up=RESTORE_AS_SEEN), ruled((B,), cuts=1)
    ),
    "books do not follow the kernel": Variant(
        "progress", NO_ROLL_FORWARD, ruled((Change("B"),), crashes=1)
    ),
}
