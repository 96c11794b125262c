# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change windows like "Mon-Fri 08:00-16:00 Europe/Berlin": when a rollout may begin. Pure; the time is given."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.errors import RolloutError

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
ALLOWED = '"[DAYS] HH:MM-HH:MM [ZONE]" like "Mon-Fri 08:00-16:00 Europe/Berlin" or "Sat,Sun 22:00-04:00" (UTC)'
WINDOW = re.compile(r"(?:([A-Za-z,-]+) +)?(\d\d):(\d\d)-(\d\d):(\d\d)(?: +([A-Za-z0-9_+/-]+))?")
DAY_MINUTES = 24 * 60


@dataclass(frozen=True)
class Window:
    """Minutes of local days, `start` to before `end`; where that is over midnight, the day is that of the start."""

    days: frozenset[int]
    start: int
    end: int
    zone: ZoneInfo
    text: str

    def open_at(self, now: datetime) -> bool:
        """Whether it is open at an instant (with its offset)."""
        local = now.astimezone(self.zone)
        minute, today = local.hour * 60 + local.minute, local.weekday()
        if self.start < self.end:
            return today in self.days and self.start <= minute < self.end
        begun = today in self.days and minute >= self.start
        return begun or ((today - 1) % 7 in self.days and minute < self.end)


def parse(where: str, value: Any) -> tuple[Window, ...]:
    """Windows of one text or of a list of them. Raises RolloutError."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not items:
        raise RolloutError(f"{where}: {value!r} is no list of windows; allowed is {ALLOWED}")
    return tuple(_window(f"{where}[{index}]", item) for index, item in enumerate(items))


def moment(value: Any, clock: datetime) -> tuple[datetime, bool]:
    """The time to judge by, and whether it is now whatever the windows say, of what `-e now=…` was given."""
    text = str(value if value is not None else "").strip()
    if text.lower() in ("", "false", "no"):
        return clock, False
    if text.lower() in ("true", "yes"):
        return clock, True
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        given = None
    if given is None or given.tzinfo is None:
        raise RolloutError(
            f"now: {text!r} is not allowed; allowed is true (go on outside of the change windows) or a time with"
            " its offset like 2026-12-01T08:00+01:00"
        )
    return given, False


def next_opening(windows: Iterable[Window], now: datetime) -> datetime:
    """When one of the windows opens next, as local time of its zone."""
    return min(_opening(window, now) for window in windows)


def _opening(window: Window, now: datetime) -> datetime:
    today = now.astimezone(window.zone).replace(hour=0, minute=0, second=0, microsecond=0)
    for day in (today + timedelta(days=ahead) for ahead in range(8)):
        start = day.replace(hour=window.start // 60, minute=window.start % 60)
        if day.weekday() in window.days and _instant(start) > _instant(now):
            return start
    raise AssertionError(f"{window.text} never opens")


def _instant(local: datetime) -> datetime:
    """Comparable across changes of summer time, which wall clocks of one zone are not."""
    return local.astimezone(ZoneInfo("UTC"))


def _window(where: str, item: Any) -> Window:
    match = WINDOW.fullmatch(item.strip()) if isinstance(item, str) else None
    if match is None:
        raise RolloutError(f"{where}: {item!r} is no window; allowed is {ALLOWED}")
    start, end = _minutes(where, match[2], match[3]), _minutes(where, match[4], match[5])
    if start in (end, DAY_MINUTES):
        raise RolloutError(f"{where}: {item!r} has no length; allowed is {ALLOWED}")
    return Window(_days(where, match[1]), start, end, _zone(where, match[6]), item.strip())


def _minutes(where: str, hours: str, minutes: str) -> int:
    total = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or total > DAY_MINUTES:
        raise RolloutError(f"{where}: {hours}:{minutes} is no time; allowed is 00:00 to 24:00")
    return total


def _days(where: str, text: str | None) -> frozenset[int]:
    """Weekdays from 0, Monday; all without a text. Fri-Mon goes over the end of the week."""
    if text is None:
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.split(","):
        ends = [day.capitalize() for day in part.split("-")]
        if len(ends) > 2 or not set(ends) <= set(DAYS):
            raise RolloutError(f"{where}: {part!r} is no day; allowed is {', '.join(DAYS)}")
        first, last = DAYS.index(ends[0]), DAYS.index(ends[-1])
        found.update((first + ahead) % 7 for ahead in range((last - first) % 7 + 1))
    return frozenset(found)


def _zone(where: str, name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError) as exc:
        raise RolloutError(
            f"{where}: {name!r} is no time zone this controller knows; allowed are names like Europe/Berlin"
        ) from exc
