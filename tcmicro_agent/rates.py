"""SYN rates as the kernel keeps them: who is over its limit at this moment. Pure."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from mmap import mmap

from tcmicro_agent import abi, messages
from tcmicro_agent.abi import Setting
from tcmicro_agent.messages import Event

WINDOW_BITS = 32
MAX_LINES = 20
OVER = (
    abi.RATE.size - abi.U32.size + (3 if sys.byteorder == "big" else 0)
)  # its byte that is 0 or 1


@dataclass(frozen=True)
class Limits:
    """What the kernel compares with: SYNs per window of 2^`shift` jiffies; `on` 0 = no detection."""

    shift: int
    on: int
    off: int

    @classmethod
    def of_sources(cls, settings: bytes) -> Limits:
        values = abi.SETTINGS.unpack(settings)
        on, off = values[Setting.SYN_SOURCE_ON], values[Setting.SYN_SOURCE_OFF]
        return cls(values[Setting.SYN_WINDOW], on, off)

    @classmethod
    def of_listeners(cls, settings: bytes) -> Limits:
        values = abi.SETTINGS.unpack(settings)
        on, off = values[Setting.SYN_LISTENER_ON], values[Setting.SYN_LISTENER_OFF]
        return cls(values[Setting.SYN_WINDOW], on, off)


@dataclass(frozen=True)
class Rate:
    """A bucket that is over its limit, and the SYNs of its last window. A listener's bucket is its port."""

    bucket: int
    syns: int


def over(table: bytes | mmap, limits: Limits, jiffies: Callable[[], int]) -> list[Rate]:
    """Who is over now, the busiest first. `table`: the whole array of struct tcm_rate; `jiffies` is asked when needed.

    The kernel looks at a bucket only when a SYN comes: one that was left as it is counts no more.
    """
    flags = table[OVER :: abi.RATE.size]
    if not limits.on or 1 not in flags:
        return []
    found = _flagged(table, flags, jiffies() >> limits.shift, limits.off)
    return sorted(found, key=lambda rate: (-rate.syns, rate.bucket))


def _flagged(table: bytes | mmap, flags: bytes, window: int, off: int) -> Iterator[Rate]:
    bucket = flags.find(1)
    while bucket >= 0:
        _, counted, syns, _ = abi.RATE.unpack_from(table, bucket * abi.RATE.size)
        age = (window - counted) % (1 << WINDOW_BITS)
        if age == 0 or (age == 1 and syns >= off):
            yield Rate(bucket, syns)
        bucket = flags.find(1, bucket + 1)


def changes(before: frozenset[int], now: frozenset[int]) -> list[Event]:
    """Which ports went over their limit and which came back, a line each, at most MAX_LINES."""
    lines = [
        *messages.events(messages.FLOOD_BEGAN, "port", sorted(now - before)),
        *messages.events(messages.FLOOD_ENDED, "port", sorted(before - now)),
    ]
    more = len(lines) - MAX_LINES
    return lines if more <= 0 else [*lines[:MAX_LINES], messages.FLOODS_MORE(changes=more)]
