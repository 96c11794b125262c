# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a rollout: numbers, stages and names, which may have come as text from -e or a survey. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner import stages, windows
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.errors import (
    RolloutError,
    noting,
)

ALL = "all"


@dataclass(frozen=True)
class Request:
    """A rollout as wanted. `regardless`: also outside of the change windows."""

    hosts: tuple[str, ...]
    stages: Any
    allow_missing: int
    seed: int
    accept_blind: tuple[str, ...]
    now: datetime
    regardless: bool


def read(args: Mapping[str, Any], clock: datetime) -> Request:
    """The request of the arguments of rollout_plan. Raises RolloutError with all that is wrong with it."""
    refused: list[str] = []
    noting(refused, lambda: stages.parse(args["waves"]))
    moment = noting(refused, lambda: windows.moment(args["now"], clock))
    missing = noting(refused, lambda: whole_number("allow_missing", args["allow_missing"], least=0))
    seed = noting(refused, lambda: _seed(args["seed"], args["release"]))
    accepted = noting(refused, lambda: names("accept_blind", args["accept_blind"]))
    if refused:
        raise RolloutError("\n".join(refused))
    hosts, (now, regardless) = tuple(args["hosts"]), moment
    return Request(hosts, args["waves"], missing, seed, accepted, now, regardless)


def whole_number(name: str, value: Any, *, least: int) -> int:
    """A number, or the text of one."""
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or int(text) < least:
        raise RolloutError(
            f"{name}: {value!r} is not allowed; allowed is a whole number from {least}"
        )
    return int(text)


def names(option: str, value: Any) -> tuple[str, ...]:
    """A list, or a text with commas."""
    if value is None:
        return ()
    items: Any = value.strip("[] ").split(",") if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) for item in items):
        raise RolloutError(
            f"{option}: {value!r} is not allowed; allowed is {ALL} or classes of the plan, with commas between them"
        )
    return tuple(item.strip(" '\"") for item in items if item.strip(" '\""))


def refuse_unknown(option: str, given: Iterable[str], known: Iterable[str]) -> None:
    """A name that is misspelt must not pass for an acknowledgement."""
    wrong = sorted(set(given) - {ALL, *known})
    if wrong:
        raise RolloutError(
            f"{option}: {', '.join(wrong)} is no class of this fleet; allowed are {ALL}, {', '.join(sorted(known))}"
        )


def _seed(value: Any, release: Any) -> int:
    """As given, or one of the release: so that not the same hosts are the first of every release."""
    if value is None or value == "":
        return int(sha256(str(release).encode()).hexdigest()[:8], 16)
    return whole_number("seed", value, least=0)
