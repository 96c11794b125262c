"""A second control word beside the live one: our programs, the very slots, the clock of the kernel, and no packet of
any network. So the way back from a policy can be walked before it is needed, and its verdicts heard before it rules.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tcmicro_agent import abi
from tcmicro_agent.abi import Direction, TransitionResult, Word
from tcmicro_agent.datapath import ask, libbpf
from tcmicro_agent.datapath.ask import Answer
from tcmicro_agent.datapath.clock import Clock
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.datapath.programs import ASK, PADDING, TRANSITION
from tcmicro_agent.errors import KernelError

CONTROL = "tcm_control"
FIRST_MS, TRIES = 25, 6  # how long the rehearsed policy rules; a busy machine gets more
LONG_MS = 60_000
FRAME = bytes(12) + b"\x88\xb5" + bytes(46)  # an ethertype for experiments: never a flow


class Stage:
    """Programs that hold themselves to a control word of their own, and to everything else that is live."""

    def __init__(self, loaded: libbpf.Object) -> None:
        self._transition, self._ask = loaded.programs[TRANSITION], loaded.programs[ASK]
        self._word = Word(0, 0, 0)
        self._clock = Clock()

    def ask(self, direction: Direction, packet: bytes) -> Answer:
        return ask.ask(self._ask, direction, packet)

    def put(self, word: Word) -> None:
        """Makes it the word. Raises KernelError where the kernel does not swap."""
        self._expect(self._word, word, TransitionResult.SWAPPED)
        self._word = word

    def walk_back(self, slot: int, fallback: int, generations: tuple[int, int]) -> int:
        """Makes a slot live on probation and lets its time run out; then again, taken back by hand. `generations`: that
        of the slot and of the fallback. Returns the longest it took until the fallback ruled, in ms."""
        lapsed = self._let_lapse(slot, fallback, generations)
        self.put(Word(slot, fallback, self._clock.boot_ms() + LONG_MS))
        self._attest(generations[0])
        started = time.monotonic_ns()
        self.put(Word(fallback, fallback, 0))
        self._attest(generations[1])
        return max(lapsed, (time.monotonic_ns() - started) // 1_000_000)

    def _let_lapse(self, slot: int, fallback: int, generations: tuple[int, int]) -> int:
        pending = self._arm(slot, fallback, generations[0])
        while self._clock.boot_ms() < pending.deadline_ms:
            time.sleep(0.001)
        self._attest(generations[1])
        took = self._clock.boot_ms() - pending.deadline_ms
        self._expect(pending, Word(slot, fallback, 0), TransitionResult.EXPIRED)
        self._word = Word(fallback, fallback, 0)
        self._attest(generations[1])
        return took

    def _arm(self, slot: int, fallback: int, generation: int) -> Word:
        for again in range(TRIES):
            pending = Word(slot, fallback, self._clock.boot_ms() + (FIRST_MS << again))
            self.put(pending)
            seen = self._ruling()
            if seen == generation:
                return pending
            if self._clock.boot_ms() < pending.deadline_ms:
                break
            self._expect(pending, pending, TransitionResult.EXPIRED)  # no time to look: once more
            self._word = Word(fallback, fallback, 0)
        raise KernelError(f"rehearsal: slot {slot} does not rule when the word says so")

    def _ruling(self) -> int:
        return self.ask(Direction.INGRESS, FRAME).generation

    def _attest(self, generation: int) -> None:
        seen = self._ruling()
        if seen != generation:
            raise KernelError(f"rehearsal: generation {seen} rules where {generation} should")

    def _expect(self, expected: Word, desired: Word, wanted: TransitionResult) -> None:
        request = PADDING + abi.TRANSITION_REQUEST.pack(expected.encode(), desired.encode())
        result = self._transition.test_run(request)[0]
        if result != wanted:
            raise KernelError(f"rehearsal: the transition said {result}, not {wanted.name.lower()}")


@contextmanager
def stage(kernel: Kernel, path: Path) -> Iterator[Stage]:
    """`path`: the object of this release."""
    ask.refuse_if_incomplete(kernel)
    wanted = {ASK, TRANSITION}
    loaded = libbpf.load(path, kernel.pins, {}, wanted=wanted.__contains__, own=(CONTROL,))
    try:
        yield Stage(loaded)
    finally:
        loaded.close()
