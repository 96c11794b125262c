# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at hosts: what agent_info returned, or why it returned nothing. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Look = Mapping[str, Any]

LOOK_S, MAX_LOOKS = 15, 20  # while a bake lasts
VIA_SSH = re.compile(r"(?:via|over) ssh: ")


def trouble(look: Look | None) -> str:
    """Why a look says nothing of the agent, "" when it does."""
    if look is None:
        return "nothing was heard from it"
    if look.get("unreachable"):
        return f"no contact: {VIA_SSH.split(last_line(look.get('msg')))[-1]}"
    if look.get("failed"):
        return f"looking at it failed: {first_line(look.get('msg'))}"
    if not look.get("status"):
        return first_line(look.get("problem") or look.get("msg") or "it reports no status")
    return ""


def running(look: Look) -> Any:
    """Release of the running process; `status.release` is only that of the command that was asked."""
    return look["status"]["agent"]["release"]


def dealt_to(controls: Sequence[str], hosts: Sequence[str], host: str) -> list[str]:
    """The share of one host when controls are dealt out evenly to the hosts of a wave."""
    return list(controls[list(hosts).index(host) :: len(hosts)])


def bake_pauses(bake: int) -> list[int]:
    """The seconds of a bake between one look and the next, the last of which is the one that is judged."""
    count = max(1, min(MAX_LOOKS, bake // LOOK_S))
    share, rest = divmod(bake, count)
    return [share] * (count - 1) + [share + rest]


def together(
    hosts: Iterable[str], hostvars: Mapping[str, Any], own: str, controls: str
) -> dict[str, Look]:
    """The looks at the hosts of a wave, in their variable `own`, and those they took at controls, by host."""
    found: dict[str, Look] = {}
    for host in (host for host in hosts if host in hostvars):
        for look in (hostvars[host].get(controls) or {}).get("results", ()):
            found[look["item"]] = look
        if hostvars[host].get(own) is not None:
            found[host] = hostvars[host][own]
    return found


def first_line(text: Any) -> str:
    return _lines(text)[0]


def last_line(text: Any) -> str:
    return _lines(text)[-1]


def _lines(text: Any) -> list[str]:
    return str(text or "").strip().splitlines() or ["no reason given"]
