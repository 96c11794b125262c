# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that the role monitoring writes, or every fault of its variables at once. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.monitoring import (
    alerting,
    server,
    targets,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.monitoring.faults import (
    MonitoringError,
    refuse,
)


def documents(
    settings: Mapping[str, Any], hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """By name: targets, prometheus, web, arguments, alertmanager. `settings` has a mapping for each of the last four,
    as their makers want it. Raises MonitoringError."""
    web, told = settings["web"], settings["alertmanager"]
    makers: dict[str, Callable[[], Any]] = {
        "targets": lambda: targets.scrape_targets(hosts, hostvars),
        "prometheus": lambda: server.prometheus_config(settings["prometheus"]),
        "web": lambda: server.web_config(web["tls"], web["users"]),
        "arguments": lambda: server.arguments(settings["arguments"]),
        "alertmanager": lambda: alerting.alertmanager_config(
            told["receivers"], told["told"], told["routes"]
        ),
    }
    made, faults = {}, []
    for name, make in makers.items():
        try:
            made[name] = make()
        except MonitoringError as exc:
            faults.append(str(exc))
    refuse(faults)
    return made
