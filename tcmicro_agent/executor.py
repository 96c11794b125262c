"""Carries a plan out: every kind of op and the one call that does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from tcmicro_agent import plan, tables, trial
from tcmicro_agent.abi import TransitionResult, TrialWord, Word
from tcmicro_agent.datapath import trial as trial_maps
from tcmicro_agent.datapath.clock import Clock
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.errors import KernelError, RefusedError, TcmicroError
from tcmicro_agent.store import Applied, Store
from tcmicro_agent.transaction import State
from tcmicro_agent.trust import Trust

REHEARSALS, MARGIN_S = 3, 10  # a deadline leaves room for so many ways back, and for a confirmation


class TakenBackError(TcmicroError):
    """The change is not in force any more: what ruled before it does again."""

    exit_code = 8


class Examiner(Protocol):
    """Looks at this host before and after a policy that has to be confirmed goes live (`inspection.py`)."""

    def rehearse(self, slot: int, fallback: int) -> int:
        """Milliseconds that the way back takes; raises when there is none."""

    def fault(self, word: Word, generation: int, now_ms: int) -> str:
        """What is amiss under that policy, "" when nothing is."""


class Executor:
    """Of ops on this host's kernel side and files; its caller holds the lock."""

    def __init__(self, kernel: Kernel, store: Store, clock: Clock, examiner: Examiner) -> None:
        self._kernel = kernel
        self._store = store
        self._clock = clock
        self._examiner = examiner

    def execute(self, ops: Sequence[plan.Op]) -> None:
        """One after the other; cut after any of them, the next `settle` and a retry go on from there."""
        carry_out: Mapping[type, Callable[[Any], None]] = {
            plan.SaveBundle: lambda op: self._store.save_bundle(op.bundle, op.digest),
            plan.ClearSlot: lambda op: self._kernel.clear_slot(op.slot),
            plan.FillSlot: lambda op: self._kernel.fill_slot(op.tables),
            plan.VerifySlot: lambda op: self._verify(op.tables),
            plan.Rehearse: self._rehearse,
            plan.SaveTransaction: lambda op: self._store.save_transaction(op.transaction),
            plan.Flip: self._flip,
            plan.Examine: self._examine,
            plan.Record: lambda op: self.record(op.generation, op.digest),
            trial.StartComparison: self._start_comparison,
            trial.SetTrial: lambda op: trial_maps.write_word(self._kernel, op.word),
            trial.EndTrial: lambda _: self._end_trial(),
            trial.SetMode: lambda op: trial_maps.set_mode(self._kernel, op.slot, op.mode),
        }
        for op in ops:
            carry_out[type(op)](op)

    def _verify(self, built: tables.Tables) -> None:
        held = self._kernel.slot_checksums(built.slot)
        wrong = [n for n, made in built.entries.items() if held[n] != made.checksum()]
        if wrong:
            self._kernel.clear_slot(built.slot)
            raise KernelError(
                f"slot {built.slot} does not hold what was written to {', '.join(wrong)}",
                hint="nothing was made live; the generation before goes on",
            )

    def _rehearse(self, op: plan.Rehearse) -> None:
        took = self._examiner.rehearse(op.slot, op.fallback) / 1000
        left, needed = (op.deadline_ms - self._clock.boot_ms()) / 1000, REHEARSALS * took + MARGIN_S
        if left < needed:
            raise RefusedError(
                f"the way back took {took:.3f} s: {left:.1f} s are left until the deadline, at least "
                f"{needed:.1f} s are needed ({REHEARSALS} times that, and {MARGIN_S} s)",
                hint="nothing was made live; allow more time: --confirm-within",
            )

    def _examine(self, op: plan.Examine) -> None:
        """Not to leave a fault until the deadline, what ruled before does again at once."""
        noted, flipped_ms = op.transaction, self._clock.boot_ms()
        try:
            fault = self._examiner.fault(op.word, noted.generation, flipped_ms)
        except (TcmicroError, OSError) as exc:
            fault = str(exc)
        if not fault:
            return self._store.save_transaction(replace(noted, flipped_ms=flipped_ms))
        self.transition(op.word, Word(op.word.fallback, op.word.fallback, 0))
        self._store.save_transaction(noted.ended(State.REVERTED))
        raise TakenBackError(
            f"generation {noted.generation} was taken back at once: {fault}",
            hint=f"generation {noted.previous_generation} rules again",
        )

    def _flip(self, op: plan.Flip) -> None:
        result = self.transition(op.expected, op.desired)
        if result is not TransitionResult.SWAPPED:
            raise KernelError(
                f"the control word is not what it was a moment ago ({result.name.lower()})",
                hint="nothing was made live; run the command again",
            )

    def _start_comparison(self, op: trial.StartComparison) -> None:
        baseline = trial_maps.comparisons(self._kernel)
        trial_maps.forget_differences(self._kernel)
        noted = trial.Comparison(op.digest, op.generation, op.against, baseline)
        self._store.save_comparison(noted)

    def _end_trial(self) -> None:
        trial_maps.write_word(self._kernel, TrialWord(None))
        self._store.save_comparison(None)

    def transition(self, expected: Word, desired: Word) -> TransitionResult:
        return self._kernel.transition(expected.encode(), desired.encode())

    def record(self, generation: int, digest: str) -> None:
        """Writes down what rules for good from now on. Who returns to the policy before has none to go back to: the one
        that was left must not be taken for it."""
        books = self._store.books()
        before = books.confirmed
        if before and before.generation == generation:
            return
        Trust(self._store).raise_floor(digest)
        if before and before.digest == digest:  # live again after a reboot: no step back
            before = books.previous
        elif books.previous and books.previous.digest == digest:
            before = None
        self._store.save_books(
            replace(books, confirmed=Applied(digest, generation), previous=before)
        )
