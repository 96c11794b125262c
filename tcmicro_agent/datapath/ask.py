"""What the kernel would say about a flow: tcm_ask, loaded for the length of a question. It leaves no trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tcmicro_agent.abi import DENY_REASONS, AnswerWord, Direction, Reason, Verdict
from tcmicro_agent.datapath import libbpf
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.datapath.layouts import LAYOUTS
from tcmicro_agent.datapath.programs import ASK
from tcmicro_agent.errors import KernelError

ANSWERED = 0  # TC_ACT_OK


@dataclass(frozen=True)
class Answer:
    """A verdict on a new flow; `rule` is a counter index (0 = none), `identity` that of the peer."""

    verdict: Verdict
    reason: Reason
    rule: int
    identity: int
    generation: int

    @property
    def audited(self) -> bool:
        """Denied by a rule in mode monitor, and let pass."""
        return self.verdict is Verdict.ALLOW and self.reason in DENY_REASONS


@contextmanager
def asking(kernel: Kernel, path: Path) -> Iterator[Callable[[Direction, bytes], Answer]]:
    """A function that asks the live policy about the first packet of a flow, a whole frame. `path`: the object of this
    release. All maps must be there: the loader would make and pin what is missing."""
    refuse_if_incomplete(kernel)
    loaded = libbpf.load(path, kernel.pins, {}, wanted=ASK.__eq__)
    try:
        yield partial(ask, loaded.programs[ASK])
    finally:
        loaded.close()


def refuse_if_incomplete(kernel: Kernel) -> None:
    missing = [name for name in (*LAYOUTS, "tcm_events") if not (kernel.pins / name).exists()]
    if missing:
        raise KernelError(
            f"{kernel.pins}: {missing[0]} is not there: the datapath of this release is not loaded",
            hint="systemctl restart tcmicro-agent",
        )


def ask(program: libbpf.Program, direction: Direction, packet: bytes) -> Answer:
    result, words = program.ask(packet, direction)
    if result != ANSWERED:
        raise KernelError(f"{ASK} gave no answer ({result})", hint="restart the agent")
    return Answer(
        verdict=Verdict(words[AnswerWord.VERDICT]),
        reason=Reason(words[AnswerWord.REASON]),
        rule=words[AnswerWord.RULE],
        identity=words[AnswerWord.IDENTITY],
        generation=words[AnswerWord.GENERATION],
    )
