"""Planning a rollout on the controller: who of 10,000 hosts is changed when, against which controls."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner import request
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.plan import plan
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.table import table

from tests.bench.goals import Result
from tests.bench.measure import spread

HOSTS, SITES, RACKS, ROLES, GROUP = 10_000, 12, 400, 30, 3
KERNELS = ("5.10.0-28-amd64", "6.1.0-18-amd64", "6.12.9-amd64")
WELL = {
    "releases": {"current": "0.1.0"},
    "service": {"active": True, "state": "active (running)"},
    "status": {
        "agent": {"running": True},
        "datapath": {
            "loaded": True,
            "interfaces": [{"name": "eth0", "ingress": True, "egress": True}],
        },
        "transaction": None,
    },
}


def run(_bpffs: Path, *, quick: bool) -> list[Result]:
    names = [f"h{n:05}" for n in range(HOSTS)]
    seen = {name: look(n) for n, name in enumerate(names)}
    variables = {name: variables_of(n) for n, name in enumerate(names)}
    rounds = [_seconds(names, seen, variables) for _ in range(1 if quick else 3)]
    return [Result("plan_10k_hosts_s", spread(rounds))]


def look(number: int) -> dict[str, Any]:
    """What agent_info tells of a host that is well."""
    facts = {"arch": "x86_64", "distribution": "debian", "version": "12"}
    return {**WELL, "facts": {**facts, "kernel": KERNELS[number % len(KERNELS)]}}


def variables_of(number: int) -> dict[str, Any]:
    """Ninety classes, 400 racks in 12 sites, and HA groups of three in racks of their own."""
    rack = number % RACKS
    return {
        "group_names": ["all", "tcmicro", f"role{number // GROUP % ROLES}"],
        "tcmicro_site": f"s{rack % SITES}",
        "tcmicro_rack": f"r{rack}",
        "tcmicro_ha_group": f"g{number // GROUP}",
        "tcmicro_change_windows": "Mon-Sun 00:00-24:00 Europe/Berlin",
    }


def _seconds(names: list[str], seen: dict[str, Any], variables: dict[str, Any]) -> float:
    """CPU of this process from the request to the lines for people."""
    args = {"release": "1.0.0", "hosts": names, "waves": [5, 10, 25, 50, 100], "allow_missing": 0}
    args |= {"accept_blind": None, "seed": None, "now": None}
    start = time.process_time()
    found = plan(request.read(args, datetime.now(UTC)), seen, variables)
    table(found, "1.0.0", 60)
    found.document()
    return time.process_time() - start
