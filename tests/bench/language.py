"""The policy language on the controller: reading policies, resolving them over a fleet, and over one that changed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tcmicro_agent.policy.inventory import Inventory, parse_inventory
from tcmicro_agent.policy.resolve import Resolver, resolve
from tcmicro_agent.policy.source import parse_documents
from tests.bench.goals import Result
from tests.bench.measure import spread

ROLES, SITES, ENVIRONMENTS = 150, 40, 10  # groups: each host is in one of each
RULES, RULES_OF_ROLE = 1000, 6
SMALL, LARGE = 1_000, 10_000
READ = 1000
MOVED = "h00007"
ANYBODY = {"entity": "any"}


def run(_bpffs: Path, *, quick: bool) -> list[Result]:
    rounds = 1 if quick else 3
    texts = sources()
    policies = parse_documents(texts).policies
    many = [(f"{n}.yml", _text(f"p{n}", "tcmicro", [ANYBODY])) for n in range(READ)]
    reading = [_seconds(lambda: parse_documents(many)) for _ in range(rounds)]
    small, large = (parse_inventory(fleet(hosts)) for hosts in (SMALL, LARGE))
    moved = parse_inventory({**fleet(LARGE), MOVED: host(7, role=9)})
    over_small = [_seconds(lambda: resolve(policies, small)) for _ in range(rounds)]
    whole, again = zip(*(_twice(policies, large, moved) for _ in range(rounds)), strict=True)
    raw = {"resolve_1k_s": spread(over_small).middle, "one_host_s": spread(again).middle}
    return [
        Result("validate_1k_policies_s", spread(reading)),
        Result("resolve_10k_hosts_s", spread(whole), raw),
        Result("resolve_growth_1k_10k", spread(_over(whole, over_small))),
        Result("resolve_one_host_over_all", spread(_over(again, whole))),
    ]


def _over(figures: Any, others: Any) -> list[float]:
    return [one / other for one, other in zip(figures, others, strict=True)]


def _twice(policies: Any, fleet: Inventory, moved: Inventory) -> tuple[float, float]:
    """Seconds to resolve a fleet, and then the same fleet with one host in another group."""
    resolver = Resolver(policies)
    return _seconds(lambda: resolver.resolve(fleet)), _seconds(lambda: resolver.resolve(moved))


def _seconds(act: Callable[[], object]) -> float:
    """CPU of this process: other work of the machine is not of interest."""
    start = time.process_time()
    act()
    return time.process_time() - start


def fleet(hosts: int) -> dict[str, Any]:
    """An inventory with addresses of both families."""
    return {f"h{n:05}": host(n, role=n % ROLES) for n in range(hosts)}


def host(number: int, *, role: int) -> dict[str, Any]:
    site, environment = number // 7 % SITES, number % ENVIRONMENTS
    groups = [f"role{role}", f"site{site}", f"env{environment}"]
    low = f"{number >> 8 & 0xFF}.{number & 0xFF}"
    return {
        "groups": ["all", "tcmicro", *groups],
        "labels": {"tier": f"t{number % 3}"},
        "addresses": [f"10.{number >> 16}.{low}", f"fd00::{number >> 16:x}:{number & 0xFFFF:x}"],
    }


def sources() -> list[tuple[str, str]]:
    """A policy for the whole fleet about 100 networks, and one for every role about other roles and a site."""
    networks = [{"cidrs": [f"172.16.{n}.0/24"]} for n in range(RULES - ROLES * RULES_OF_ROLE)]
    texts = [_text("fleet", "tcmicro", networks)]
    for role in range(ROLES):
        peers = [
            {"groups": [f"role{(role * 7 + n * 31) % ROLES}"]} for n in range(1, RULES_OF_ROLE)
        ]
        peers.append({"groups": [f"site{role % SITES}"]})
        texts.append(_text(f"role{role}", f"role{role}", peers))
    return [(f"{n}.yml", text) for n, text in enumerate(texts)]


def _text(name: str, group: str, peers: list[Mapping[str, Any]]) -> str:
    rules = [
        {"id": f"r{n}", "from": [peer], "ports": [f"tcp/{1000 + n}", "tcp/8000-8100"]}
        for n, peer in enumerate(peers)
    ]
    document = {
        "apiVersion": "tcmicro/v1",
        "kind": "Policy",
        "metadata": {"name": name},
        "spec": {
            "mode": "protect",
            "applyTo": {"groups": [group]},
            "default": {"ingress": "deny", "egress": "allow"},
            "ingress": rules,
        },
    }
    return json.dumps(document)
