# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent of a host recorded, read for one window of time at a time. Pure.

Counters are read as increments. They begin anew with a boot, those of the agent's process (`agent_…`, `tcp_rtt_…`) with
its start, and any of them whenever it is smaller than before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
PROCESS = ("agent_", "tcp_rtt_")


class SampleError(Exception):
    """What a host sent as samples are none."""


@dataclass(frozen=True)
class Window:
    """Seconds since boot, both ends included."""

    begin: float
    end: float

    @property
    def length(self) -> float:
        return self.end - self.begin


@dataclass(frozen=True)
class Points:
    """Values and when they were taken."""

    times: Numbers
    values: Numbers

    def __len__(self) -> int:
        return len(self.times)

    @property
    def seconds(self) -> float:
        """From the first to the last."""
        return float(self.times[-1] - self.times[0]) if len(self) else 0.0

    @property
    def growth(self) -> float:
        """By how much the last is above the first."""
        return float(self.values[-1] - self.values[0]) if len(self) else 0.0


class Record:
    """The samples of one boot of one host, in order of time."""

    def __init__(self, now: float, rows: Sequence[Mapping[str, Any]]) -> None:
        self.now = now
        kept = {float(row["t"]): row for row in rows}
        self.times: Numbers = np.array(sorted(kept), float)
        ordered = [kept[time] for time in sorted(kept)]
        self._starts = np.array([row.get("start") or 0 for row in ordered])
        names = {name for row in ordered for name in row["values"]}
        self._columns: dict[str, Numbers] = {
            name: np.array([row["values"].get(name, np.nan) for row in ordered], float)
            for name in names
        }
        self._grown: dict[str, Numbers] = {}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Record:
        """Of the boot that the document speaks of. Raises SampleError."""
        try:
            boot = document["boot_id"]
            rows = [row for row in document["samples"] if row["boot_id"] == boot]
            return cls(float(document["now"]), rows)
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise SampleError(f"not samples of tc-micro: {exc!r}") from exc

    def __len__(self) -> int:
        return len(self.times)

    def until(self, now: float) -> Record:
        """The same samples, as one would have had them then."""
        earlier = copy(self)
        earlier.now = now
        return earlier

    def has(self, names: Iterable[str]) -> bool:
        """Whether all of these were ever recorded."""
        return all(name in self._columns for name in names)

    def values(self, names: Sequence[str], window: Window) -> Points:
        """The sum of some gauges at each sample of a window that has them all."""
        return self._within(window, [self._columns[name] for name in names])

    def grown(self, names: Sequence[str], window: Window) -> Points:
        """The sum of some counters, since the first sample ever, at each sample of a window that has them all."""
        return self._within(window, [self._counted(name) for name in names])

    def _within(self, window: Window, columns: Sequence[Numbers]) -> Points:
        first = np.searchsorted(self.times, window.begin, side="left")
        last = np.searchsorted(self.times, window.end, side="right")
        total = sum((column[first:last] for column in columns[1:]), columns[0][first:last])
        known = ~np.isnan(total)
        return Points(self.times[first:last][known], total[known])

    def _counted(self, name: str) -> Numbers:
        if name not in self._grown:
            column = self._columns[name]
            known = ~np.isnan(column)
            counts, starts = column[known], self._starts[known]
            steps = np.diff(counts)
            anew = steps < 0
            if name.startswith(PROCESS):
                anew |= np.diff(starts) != 0
            steps[anew] = counts[1:][anew]
            grown = np.full(len(column), np.nan)
            grown[known] = np.concatenate([[0.0], np.cumsum(steps)])[: len(counts)]
            self._grown[name] = grown
        return self._grown[name]
