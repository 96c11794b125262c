# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters of this collection; each is a pure function of plugin_utils, documented in its .yml."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import (
    course,
    fleet_state,
    key_files,
    looks,
    tables,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.monitoring import (
    dashboards,
    documents,
    outcome,
    server,
    shown,
    targets,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.monitoring.faults import MonitoringError
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner import stages as cumulative
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.errors import RolloutError

ERRORS = (
    RolloutError,
    tables.FailsafeError,
    fleet_state.StateError,
    key_files.KeyFilesError,
    MonitoringError,
    ValueError,
)


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let our own errors reach people as messages instead of tracebacks."""

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except ERRORS as exc:
            raise AnsibleFilterError(str(exc)) from exc

    return call


def sizes(hosts: list[str] | int, stages: Any = cumulative.DEFAULT) -> list[int]:
    return cumulative.plan(hosts if isinstance(hosts, int) else len(hosts), stages)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "waves": plain(sizes),
            "per_host": plain(tables.per_host),
            "looks": plain(looks.together),
            "dealt_to": plain(looks.dealt_to),
            "bake_pauses": plain(looks.bake_pauses),
            "key_files": plain(key_files.key_files),
            "findings": plain(tables.findings),
            "failsafe": plain(tables.failsafe),
            "fleet_state": plain(fleet_state.record),
            "status_rows": plain(tables.status_rows),
            "status_table": plain(tables.status_table),
            "rollout_batches": plain(course.batches),
            "scrape_targets": plain(targets.scrape_targets),
            "scrapers": plain(targets.scrapers),
            "prometheus_lacks": plain(server.unregistered),
            "monitoring_documents": plain(documents.documents),
            "may_be_shown": plain(shown.may_be_shown),
            "not_scraped": plain(outcome.not_scraped),
            "dashboards_outdated": plain(dashboards.outdated),
        }
