# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain of events: each carries the hash of the one before, so that none can be changed or left out unseen. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass

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


def broken(links: Iterable[tuple[Event, str, str]]) -> str:
    """Where the chain of (event, prev_hash, hash) is broken, "" where it is whole."""
    before = FIRST
    for number, (event, prev_hash, found) in enumerate(links, 1):
        if event.seq != number:
            return f"event {number} is missing"
        if prev_hash != before or digest(prev_hash, event) != found:
            return f"event {event.seq} was changed"
        before = found
    return ""
