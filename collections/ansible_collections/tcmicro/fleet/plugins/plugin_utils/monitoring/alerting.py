# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""alertmanager.yml: who is told of which alert. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.monitoring.faults import refuse

SEVERITIES = ("critical", "warning", "info")
NOBODY = "nobody"  # shown in the page and the API alone
# Of one host: what explains others, and what is explained by it.
EXPLAINS = {
    "TcMicroNotEnforcing": ("TcMicroDrift", "TcMicroHooksRemoved"),
    "TcMicroSynFlood": ("TcMicroDropRateHigh", "TcMicroMapAlmostFull", "TcMicroCacheHitRateLow"),
    "TcMicroDenyAfterApply": ("TcMicroDenySpike",),
}

Document = dict[str, Any]


def alertmanager_config(
    receivers: Iterable[Mapping[str, Any]], told: Mapping[str, str], routes: Iterable[Document] = ()
) -> Document:
    """`receivers` and `routes` as Alertmanager has them; `told`: by severity the receiver's name, "": nobody. Routes
    of the operator come first. Raises MonitoringError."""
    named, first = list(receivers), list(routes)
    known = [str(receiver.get("name", "")) for receiver in named]
    refuse(_faults(known, told, first))
    return {
        "route": {
            "receiver": NOBODY,
            "group_by": ["alertname"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "4h",
            "routes": [*first, *_by_severity(told)],
        },
        "receivers": [{"name": NOBODY}, *named],
        "inhibit_rules": [_inhibits(cause, effects) for cause, effects in EXPLAINS.items()],
    }


def _by_severity(told: Mapping[str, str]) -> list[Document]:
    return [
        {"receiver": told[severity], "matchers": [f'severity="{severity}"']}
        for severity in SEVERITIES
        if told.get(severity)
    ]


def _inhibits(cause: str, effects: Iterable[str]) -> Document:
    return {
        "source_matchers": [f'alertname="{cause}"'],
        "target_matchers": [f'alertname=~"{"|".join(effects)}"'],
        "equal": ["instance"],
    }


def _faults(known: list[str], told: Mapping[str, str], routes: Iterable[Document]) -> Iterator[str]:
    allowed = ", ".join(filter(None, known)) or "none, as monitoring_receivers is empty"
    for place, name in enumerate(known):
        if not name or name == NOBODY or known.index(name) != place:
            yield f"monitoring_receivers[{place}]: name {name!r} is empty, taken twice or {NOBODY!r}"
    for severity, receiver in told.items():
        if severity not in SEVERITIES:
            yield f"monitoring_told: unknown {severity!r}; allowed are {', '.join(SEVERITIES)}"
        elif receiver and receiver not in known:
            yield f"monitoring_told.{severity}: no receiver {receiver!r}; there is {allowed}"
    for place, route in enumerate(routes):
        if route.get("receiver") and route["receiver"] not in (*known, NOBODY):
            yield f"monitoring_routes[{place}]: no receiver {route['receiver']!r}; there is {allowed}"
