# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at hosts: what agent_info returned, or why it returned nothing. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Look = Mapping[str, Any]

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


def first_line(text: Any) -> str:
    return _lines(text)[0]


def last_line(text: Any) -> str:
    return _lines(text)[-1]


def _lines(text: Any) -> list[str]:
    return str(text or "").strip().splitlines() or ["no reason given"]
