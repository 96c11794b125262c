"""How long other hosts take to answer this one, as two counters of the recorder: what connections in use say of the
network and of both ends' kernels, without a packet of ours."""

from __future__ import annotations

from collections.abc import Callable

from tcmicro_agent.datapath import tcp_info
from tcmicro_agent.errors import KernelError

Ask = Callable[[int], "list[int]"]


class Latency:
    """One measurement at each sample: the lower quartile of the round trips of the connections in use since the last.
    A fault of this host holds all of them; a peer that is far, or whose program takes its time to answer, holds only
    its own. Counts since the agent started."""

    def __init__(self, every_s: float, ask: Ask = tcp_info.round_trips) -> None:
        self._within_ms = int(every_s * 1000)
        self._ask = ask
        self._us = self._measured = 0

    def measure(self) -> dict[str, float]:
        """`tcp_rtt_us`: sum of the quartiles; `tcp_rtt_measured`: how many. Empty where the kernel does not tell."""
        try:
            found = sorted(self._ask(self._within_ms))
        except (KernelError, OSError):
            return {}
        if found:
            self._us += found[len(found) // 4]
            self._measured += 1
        return {"tcp_rtt_us": self._us, "tcp_rtt_measured": self._measured}
