"""The SYN rates of a loaded datapath. Mapped, not read: by system calls one array takes 20 ms."""

from __future__ import annotations

import mmap
from dataclasses import dataclass

from tcmicro_agent import abi, rates
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.rates import Limits, Rate

SIZE = abi.RATES * abi.RATE.size


@dataclass(frozen=True)
class Flood:
    """Who is over its limit: ports of ours, and buckets of source networks (events name the addresses)."""

    listeners: list[Rate]
    sources: list[Rate]


def flood(kernel: Kernel) -> Flood:
    return Flood(listeners(kernel), sources(kernel))


def listeners(kernel: Kernel) -> list[Rate]:
    return _over(kernel, "tcm_syn_listeners", Limits.of_listeners(kernel.settings()))


def sources(kernel: Kernel) -> list[Rate]:
    return _over(kernel, "tcm_syn_sources", Limits.of_sources(kernel.settings()))


def _over(kernel: Kernel, name: str, limits: Limits) -> list[Rate]:
    if not limits.on:
        return []
    fd = kernel.map(name).fd
    with mmap.mmap(fd, SIZE, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ) as table:
        return rates.over(table, limits, kernel.jiffies)
