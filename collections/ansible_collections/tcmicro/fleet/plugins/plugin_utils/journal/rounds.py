# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the policies of a wave are tried before they are made live: first compared, then, where it is asked for, as judges
of a growing share of the new flows. Each round is judged. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils import course
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import JournalError
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.expected import faults

DEFAULT_S = 60
MARGIN_S = (
    60  # to look, judge and set the next share; then the kernel ends a share of which nobody cares
)
LONGEST_S = 3600 - MARGIN_S

Request = Mapping[str, Any]


@dataclass(frozen=True)
class Round:
    """`share`: percent of the new flows that the staged policies judge for `seconds`; 0: they are only compared."""

    share: int
    seconds: int
    extension: int = 0

    def document(self) -> dict[str, int]:
        """`lasts_s`: after so many seconds the kernel ends the share by itself."""
        return {**vars(self), "lasts_s": self.seconds + MARGIN_S}


def read(request: Request, kind: str) -> dict[str, Any]:
    """`stage`, `share`, `share_for` and `expected_diffs` of a request, as numbers and lists. Raises JournalError with all
    that is wrong with them."""
    problems: list[str] = []
    found = {
        "stage": _seconds("stage", request, 0, problems),
        "share_for": _seconds("share_for", request, 1, problems),
        "share": _shares(request.get("share") or [], problems),
        "expected_diffs": request.get("expected_diffs") or [],
    }
    problems += faults(found["expected_diffs"])
    if kind == "release" and found["share"]:
        problems.append("share: a release judges no flows; leave it out, or say -e policy=true")
    if problems:
        raise JournalError(f"{'; '.join(problems)}; nothing was changed")
    return found


def first(request: Request) -> Round:
    return Round(0, int(request.get("stage", DEFAULT_S)))


def following(request: Request, done: Round, outcome: str) -> tuple[str, Round]:
    """What comes after a round that was judged, as the plays know it: `again` with that round, `judge` (make the policies
    live) or `stop`."""
    step = course.after_verdict(outcome, done.extension + 1)
    if step == "stop":
        return "stop", done
    if step == "judge":
        return "again", replace(done, extension=done.extension + 1)
    larger = [share for share in request.get("share", ()) if share > done.share]
    if larger:
        return "again", Round(larger[0], int(request["share_for"]))
    return "judge", done


def _seconds(name: str, request: Request, least: int, problems: list[str]) -> int:
    value = _whole(request.get(name, DEFAULT_S))
    if value is None or not least <= value <= LONGEST_S:
        problems.append(
            f"{name}: {request.get(name)!r} is not allowed; allowed are seconds from {least} to {LONGEST_S}"
        )
    return value or 0


def _shares(given: Any, problems: list[str]) -> list[int]:
    """A list, or a text with commas."""
    items = given.strip("[] ").split(",") if isinstance(given, str) else given
    found = list(_percentages(items))
    if not all(1 <= share <= 99 for share in found) or sorted(set(found)) != found:
        problems.append(
            f"share: {given!r} is not allowed; allowed are percentages from 1 to 99 that ascend, without blanks: "
            "-e share=[5,25,50]"
        )
    return found


def _percentages(items: Any) -> Iterator[int]:
    """What is no number becomes one that is not allowed."""
    for item in items if isinstance(items, list) else [items]:
        number = _whole(item)
        yield 0 if number is None else number


def _whole(value: Any) -> int | None:
    text = str(value).strip()
    return int(text) if not isinstance(value, bool) and text.isascii() and text.isdigit() else None
