"""Who is over its SYN limit, read from the table as the kernel leaves it, and what the log says of changes."""

from __future__ import annotations

import pytest

from tcmicro_agent import abi, rates
from tcmicro_agent.rates import Limits, Rate
from tcmicro_agent.tuning import Limits as Configured
from tcmicro_agent.tuning import Tuning

LIMITS = Limits(shift=8, on=100, off=50)
NOW = 1000  # the window
JIFFIES = NOW << 8 | 77


def table(**buckets: tuple[int, int, int]) -> bytes:
    """Buckets as b<number>=(window, syns, over)."""
    raw = bytearray(abi.RATES * abi.RATE.size)
    for name, (window, syns, over) in buckets.items():
        at = int(name[1:]) * abi.RATE.size
        raw[at : at + abi.RATE.size] = abi.RATE.pack(1, window, syns, over)
    return bytes(raw)


@pytest.mark.parametrize(
    ("window", "syns", "over", "wanted"),
    [
        (NOW, 120, 1, True),
        (NOW, 1, 1, True),  # over since an earlier window, which was not below off
        (NOW, 99, 0, False),
        (NOW - 1, 50, 1, True),  # the next SYN finds it over
        (NOW - 1, 49, 1, False),  # the next SYN takes it off
        (NOW - 2, 5000, 1, False),  # nobody called for a window
        (0, 5000, 1, False),
    ],
)
def test_only_what_is_over_now_counts(window, syns, over, wanted):
    found = rates.over(table(b443=(window, syns, over)), LIMITS, lambda: JIFFIES)
    assert found == ([Rate(443, syns)] if wanted else [])


def test_the_busiest_comes_first_and_every_bucket_is_seen():
    raw = table(b0=(NOW, 60, 1), b65535=(NOW, 90, 1), b7=(NOW, 60, 1), b8=(NOW, 60, 0))
    assert rates.over(raw, LIMITS, lambda: JIFFIES) == [Rate(65535, 90), Rate(0, 60), Rate(7, 60)]


def test_a_window_number_that_wraps():
    jiffies = (1 << 40) + 5  # window 0 again, 32 bits of it are kept
    raw = table(b1=(0, 60, 1), b2=((1 << 32) - 1, 60, 1))
    assert rates.over(raw, LIMITS, lambda: jiffies) == [Rate(1, 60), Rate(2, 60)]


def test_nothing_is_over_without_a_limit():
    assert rates.over(table(b1=(NOW, 60, 1)), Limits(8, 0, 0), lambda: JIFFIES) == []


def test_limits_are_those_the_kernel_compares_with():
    tuning = Tuning(syn_source=Configured(250, 125), syn_listener=Configured(500, 0))
    settings = tuning.settings(250, forwarding=0)
    assert Limits.of_sources(settings) == Limits(8, 256, 128)
    assert Limits.of_listeners(settings) == Limits(8, 512, 0)


def test_changes_are_told_once_each():
    assert rates.changes(frozenset(), frozenset({443})) == ["SYN flood: port 443 is over its limit"]
    assert rates.changes(frozenset({443, 80}), frozenset({80, 22})) == [
        "SYN flood: port 22 is over its limit",
        "SYN flood: port 443 is below its limit again",
    ]
    assert rates.changes(frozenset({80}), frozenset({80})) == []


def test_many_changes_are_cut_short():
    lines = rates.changes(frozenset(), frozenset(range(100)))
    assert len(lines) == rates.MAX_LINES + 1
    assert lines[-1] == "SYN flood: and 80 changes more"
