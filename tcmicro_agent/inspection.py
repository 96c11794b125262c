"""A look at this host before and after a policy that has to be confirmed goes live: does the way back work, do its
programs judge every interface, and does what must stay open stay open?
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path

from tcmicro_agent import abi, attachments, question
from tcmicro_agent.abi import Bank, Direction, Reason, Verdict, Word
from tcmicro_agent.config import Config, Failsafe
from tcmicro_agent.datapath import rehearsal
from tcmicro_agent.datapath.ask import Answer
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.datapath.programs import PROGRAMS
from tcmicro_agent.errors import KernelError, RefusedError
from tcmicro_agent.policy.evaluate import NUMBERS
from tcmicro_agent.policy.model import Direction as Way
from tcmicro_agent.policy.model import Protocol
from tcmicro_agent.question import Question

Ask = Callable[[Direction, bytes], Answer]
WAYS = {Way.INGRESS: Direction.INGRESS, Way.EGRESS: Direction.EGRESS}
SHOWN = 3


class Inspection:
    """Of one host; `config` gives its configuration as it is when asked for, `path` is the object of this release."""

    def __init__(self, kernel: Kernel, config: Callable[[], Config], path: Path) -> None:
        self._kernel = kernel
        self._config = config
        self._path = path
        self._stage = (
            ExitStack()
        )  # loading takes a third of a second: what rehearsed is asked once more
        self._answers: Ask | None = None

    def rehearse(self, slot: int, fallback: int) -> int:
        """Walks the way back from a slot that is built, beside the live word; how long it took, in ms. Raises
        RefusedError when the slot would close the failsafe, KernelError when the way back does not work."""
        headers = self._kernel.headers()
        generations = headers[slot].generation, headers[fallback].generation
        stage = self._stage.enter_context(rehearsal.stage(self._kernel, self._path))
        took = stage.walk_back(slot, fallback, generations)
        stage.put(Word(slot, fallback, 0))
        if closed := closed_by(stage.ask, self._config().failsafe):
            raise RefusedError(f"the policy would close the failsafe: {closed}")
        self._answers = stage.ask
        return took

    def fault(self, word: Word, generation: int, now_ms: int) -> str:
        """What is amiss under the policy that was rehearsed and rules by that word now; "" when nothing is."""
        with self._stage:
            return (
                self._fault_of_word(word, generation, now_ms)
                or self._fault_of_hooks()
                or self._fault_of_failsafe(generation)
                or self._fault_of_counters()
            )

    def _fault_of_word(self, word: Word, generation: int, now_ms: int) -> str:
        held = self._kernel.control().word
        if held != word:
            return f"control word: it is {held}, not {word}"
        ruling = self._kernel.headers()[held.live(now_ms)].generation
        return "" if ruling == generation else f"control word: generation {ruling} rules"

    def _fault_of_hooks(self) -> str:
        config = self._config()
        missing = [
            f"{interface.name} {way.name.lower()}"
            for interface in attachments.survey(self._kernel, config).guarded
            for way, there in self._kernel.attached(config.hook.value, interface).items()
            if not there
        ]
        return f"attachment: no program of ours on {', '.join(missing)}" if missing else ""

    def _fault_of_failsafe(self, generation: int) -> str:
        if self._answers is None:
            return "failsafe: nobody rehearsed what it answers"
        closed = closed_by(self._answers, self._config().failsafe, generation)
        return f"failsafe: {closed}" if closed else ""

    def _fault_of_counters(self) -> str:
        """The pinned programs are run on a frame that is no flow, so that something is counted on an idle host too."""
        still = [way.name.lower() for way in Direction if not self._counts(way)]
        return f"counters: {', '.join(still)} does not move" if still else ""

    def _counts(self, way: Direction) -> bool:
        index = abi.counter_index(way, Reason.NON_IP, Bank.ENFORCED)
        before = self._kernel.count("tcm_counters", index)[0]
        self._kernel.programs.run_on(PROGRAMS[way], rehearsal.FRAME)
        return self._kernel.count("tcm_counters", index)[0] > before


def closed_by(answers: Ask, failsafe: Iterable[Failsafe], generation: int | None = None) -> str:
    """The entries of the failsafe that are not open, or are judged by another generation; "" when all are fine."""
    closed = []
    for entry in failsafe:
        answer = answers(WAYS[entry.direction], question.packet(first_flow(entry)))
        if answer.verdict is not Verdict.ALLOW:
            closed.append(f"{_name(entry)} is refused ({answer.reason.name.lower()})")
        elif generation not in (None, answer.generation):
            raise KernelError(f"failsafe: generation {answer.generation} answered")
    more = f" and {len(closed) - SHOWN} more" if len(closed) > SHOWN else ""
    return ", ".join(closed[:SHOWN]) + more


def first_flow(entry: Failsafe) -> Question:
    """A flow that an entry keeps open, with an address of its network."""
    network = entry.network
    peer = network.network_address + (1 if network.num_addresses > 2 else 0)
    port = 0 if entry.protocol is Protocol.ICMP else entry.port
    return Question(entry.direction, ip_address(peer), NUMBERS[entry.protocol], port)


def _name(entry: Failsafe) -> str:
    return f"{entry.direction.value} {entry.protocol.value}/{entry.port} {entry.network}"
