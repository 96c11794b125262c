"""The policies in this repository resolve, and those of the lab decide as the demo shows."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from tcmicro_agent.policy.evaluate import NewFlow, evaluate
from tcmicro_agent.policy.inventory import parse_inventory
from tcmicro_agent.policy.model import Direction, Mode
from tcmicro_agent.policy.resolve import resolve
from tcmicro_agent.policy.source import parse_policies

ROOT = Path(__file__).resolve().parents[3]
TCP, UDP, ICMP = 6, 17, 1
CONTROLLER = {4: "10.77.0.1", 6: "fd77::1"}
GROUPS = {"web": 1, "db": 2, "client": 3}


def lab():
    """The lab's plan of addresses: one number per group and one per host."""
    return parse_inventory(
        {
            f"{group}{n}": {
                "groups": ["all", "tcmicro", group],
                "labels": {},
                "addresses": [f"10.77.{number}.{n}", f"fd77::{number}:{n}"],
            }
            for group, number in GROUPS.items()
            for n in (1, 2)
        }
    )


def sources(directory):
    files = sorted((ROOT / directory).glob("*.yml"))
    assert files
    return [(file.name, file.read_text()) for file in files]


@pytest.fixture(scope="module")
def bundles():
    return resolve(parse_policies(sources("inventories/lab/policies")), lab())


def action(bundles, host, peer, protocol, port, version, direction=Direction.INGRESS):
    group, number = peer[:-1], peer[-1:]
    address = CONTROLLER[version]
    if group in GROUPS:
        address = (
            f"10.77.{GROUPS[group]}.{number}" if version == 4 else f"fd77::{GROUPS[group]}:{number}"
        )
    flow = NewFlow(direction, ip_address(address), protocol, port)
    return evaluate(bundles[host], flow).action.value


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("host", "peer", "protocol", "port", "wanted"),
    [
        ("db1", "web1", TCP, 5432, "allow"),
        ("db1", "client1", TCP, 5432, "deny"),
        ("db1", "web1", TCP, 80, "deny"),
        ("db1", "db2", TCP, 5432, "deny"),
        ("web1", "client2", TCP, 80, "allow"),
        ("web1", "db1", TCP, 80, "deny"),
        ("db1", "controller", TCP, 22, "allow"),
        ("client1", "controller", TCP, 9931, "allow"),
        ("client1", "web1", TCP, 22, "deny"),
        ("db2", "client1", ICMP, 0, "allow"),
        ("db2", "client1", UDP, 53, "deny"),
    ],
)
def test_lab_decides_as_the_demo_shows(bundles, host, peer, protocol, port, wanted, version):
    assert action(bundles, host, peer, protocol, port, version) == wanted


def test_lab_protects_every_host_and_lets_everything_out(bundles):
    for host, bundle in bundles.items():
        assert bundle.mode is Mode.PROTECT
        assert action(bundles, host, "web1", TCP, 443, 4, Direction.EGRESS) == "allow"


def test_lockout_drill_closes_what_it_says():
    found = resolve(parse_policies(sources("tests/faults/lockout/policies")), lab())["db1"]
    for direction in Direction:
        flow = NewFlow(direction, ip_address(CONTROLLER[4]), TCP, 22)
        assert evaluate(found, flow).action.value == "deny"


def test_policies_of_the_example_are_valid():
    assert parse_policies(sources("inventories/example/policies"))
