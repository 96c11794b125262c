"""The Top document as lines of a terminal of any size. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tcmicro_agent.cli.table import table

SORTS = ("rate", "hits", "name")
RED, GREEN, YELLOW, BOLD = 31, 32, 33, 1
BAR = 20
NARROW = 40
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class View:
    """How somebody wants to see it. No `height`: everything, for --once."""

    width: int = 100
    height: int | None = None
    sort: str = SORTS[0]
    paused: bool = False
    colours: bool = False


def lines(doc: dict[str, Any], view: View, clock: str) -> list[str]:
    """At most `height` lines of at most `width` characters; the lists share what the rest leaves."""
    head = [*_head(doc, view, clock), "", *_packets(doc)]
    parts = [_rules(doc, view.sort), _denied(doc), _peers(doc), _sessions(doc)]
    room = view.height - len(head) if view.height else None
    body = [line for part in _fitted(parts, room) for line in ("", *part)]
    shown = [_clean(line)[: view.width] for line in (*head, *body)][: view.height]
    return [_painted(line) for line in shown] if view.colours else shown


def next_sort(sort: str) -> str:
    return SORTS[(SORTS.index(sort) + 1) % len(SORTS)]


def _fitted(parts: Sequence[list[str]], room: int | None) -> list[list[str]]:
    """Each part with its blank line before it; the longest lose lines first, and keep their two first."""
    if room is None:
        return list(parts)
    sizes = [len(part) for part in parts]
    while sum(sizes) + len(sizes) > room and max(sizes) > 2:
        sizes[sizes.index(max(sizes))] -= 1
    return [part[:size] for part, size in zip(parts, sizes)]


def _head(doc: dict[str, Any], view: View, clock: str) -> list[str]:
    state = f"generation {doc['generation']}, {doc['mode']}, {doc['state']}"
    if doc["state"] == "none":
        state = "NO POLICY: nothing is enforced"
    if doc["deadline_in_s"] is not None:
        state += f", TAKEN BACK IN {doc['deadline_in_s']:.0f} s unless confirmed"
    if doc["staged_generation"]:
        state += f", generation {doc['staged_generation']} staged"
    paused = "  PAUSED" if view.paused else ""
    keys = "" if view.height is None else "  q quit  p pause  s sort"
    return [f"tc-micro top  {clock}  {state}{paused}", f"rules by {view.sort}{keys}"]


def _packets(doc: dict[str, Any]) -> list[str]:
    by = {(row["direction"], row["verdict"]): row for row in doc["packets"]}
    names = (("allow", "ALLOWED"), ("deny", "DENIED"), ("audit", "WOULD BE DENIED"))
    rows = [
        (way, *(cell for verdict, _ in names for cell in _counted(by[way, verdict])))
        for way in ("ingress", "egress")
    ]
    header = [cell for _, title in names for cell in (f"{title}/S", "TOTAL")]
    return table(("PACKETS", *header), rows).splitlines()


def _counted(row: dict[str, Any]) -> tuple[object, object]:
    return row["packets_per_s"], row["packets"]


def _rules(doc: dict[str, Any], sort: str) -> list[str]:
    orders = {
        "rate": lambda r: (-r["hits_per_s"], -r["hits"], r["rule"]),
        "hits": lambda r: (-r["hits"], r["rule"]),
        "name": lambda r: (r["rule"],),
    }
    rows = [
        (r["hits_per_s"], r["hits"], r["direction"], r["action"], r["rule"], r["source"])
        for r in sorted(doc["rules"], key=orders[sort])
    ]
    return table(("HITS/S", "HITS", "DIRECTION", "ACTION", "RULE", "SOURCE"), rows).splitlines()


def _denied(doc: dict[str, Any]) -> list[str]:
    denied = doc["denied"]
    rows = [(row["packets"], *row["service"].split(" ")) for row in denied["services"]]
    header = ("REFUSED", "DIRECTION", "SERVICE", "REASON")
    return table(header, rows or [("-", "", "", "")]).splitlines()


def _peers(doc: dict[str, Any]) -> list[str]:
    denied = doc["denied"]
    if not denied["follows"]:
        return ["REFUSED PEERS", "not known: somebody else follows the events"]
    rows = [(row["packets"], row["peer"], row["name"]) for row in denied["peers"]]
    header = ("REFUSED", f"PEER, IN THE LAST {denied['recent_s']} S", "NAME")
    return table(header, rows or [("-", "", "")]).splitlines()


def _sessions(doc: dict[str, Any]) -> list[str]:
    rows = [
        (row["table"], row["sessions"], row["room"], _bar(row["sessions"], row["room"]))
        for row in doc["sessions"]
    ]
    return table(("SESSIONS", "NOW", "ROOM", "FULL"), rows).splitlines()


def _bar(part: int, whole: int) -> str:
    share = part / whole if whole else 0.0
    return f"{'#' * round(share * BAR):<{BAR}} {share:4.0%}"


def _clean(line: str) -> str:
    """No name or comment may command the terminal."""
    return UNPRINTABLE.sub("?", line)


def _painted(line: str) -> str:
    if line.startswith("tc-micro top"):
        line = f"\033[{BOLD}m{line}\033[0m"
    for word, colour in (("deny", RED), ("allow", GREEN), ("TAKEN BACK IN", YELLOW)):
        line = re.sub(rf"\b{word}\b", f"\033[{colour}m{word}\033[0m", line, count=1)
    return line
