# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events of a rollout as lines for people: a block per wave, and every line says of which wave it is. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.tables import count

MOST_NAMES = 20
OUTCOMES = ("changed", "unchanged", "failed", "unreachable")
Event = Mapping[str, Any]


class Mood(Enum):
    PLAIN = "plain"
    WELL = "well"
    UNWELL = "unwell"


@dataclass(frozen=True)
class Line:
    text: str
    mood: Mood = Mood.PLAIN


def lines(event: Event) -> list[Line]:
    """Those of one event; none for what needs no line of its own."""
    shown = SHOWN.get(event["event"])
    head = f"[wave {event['wave']}]" if event.get("wave") else "[rollout]"
    return [Line(f"{head} {line.text}", line.mood) for line in shown(event)] if shown else []


def _begin(event: Event) -> Iterator[Line]:
    what = f"{event['kind']} {event['subject']}".strip()
    yield Line(f"{event['rollout']}: {what}{', gone on with' * event['resumed']}")


def _plan(event: Event) -> Iterator[Line]:
    waves = len(event["waves"])
    parts = f" in {waves} wave{'s' * (waves != 1)}" if waves else ""
    yield Line(f"{count(event['hosts'])}{parts}, {event['bake_s']} s of bake each")
    yield from (Line(f"left out: {host}: {why}") for host, why in event["missing"].items())


def _wave(event: Event) -> Iterator[Line]:
    yield Line(f"of {event['waves']}: {count(event['hosts'])}: {_names(sorted(event['hosts']))}")


def _host(event: Event) -> Iterator[Line]:
    """Hosts that are well are counted later."""
    if event["outcome"] in ("failed", "unreachable"):
        text = f"{event['act']}: {event['host']} {event['outcome']}: {event['text']}"
        yield Line(text, Mood.UNWELL)


def _changed(event: Event) -> Iterator[Line]:
    counts = ", ".join(f"{event[name]} {name}" for name in OUTCOMES if event[name])
    bad = event["failed"] or event["unreachable"]
    yield Line(f"apply: {counts or 'nothing to change'}", Mood.UNWELL if bad else Mood.PLAIN)


def _bake(event: Event) -> Iterator[Line]:
    yield Line(f"bake: {event['left_s']} s left")


def _staged(event: Event) -> Iterator[Line]:
    doing = f"judge {event['share']} % of the new flows" if event["share"] else "are compared"
    yield Line(f"staged policies {doing}: {event['left_s']} s")


def _gate(event: Event) -> Iterator[Line]:
    mood = Mood.WELL if event["outcome"] == "pass" else Mood.UNWELL
    what = "gate of the staged policies" if event["of"] == "staged" else "gate"
    yield Line(f"{what}: {event['outcome']}{', the bake ends early' * event['early']}", mood)
    yield from (Line(f"gate:   {reason}", mood) for reason in event["reasons"])


def _end_of_wave(event: Event) -> Iterator[Line]:
    outcome = Line("passed", Mood.WELL) if event["passed"] else Line("stopped", Mood.UNWELL)
    yield Line(f"{outcome.text}: {event['text']}", outcome.mood) if event["text"] else outcome


def _back(event: Event) -> Iterator[Line]:
    hosts = event["hosts"]
    yield Line(f"{count(hosts)} {'go' if len(hosts) > 1 else 'goes'} back: {_names(hosts)}")


def _error(event: Event) -> Iterator[Line]:
    yield Line(f"{event['step']}: {event['text']}", Mood.UNWELL)


def _end(event: Event) -> Iterator[Line]:
    mood = Mood.WELL if event["passed"] else Mood.UNWELL
    yield Line(f"{event['state']}: {event['text']}", mood)


SHOWN: dict[str, Callable[[Event], Iterator[Line]]] = {
    "begin": _begin,
    "plan": _plan,
    "wave": _wave,
    "host": _host,
    "changed": _changed,
    "bake": _bake,
    "staged": _staged,
    "gate": _gate,
    "end_of_wave": _end_of_wave,
    "back": _back,
    "error": _error,
    "end": _end,
}


def _names(hosts: Sequence[str]) -> str:
    rest = len(hosts) - MOST_NAMES
    return ", ".join(hosts[:MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")
