"""The clock deadlines are made of, and how long a jiffy is."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

KNOWN_HZ = (100, 250, 300, 1000)


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


def measure_hz(sample: Callable[[], tuple[int, int]]) -> int:
    """Jiffies per second from two samples of (jiffies, boot ms); the kernel's choices are few."""
    jiffies, start = sample()
    time.sleep(0.06)
    later, end = sample()
    rate = (later - jiffies) * 1000 / max(end - start, 1)
    return min(KNOWN_HZ, key=lambda hz: abs(hz - rate))
