# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the variables of monitoring, all of it at once. Pure."""

from __future__ import annotations

from collections.abc import Iterable


class MonitoringError(Exception):
    """Variables that no server could be configured by; nothing was changed."""


def refuse(faults: Iterable[str]) -> None:
    """Raise with every fault, when there is any."""
    found = list(faults)
    if found:
        raise MonitoringError("; ".join(found))
