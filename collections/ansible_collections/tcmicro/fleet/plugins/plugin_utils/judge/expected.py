# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the author of a policy said that it would decide otherwise than the one before. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

CLOSES, OPENS = "allow_to_deny", "deny_to_allow"
MATCHED = ("direction", "protocol", "port", "peer")
Expected = Mapping[str, Any]


def faults(given: Any) -> list[str]:
    """What is wrong with a list of expectations. One that names nothing known would explain everything away."""
    if not isinstance(given, list):
        return [
            f"expected_diffs: {given!r} is not a list; put it into a file as expected_diffs: […] and say -e @FILE"
        ]
    return [text for number, one in enumerate(given, 1) for text in _faults(number, one)]


def _faults(number: int, one: Any) -> Iterator[str]:
    where = f"expected_diffs: entry {number}"
    if not isinstance(one, Mapping) or not one:
        yield f"{where}: {one!r} names nothing; allowed are {', '.join(('change', *MATCHED))}"
        return
    unknown = sorted(set(map(str, one)) - {"change", *MATCHED})
    if unknown:
        yield f"{where}: {', '.join(unknown)} is not one of {', '.join(('change', *MATCHED))}"
    if one.get("change", CLOSES) not in (CLOSES, OPENS):
        yield f"{where}: change: {one['change']!r} is neither {CLOSES} nor {OPENS}"


def explains(expected: Iterable[Expected], difference: Expected) -> bool:
    """Whether one of them is about this row of `tc-micro policy differences`."""
    change = f"{difference['live']['verdict']}_to_{difference['staged']['verdict']}"
    return any(_fits(difference, one, change) for one in expected)


def closes(expected: Iterable[Expected]) -> bool:
    """Whether flows are meant to be refused that were allowed."""
    return any(one.get("change", CLOSES) == CLOSES for one in expected)


def _fits(difference: Expected, one: Expected, change: str) -> bool:
    """What an expectation does not name, it leaves open."""
    named = [name for name in MATCHED if name in one]
    return one.get("change", change) == change and all(
        str(difference[name]) == str(one[name]) for name in named
    )
