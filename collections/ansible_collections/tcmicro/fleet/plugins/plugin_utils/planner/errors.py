# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way in which a plan is refused, with all that is wrong at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class RolloutError(Exception):
    """The rollout is refused; no host was touched."""


def noting(refused: list[str], read: Callable[[], Any]) -> Any:
    """What was read; None where it was refused, which is noted."""
    try:
        return read()
    except RolloutError as exc:
        refused.append(str(exc))
        return None
