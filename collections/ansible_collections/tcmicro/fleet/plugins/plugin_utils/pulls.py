# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who of a fleet that pulls runs what it should, who is late, who went back and why; of looks and pointers. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.looks import (
    VIA_SSH,
    first_line,
    last_line,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.tables import aligned, count

from tcmicro_agent.pointer import Pointer

Look = Mapping[str, Any]
COLUMNS = ("host", "state", "live", "wanted", "pulled", "why")
SHOWN = 12
# States that end a rollout: somebody has to look.
AMISS = ("late", "went back", "no answer", "does not pull", "no pointer")


@dataclass(frozen=True)
class Named:
    """A pointer, and when it was written, in seconds since 1970."""

    pointer: Pointer
    since: float


def rows(
    hosts: Iterable[str],
    looks: Mapping[str, Look],
    named: Mapping[str, Named],
    now: float,
    grace_s: float,
) -> list[dict[str, Any]]:
    """One for each host, in order of their names."""
    return [
        {"host": host, **_row(looks.get(host), named.get(host), now, grace_s)}
        for host in sorted(hosts)
    ]


def _row(look: Look | None, named: Named | None, now: float, grace_s: float) -> dict[str, Any]:
    wanted = named.pointer.digest if named else ""
    problem = _trouble(look)
    if problem or look is None:
        gone = look is None or look.get("unreachable") or look.get("failed")
        state = "no answer" if gone else "does not pull"
        return {"state": state, "live": "", "wanted": wanted, "pulled_at": 0, "why": problem}
    pulled = look["pulled"]
    state, why = _state(pulled, named, now, grace_s)
    seen = {"live": pulled["live"], "wanted": wanted, "pulled_at": pulled["at"]}
    return {"state": state, **seen, "why": why}


def _trouble(look: Look | None) -> str:
    if look is None:
        return "nothing was heard from it"
    if look.get("unreachable"):
        return VIA_SSH.split(last_line(look.get("msg")))[-1]
    if look.get("failed"):
        return first_line(look.get("msg"))
    return "" if look.get("pulled") else first_line(look.get("problem"))


def _state(
    pulled: Mapping[str, Any], named: Named | None, now: float, grace_s: float
) -> tuple[str, str]:
    """The state of a host that pulls, and why it is not another one."""
    if named is None:
        return "no pointer", "playbooks/pull.yml writes it"
    found = named.pointer
    if pulled["live"] == found.digest:
        return "current", ""
    seen = (pulled["serial"], pulled["digest"]) == (found.serial, found.digest)
    if seen and pulled["went_back"]:
        return "went back", pulled["went_back"]
    if found.waits:
        return "waiting", f"its turn comes after {found.bucket} % of the hosts"
    why = f"{pulled['result']}: {pulled['why']}" if pulled["why"] else pulled["result"]
    return ("late" if now - named.since > grace_s else "pending"), why


def lines(found: Iterable[Mapping[str, Any]], now: float) -> list[str]:
    """The rows for eyes, under a heading."""
    return aligned([COLUMNS, *(_cells(row, now) for row in found)])


def _cells(row: Mapping[str, Any], now: float) -> list[str]:
    ago = f"{max(0, now - row['pulled_at']):.0f} s ago" if row["pulled_at"] else "never"
    digests = [row[key][:SHOWN] or "-" for key in ("live", "wanted")]
    return [row["host"], row["state"], *digests, ago, row["why"]]


def summary(found: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many hosts are in each state that one is in."""
    return dict(sorted(Counter(row["state"] for row in found).items()))


def complaint(found: Iterable[Mapping[str, Any]]) -> str:
    """What somebody has to look at, "" where nobody has."""
    amiss: dict[str, list[str]] = {}
    for row in found:
        if row["state"] in AMISS:
            amiss.setdefault(row["state"], []).append(row["host"])
    named = (f"{count(hosts)} {state}: {_some(hosts)}" for state, hosts in sorted(amiss.items()))
    return "; ".join(named)


def _some(hosts: list[str]) -> str:
    more = f" and {len(hosts) - 10} more" if len(hosts) > 10 else ""
    return ", ".join(hosts[:10]) + more
