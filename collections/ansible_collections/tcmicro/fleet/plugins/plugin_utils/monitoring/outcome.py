# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a Prometheus server scrapes what it is to scrape, by its own word. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.monitoring.server import JOB


def not_scraped(answer: Mapping[str, Any], hosts: Iterable[str]) -> list[str]:
    """`answer`: of /api/v1/targets. One line for each host that is not scraped, with why; [] when all are."""
    active = (answer.get("data") or {}).get("activeTargets") or []
    found = {
        target["labels"]["instance"]: target for target in active if target["labels"]["job"] == JOB
    }
    return [f"{host}: {why}" for host in sorted(hosts) if (why := _why(found.get(host)))]


def _why(target: Mapping[str, Any] | None) -> str:
    if target is None:
        return "the server has no such target"
    if target["health"] == "up":
        return ""
    return target["lastError"] or "not scraped yet"
