# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says of itself, in the terms of one rollout. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.looks import Look


class Seen(Enum):
    OLD = "what it had before"
    TENTATIVE = "the new one, until its deadline"
    NEW = "the new one, for good"
    REVERTED = "what it had before: it took the new one back"
    OTHER = "something else"
    FOREIGN = "a change by somebody else that waits to be confirmed"
    UNREACHABLE = "nothing: no contact"


@dataclass(frozen=True)
class Observation:
    """`left_s`: seconds until a host on trial goes back; `runs`: release or digest, "" for none."""

    seen: Seen
    runs: str = ""
    left_s: float = 0
    cause: str = ""


def observe(kind: str, wanted: str, before: str, look: Look | None) -> Observation:
    """`wanted`, `before`: a release, or the digest of a bundle, by `kind`."""
    if look is None or look.get("unreachable") or look.get("failed"):
        return Observation(Seen.UNREACHABLE)
    runs, change = _release(look) if kind == "release" else _policy(look)
    aim, state = change.get("aim"), change.get("state")
    if state in ("pending", "leased", "reverting"):
        seen = Seen.FOREIGN if aim != wanted else Seen.TENTATIVE
        if state != "reverting":
            return Observation(seen, runs, float(change.get("left_s") or 0))
    if runs == wanted and runs != before:
        return Observation(Seen.NEW, runs)
    if runs != before:
        return Observation(Seen.OTHER, runs)
    if state in ("reverted", "reverting") and aim == wanted:
        return Observation(Seen.REVERTED, runs, cause=str(change.get("cause") or ""))
    return Observation(Seen.OLD, runs)


def running(kind: str, look: Look | None) -> str:
    """Release or digest that the host is on, "" for none or when it is not known."""
    found = observe(kind, "", "", look)
    return found.runs


def _release(look: Look) -> tuple[str, Mapping[str, Any]]:
    change = look.get("transaction") or {}
    return str((look.get("releases") or {}).get("current") or ""), {
        "aim": change.get("version"),
        "state": change.get("state"),
        "left_s": change.get("deadline_in_s"),
        "cause": change.get("cause"),
    }


def _policy(look: Look) -> tuple[str, Mapping[str, Any]]:
    status = look.get("status") or {}
    change = status.get("transaction") or {}
    return str((status.get("policy") or {}).get("digest") or ""), {
        "aim": change.get("digest"),
        "state": change.get("state"),
        "left_s": change.get("deadline_in_s"),
        "cause": "nobody confirmed it in time",
    }
