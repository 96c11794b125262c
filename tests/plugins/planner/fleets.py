"""Fleets to plan over: hosts, looks and inventory variables, made of one description."""

from __future__ import annotations

from datetime import UTC, datetime

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner import request
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.hosts import Host
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.plan import plan

from tests.plugins.looks import look

STAGES = [5, 10, 25, 50, 100]
NOON = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)  # a Tuesday
FACTS = {"kernel": "6.1.0-18-amd64", "arch": "x86_64", "distribution": "debian", "version": "12"}


def fleet(count, *, classes=1, domains=1, groups=0, infra=0, canaries=0):
    """Hosts walk through classes, domains and HA groups; the first are of ring canary, the last of ring infra."""
    return [
        Host(
            name=f"h{n:05}",
            class_name=f"c{n % classes}",
            role=f"c{n % classes}",
            site=f"s{n % domains % 2}",
            domain=f"s{n % domains % 2}/r{n % domains}",
            ha_group=f"g{n // groups}" if groups else "",
            ring="canary" if n < canaries else "infra" if n >= count - infra else "normal",
        )
        for n in range(count)
    ]


def variables_of(host):
    site, _, rack = host.domain.partition("/")
    found = {"tcmicro_class": host.class_name, "tcmicro_role": host.role, "tcmicro_site": site}
    found.update(tcmicro_rack=rack, tcmicro_ha_group=host.ha_group, tcmicro_ring=host.ring)
    return found


def planned(hosts, *, seen=None, extra=None, **asked):
    """A plan over hosts that are all well, but for `seen`; `extra` are more variables by host."""
    names = [host.name for host in hosts]
    args = {"release": "0.1.1", "hosts": names, "waves": STAGES, "allow_missing": 0}
    args |= {"accept_blind": "all", "seed": 7, "now": None} | asked
    looks = {name: look() for name in names} | (seen or {})
    variables = {host.name: variables_of(host) | (extra or {}).get(host.name, {}) for host in hosts}
    return plan(request.read(args, NOON), looks, variables)
