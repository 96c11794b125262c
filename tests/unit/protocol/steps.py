"""What a verb is made of: atomic steps, and what they do to kernel and files.

A step takes the host and the process and returns both as they are after it, or None while it has to wait. What can
be decided by the agent's own functions is; `test_conformance.py` walks the real agent beside the tables of steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tcmicro_agent.abi import TransitionResult, Word
from tcmicro_agent.store import Applied

from .state import IDLE, Process, Slot, State

Moved = tuple[State, Process]
NEVER = Word(15, 15, (1 << 56) - 1)


@dataclass(frozen=True)
class Step:
    """`op`: the op of plan.py it belongs to, if it is one of those."""

    name: str
    act: Callable[[State, Process], Moved | None]
    op: str = ""


Verb = tuple[Step, ...]


def following(host: State, me: Process, **work: object) -> Moved:
    """On to the next step, remembering `work`."""
    return host, replace(me, step=me.step + 1, work=replace(me.work, **work) if work else me.work)


def go_to(host: State, me: Process, name: str) -> Moved:
    return host, replace(me, goto=name)


def finish(host: State, me: Process) -> Moved:
    """The verb ends, done or refused; the lock goes with it."""
    return unlocked(host, me), replace(me, verb="", step=0, work=IDLE)


def unlocked(host: State, me: Process) -> State:
    return replace(host, lock="") if host.lock == me.name else host


# --- kernel and files ---


def transition(
    word: Word, now: int, expected: Word, desired: Word
) -> tuple[TransitionResult, Word]:
    """tcm_transition of bpf/tcmicro.bpf.c."""
    if word.expired(now):
        return TransitionResult.EXPIRED, Word(word.fallback, word.fallback, 0)
    if word != expected:
        return TransitionResult.CONFLICT, word
    return TransitionResult.SWAPPED, desired


def swap(host: State, expected: Word, desired: Word) -> tuple[TransitionResult, State]:
    result, word = transition(host.kernel.word, host.clock, expected, desired)
    return result, replace(host, kernel=replace(host.kernel, word=word))


def write(host: State, **content: object) -> State:
    """Replaces a file, and does not return before it is on the disk."""
    files = replace(host.files, **content)
    return replace(host, files=files, disk=files)


def put(host: State, number: int, slot: Slot) -> State:
    slots = host.kernel.slots
    changed = (*slots[:number], slot, *slots[number + 1 :])
    return replace(host, kernel=replace(host.kernel, slots=changed))


def record(host: State, generation: int, bundle: str) -> State:
    confirmed = host.files.confirmed
    if confirmed and confirmed.generation == generation:
        return host
    return write(host, confirmed=Applied(bundle, generation))
