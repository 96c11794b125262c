"""The staged slot in the kernel: which it is, what both policies said of new flows, and where they differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tcmicro_agent import abi
from tcmicro_agent.abi import TrialWord
from tcmicro_agent.datapath.kernel import Kernel

ZERO = abi.U32.pack(0)


@dataclass(frozen=True)
class Difference:
    """New flows of one kind that the policies decide differently. Rules as counter index, `identity` of the peer as
    the live policy numbers it, `port` of the one who is called (0: ICMP)."""

    direction: abi.Direction
    protocol: int
    port: int
    identity: int
    live: abi.Verdict  # the staged one is the opposite
    rule: int
    staged_rule: int
    generation: int  # of the staged policy
    flows: int
    octets: int

    @classmethod
    def decode(cls, key: bytes, value: bytes) -> Difference:
        rule, staged_rule, identity, generation, port, protocol, direction, verdict = (
            abi.DIFFERENCE_KEY.unpack(key)
        )
        flows, octets = abi.COUNT.unpack(value)
        return cls(
            direction=abi.Direction(direction),
            protocol=protocol,
            port=int.from_bytes(port, "big"),
            identity=identity,
            live=abi.Verdict(verdict),
            rule=rule,
            staged_rule=staged_rule,
            generation=generation,
            flows=flows,
            octets=octets,
        )


def read_word(kernel: Kernel) -> TrialWord:
    found = kernel.map("tcm_trial").get(ZERO) or bytes(abi.TRIAL.size)
    return TrialWord.decode(abi.TRIAL.unpack(found)[0])


def write_word(kernel: Kernel, word: TrialWord) -> None:
    kernel.map("tcm_trial").put(ZERO, abi.TRIAL.pack(word.encode()))


def set_mode(kernel: Kernel, slot: int, mode: abi.Mode) -> None:
    kernel.put_header(slot, replace(kernel.headers()[slot], mode=mode))


def comparisons(kernel: Kernel) -> tuple[int, ...]:
    """New flows since load, by abi.comparison_index."""
    return tuple(kernel.count("tcm_comparisons", n)[0] for n in range(abi.COMPARISONS))


def differences(kernel: Kernel, generation: int) -> Iterator[Difference]:
    """What differs from the live policy under the staged one of that generation."""
    for key, value in kernel.map("tcm_differences").items():
        found = Difference.decode(key, value)
        if found.generation == generation:
            yield found


def forget_differences(kernel: Kernel) -> None:
    table = kernel.map("tcm_differences")
    for key in list(table):
        table.delete(key)
