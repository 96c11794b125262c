# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a Grafana has our dashboards, by what its API answers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.monitoring.faults import MonitoringError

# Grafana numbers what it keeps, and lifts older schemas when it is asked.
OF_THE_SERVER = ("id", "version", "schemaVersion")
KEPT, MISSING = 200, 404

Dashboard = Mapping[str, Any]


def outdated(
    wanted: Iterable[Dashboard], answers: Iterable[Mapping[str, Any]], folder: str
) -> list[Dashboard]:
    """Those of `wanted` that the server lacks, has otherwise or elsewhere. `answers`: to /api/dashboards/uid/UID, in
    the same order, with `status` and `json`; `folder`: the uid. Raises MonitoringError where the server says neither
    yes nor no."""
    return [
        ours
        for ours, answer in zip(wanted, answers, strict=True)
        if not _kept(ours, answer, folder)
    ]


def _kept(ours: Dashboard, answer: Mapping[str, Any], folder: str) -> bool:
    if answer["status"] == MISSING:
        return False
    document = answer.get("json") or {}
    if answer["status"] != KEPT or "dashboard" not in document:
        raise MonitoringError(f"dashboard {ours['uid']}: the server answers {answer['status']}")
    said = {name: value for name, value in ours.items() if name not in OF_THE_SERVER}
    placed = (document.get("meta") or {}).get("folderUid", "") == folder
    return placed and holds(document["dashboard"], said)


def holds(found: Any, said: Any) -> bool:
    """Whether everything that is said stands in what was found, which may say more."""
    if isinstance(said, Mapping):
        return isinstance(found, Mapping) and all(
            holds(found.get(name), value) for name, value in said.items()
        )
    if isinstance(said, list):
        same = isinstance(found, list) and len(found) == len(said)
        return same and all(map(holds, found, said))
    return bool(found == said)
