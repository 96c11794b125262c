"""How long a jiffy is, from what the kernel has counted since boot, or else from watching it."""

from __future__ import annotations

import pytest

from tcmicro_agent.datapath.clock import FIRST_WRAP, KNOWN_HZ, find_hz, hz_since_boot

DAY_MS = 86_400_000


def counted(hz: int, boot_ms: int, *, suspended_ms: int = 0) -> int:
    return FIRST_WRAP - 300 * hz + (boot_ms - suspended_ms) * hz // 1000


@pytest.mark.parametrize("hz", KNOWN_HZ)
@pytest.mark.parametrize("boot_ms", [2_000, 250_000, 360_000, 5 * DAY_MS, 1000 * DAY_MS])
def test_the_count_since_boot_tells_the_rate(hz, boot_ms):
    assert hz_since_boot(counted(hz, boot_ms), boot_ms) == hz


@pytest.mark.parametrize("hz", KNOWN_HZ)
def test_a_count_that_started_a_little_late_still_tells(hz):
    assert hz_since_boot(counted(hz, DAY_MS, suspended_ms=3_000), DAY_MS) == hz


@pytest.mark.parametrize("hz", KNOWN_HZ)
def test_five_minutes_after_boot_every_rate_would_do(hz):
    assert hz_since_boot(counted(hz, 300_000), 300_000) == 0


@pytest.mark.parametrize("hz", KNOWN_HZ)
def test_a_count_that_nobody_can_explain_tells_nothing(hz):
    assert hz_since_boot(counted(hz, DAY_MS, suspended_ms=3_600_000), DAY_MS) == 0


@pytest.mark.parametrize("hz", KNOWN_HZ)
def test_it_is_measured_where_the_count_tells_nothing(hz):
    times = iter([DAY_MS, DAY_MS + 64])

    def sample() -> tuple[int, int]:
        now = next(times)
        return counted(hz, now, suspended_ms=3_600_000), now

    assert find_hz(sample) == hz


def test_it_is_not_measured_where_the_count_tells():
    samples = iter([(counted(250, DAY_MS), DAY_MS)])
    assert find_hz(lambda: next(samples)) == 250
