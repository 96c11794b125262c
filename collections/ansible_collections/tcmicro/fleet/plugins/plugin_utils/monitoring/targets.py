# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Prometheus server scrapes, from the inventory; and who may scrape. Pure.

Labels of a target stand on every series of its host: the inventory name as `instance`, its groups as one label
`,db,tcmicro,` (so that `groups=~".*,db,.*"` finds them), site and rack, and its labels as `label_…`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.monitoring.faults import refuse

PORT = 9931
EVERYWHERE = ("0.0.0.0", "::")
OWN = ("127.0.0.0/8", "::1/128")  # a host reads its own
UNSAID = ("all", "ungrouped")
LABEL = re.compile(r"[a-zA-Z0-9_]+")

Vars = Mapping[str, Any]


def scrape_targets(hosts: Iterable[str], hostvars: Mapping[str, Vars]) -> list[dict[str, Any]]:
    """A document for file_sd: one entry per host, in order of names. Raises MonitoringError."""
    named = sorted(hosts)
    refuse(fault for host in named for fault in _faults(host, hostvars[host]))
    return [_entry(host, hostvars[host]) for host in named]


def scrapers(monitors: Iterable[str], hostvars: Mapping[str, Vars]) -> list[str]:
    """Networks that agents are scraped from, with each host's own; [] where nobody scrapes. Raises MonitoringError."""
    addresses = {host: _addresses(host, hostvars[host]) for host in sorted(monitors)}
    refuse(
        f"{host}: {address!r} is no IP address, so agents cannot tell who may scrape them;"
        " set tcmicro_addresses of that host"
        for host, found in addresses.items()
        for address in found
        if not _is_address(address)
    )
    networks = [str(ip_network(a)) for found in addresses.values() for a in found]
    return [*OWN, *dict.fromkeys(networks)] if networks else []


def _entry(host: str, own: Vars) -> dict[str, Any]:
    scheme = {"__scheme__": "https"} if own.get("tcmicro_agent_metrics_tls") else {}
    labels = {"instance": host, **_placed(own), **_said(own), **scheme}
    return {"targets": [_target(host, own)], "labels": labels}


def _target(host: str, own: Vars) -> str:
    said = own.get("tcmicro_agent_metrics_address")
    address = said if said and said not in EVERYWHERE else _addresses(host, own)[0]
    shown = f"[{address}]" if ":" in address else address
    return f"{shown}:{own.get('tcmicro_agent_metrics_port', PORT)}"


def _placed(own: Vars) -> dict[str, str]:
    groups = sorted(set(own.get("group_names", ())) - set(UNSAID))
    places = {name: own.get(f"tcmicro_{name}") for name in ("site", "rack")}
    found = {name: str(value) for name, value in places.items() if value}
    return {"groups": f",{','.join(groups)},", **found}


def _said(own: Vars) -> dict[str, str]:
    return {f"label_{name}": str(value) for name, value in _labels(own).items()}


def _labels(own: Vars) -> Mapping[str, Any]:
    return own.get("tcmicro_labels") or {}


def _addresses(host: str, own: Vars) -> list[str]:
    found = own.get("tcmicro_addresses") or [own.get("ansible_host") or host]
    return [str(address) for address in found]


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


def _faults(host: str, own: Vars) -> Iterator[str]:
    said = str(own.get("tcmicro_agent_metrics_address") or "")
    if _is_address(said) and said not in EVERYWHERE and _is_loopback(said):
        yield (
            f"{host}: tcmicro_agent_metrics_address is {said}, which nobody else can scrape;"
            " leave it out, or set an address of the host"
        )
    for name in _labels(own):
        if not LABEL.fullmatch(str(name)):
            yield (
                f"{host}: tcmicro_labels: {name!r} cannot be a label of Prometheus;"
                " allowed are letters, digits and _"
            )


def _is_loopback(text: str) -> bool:
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
