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
    jiffies = kernel.jiffies()
    settings = kernel.map("tcm_settings").get(abi.U32.pack(0)) or bytes(abi.SETTINGS.size)
    return Flood(
        listeners=_over(kernel, "tcm_syn_listeners", Limits.of_listeners(settings), jiffies),
        sources=_over(kernel, "tcm_syn_sources", Limits.of_sources(settings), jiffies),
    )


def _over(kernel: Kernel, name: str, limits: Limits, jiffies: int) -> list[Rate]:
    fd = kernel.map(name).fd
    with mmap.mmap(fd, SIZE, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ) as table:
        return rates.over(table, limits, jiffies)
