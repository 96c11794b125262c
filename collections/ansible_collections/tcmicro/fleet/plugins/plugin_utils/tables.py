# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small views of the fleet: who looks how, what a host lacks, which addresses stay open; and how they are laid out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from datetime import datetime, timedelta, timezone
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.looks import trouble

UTC = timezone(timedelta(0))
COLUMNS = ("host", "release", "generation", "digest", "mode", "sessions", "restarts", "drift")


class FailsafeError(Exception):
    """A failsafe entry is wrong."""


def per_host(hosts: Iterable[str], hostvars: Mapping[str, Any], variable: str) -> dict[str, Any]:
    """One variable of many hosts; those that do not have it are left out."""
    found = {host: hostvars[host].get(variable) for host in hosts if host in hostvars}
    return {host: value for host, value in found.items() if value is not None}


def of_hosts(
    hosts: Iterable[str], hostvars: Mapping[str, Any], variables: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Some variables of many hosts, by host; those that a host does not have are left out."""
    wanted = tuple(variables)
    return {
        host: {name: own[name] for name in wanted if name in own}
        for host in hosts
        if host in hostvars and (own := hostvars[host]) is not None
    }


def count(hosts: Sized) -> str:
    """How many hosts, in words."""
    return f"{len(hosts)} host{'' if len(hosts) == 1 else 's'}"


def utc(seconds: float) -> str:
    """A time, in seconds since 1970, for people."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of equally many cells as lines in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ([c.ljust(w) for c, w in zip(row, widths, strict=True)] for row in rows)
    return ["  ".join(line).rstrip() for line in lines]


def findings(rows: Iterable[Mapping[str, str]]) -> list[str]:
    """What is worth a line: everything that is not ok."""
    return [
        f"{row['level']}: {row['check']} is {row['found']}, needed {row['needed']}: {row['hint']}"
        for row in rows
        if row["level"] != "ok"
    ]


def status_rows(
    looks: Mapping[str, Mapping[str, Any]], hosts: Iterable[str]
) -> list[dict[str, Any]]:
    """One row per host, in order; a host without status says why."""
    return [{"host": host, **_row(looks.get(host))} for host in sorted(hosts)]


def status_table(looks: Mapping[str, Mapping[str, Any]], hosts: Iterable[str]) -> list[str]:
    """The rows as aligned lines, what is wrong with a host at the end of its line."""
    rows = status_rows(looks, hosts)
    cells = [[*(str(row.get(name, "-")) for name in COLUMNS), row["problem"]] for row in rows]
    return aligned([[*COLUMNS, ""], *cells])


def _row(look: Mapping[str, Any] | None) -> dict[str, Any]:
    problem = trouble(look)
    if problem or look is None:
        return {
            "release": (look or {}).get("releases", {}).get("current") or "-",
            "problem": problem,
        }
    status, policy, service = look["status"], look["status"]["policy"], look["service"]
    idle = "" if service["active"] else f"the service is {service['state']}"
    return {
        "release": status["agent"].get("release") or f"{status['release']} (stopped)",
        "generation": policy["generation"] or "-",
        "digest": policy["digest"][:12] or "-",
        "mode": policy.get("mode") or "-" if policy["generation"] else "-",
        "sessions": status.get("sessions", "-"),
        "restarts": service["restarts"],
        "drift": len(status["drift"]),
        "problem": "; ".join(filter(None, [idle, *map(str, status["drift"])])),
    }


def failsafe(
    entries: list[dict[str, Any]] | None, connection: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """What stays open whatever the policy says: as given, or else the controller's own way in."""
    if entries is None:
        if not connection:
            return []
        address = ip_address(str(connection["client"]).partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        cidr = str(ip_network(mapped or address))
        return [
            {
                "direction": "ingress",
                "protocol": "tcp",
                "port": int(connection["port"]),
                "cidr": cidr,
            }
        ]
    return [_entry(index, entry) for index, entry in enumerate(entries)]


def _entry(index: int, entry: Any) -> dict[str, Any]:
    where = f"tcmicro_agent_failsafe[{index}]"
    example = "like {port: 22, cidr: 10.0.0.0/24}"
    if not isinstance(entry, Mapping) or "cidr" not in entry or "port" not in entry:
        raise FailsafeError(f"{where}: {entry!r} is not an entry; allowed is a mapping {example}")
    unknown = sorted(set(entry) - {"direction", "protocol", "port", "cidr"})
    if unknown:
        raise FailsafeError(
            f"{where}: unknown {', '.join(unknown)}; allowed are direction, protocol, port, cidr"
        )
    try:
        cidr = str(ip_network(entry["cidr"]))
    except ValueError as exc:
        raise FailsafeError(f"{where}.cidr: {entry['cidr']!r} is not a network: {exc}") from exc
    if not (str(entry["port"]).isdigit() and 0 <= int(entry["port"]) <= 65535):
        raise FailsafeError(f"{where}.port: {entry['port']!r} is not a port (0-65535)")
    direction, protocol = entry.get("direction", "ingress"), entry.get("protocol", "tcp")
    return {"direction": direction, "protocol": protocol, "port": int(entry["port"]), "cidr": cidr}
