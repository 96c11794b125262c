"""What every host must be after a step: enforcing, on the release that is wanted, in order since its boot.

A scenario says by environment what it expects: EXPECTED_RELEASE, and DATABASE_OPEN_FOR, a group.
"""

from __future__ import annotations

import json
import os

import pytest

RELEASE = os.environ.get("EXPECTED_RELEASE", "0.1.0")
OPEN_FOR = os.environ.get("DATABASE_OPEN_FOR", "web")
DATABASE = "db1"


def test_release_that_is_wanted_runs_and_is_confirmed(host, status):
    assert status["release"] == RELEASE
    assert host.file("/opt/tcmicro/current").linked_to == f"/opt/tcmicro/releases/{RELEASE}"
    change = json.loads(host.check_output("tc-micro txn show --json"))["release"]
    ended = change["state"] if change else "none"  # where no release took the place of another
    assert ended in ("none", "confirmed", "reverted")


def test_policy_is_committed_on_the_uplink(status):
    assert status["policy"]["state"] == "committed"
    assert status["policy"]["mode"] == "protect"
    ports = status["datapath"]["interfaces"]
    assert ports
    assert all(port["ingress"] and port["egress"] for port in ports)


def test_boot_restored_it_before_the_network(host, status):
    """`tcmicro-boot` has ended before networkd started; it has not run where the agent came after the boot."""
    words = "systemctl show %s -p %s --value"
    ended = int(host.check_output(words, "tcmicro-boot.service", "ExecMainExitTimestampMonotonic"))
    network = int(
        host.check_output(words, "systemd-networkd.service", "ExecMainStartTimestampMonotonic")
    )
    agent = int(
        host.check_output(words, "tcmicro-agent.service", "ExecMainStartTimestampMonotonic")
    )
    result = host.check_output("systemctl show tcmicro-boot.service -p Result --value")
    assert result == "success"
    assert 0 < ended < network or (ended == 0 and network < agent), (ended, network, agent)


def test_nothing_failed(host):
    failed = host.check_output("systemctl list-units 'tcmicro*' --failed --no-legend --plain")
    assert failed == ""
    errors = host.check_output(
        "journalctl -b -u tcmicro-agent -u tcmicro-boot -p err -o cat --no-pager"
    )
    assert errors == ""


@pytest.mark.parametrize("address", ["10.77.2.1", "fd77::2:1"])
def test_database_is_open_for_one_group_alone(host, status, address):
    """`answering` is a service of db1 that takes every connection to 5432; the policy says who may open one."""
    name = host.check_output("hostname")
    reached = host.run("nc -z -w 5 %s 5432", address).rc == 0
    assert reached is (name == DATABASE or name.startswith(OPEN_FOR))
