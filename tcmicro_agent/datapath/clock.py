"""The clock deadlines are made of, and how long a jiffy is."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

KNOWN_HZ = (100, 250, 300, 1000)
# The kernel starts counting five minutes below 32 bits, so that what cannot stand the wrap is found out soon.
FIRST_WRAP, FIRST_WRAP_MS = 1 << 32, 300_000
FITS_S = 5  # of jiffies, how far the count may be off


class Clock:
    """Time since a boot, and which boot: wall clocks jump, this one does not. And the wall clock besides."""

    def boot_ms(self) -> int:
        """Milliseconds since boot, suspend included: bpf_ktime_get_boot_ns of user space."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def wall_s(self) -> float:
        """Seconds since 1970: what people mean by a time. It may jump, so only rules with a time ask for it."""
        return time.time()

    def boot_id(self) -> str:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def find_hz(sample: Callable[[], tuple[int, int]]) -> int:
    """Jiffies per second from samples of (jiffies, boot ms); the kernel's choices are few."""
    jiffies, boot_ms = first = sample()
    return hz_since_boot(jiffies, boot_ms - _suspended_ms()) or _hz_between(first, sample)


def hz_since_boot(jiffies: int, awake_ms: int) -> int:
    """The one rate that explains so many jiffies since boot, suspend not included; 0 when none does, or several do,
    as all of them five minutes after boot.
    """
    fitting = [hz for hz in KNOWN_HZ if abs(_jiffies_after(awake_ms, hz) - jiffies) < FITS_S * hz]
    return fitting[0] if len(fitting) == 1 else 0


def _jiffies_after(awake_ms: int, hz: int) -> int:
    return FIRST_WRAP + (awake_ms - FIRST_WRAP_MS) * hz // 1000


def _suspended_ms() -> int:
    clocks = time.CLOCK_BOOTTIME, time.CLOCK_MONOTONIC
    since_boot, awake = (time.clock_gettime_ns(clock) // 1_000_000 for clock in clocks)
    return since_boot - awake


def _hz_between(first: tuple[int, int], sample: Callable[[], tuple[int, int]]) -> int:
    jiffies, start = first
    time.sleep(0.06)
    later, end = sample()
    rate = (later - jiffies) * 1000 / max(end - start, 1)
    return min(KNOWN_HZ, key=lambda hz: abs(hz - rate))
