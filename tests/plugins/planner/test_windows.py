"""Change windows: when they are open, and what is said of those that make no sense."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner import windows
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.errors import RolloutError
from hypothesis import given
from hypothesis import strategies as st

WORK = "Mon-Fri 08:00-16:00 Europe/Berlin"
instants = st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1)).map(
    lambda found: found.replace(tzinfo=UTC)
)


def open_at(text, when):
    (window,) = windows.parse("here", text)
    return window.open_at(datetime.fromisoformat(when))


@pytest.mark.parametrize(
    ("text", "when", "is_open"),
    [
        (WORK, "2026-12-01T07:00+00:00", True),  # a Tuesday, 08:00 in Berlin
        (WORK, "2026-12-01T06:59+00:00", False),
        (WORK, "2026-12-01T15:00+00:00", False),  # the end is outside
        (WORK, "2026-07-01T06:00+00:00", True),  # in summer an hour earlier
        (WORK, "2026-12-05T09:00+00:00", False),  # a Saturday
        ("08:00-16:00", "2026-12-05T09:00+00:00", True),
        ("Sat,Sun 00:00-24:00", "2026-12-05T23:59+00:00", True),
        ("Sat 22:00-04:00", "2026-12-05T22:00+00:00", True),
        ("Sat 22:00-04:00", "2026-12-06T03:59+00:00", True),
        ("Sat 22:00-04:00", "2026-12-06T04:00+00:00", False),
        ("Sat 22:00-04:00", "2026-12-05T03:00+00:00", False),  # that would be Friday's
        ("fri-mon 01:00-02:00", "2026-12-07T01:30+00:00", True),
        ("fri-mon 01:00-02:00", "2026-12-08T01:30+00:00", False),
    ],
)
def test_window_is_open_in_its_local_time(text, when, is_open):
    assert open_at(text, when) is is_open


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Mon-Fri", "'Mon-Fri' is no window"),
        ("Mo-Fr 08:00-16:00", "'Mo-Fr' is no day; allowed is Mon, Tue"),
        ("Mon- 08:00-16:00", "'Mon-' is no day"),
        ("Mon-Tue-Fri 08:00-16:00", "is no day"),
        ("8:00-16:00", "is no window"),
        ("08:00-16:60", "16:60 is no time; allowed is 00:00 to 24:00"),
        ("08:00-25:00", "25:00 is no time"),
        ("08:00-08:00", "has no length"),
        ("24:00-08:00", "has no length"),
        ("08:00-16:00 Europe/Berlim", "'Europe/Berlim' is no time zone this controller knows"),
        ("08:00-16:00 /etc/passwd", "'/etc/passwd' is no time zone"),
        (["08:00-16:00", 7], "w[1]: 7 is no window"),
        ([], "is no list of windows"),
        (7, "is no list of windows"),
    ],
    ids=str,
)
def test_senseless_windows_are_refused_with_what_is_allowed(text, says):
    with pytest.raises(RolloutError) as refusal:
        windows.parse("w", text)
    assert says in str(refusal.value)
    assert str(refusal.value).startswith("w")


@given(instants, st.sampled_from([WORK, "Sat 22:00-04:00", "Sun 05:30-06:00 Europe/Berlin"]))
def test_window_is_open_from_its_next_opening_on(now, text):
    parsed = windows.parse("w", text)
    opens = windows.next_opening(parsed, now)
    assert now < opens <= now + timedelta(days=7, hours=1)
    assert parsed[0].open_at(opens)


@pytest.mark.parametrize("value", [None, "", False, "no"])
def test_without_now_the_clock_counts(value):
    clock = datetime(2026, 12, 1, tzinfo=UTC)
    assert windows.moment(value, clock) == (clock, False)


def test_now_may_go_on_regardless_or_be_another_time():
    clock = datetime(2026, 12, 1, tzinfo=UTC)
    assert windows.moment(True, clock) == (clock, True)
    assert windows.moment("yes", clock) == (clock, True)
    assert windows.moment("2026-12-02T08:00+00:00", clock) == (clock + timedelta(hours=32), False)


@pytest.mark.parametrize("value", ["soon", "2026-12-02T08:00", "1", 7])
def test_other_values_of_now_are_refused(value):
    with pytest.raises(RolloutError, match="now: .* allowed is true .* or a time with its offset"):
        windows.moment(value, datetime(2026, 12, 1, tzinfo=UTC))
