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
ADDRESSES = ("10.77.2.1", "fd77::2:1")
MOMENT = "TimestampMonotonic"
# At once, because who is not let in waits for the whole of its time.
REACH = f"for to in {' '.join(ADDRESSES)}; do nc -z -w 5 $to 5432 && echo $to & done; wait"


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
    boot, network, agent = units(host, "tcmicro-boot", "systemd-networkd", "tcmicro-agent")
    assert boot["Result"] == "success"
    ended = int(boot[f"ExecMainExit{MOMENT}"])
    begun, ours = (int(unit[f"ExecMainStart{MOMENT}"]) for unit in (network, agent))
    assert 0 < ended < begun or (ended == 0 and begun < ours), (ended, begun, ours)


def units(host, *names):
    """What systemd knows of each, by one command."""
    wanted = f"Result,ExecMainExit{MOMENT},ExecMainStart{MOMENT}"
    shown = host.check_output(f"systemctl show --property={wanted} {' '.join(names)}")
    return [dict(line.split("=", 1) for line in part.split("\n")) for part in shown.split("\n\n")]


def test_nothing_failed(host):
    failed = host.check_output("systemctl list-units 'tcmicro*' --failed --no-legend --plain")
    assert failed == ""
    errors = host.check_output(
        "journalctl -b -u tcmicro-agent -u tcmicro-boot -p err -o cat --no-pager"
    )
    assert errors == ""


@pytest.fixture(scope="module")
def reached(host, status):
    """At which addresses the host reaches the database, and the host's name."""
    name, *found = host.check_output(f"hostname; {REACH}").split()
    return name, found


@pytest.mark.parametrize("address", ADDRESSES)
def test_database_is_open_for_one_group_alone(reached, address):
    """`answering` is a service of db1 that takes every connection to 5432; the policy says who may open one."""
    name, found = reached
    assert (address in found) is (name == DATABASE or name.startswith(OPEN_FOR))
