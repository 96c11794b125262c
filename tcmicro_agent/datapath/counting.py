"""Counters of per-CPU maps: packets and bytes, over all CPUs."""

from __future__ import annotations

from collections.abc import Sequence

from tcmicro_agent import abi
from tcmicro_agent.datapath.libbpf import Map

AT_ONCE = 512
SPARSE = 4  # of so many counters in a block, one at least is wanted


def one(table: Map, index: int) -> tuple[int, int]:
    packets = total = 0
    for raw in table.get_each_cpu(abi.U32.pack(index)):
        count, size = abi.COUNT.unpack(raw)
        packets, total = packets + count, total + size
    return packets, total


def many(table: Map, numbers: Sequence[int]) -> dict[int, tuple[int, int]]:
    """By number; where they stand close together, in one call for all of a block."""
    found: dict[int, tuple[int, int]] = {}
    wanted = sorted(set(numbers))
    for some in (wanted[at : at + AT_ONCE] for at in range(0, len(wanted), AT_ONCE)):
        span = some[-1] - some[0] + 1
        block = table.block(some[0], span) if span <= SPARSE * len(some) else None
        if block is None:
            found.update((n, one(table, n)) for n in some)
        else:
            found.update(zip(some, abi.sums_of_counts(block, span, [n - some[0] for n in some])))
    return found
