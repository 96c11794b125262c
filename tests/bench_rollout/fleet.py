"""A simulated fleet as its agents would report it: looks with samples, one a minute, of hosts that never were.

The model is that of the published figures: the logarithm of what a host shows is its own level (sd 0.35 between hosts)
plus noise that forgets slowly (AR(1), rho 0.8 a minute, sd 0.25). Memory is a level plus such noise in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.plugins.looks import look

Numbers = NDArray[np.float64]
MINUTE_S = 60
BETWEEN_SD, WITHIN_SD, RHO = 0.35, 0.25, 0.8
MEGABYTE = 1024 * 1024
MEMORY_SD = (
    1.15 * MEGABYTE
)  # a leak of 0.25 MB a minute is then seen in 10 minutes a third of the time, as published
PER_SECOND: dict[
    str, dict[str, float]
] = {  # what rises and falls together is one metric of the model
    "denied": {"denied_ingress": 10.0, "denied_egress": 2.0},
    "failsafe": {"failsafe": 1.0},
    "cpu": {"agent_cpu_s": 0.01},
    "segments": {"tcp_segments": 1000.0},
    "packets": {"packets": 3000.0},
}
RETRANSMITTED = 0.01  # of the segments
UNANSWERED = {"unanswered_ingress": 5.0, "unanswered_egress": 15.0}
STEADY = {"occupancy": 0.1, "events_lost": 0.0, "agent_faults": 0.0, "agent_hook_repairs": 0.0}
ROUND_TRIP_US, MEASURED = 300.0, 6  # a minute
MEMORY = 40.0 * MEGABYTE
WELL = look()
FAMILIES = (*PER_SECOND, "retransmitted", "unanswered")


@dataclass(frozen=True)
class Fault:
    """What a change does to the hosts of a wave: factors by metric, on all or some hosts; bytes leaked a minute."""

    factors: Mapping[str, float] = field(default_factory=dict)
    hosts: int | None = None
    leak: float = 0.0

    def factor(self, name: str, host: int) -> float:
        touched = self.hosts is None or host < self.hosts
        return self.factors.get(name, 1.0) if touched else 1.0


def noise(rng: np.random.Generator, count: int, minutes: int) -> Numbers:
    """So many AR(1) from their stationary state, a row each."""
    steps = rng.normal(0.0, WITHIN_SD * np.sqrt(1 - RHO**2), (count, minutes))
    steps[:, 0] = rng.normal(0.0, WITHIN_SD, count)
    for minute in range(1, minutes):
        steps[:, minute] += RHO * steps[:, minute - 1]
    return steps


def counted(per_minute: Numbers) -> Numbers:
    """A counter that was read at the end of each minute."""
    return np.cumsum(per_minute) - per_minute[0]


class Host:
    """What one host shows, minute by minute: `before` minutes, then as many as a bake and its extension take."""

    def __init__(
        self, rng: np.random.Generator, before: int, after: int, fault: Fault, number: int
    ) -> None:
        self._before = before
        minutes = before + after + 1
        wobble = noise(rng, len(FAMILIES) + 1, minutes)
        level = np.exp(wobble[1:] + rng.normal(0.0, BETWEEN_SD, (len(FAMILIES), 1)))
        factors = [fault.factor(family, number) for family in FAMILIES]
        level[:, before + 1 :] *= np.array(factors)[:, None]
        shown = dict(zip(FAMILIES, level, strict=True))
        trips = self._round_trips(rng, minutes, fault.factor("round trips", number))
        segments = MINUTE_S * PER_SECOND["segments"]["tcp_segments"] * shown["segments"]
        grown = np.maximum(np.arange(minutes) - before, 0) * fault.leak
        self._columns: dict[str, Numbers] = {
            **{
                name: counted(rate * MINUTE_S * shown[family])
                for family, rates in PER_SECOND.items()
                for name, rate in rates.items()
            },
            **{name: height * shown["unanswered"] for name, height in UNANSWERED.items()},
            **{name: np.full(minutes, height) for name, height in STEADY.items()},
            "tcp_retransmits": counted(RETRANSMITTED * segments * shown["retransmitted"]),
            "tcp_rtt_us": counted(trips * MEASURED),
            "tcp_rtt_measured": counted(np.full(minutes, float(MEASURED))),
            "agent_rss_bytes": MEMORY + MEMORY_SD / WITHIN_SD * wobble[0] + grown,
        }

    def _round_trips(self, rng: np.random.Generator, minutes: int, factor: float) -> Numbers:
        """In us; by chance of its own, so that the other metrics are what they were without it."""
        [own] = rng.spawn(1)
        level = np.exp(noise(own, 1, minutes)[0] + own.normal(0.0, BETWEEN_SD))
        level[self._before + 1 :] *= factor
        return ROUND_TRIP_US * level

    def before(self) -> dict[str, Any]:
        return self._look(0, self._before)

    def after(self, minutes: int) -> dict[str, Any]:
        return self._look(self._before, self._before + minutes)

    def _look(self, first: int, last: int) -> dict[str, Any]:
        rows = zip(
            *(column[first : last + 1].tolist() for column in self._columns.values()), strict=True
        )
        samples = [
            {
                "t": float((first + n) * MINUTE_S),
                "boot_id": "b",
                "start": 1,
                "values": dict(zip(self._columns, row, strict=True)),
            }
            for n, row in enumerate(rows)
        ]
        return {**WELL, "samples": {"now": last * MINUTE_S, "boot_id": "b", "samples": samples}}
