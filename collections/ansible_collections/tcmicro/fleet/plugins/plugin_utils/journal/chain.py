# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain of events: each carries the hash of the one before, so that none can be changed or left out unseen. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field

FIRST = "0" * 64


@dataclass(frozen=True)
class Event:
    """What happened, when (seconds since 1970), and by which controller."""

    seq: int
    time: float
    epoch: int
    rollout: str
    kind: str
    text: str


def digest(prev_hash: str, event: Event) -> str:
    """SHA-256 over the hash of the event before and this event as JSON."""
    content = json.dumps([prev_hash, *astuple(event)], separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


@dataclass
class Reading:
    """A chain as far as it was read; each link is verified once. `fault`: where it is broken, "" where it is whole."""

    events: list[Event] = field(default_factory=list)
    fault: str = ""
    _before: str = FIRST

    @property
    def last(self) -> int:
        """Number of the last event that was read, 0 before the first."""
        return self.events[-1].seq if self.events else 0

    def read(self, links: Iterable[tuple[Event, str, str]]) -> None:
        """Go on with the links (event, prev_hash, hash) behind the last one."""
        for event, prev_hash, found in links:
            self.fault = self.fault or self._wrong(event, prev_hash, found)
            self.events.append(event)
            self._before = found

    def _wrong(self, event: Event, prev_hash: str, found: str) -> str:
        number = len(self.events) + 1
        if event.seq != number:
            return f"event {number} is missing"
        whole = prev_hash == self._before and digest(prev_hash, event) == found
        return "" if whole else f"event {event.seq} was changed"


def broken(links: Iterable[tuple[Event, str, str]]) -> str:
    """Where a whole chain is broken, "" where it is not."""
    reading = Reading()
    reading.read(links)
    return reading.fault
