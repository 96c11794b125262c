"""A loaded datapath as tests see it: make a bundle live, send packets, read verdicts and reasons."""

from __future__ import annotations

from tcmicro_agent import abi, tables
from tcmicro_agent.datapath.kernel import NEVER, SESSION_MAPS, Kernel
from tcmicro_agent.policy.model import Bundle
from tcmicro_agent.tuning import Tuning


class Datapath:
    """The loaded programs with one bundle live: send packets in, get verdicts out."""

    def __init__(self, kernel: Kernel) -> None:
        """Takes the kernel over as if nothing had been enforced yet."""
        self.kernel = kernel
        self.generation = max(header.generation for header in kernel.headers())
        self.numbers: dict[str, int] = {}
        kernel.set_failsafe(frozenset())
        for slot in range(abi.SLOTS):
            kernel.clear_slot(slot)
        kernel.transition(NEVER, NEVER)  # an expired word gives way only once it is latched
        kernel.transition(kernel.control().word.encode(), 0)
        self.tune(Tuning())
        self.forget_sessions()

    def tune(self, tuning: Tuning, *, forwarding: int = 0) -> None:
        self.kernel.set_settings(tuning.settings(self.kernel.hz(), forwarding=forwarding))

    def enforce(self, bundle: Bundle) -> None:
        """Makes a bundle live for good, in a spare slot as the agent does."""
        word = self.kernel.control().word
        self.generation += 1
        uids = tables.rule_uids(bundle)
        self.numbers = tables.number_rules(self.numbers, uids, set(self.numbers))
        slot = next(n for n in range(abi.SLOTS) if n not in (word.active, word.fallback))
        built = tables.encode(
            bundle, slot=slot, generation=self.generation, mode=bundle.mode, numbers=self.numbers
        )
        self.kernel.clear_slot(slot)
        self.kernel.fill_slot(built)
        result = self.kernel.transition(word.encode(), abi.Word(slot, word.active, 0).encode())
        assert result is abi.TransitionResult.SWAPPED

    def ingress(self, packet: bytes) -> bool:
        """Whether a packet to us passes."""
        return self._run("tcm_ingress", packet)

    def egress(self, packet: bytes) -> bool:
        """Whether a packet of ours passes."""
        return self._run("tcm_egress", packet)

    def _run(self, name: str, packet: bytes) -> bool:
        with self.kernel._program(name) as opened:
            value, _ = opened.program.test_run(packet)
        assert value in (0xFFFFFFFF, 2), value  # TC_ACT_UNSPEC or TC_ACT_SHOT
        return value != 2

    def reason(
        self, direction: abi.Direction, packet: bytes, bank: abi.Bank = abi.Bank.ENFORCED
    ) -> abi.Reason:
        """Sends a packet and tells which counter moved."""
        before = self.kernel.counters()
        self.ingress(packet) if direction is abi.Direction.INGRESS else self.egress(packet)
        after = self.kernel.counters()
        moved = [n for n in after if after[n][0] != before[n][0]]
        assert len(moved) == 1, moved
        reason = abi.Reason(moved[0] % abi.REASONS)
        assert moved[0] == abi.counter_index(direction, reason, bank)
        return reason

    def sessions(self) -> list[abi.Session]:
        return list(self.kernel.sessions())

    def forget_sessions(self) -> None:
        for name in SESSION_MAPS:
            table = self.kernel.map(name)
            for key in list(table):
                table.delete(key)
