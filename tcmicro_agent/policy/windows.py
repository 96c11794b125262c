"""When rules are in force. The host decides by its clock, so nothing has to be rolled out when a rule expires."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone

from tcmicro_agent.policy.model import ALWAYS, Bundle, Window

RFC3339 = re.compile(
    r"(?:19[7-9]|[2-9][0-9]{2})[0-9]-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
)
FORM = "%Y-%m-%dT%H:%M:%SZ"


def instant(text: str) -> int:
    """`2026-12-01T08:00:00Z` as seconds since 1970. Raises ValueError for anything else."""
    matched = RFC3339.fullmatch(text) is not None
    try:
        found = datetime.strptime(text if matched else "", FORM)
    except ValueError:
        raise ValueError("not a time in UTC since 1970") from None
    return int(found.replace(tzinfo=timezone.utc).timestamp())


def written(seconds: int) -> str:
    """The inverse of `instant`."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime(FORM)


def holds(window: Window, now: float) -> bool:
    return (window.start is None or window.start <= now) and (
        window.end is None or now < window.end
    )


def in_force(bundle: Bundle, now: float) -> Bundle:
    """The bundle without the rules whose window does not hold `now`."""
    rules = tuple(rule for rule in bundle.rules if holds(rule.window, now))
    return bundle if len(rules) == len(bundle.rules) else replace(bundle, rules=rules)


def has_times(bundle: Bundle) -> bool:
    return any(rule.window != ALWAYS for rule in bundle.rules)


def moment(bundle: Bundle, number: int) -> float:
    """Some time in that phase."""
    found = instants(bundle)
    if number == 0:
        return found[0] - 1 if found else 0
    return found[min(number, len(found)) - 1]


def instants(bundle: Bundle) -> tuple[int, ...]:
    """When rules begin or cease to hold, in order."""
    ends = (end for rule in bundle.rules for end in (rule.window.start, rule.window.end))
    return tuple(sorted({end for end in ends if end is not None}))


def phase(of: Sequence[int], now: float) -> int:
    """How many of the instants have come. In one phase the same rules are in force."""
    return bisect_right(of, now)
